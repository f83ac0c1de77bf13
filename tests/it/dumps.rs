//! What `sqlite3 .dump` and `pg_dump` write can be restored: the database is checked, verified and
//! served, and goes on with new ids.

use std::process::Command;

use chrono::Utc;
use serde_json::json;

use crate::harness::{App, Kind, Order, Served, launch, launch_command, program, with_controller};

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// A database with a sealed trail, of which the last entries have no seal, and a deleted order.
async fn full(kind: Kind) -> App {
    let app = App::today(kind, &[]).await;
    let mut orders: Vec<Order> = (0..300).map(|i| Order::new(&format!("o{i:03}"))).collect();
    orders.extend([
        Order::new("ü'\"|日本|🎄").workflow("/O'Brien & \"Söhne\"/it's", "ß\\").never(),
        Order::new("removed"),
    ]);
    app.db.insert(&orders).await;
    let ids = |ids: &[&str]| json!({"orderIds": ids, "auditLog": {"comment": "ein \"Grund\"\n\\n 日本", "timeSpent": 3}});
    app.cancel(ids(&["o000", "o001"])).await.ok();
    app.store.seal(Utc::now()).await.unwrap();
    app.cancel(ids(&["o002", "ü'\"|日本|🎄"])).await.ok();
    let add = json!({"orders": [{"workflowPath": "/sos/eod", "orderName": "new"}]});
    app.post("/orders/add", &with_controller(add)).await.ok();
    app.db.execute("DELETE FROM orders WHERE order_id = 'removed'").await.unwrap();
    app
}

/// Restores a dump with what reads it. The statistics of SQLite's planner are left out, as
/// docs/operations.md does: most shells have no such table.
async fn restore(dump: Command, into: Command) {
    let dumped = launch_command(dump, "").await;
    let is_kept = |line: &&str| !line.starts_with("INSERT INTO sqlite_stat4 ");
    let lines: Vec<_> = dumped.ok().split('\n').filter(is_kept).collect();
    launch_command(into, lines.join("\n")).await.ok();
}

/// The number that a query finds.
async fn ask(url: &str, sql: &str) -> i64 {
    let asked = match url.strip_prefix("sqlite:") {
        Some(file) => command("sqlite3", &[file, sql]),
        None => command("psql", &["-qAtc", sql, url]),
    };
    launch_command(asked, "").await.ok().trim().parse().unwrap()
}

on_both! {
    async fn a_restored_dump_is_served(kind: Kind) {
        let app = full(kind).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("restored.db").display().to_string();
        let restored = match kind {
            Kind::Sqlite => {
                let dump = app.db.owner.trim_start_matches("sqlite:");
                restore(command("sqlite3", &[dump, ".dump"]), command("sqlite3", &["-bail", &file])).await;
                format!("sqlite:{file}")
            }
            Kind::Postgres => {
                let (server, _) = app.db.owner.rsplit_once('/').unwrap();
                app.db.execute("CREATE DATABASE from_dump TEMPLATE template0").await.unwrap();
                let restored = format!("{server}/from_dump");
                let psql = ["-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", &restored];
                restore(command("pg_dump", &[&app.db.owner]), command("psql", &psql)).await;
                restored
            }
        };
        launch(&restored, &["check", "--strict"], "").await.ok();
        launch(&restored, &["audit", "verify"], "").await.ok();
        let export = launch(&app.db.owner, &["orders", "export"], "").await;
        assert_eq!(launch(&restored, &["orders", "export"], "").await.ok(), export.ok());

        let count = "SELECT max(id) FROM audit_logs";
        let last = ask(&restored, count).await;
        let served = Served::start(program(&restored));
        let token = served.login().await;
        let cancelled = served.post(&token, "/orders/cancel", &with_controller(json!({"orderIds": ["o003"]}))).await;
        assert_eq!(cancelled.affected(), 1);
        let add = json!({"orders": [{"workflowPath": "/sos/eod", "orderName": "more"}]});
        served.post(&token, "/orders/add", &with_controller(add)).await.ok();
        served.stop();
        launch(&restored, &["check", "--strict"], "").await.ok();
        launch(&restored, &["audit", "verify"], "").await.ok();
        // The cancel and the addition.
        assert!(ask(&restored, count).await >= last + 2);
        // The number of the order that was removed is not used again.
        assert_eq!(ask(&restored, "SELECT max(history_id) FROM orders").await, 304);
    }
}
