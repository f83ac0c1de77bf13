//! `orders archive`: orders that have ended leave the database, and `import` takes them back.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{App, CONTROLLER, Kind, Order, Ran, launch, program, signal};

async fn cancel(app: &App, ids: &[&str]) {
    app.cancel(json!({"orderIds": ids, "auditLog": {"comment": "why"}})).await.ok();
}

/// What the orders of a database are, as `orders export` writes them.
async fn exported(app: &App) -> Vec<String> {
    let ran = launch(&app.db.owner, &["orders", "export"], "").await;
    ran.ok().lines().map(Into::into).collect()
}

async fn archive_orders(app: &App, before: &str, to: &Path) -> Ran {
    let to = to.to_str().unwrap();
    launch(&app.db.owner, &["orders", "archive", "--before", before, "--to", to], "").await
}

on_both! {
    async fn orders_are_archived_and_imported_again(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let order = |id: &'static str, state: &str, since: &str| json!({"controllerId": CONTROLLER, "order": {
            "orderId": id, "state": {"_text": state}, "suspended": false,
            "workflowId": {"path": "/sos/eod", "versionId": "1"}, "arguments": {"a": 1}, "priority": 3,
            "created": "2020-01-01T00:00:00.000Z", "startTime": "2020-01-01T00:00:01.000Z", "stateSince": since,
        }}).to_string();
        let (old, young) = ("2020-02-01T00:00:00.000Z", "2020-04-01T00:00:00.000Z");
        let lines = [
            order("old", "FINISHED", old), order("old|a", "CANCELLED", old), order("older", "FINISHED", old),
            order("young", "FINISHED", young),
            order("living", "FINISHED", old), order("living|a", "RUNNING", old),
            order("parent", "RUNNING", old), order("parent|a", "FINISHED", old),
            order("mixed", "FINISHED", old), order("mixed|a", "FINISHED", young),
            order("audited", "RUNNING", old),
        ].join("\n");
        launch(&app.db.url, &["import"], lines).await.ok();
        launch(&app.db.owner, &["capture", "on", "--executors"], "").await.ok();
        let changes = app.db.count("SELECT count(*) FROM orders_changes").await;
        let before = exported(&app).await;
        cancel(&app, &["audited"]).await;
        let update = match kind {
            Kind::Sqlite => "UPDATE orders SET state = 'CANCELLED', mark = NULL, state_since = '2020-02-01T00:00:00.000Z' WHERE order_id = 'audited'",
            Kind::Postgres => "UPDATE orders SET state = 'CANCELLED', mark = NULL, state_since = '2020-02-01' WHERE order_id = 'audited'",
        };
        app.db.execute(update).await.unwrap();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("orders.jsonl");

        let ran = archive_orders(&app, "2020-01-15", &file).await;
        assert_eq!((ran.code, file.exists()), (Some(3), false), "{ran:?}");
        let ran = archive_orders(&app, "2020-03-01", &file).await;
        assert!(ran.ok().starts_with("archived: 3 orders to "), "{ran:?}");
        let ran = archive_orders(&app, "2020-03-01", &file).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let left = app.db.rows("SELECT order_id FROM orders ORDER BY order_id").await.unwrap();
        let left: Vec<_> = left.into_iter().flatten().flatten().collect();
        assert_eq!(left, ["audited", "living", "living|a", "mixed", "mixed|a", "parent", "parent|a", "young"]);
        // One more: the update above.
        assert_eq!(app.db.count("SELECT count(*) FROM orders_changes").await, changes + 1);
        let recorded = app.db.rows("SELECT request, CAST(parameters AS TEXT) FROM audit_logs WHERE category = 'OTHERS'").await.unwrap();
        assert_eq!(recorded[0][0].as_deref(), Some("joc-orders orders archive"));
        let parameters: Value = serde_json::from_str(recorded[0][1].as_deref().unwrap()).unwrap();
        assert_eq!((&parameters["orders"], &parameters["controllers"]),
            (&json!(3), &json!([{"controllerId": CONTROLLER, "orders": 3}])));
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(parameters["bytes"], bytes.len());

        launch(&app.db.url, &["import", file.to_str().unwrap()], "").await.ok();
        let without_audited = |lines: Vec<String>| -> Vec<String> {
            lines.into_iter().filter(|line| !line.contains("audited")).collect()
        };
        assert_eq!(without_audited(exported(&app).await), without_audited(before));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_no_file() {
    let app = App::with(Kind::Postgres, &[Order::new("a")]).await;
    let folder = TempDir::new().unwrap();
    let lock = app.db.lock("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await;
    let mut command = program(&app.db.owner);
    command.args(["orders", "archive", "--before", "2020-01-01", "--to"]);
    command.arg(folder.path().join("orders.jsonl")).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    while std::fs::read_dir(folder.path()).unwrap().count() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    drop(lock);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("archived"), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
