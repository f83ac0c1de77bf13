//! Settings, `.env` and `.env.example`.

use crate::harness::{Served, launch_command};

use super::{names_in, program_in, run_in};

const EXAMPLE: &str = include_str!("../../../.env.example");

/// The settings in `.env.example`, each with its value.
fn example() -> Vec<(&'static str, &'static str)> {
    let settings: Vec<_> = EXAMPLE
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='))
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    assert!(settings.len() > 20, "{settings:?}");
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_example_env_file_works_uncommented() {
    let lines: Vec<_> = example().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let unix = lines.join("\n");
    let windows = format!("\u{feff}{}\r\n", lines.join("\r\n"));
    for (file, environment) in [(Some(&unix), false), (Some(&windows), false), (None, true)] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program_in(folder.path());
        if let Some(file) = file {
            std::fs::write(folder.path().join(".env"), file).unwrap();
        }
        if environment {
            // As Docker passes a file with Windows line endings.
            command.envs(example().iter().map(|(name, value)| (name, format!("{value}\r"))));
        }
        let served = Served::start(command);
        assert_eq!(served.try_login("").await, 401);
        let output = served.stop();
        assert!(output.starts_with("created the account root with the password "), "{output}");
        assert!(names_in(folder.path()).contains(&"joc-orders.db".into()));
        // The client has no account then, and reports it.
        let mut client = program_in(folder.path());
        client.args(["orders", "list", "--controller-id", "prod"]);
        let ran = launch_command(client, "").await;
        assert!(ran.failed().contains("give --user or --token"), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ignores_settings_in_other_folders() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("project/below");
    std::fs::create_dir_all(&below).unwrap();
    let elsewhere = format!("DATABASE_URL=sqlite:{}/elsewhere.db\n", folder.path().display());
    std::fs::write(folder.path().join("project/.env"), elsewhere).unwrap();
    run_in(&below, &["migrate"]).await.ok();
    assert_eq!(names_in(folder.path()), ["project"]);
    assert_eq!(names_in(&below)[0], "joc-orders.db");
    run_in(&folder.path().join("project"), &["migrate"]).await.ok();
    assert_eq!(names_in(folder.path())[0], "elsewhere.db");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_a_malformed_env_file_without_its_values() {
    let folder = tempfile::tempdir().unwrap();
    for (file, complaint) in [
        ("JOC_ORDERS_ROOT_PASSWORD=se cret=pass\n", ".env: at the beginning"),
        ("JOC_ORDERS_LOG=info\nJOC_ORDERS_ROOT_PASSWORD=se cret\n", ".env: after JOC_ORDERS_LOG"),
        ("se cret\n", ".env: at the beginning"),
        ("JOC_ORDERS_ROOT_PASSWORD='se cret\n", ".env: at the beginning"),
    ] {
        std::fs::write(folder.path().join(".env"), file).unwrap();
        let ran = run_in(folder.path(), &["migrate"]).await;
        assert!(ran.failed().contains(complaint) && !ran.stderr.contains("cret"), "{ran:?}");
        assert_eq!(ran.code, Some(2));
        assert_eq!(names_in(folder.path()), [".env"]);
    }
}
