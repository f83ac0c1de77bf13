//! What shells complete: the program is called as a completion script calls it.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{App, CONTROLLER, Order, client, launch_command, program};

/// What the program offers for the last word, as fish asks for it.
async fn offered(mut command: Command, line: &str) -> Vec<String> {
    command.env("JOC_ORDERS_COMPLETE", "fish").args(["--", "joc-orders"]);
    command.args(line.split(' '));
    let ran = launch_command(command, "").await;
    assert_eq!(ran.stderr, "");
    let word = |line: &str| line.split('\t').next().unwrap().to_owned();
    ran.ok().lines().map(word).collect()
}

/// The program with a session.
fn with_session(app: &App) -> Command {
    let mut command = program("sqlite:/not/used");
    command.env("JOC_ORDERS_URL", &app.url).env("JOC_ORDERS_TOKEN", &app.token);
    command.env("JOC_ORDERS_CONTROLLER_ID", CONTROLLER);
    command
}

on_both! {
    async fn completes_folders_and_workflows(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("a").workflow("/sos/eod", "1"),
            Order::new("b").workflow("/sos/billing/invoices", "1"),
            Order::new("c").workflow("/mft/eod", "1"),
        ]).await;
        for (line, expected) in [
            ("orders list --folder ", "/ /mft /sos /sos/billing"),
            ("orders cancel --folder /s", "/sos /sos/billing"),
            ("orders cancel --folder /sos/", "/sos/billing"),
            ("orders cancel --folder-only=/m", "--folder-only=/mft"),
            ("workflows list --folder /n", ""),
            ("orders list --folder /no/such", ""),
            ("orders list --workflow /sos/", "/sos/billing/invoices /sos/eod"),
            ("orders list --workflow e", "eod"),
            ("orders list --workflow-version /m", "/mft/eod"),
            ("orders list --workflow-version /mft/eod /", ""),
            ("orders add --workflow /mft", "/mft/eod"),
            ("orders history --workflow i", "invoices"),
            // The account of the service cannot be asked for those of the database.
            ("role limit operators --folder /s", ""),
        ] {
            assert_eq!(offered(with_session(&app), line).await, expected.split_whitespace().collect::<Vec<_>>(), "{line}");
        }

        let view = "sos:products:controller:workflows:view";
        let limited = app.account("limited", view, &[("/mft", true)]).await;
        let mut command = with_session(&app);
        command.env("JOC_ORDERS_TOKEN", limited);
        assert_eq!(offered(command, "orders list --workflow /").await, ["/mft/eod"]);

        // A session that has ended, no session, and no log-in, which would ask for a password.
        let before = app.db.count("SELECT count(*) FROM sessions").await;
        let mut command = with_session(&app);
        command.env("JOC_ORDERS_TOKEN", "no-session");
        assert_eq!(offered(command, "orders list --folder /").await, [""; 0]);
        let mut command = with_session(&app);
        command.env_remove("JOC_ORDERS_TOKEN");
        assert_eq!(offered(command, "orders list --folder /").await, [""; 0]);
        assert_eq!(offered(client(&app.url, &[]), "orders list --folder /").await, [""; 0]);
        assert_eq!(app.db.count("SELECT count(*) FROM sessions").await, before);

        // What is typed counts before what is set.
        let mut command = with_session(&app);
        command.env("JOC_ORDERS_URL", "http://127.0.0.1:1");
        let line = format!("orders list --url={} --folder /m", app.url);
        assert_eq!(offered(command, &line).await, ["/mft"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn completes_words_without_a_service() {
    let program = || client("http://127.0.0.1:1", &[]);
    for (line, expected) in [
        ("orders list --state fa", "failed"),
        ("orders list --state FA", "FAILED"),
        ("orders list --state failed,sus", "failed,suspended"),
        ("orders history --state ", "SUCCESSFUL FAILED"),
        ("orders list -o y", "yaml"),
        ("orders hist", "history"),
        ("orders list --folder /", ""),
    ] {
        assert_eq!(
            offered(program(), line).await,
            expected.split_whitespace().collect::<Vec<_>>(),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_respond_delays_nobody() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = program("sqlite:/not/used");
    command.env("JOC_ORDERS_URL", format!("http://{}", silent.local_addr().unwrap()));
    command.env("JOC_ORDERS_TOKEN", "t").env("JOC_ORDERS_CONTROLLER_ID", CONTROLLER);
    let start = Instant::now();
    assert_eq!(offered(command, "orders list --folder /").await, [""; 0]);
    assert!(start.elapsed() < Duration::from_secs(20));
}
