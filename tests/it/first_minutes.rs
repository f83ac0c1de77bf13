//! What an operator meets first: settings, the start of the service and its messages, the first
//! account, and the demo.

use std::collections::HashMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Database, Kind, ROOT, Ran, Served, launch, launch_command, program, versions,
};
use crate::secured::{certificate, install, trusts};

mod demo;
mod settings;

/// The program in this folder, with no database configured.
fn program_in(folder: &Path) -> Command {
    let mut command = program("");
    command.env_remove("DATABASE_URL").current_dir(folder);
    command
}

async fn run_in(folder: &Path, args: &[&str]) -> Ran {
    let mut command = program_in(folder);
    command.args(args);
    launch_command(command, "").await
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_a_short_password_for_root() {
    for password in ["short", "1234567\r\n", "\u{feff}1234567"] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program_in(folder.path());
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        command.env("JOC_ORDERS_ROOT_PASSWORD", password);
        let ran = launch_command(command, "").await;
        assert!(ran.failed().contains("JOC_ORDERS_ROOT_PASSWORD: a password must have at least 8"));
        assert!(!ran.stderr.contains("1234567") && !ran.stderr.contains("short"), "{ran:?}");
        assert_eq!(ran.code, Some(2));
        assert_eq!(names_in(folder.path()), [""; 0]);
    }
    let folder = tempfile::tempdir().unwrap();
    for password in ["", "1234567\n\n"] {
        let ran = run_in(folder.path(), &["serve", "--root-password", password]).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
}

on_both! {
    async fn strips_line_endings_and_a_byte_order_mark_from_passwords(kind: Kind) {
        let db = Database::create(kind).await;
        let mut command = program(&db.url);
        command.env("JOC_ORDERS_ROOT_PASSWORD", format!("\u{feff}{}\r\n", ROOT.1));
        let served = Served::start(command);
        assert_eq!(served.try_login(ROOT.1).await, 200);
        for file in ["\u{feff}another-password\r\n", "another-password\r", "another-password"] {
            launch(&db.url, &["account", "passwd", ROOT.0], file).await.ok();
            assert_eq!(served.try_login("another-password").await, 200, "{file:?}");
        }
        let ran = launch(&db.url, &["account", "passwd", ROOT.0], "\u{feff}1234567\r\n").await;
        assert!(ran.failed().contains("at least 8 characters"), "{ran:?}");
        assert_eq!(ran.code, Some(2));
    }

    async fn creates_no_account_if_its_password_cannot_be_shown(kind: Kind) {
        let db = Database::create(kind).await;
        // The disk is full, or the output is discarded.
        for output in ["/dev/full", "/dev/null"] {
            let mut command = program(&db.url);
            command.args(["serve", "--listen", "127.0.0.1:0"]);
            command.stdout(File::options().write(true).open(output).unwrap());
            let child = command.stderr(Stdio::piped()).spawn().unwrap();
            let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
            let ended = ended.await.unwrap();
            let told = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.code(), Some(1), "{told}");
            assert!(told.contains("cannot show the password of root"), "{told}");
            assert!(!told.contains("panicked"), "{told}");
            assert_eq!(db.count("SELECT count(*) FROM accounts").await, 0);
        }

        // The reader of the output has gone.
        let mut command = program(&db.url);
        command.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
        assert_eq!(output.await.unwrap().status.code(), Some(1));
        assert_eq!(db.count("SELECT count(*) FROM accounts").await, 0);

        let output = Served::start(program(&db.url)).stop();
        assert!(output.starts_with("created the account root with the password "), "{output}");
        assert_eq!(db.count("SELECT count(*) FROM accounts").await, 1);
    }

    async fn replicas_started_together_show_one_password(kind: Kind) {
        let db = Database::create(kind).await;
        joc_orders::store::migrate(&db.owner, Some(0)).await.unwrap();
        db.execute("DROP TABLE _sqlx_migrations").await.unwrap();
        let start = || {
            let command = program(&db.owner);
            tokio::task::spawn_blocking(|| Served::start(command))
        };
        let served = join_all((0..3).map(|_| start())).await;
        let served = served.into_iter().map(Result::unwrap);
        let shown: String = tokio::task::block_in_place(|| served.map(Served::stop).collect());
        assert_eq!(shown.matches("created the account root").count(), 1, "{shown}");
    }

    async fn serve_logs_what_it_starts_with(kind: Kind) {
        let db = Database::create(kind).await;
        joc_orders::store::migrate(&db.owner, Some(0)).await.unwrap();
        joc_orders::store::migrate(&db.owner, Some(3)).await.unwrap();
        let place = joc_orders::store::place(&db.owner).unwrap();
        let start = |password: Option<&str>| {
            let mut command = program(&db.owner);
            if let Some(password) = password {
                command.env("JOC_ORDERS_ROOT_PASSWORD", password);
            }
            let served = Served::start(command);
            let lines: Vec<Value> =
                served.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let said: HashMap<String, Value> = lines
                .iter()
                .map(|line| (line["fields"]["message"].as_str().unwrap().into(), line["fields"].clone()))
                .collect();
            (served, said)
        };
        let (served, said) = start(None);
        assert_eq!(said["starting"]["version"], env!("CARGO_PKG_VERSION"));
        let open = &said["the database is open"];
        assert_eq!((&open["database"], &open["migrations"]), (&json!(place), &json!(versions().len())));
        assert_eq!(open["applied_now"], versions()[3..].iter().map(i64::to_string).collect::<Vec<_>>().join(", "));
        assert_eq!(said["created the account"]["password_from"], "standard output");
        assert_eq!(said["listening"]["page"], format!("http://{}/", served.address()));
        assert_eq!(said["listening"]["docs"], format!("http://{}/docs", served.address()));
        let password = served.stop();
        let password = password.split(' ').nth(7).unwrap().to_owned();

        let (served, said) = start(Some("given-password"));
        assert_eq!(said["the database is open"]["applied_now"], "none");
        assert!(said.contains_key("accounts exist; ignoring JOC_ORDERS_ROOT_PASSWORD"), "{said:?}");
        let log = served.log();
        assert!(!log.contains("given-password") && !log.contains(&password), "{log}");
        drop(served);
        let (_served, said) = start(None);
        assert!(said.contains_key("accounts exist; creating none"), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = run_in(folder.path(), &["serve", "--listen", &address]).await;
    assert!(ran.failed().contains(&format!("cannot listen on {address}")), "{ran:?}");
    assert_eq!(ran.code, Some(1));
    assert_eq!(names_in(folder.path()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_a_database_url_without_a_database() {
    let folder = tempfile::tempdir().unwrap();
    for (url, told) in [
        ("", "is empty"),
        (" ", "is empty"),
        ("sqlite:", "'sqlite:'"),
        ("sqlite: ", "'sqlite: '"),
        ("sqlite:%20", "'sqlite:%20'"),
        ("sqlite://", "'sqlite://'"),
        ("sqlite:?synchronous=normal", "'sqlite:'"),
        ("sqlite:.", "that is a directory; got 'sqlite:.'"),
        ("joc-orders.db", "the scheme is missing; expected sqlite:FILE or postgres://"),
        ("postgres:", "'postgres:'"),
        ("postgres://", "'postgres://'"),
        ("mysql://x:secret@host/joc", "'mysql://host/joc'"),
        ("postgres://joc:se/secret@host/joc", "%2F"),
        ("postgres://joc:12/secret@host/joc", "%2F"),
        ("postgres://host:secret", "'postgres://…'"),
        ("postgres://host:secret/joc?password=secret", "'postgres://…'"),
        ("sqlite: orders.db", "begins or ends with a blank"),
        ("sqlite:orders.db ", "begins or ends with a blank"),
        ("sqlite:none/orders.db", "there is no folder none"),
        ("sqlite://joc:secret@none/orders.db", "there is no folder none"),
        ("postgres://host/joc?sslmode=secret", "'postgres://host/joc'"),
    ] {
        for command in ["serve", "migrate"] {
            let mut program = program_in(folder.path());
            program.arg(command).env("DATABASE_URL", url).env("JOC_ORDERS_LISTEN", "127.0.0.1:0");
            let ran = launch_command(program, "").await;
            let complaint = ran.failed();
            assert!(complaint.contains("DATABASE_URL: ") && complaint.contains(told), "{ran:?}");
            assert!(!complaint.contains(":secret") && !complaint.contains("/secret"), "{ran:?}");
            assert_eq!(ran.code, Some(2), "{url} {ran:?}");
        }
    }
    assert_eq!(names_in(folder.path()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_an_unusable_database_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("x.db"), folder.path().display());
    std::fs::write(&file, "no database").unwrap();
    for (url, place) in [
        ("postgres://joc:secret@127.0.0.1:1/orders".into(), "postgres://127.0.0.1:1/orders".into()),
        (
            "postgres://joc:%73ecret@127.0.0.1:1/orders?password=secret".into(),
            "postgres://127.0.0.1:1/orders".into(),
        ),
        (
            format!("postgres:///orders?host={socket}&user=joc&password=secret"),
            format!("postgres:///orders at {socket}/.s.PGSQL.5432"),
        ),
    ] {
        for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"]] {
            let ran = launch(&url, args, "").await;
            assert!(ran.failed().contains(&place), "{place} {ran:?}");
            assert!(!ran.stderr.contains("ecret"), "{ran:?}");
            assert_eq!(ran.code, Some(7), "{ran:?}");
            // Each cause is given once.
            assert!(ran.stderr.lines().last().unwrap().starts_with("Error: "), "{ran:?}");
            assert_eq!(ran.stderr.matches("cannot be reached").count(), 1, "{ran:?}");
        }
    }
    let file = format!("sqlite:{}", file.display());
    let ran = launch(&file, &["migrate"], "").await;
    assert!(ran.failed().contains(&file) && ran.code == Some(1), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_host_names_and_rejects_incomplete_addresses() {
    let db = Database::create(Kind::Sqlite).await;
    let mut command = program(&db.url);
    command.args(["--listen", "localhost:0"]);
    let served = Served::start(command);
    let port = served.address().rsplit(':').next().unwrap().to_owned();
    let listen = format!("localhost:{port}");
    launch(&db.url, &["health", "--listen", &listen], "").await.ok();
    let url = format!("http://127.0.0.1:{port}/health");
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
    for (listen, complaint) in [
        ("4499", "the address is missing; expected ADDRESS:PORT"),
        (":4499", "the address is missing; expected ADDRESS:PORT"),
        ("127.0.0.1", "the port is missing; expected ADDRESS:PORT"),
        ("localhost", "the port is missing; expected ADDRESS:PORT"),
        ("::1", "[::1]:4446"),
        ("localhost:http", "the port is not a number"),
        ("host.invalid:4499", "cannot resolve host.invalid"),
    ] {
        for command in ["serve", "health"] {
            let ran = launch(&db.url, &[command, "--listen", listen], "").await;
            assert!(ran.failed().contains(complaint), "{listen} {ran:?}");
            assert_eq!(ran.code, Some(2));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_does_not_stop_the_service() {
    let db = Database::create(Kind::Sqlite).await;
    let mut served = Served::over(&db, &[]);
    served.signal("-HUP");
    served.until_logged("SIGHUP ignored: TLS is off", 1).await;
    assert!(served.runs() && served.page("/ready").await.status == 200);

    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (certificate(), certificate());
    install(folder.path(), &first);
    let mut command = program(&db.url);
    command
        .env("JOC_ORDERS_TLS_CERT", folder.path().join("cert.pem"))
        .env("JOC_ORDERS_TLS_KEY", folder.path().join("key.pem"));
    let mut served = Served::start(command);
    // Only with the signal is an unchanged file reported.
    served.signal("-HUP");
    served.until_logged("TLS certificate unchanged", 1).await;
    install(folder.path(), &second);
    served.signal("-HUP");
    served.until_logged("TLS certificate reloaded", 1).await;
    assert!(trusts(&served, &second).await.is_some() && served.runs());
    // Errors are reported on every signal.
    std::fs::remove_file(folder.path().join("key.pem")).unwrap();
    for times in 1..=3 {
        served.signal("-HUP");
        served.until_logged("invalid certificate", times).await;
    }
    assert!(trusts(&served, &second).await.is_some());
    served.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn help_lists_the_commands_own_options_first() {
    for (command, heads) in [
        ("serve", &["--root-password", "Database:", "Global options:", "Examples:"][..]),
        ("demo", &["--once", "Global options:", "Examples:"]),
        ("migrate", &["--status", "Database:", "Global options:", "Examples:"]),
    ] {
        let ran = launch("", &[command, "--help"], "").await;
        let mut rest = ran.ok();
        for head in heads {
            let at = rest.find(head).unwrap_or_else(|| panic!("{command}: no {head} in {ran:?}"));
            rest = &rest[at + head.len()..];
        }
    }
}
