//! `joc-orders orders`, `audit` and `completions`: the real program over real HTTP.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::commands::COMMANDS;
use crate::harness::{App, Order, client, launch_command, on_terminal, start, words};

mod completing;
mod contexts;
mod lists;
mod once;
mod requests;
mod watch;

/// Types an answer to the prompt that asks whether to cancel two orders, and returns the exit code.
fn answer(command: &mut Command, typed: &str) -> Option<i32> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    while !shown.ends_with(b"Cancel 2 orders? [y/N] ") {
        let mut byte = [0];
        let shown_so_far = String::from_utf8_lossy(&shown);
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{shown_so_far}");
        shown.push(byte[0]);
    }
    stdin.write_all(typed.as_bytes()).unwrap();
    drop(stdin);
    stdout.read_to_end(&mut shown).unwrap();
    child.wait().unwrap().code()
}

async fn sessions(app: &App) -> i64 {
    app.db.count("SELECT count(*) FROM sessions").await
}

/// The ids of the orders that a cancel with these flags would affect.
async fn chosen(app: &App, flags: &[&str]) -> Vec<String> {
    let args = [&["orders", "cancel", "--dry-run", "--output", "json"], flags].concat();
    let ran = start(&app.url, &args).await;
    let preview: Value = serde_json::from_str(ran.ok()).unwrap();
    let orders = preview["orders"].as_array().unwrap();
    orders.iter().map(|order| order["orderId"].as_str().unwrap().into()).collect()
}

