//! What an import or a copy prints when it is interrupted.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::harness::{CONTROLLER, Database, Kind, Order, launch, program, signal};

on_both! {
    async fn an_interrupted_import_reports_that_nothing_was_imported(kind: Kind) {
        let db = Database::create(kind).await;
        for name in ["-INT", "-TERM"] {
            let mut command = program(&db.url);
            let mut child = piped(command.arg("import"));
            let mut stdin = child.stdin.take().unwrap();
            // More than two batches, so that the first are already in the transaction.
            for i in 0..16_000 {
                stdin.write_all(line(i).as_bytes()).unwrap();
            }
            std::thread::sleep(Duration::from_millis(300));
            signal(&child, name);
            let output = child.wait_with_output().unwrap();
            drop(stdin);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(stderr, "Error: interrupted: nothing was imported\n");
            assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
            for table in ["orders", "workflows", "controllers"] {
                assert_eq!(db.count(&format!("SELECT count(*) FROM {table}")).await, 0);
            }
        }
        // No lock is left.
        let ran = launch(&db.url, &["import"], line(1)).await;
        assert_eq!(ran.ok(), "imported: 1 new, 0 replaced, 0 skipped\n");
    }

    async fn an_interrupted_import_reports_what_happened(kind: Kind) {
        let input: String = (0..30_000).map(line).collect();
        for delay in [0, 20, 60, 120, 200, 300, 450, 600, 800, 1200] {
            let db = Database::create(kind).await;
            let mut command = program(&db.url);
            let mut child = piped(command.arg("import"));
            let mut stdin = child.stdin.take().unwrap();
            let input = input.clone();
            let fed = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
            std::thread::sleep(Duration::from_millis(100 + delay));
            signal(&child, "-INT");
            let output = child.wait_with_output().unwrap();
            fed.join().unwrap();
            let orders = db.count("SELECT count(*) FROM orders").await;
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            if output.status.success() {
                assert_eq!((orders, &*stdout), (30_000, "imported: 30000 new, 0 replaced, 0 skipped\n"));
            } else {
                assert_eq!((orders, &*stderr), (0, "Error: interrupted: nothing was imported\n"));
            }
        }
    }

    async fn an_interrupted_copy_reports_that_nothing_was_copied(kind: Kind) {
        let source = Database::create(Kind::Sqlite).await;
        let orders: Vec<Order> = (0..20_000).map(|i| Order::new(&format!("o{i:05}"))).collect();
        source.insert(&orders).await;
        // While somebody else has locked the target, and at various moments.
        for (locked, delay) in [(true, 800), (false, 150), (false, 300), (false, 600), (false, 1000)] {
            let target = Database::create(kind).await;
            let begin = if kind == Kind::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
            let mut other = target.lock(begin).await;
            let insert = "INSERT INTO roles (role) VALUES ('other')";
            other.execute(if locked { insert } else { "ROLLBACK" }).await;
            let mut command = program("");
            let args = ["copy", "--from", &source.url, "--to", &target.owner];
            let child = piped(command.args(args));
            std::thread::sleep(Duration::from_millis(delay));
            signal(&child, "-INT");
            let output = child.wait_with_output().unwrap();
            if locked {
                other.execute("ROLLBACK").await;
            }
            let copied = target.count("SELECT count(*) FROM orders").await;
            let stderr = String::from_utf8(output.stderr).unwrap();
            if output.status.success() {
                assert!(!locked && copied == 20_000, "{copied}");
            } else {
                assert_eq!((copied, &*stderr), (0, "Error: interrupted: nothing was copied\n"));
                assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
                assert_eq!(target.count("SELECT count(*) FROM roles").await, 1);
            }
        }
    }
}

/// A line of an import.
fn line(i: u32) -> String {
    let workflow = json!({"path": format!("/sos/w{}", i % 10), "versionId": "1"});
    let order = json!({"orderId": format!("o{i}"), "workflowId": workflow, "state": {"_text": "SCHEDULED"}});
    json!({"controllerId": CONTROLLER, "order": order}).to_string() + "\n"
}

fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}
