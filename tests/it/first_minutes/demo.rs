//! What the demo shows, and how it ends.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Database, Kind, Served, launch, launch_command, program, signal};

/// The demo's output: lines for a shell, each with what it prints.
struct Tour {
    lines: Vec<(String, String)>,
}

impl Tour {
    fn of(output: &str) -> Self {
        let mut lines: Vec<(String, String)> = Vec::new();
        for line in output.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                lines.push((command.into(), String::new()));
            } else if !line.is_empty() && !line.starts_with("# ") {
                let (_, shown) = lines.last_mut().unwrap_or_else(|| panic!("{line}"));
                *shown += &format!("{line}\n");
            }
        }
        Self { lines }
    }

    /// What each line prints when bash runs them all.
    async fn printed(lines: Vec<String>) -> Vec<String> {
        let script: String = lines.iter().map(|line| format!("{line}\nprintf '\\0'\n")).collect();
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]);
        let ran = launch_command(bash, "").await;
        assert_eq!(ran.stderr, "", "{script}");
        ran.ok().split_terminator('\0').map(normalised).collect()
    }
}

/// Replaces the only value that varies.
fn normalised(output: &str) -> String {
    match output.split_once("\"created\":\"") {
        Some((before, rest)) => {
            let (_, after) = rest.split_once('"').unwrap();
            format!("{before}\"created\":\"…\"{after}")
        }
        None => output.into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demos_lines_print_what_it_shows() {
    let mut demo = program("postgres://not.used.invalid/x");
    demo.arg("demo").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut demo = demo.spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut output = String::new();
    while !output.ends_with("# Serving until Ctrl-C.\n") {
        output += &(lines.next().unwrap_or_else(|| panic!("{output}")).unwrap() + "\n");
    }
    let mut rest = output.as_str();
    for step in [
        "# A sample controller with 421 orders",
        "# Log in",
        "# What would be cancelled",
        "\"byState\"",
        "# A misspelt selector",
        "JOC-420",
        "# Cancel them",
        "HTTP/1.1 200 OK\nx-audit-log-id: 3\nx-orders-affected: ",
        "# Once more",
        "JOC-400",
        "ControllerObjectNotExistException: No orders found.",
        "# Who cancelled ",
        "\"account\":\"root\"",
        "OPS-4711",
        "# An agent",
        "command = [",
        "# Its process is alive:",
        "\nsleep\n",
        "x-orders-affected: 1\n",
        "# The process is gone",
        "\ngone\n",
        "{\"failure\":\"KILLED\",\"signal\":15}",
        "it hangs",
        "# Your turn: open http://127.0.0.1:",
        "/ (account root, password demo-password)",
        "# API documentation",
    ] {
        let at = rest.find(step).unwrap_or_else(|| panic!("no {step} in {output}"));
        rest = &rest[at + step.len()..];
    }
    let mut tour = Tour::of(&output).lines;
    let (joc, file) = {
        let joc = tour[0].0.strip_prefix("JOC=").unwrap().to_owned();
        let file = output.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
        (joc, file)
    };

    // Your turn: these two, with the login, against the demo itself.
    let turn: Vec<_> = [0, 1, tour.len() - 2, tour.len() - 1].map(|i| tour[i].0.clone()).into();
    let printed = Tour::printed(turn).await;
    let total: Value =
        serde_json::from_str(tour[tour.len() - 2].1.lines().next().unwrap()).unwrap();
    assert_eq!(printed[2], tour[tour.len() - 2].1);
    let cancelled =
        format!("HTTP/1.1 200 OK\nx-audit-log-id: 6\nx-orders-affected: {}\n", total["total"]);
    assert_eq!(printed[3], cancelled);
    let page = output.split("Your turn: open ").nth(1).unwrap().split(' ').next().unwrap();
    for page in [page.to_owned(), format!("{page}docs")] {
        assert!(output.contains(&page), "{page}");
        let page = reqwest::get(page).await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.text().await.unwrap().contains("<title>joc-orders"));
    }

    // Closing the terminal ends it, and it leaves no file.
    signal(&demo, "-HUP");
    let ended = tokio::task::spawn_blocking(|| demo.wait_with_output().unwrap()).await.unwrap();
    assert!(ended.status.success());
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
    assert!(!Path::new(&file).exists());

    // What the agent did is over.
    let begins = tour.iter().position(|(line, _)| line.ends_with("/jobs.toml")).unwrap();
    tour.drain(begins..tour.len() - 2);

    // The whole tour, on another service in the demo's initial state.
    let db = Database::create(Kind::Sqlite).await;
    let orders = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/orders.json");
    launch(&db.url, &["import", "--controller-id", "demo", orders], "").await.ok();
    let mut command = program(&db.url);
    command.env("JOC_ORDERS_ROOT_PASSWORD", "demo-password");
    let served = Served::start(command);
    tour.pop();
    let here = |line: &str| {
        line.replace(&joc, &served.url).replace(&file, db.url.strip_prefix("sqlite:").unwrap())
    };
    let printed = Tour::printed(tour.iter().map(|(line, _)| here(line)).collect()).await;
    let shown: Vec<_> = tour.iter().map(|(_, shown)| normalised(shown)).collect();
    assert_eq!(printed, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_once_ends_after_the_tour() {
    let ran = launch("", &["demo", "--once"], "").await;
    assert!(ran.ok().contains("# Who cancelled ") && !ran.stdout.contains("Your turn"), "{ran:?}");
    assert_eq!(ran.stderr, "");
    let log = launch("", &["demo", "--once", "--log", "info"], "").await;
    assert!(log.stderr.contains("/joc/api/orders/cancel"), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_without_a_reader_ends_quietly() {
    let mut demo = program("");
    demo.arg("demo").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut demo = demo.spawn().unwrap();
    drop(demo.stdout.take());
    let started = Instant::now();
    let ended = tokio::task::spawn_blocking(|| demo.wait_with_output().unwrap()).await.unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
    assert!(started.elapsed() < Duration::from_secs(60));
}