on_both! {
    async fn cancels_after_confirmation(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("a").workflow("/sos/eod", "1"),
            Order::new("b").workflow("/sos/billing/eod", "1"),
            Order::new("c").workflow("/sos/eod", "1").state("RUNNING"),
            Order::new("d").workflow("/mft/eod", "1"),
            Order::new("e").workflow("/mft/eod", "1"),
            Order::new("f").workflow("/mft/eod", "1"),
        ])
        .await;
        let before = sessions(&app).await;
        let cancel = ["orders", "cancel", "--folder", "/sos", "--kill"];

        // Without confirmation nothing changes, not even a session.
        let ran = start(&app.url, &cancel).await;
        assert!(ran.exits(2).contains("--yes"), "{ran:?}");

        let dry = [&cancel[..], &["--dry-run"]].concat();
        let ran = start(&app.url, &dry).await;
        assert_eq!(ran.ok(), "\
            ORDER ID  WORKFLOW          VERSION  STATE      EFFECT\n\
            a         /sos/eod          1        SCHEDULED  CANCELLED\n\
            b         /sos/billing/eod  1        SCHEDULED  CANCELLED\n\
            c         /sos/eod          1        RUNNING    KILL\n\
            3 orders: 1 RUNNING, 2 SCHEDULED\n\
            would cancel 2 orders, kill 1; dry run, nothing changed\n");
        assert_eq!(ran.stderr, "");
        let ran = start(&app.url, &[&dry[..], &["--output", "csv", "--show", "1"]].concat()).await;
        assert_eq!(ran.ok(), "order_id,workflow,version,state,effect\na,/sos/eod,1,SCHEDULED,CANCELLED\n");
        let ran = start(&app.url, &[&dry[..], &["-o", "name"]].concat()).await;
        assert_eq!(ran.ok(), "a\nb\nc\n");
        let ran = start(&app.url, &[&dry[..], &["--show", "2"]].concat()).await;
        assert!(ran.ok().contains("\n… and 1 more\n"), "{ran:?}");
        let ran = start(&app.url, &[&dry[..], &["--output", "json"]].concat()).await;
        assert_eq!(serde_json::from_str::<Value>(ran.ok()).unwrap()["killed"], 1);

        // More than --max-orders allows.
        let yes = [&cancel[..], &["--yes"]].concat();
        let ran = start(&app.url, &[&yes[..], &["--max-orders", "2"]].concat()).await;
        assert!(ran.exits(4).contains("3 orders would be affected, at most 2"), "{ran:?}");
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs WHERE outcome = 'DONE'").await, 0);

        let why = ["--comment", "billing is down", "--ticket-link", "OPS-1", "--time-spent", "5"];
        let ran = start(&app.url, &[&yes[..], &why].concat()).await;
        let id = app.db.count("SELECT id FROM audit_logs WHERE outcome = 'DONE'").await;
        assert_eq!(ran.ok(), format!("cancelled: 3 orders, audit log id {id}\n"));
        assert!(ran.stderr.ends_with("\nwill cancel 2 orders, kill 1\n"), "{ran:?}");
        assert_eq!(app.db.ids_in("CANCELLED").await, ["a", "b"]);
        assert_eq!(app.db.state("c").await, "RUNNING+CANCELLING!");
        let audit = "SELECT comment, ticket_link, time_spent, parameters FROM audit_logs WHERE outcome = 'DONE'";
        let audit = app.db.rows(audit).await.unwrap().remove(0);
        let [comment, ticket, spent, parameters] = audit.try_into().unwrap();
        assert_eq!((comment.unwrap(), ticket.unwrap(), spent.unwrap()), ("billing is down".into(), "OPS-1".into(), "5".into()));
        let parameters: Value = serde_json::from_str(&parameters.unwrap()).unwrap();
        assert_eq!(parameters.get("maxOrders"), None);

        // Nothing is left to do.
        for args in [&yes[..], &dry] {
            assert_eq!(start(&app.url, args).await.exits(3), "Error: No orders found.\n");
        }
        let one = ["orders", "cancel", "--yes", "--output", "json", "--order-id"];
        let ran = start(&app.url, &[&one[..], &["d"]].concat()).await;
        let answer: Value = serde_json::from_str(ran.ok()).unwrap();
        assert_eq!((&answer["affected"], &answer["ok"]), (&json!(1), &json!(true)), "{answer}");
        let one = ["orders", "cancel", "--yes", "--output", "csv", "--order-id"];
        let ran = start(&app.url, &[&one[..], &["e"]].concat()).await;
        assert!(ran.ok().starts_with("affected,audit_log_id\n1,"), "{ran:?}");
        let one = ["orders", "cancel", "-y", "-o", "name", "--order-id", "f"];
        let ran = start(&app.url, &one).await;
        let last = app.db.count("SELECT max(id) FROM audit_logs").await;
        assert_eq!(ran.ok(), format!("{last}\n"));
        assert_eq!(app.db.ids_in("CANCELLED").await, ["a", "b", "d", "e", "f"]);
        assert_eq!(sessions(&app).await, before, "every login was followed by a logout");
    }

    async fn asks_for_confirmation_on_a_terminal(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        let before = sessions(&app).await;
        let cancel = client(&app.url, &["orders", "cancel", "--workflow", "/sos/eod"]);
        for (typed, code) in [("n\n", 6), ("\n", 6), ("\u{3}", 6), ("", 6), ("y\n", 0)] {
            assert_eq!(app.db.ids_in("CANCELLED").await, [""; 0], "{typed:?}");
            let mut command = on_terminal(&cancel);
            let ended = tokio::task::spawn_blocking(move || answer(&mut command, typed)).await;
            assert_eq!(ended.unwrap(), Some(code), "{typed:?}");
        }
        assert_eq!(app.db.ids_in("CANCELLED").await, ["a", "b"]);
        assert_eq!(sessions(&app).await, before, "every login was followed by a logout");
        // No more than the user was shown.
        let audit = app.db.rows("SELECT parameters FROM audit_logs WHERE outcome = 'DONE'").await;
        let parameters = audit.unwrap()[0][0].clone().unwrap();
        let parameters: Value = serde_json::from_str(&parameters).unwrap();
        assert_eq!(parameters["maxOrders"], 2);
    }

    async fn options_select_orders(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("a").workflow("/sos/eod", "1").at("2026-11-23T09:34:56.789Z"),
            Order::new("b").workflow("/sos/eod", "2"),
            Order::new("c").workflow("/sos/below/eod", "1"),
            Order::new("d:1@x").workflow("/mft/with:colon", "1:2"),
            Order::new("e").workflow("/mft/e", "1").state("FAILED").never(),
            Order::new("e|x").workflow("/mft/e", "1").state("FAILED").never(),
        ])
        .await;
        for (flags, expected) in [
            (&["--order-id", "a", "--order-id", "d:1@x"][..], &["a", "d:1@x"][..]),
            (&["--workflow", "/sos/eod"], &["a", "b"]),
            (&["--workflow", "eod"], &["a", "b", "c"]),
            (&["--workflow", "/mft/with:colon"], &["d:1@x"]),
            (&["--workflow-version", "/mft/with:colon", "1:2"], &["d:1@x"]),
            (&["--workflow-version", "/sos/eod", "1", "--workflow-version", "eod", "2", "--workflow", "/mft/e"], &["a", "b", "e", "e|x"]),
            (&["--folder", "/sos", "--folder", "/mft"], &["a", "b", "c", "d:1@x", "e", "e|x"]),
            (&["--folder-only", "/sos"], &["a", "b"]),
            (&["--folder-only", "/sos", "--folder", "/sos/below"], &["a", "b", "c"]),
            (&["--state", "failed", "--state", "BLOCKED"], &["a", "e", "e|x"]),
            (&["--folder", "/", "--fresh-only"], &["a", "b", "c", "d:1@x"]),
            (&["--order-id", "e", "--deep"], &["e", "e|x"]),
            (&["--date-to=-2h"], &["a"]),
            (&["--date-to", "-2h"], &["a"]),
            (&["--date-from", "-4h", "--date-to", "-2h"], &["a"]),
            (&["--date-from", "-2h"], &["b", "c", "d:1@x"]),
            (&["--date-to", "2026-11-23T11:00:00", "--time-zone", "Europe/Berlin"], &["a"]),
        ] {
            assert_eq!(chosen(&app, flags).await, expected, "{flags:?}");
        }
        let ran = start(&app.url, &["orders", "cancel", "--dry-run", "--date-to", "-2h"]).await;
        assert!(ran.ok().contains("\nscheduled before 2026-11-23T10:34:56.789Z\n"), "{ran:?}");
    }

    async fn failures_have_exit_codes_and_messages(kind: Kind) {
        let app = App::start(kind, &["--comment-required", "true"]).await;
        app.db.insert(&[Order::new("a")]).await;
        app.account("viewer", "sos:products:controller:orders:view", &[]).await;
        app.account("op", "sos:products:controller:orders:cancel", &[("/mft", true)]).await;
        let before = sessions(&app).await;
        let yes = ["orders", "cancel", "--yes", "--order-id", "a"];
        let why = [&yes[..], &["--comment", "why"]].concat();
        let with = |more: &[&str]| client(&app.url, &[&why[..], more].concat());
        let as_account = |name: &str| {
            let mut command = with(&["--user", name]);
            command.env("JOC_ORDERS_PASSWORD", "a-password");
            command
        };
        let mut wrong = with(&[]);
        wrong.env("JOC_ORDERS_PASSWORD", "wrong");
        let mut nobody = with(&[]);
        nobody.env_remove("JOC_ORDERS_USER");
        let mut no_password = with(&[]);
        no_password.env_remove("JOC_ORDERS_PASSWORD");
        for (command, code, complaint) in [
            (client(&app.url, &yes), 4, "missing comment"),
            (with(&["--controller-id", "other"]), 4, "controllerId: "),
            (with(&["--date-to", "yesterday"]), 4, "dateTo: "),
            (with(&["--folder", "sos"]), 4, "folders[0]"),
            (client(&app.url, &["orders", "cancel", "--yes"]), 2, "select orders: "),
            (wrong, 5, ""),
            (as_account("viewer"), 5, "Access denied"),
            (as_account("op"), 3, "No orders found."),
            (with(&["--token", "no-such-token"]), 5, ""),
            (with(&["--token", "no\nsuch"]), 2, "--token"),
            (nobody, 2, "--user"),
            (no_password, 2, "JOC_ORDERS_PASSWORD"),
            (with(&["--url", "http://127.0.0.1:1/joc/api"]), 7, "cannot reach http://127.0.0.1:1"),
            (with(&["--url", "https://127.0.0.1:1/joc/api"]), 7, "cannot reach"),
            (with(&["--url", &app.url.replace("/joc/api", "/joc")]), 2, "; try --url http://127.0.0.1:"),
            (with(&["--date-from", "2026-11-23"]), 2, "a date needs a time, such as 2026-11-23T00:00:00"),
            (with(&["--url", "http://me:secret@127.0.0.1:1/"]), 2, "--user"),
            (with(&["--url", "ftp://127.0.0.1/"]), 2, "--url"),
            (with(&["--order-id", ""]), 2, "--order-id"),
            (with(&["--folder="]), 2, "--folder"),
            (with(&["--date-to", ""]), 2, "--date-to"),
            (with(&["--state", "FINISH"]), 2, "SUSPENDED"),
            (with(&["--workflow-version", "/sos/eod"]), 2, "--workflow-version"),
            (with(&["--dry-run"]), 2, "--yes"),
            (with(&["--reset"]), 2, "--reset"),
        ] {
            let what = format!("{command:?}");
            let ran = launch_command(command, "").await;
            assert!(ran.exits(code).contains(complaint), "{what} {ran:?}");
        }
        assert_eq!(app.db.state("a").await, "FRESH");
        assert_eq!(sessions(&app).await, before, "every login was followed by a logout");

        // An existing session stays open.
        let mut command = client(&app.url, &why);
        command.env_remove("JOC_ORDERS_USER").env_remove("JOC_ORDERS_PASSWORD");
        command.env("JOC_ORDERS_TOKEN", &app.token);
        launch_command(command, "").await.ok();
        assert_eq!(app.db.state("a").await, "CANCELLED");
        assert_eq!(app.preview(json!({"folders": [{"folder": "/"}], "auditLog": {"comment": "x"}})).await["total"], 0);
        assert_eq!(sessions(&app).await, before);
    }

    async fn escapes_control_characters_in_order_ids(kind: Kind) {
        let app = App::with(kind, &[Order::new("=\u{202e}x")]).await;
        let dry = ["orders", "cancel", "--dry-run", "--folder", "/", "--output"];
        let ran = start(&app.url, &[&dry[..], &["table"]].concat()).await;
        assert!(ran.ok().contains("\n=\\u{202e}x "), "{ran:?}");
        let ran = start(&app.url, &[&dry[..], &["csv"]].concat()).await;
        assert!(ran.ok().contains("\n'="), "{ran:?}");
        let ran = start(&app.url, &[&dry[..], &["json"]].concat()).await;
        let preview: Value = serde_json::from_str(ran.ok()).unwrap();
        assert_eq!(preview["orders"][0]["orderId"], "=\u{202e}x");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prints_completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = launch_command(client("", &["completions", shell]), "").await;
        for word in ["joc-orders", "JOC_ORDERS_COMPLETE", shell] {
            assert!(ran.ok().contains(word), "{shell} {word}");
        }
    }
    let mut unknown = client("", &[]);
    unknown.env("JOC_ORDERS_COMPLETE", "cmd");
    let ran = launch_command(unknown, "").await;
    assert!(ran.stderr.contains("unknown shell `cmd`"), "{ran:?}");
}

