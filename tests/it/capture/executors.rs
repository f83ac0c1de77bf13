//! Executors' reports are told apart from a person's UPDATE.

use serde_json::json;

use super::{capture, execute_as, recorded};
use crate::docs::executor_blocks;
use crate::harness::{App, Kind, Order, with_controller};

const ID: &str = "#2026-11-23#P0000000498-invoices";

/// A report as docs/executors.md has it.
fn report(app: &App, id: &str, change: &str) -> String {
    let now = match app.db.kind() {
        Kind::Sqlite => "(SELECT now FROM clock)",
        Kind::Postgres => "statement_timestamp()",
    };
    format!(
        "UPDATE orders SET {change}, state_since = {now}, modified = {now} WHERE order_id = '{id}'"
    )
}

on_both! {
    async fn the_documented_statements_are_executors(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        let invoices = Order {
            scheduled_for: Some(chrono::Utc::now() - chrono::TimeDelta::hours(1)), created: None,
            ..Order::new(ID).workflow("/sos/billing/eod", "1")
        };
        db.insert(&[invoices]).await;
        capture(db, &["on"]).await;
        for sql in executor_blocks(kind) {
            // A LISTEN or a PRAGMA changes nothing.
            execute_as(db, "joc-executor-7", &sql).await;
        }
        assert_eq!(db.state(ID).await, "WAITING");
        assert_eq!(recorded(db).await, [""; 0]);
        capture(db, &["on", "--executors"]).await;
        for child in ["east", "west"] {
            let id = format!("{ID}|{child}");
            execute_as(db, "joc-executor-7", &report(&app, &id, "state = 'RUNNING'")).await;
            execute_as(db, "joc-executor-7", &report(&app, &id, "state = 'FINISHED'")).await;
        }
        app.cancel(json!({"orderIds": [ID]})).await.ok();
        let rows = recorded(db).await;
        assert_eq!(rows.len(), 4, "{rows:?}");
        assert!(rows.iter().all(|row| row.ends_with(" EXECUTOR")), "{rows:?}");
    }

    async fn an_executor_that_honours_marks_is_one_and_others_are_not(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        let orders = [("k", "RUNNING"), ("s", "RUNNING"), ("x", "RUNNING"), ("y", "INPROGRESS"), ("z", "FAILED")];
        let orders: Vec<_> =
            orders.map(|(id, state)| Order { created: None, ..Order::new(id).state(state) }).into();
        db.insert(&orders).await;
        db.insert(&["f", "g", "h"].map(|id| Order { created: None, ..Order::new(id) })).await;
        capture(db, &["on"]).await;
        app.post("/orders/cancel", &with_controller(json!({"orderIds": ["k"], "kill": true}))).await.ok();
        app.post("/orders/suspend", &with_controller(json!({"orderIds": ["s"], "kill": true}))).await.ok();
        let settled = "mark = NULL, kill_requested = NULL, sigkill_at = NULL";
        for (id, change) in [
            ("k", format!("state = 'CANCELLED', {settled}")),
            ("s", format!("state = 'INPROGRESS', suspended = TRUE, {settled}")),
            ("x", "state = 'FINISHED'".into()),
            ("y", "state = 'WAITING', reason = 'SLEEPING', position = '[1]'".into()),
            ("f", "state = 'RUNNING'".into()),
        ] {
            execute_as(db, "joc-executor", &report(&app, id, &change)).await;
        }
        assert_eq!(recorded(db).await, [""; 0]);
        // What docs/executors.md forbids, and what only people do.
        let forbidden = [
            ("g", "state = 'CANCELLED'"), ("h", "suspended = TRUE"), ("f", "priority = 7"),
            ("y", "state = 'RUNNING', mark = 'CANCELLING'"),
        ];
        for (id, change) in forbidden {
            execute_as(db, "joc-executor", &report(&app, id, change)).await;
        }
        execute_as(db, "joc-executor", "UPDATE orders SET state = 'INPROGRESS' WHERE order_id = 'z'").await;
        let rows = recorded(db).await;
        assert_eq!(rows.len(), 5, "{rows:?}");
        assert!(rows.iter().all(|row| row.ends_with(" SQL")), "{rows:?}");
        if kind == Kind::Postgres {
            // A report by somebody who is no executor.
            execute_as(db, "psql", &report(&app, "z", "state = 'FINISHED'")).await;
            assert_eq!(recorded(db).await.len(), 6);
        }
    }
}