/// What bash completes.
#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_commands_and_options() {
    let ran = launch_command(client("", &["completions", "bash"]), "").await;
    let script = ran.ok().to_owned()
        + r#"
        read -r _ _ _ _ _ _ _ _ function _ < <(complete -p joc-orders)
        while read -ra COMP_WORDS; do
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            $function joc-orders "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
            echo "${COMPREPLY[@]}"
        done <<END
joc-orders au
joc-orders orders can
joc-orders orders cancel --wor
joc-orders orders list --state P
joc-orders account dis
joc-orders audit --det
END
"#;
    let mut bash = Command::new("bash");
    let program = Path::new(env!("CARGO_BIN_EXE_joc-orders")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    bash.args(["--norc", "-s"]).env("PATH", format!("{}:{path}", program.display()));
    assert_eq!(
        launch_command(bash, script).await.ok(),
        "audit\ncancel\n--workflow --workflow-version\nPENDING PROMPTING\ndisable\n--details\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn help_lists_the_exit_codes() {
    let of_the_api = |command: &&&str| command.starts_with("orders") || **command == "audit";
    for command in COMMANDS.iter().filter(of_the_api) {
        let ran = launch_command(client("", &[words(command), vec!["--help"]].concat()), "").await;
        assert!(ran.ok().contains("Exit codes:\n  0  done\n"), "{command}");
    }
}

on_both! {
    async fn follows_an_order_from_add_to_cancel(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&[Order::new("other").workflow("/sos/billing/eod", "1").never()]).await;
        let run = async |line: &str, more: &[&str]| {
            let args = [&words(line)[..], &["--output", "json"], more].concat();
            let ran = start(&app.url, &args).await;
            serde_json::from_str::<Value>(ran.ok()).unwrap()
        };
        let added = run("orders add --workflow eod --order-name x --argument n=5",
            &["--scheduled-for", "now + 01:00", "--priority", "-7"]).await;
        let id = added["orderIds"][0].as_str().unwrap().to_owned();
        let one = ["--order-id", id.as_str()];
        let list = run("orders list", &one).await;
        let order = &list["orders"][0];
        assert_eq!(order["state"]["_text"], "SCHEDULED");
        assert_eq!((&order["priority"], &order["arguments"]), (&json!(-7), &json!({"n": 5})));
        assert_eq!(run("orders suspend --yes", &one).await["affected"], 1);
        assert_eq!(app.db.state(&id).await, "FRESH~");
        let again = start(&app.url, &["orders", "suspend", "--yes", one[0], one[1]]).await;
        assert!(again.exits(3).contains("No suspendible orders found."), "{again:?}");
        assert_eq!(run("orders resume --yes", &one).await["affected"], 1);
        assert_eq!(app.db.state(&id).await, "FRESH");
        let window = ["--date-to", "2h", "--comment", "it's over"];
        assert_eq!(run("orders cancel --yes --folder /sos", &window).await["affected"], 1);
        let audit = run("audit --date-from 1h", &["--comment", "it's over"]).await;
        assert_eq!(audit["auditLog"].as_array().unwrap().len(), 1);
        let details = audit["auditLog"][0]["id"].to_string();
        let details = run("audit", &["--details", &details]).await;
        assert_eq!(details["auditLogDetails"][0]["orderId"], json!(id));
        // Terminal orders are listed on request.
        let cancelled = run("orders list --state cancelled", &[]).await;
        assert_eq!(cancelled["orders"][0]["orderId"], json!(id));
        for output in ["table", "csv"] {
            let ran = start(&app.url, &["orders", "list", "--output", output]).await;
            assert!(ran.ok().contains("other") && !ran.ok().contains(&id), "{ran:?}");
        }
    }
}
