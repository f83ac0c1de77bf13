//! Which changes of rows the schema rejects.

use crate::harness::{Database, Kind, Order};

on_both! {
    async fn a_terminal_order_is_final(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[
            Order::new("finished").state("FINISHED"),
            Order::new("cancelled").state("CANCELLED"),
            Order::new("living"),
            Order::new("other").workflow("/sos/other", "1"),
        ])
        .await;
        let changes = [
            "state = 'FRESH'", "state = state", "suspended = FALSE", "mark = NULL",
            "scheduled_for = NULL", "kill_requested = NULL", "sigkill_at = NULL",
            "workflow_path = '/sos/other'", "workflow_version_id = '1'",
            "order_id = 'x' || order_id", "controller_id = controller_id", "priority = 1",
            "arguments = '{}'", "position = NULL", "reason = NULL", "started = NULL",
            "state_since = NULL",
        ];
        for change in changes {
            for id in ["finished", "cancelled"] {
                // Undone: see below.
                if change == "state = 'FRESH'" && id == "cancelled" {
                    continue;
                }
                let sql = format!("UPDATE orders SET {change} WHERE order_id = '{id}'");
                let error = db.execute(&sql).await.unwrap_err().to_string();
                assert!(error.contains("a terminal order is never changed"), "{sql}: {error}");
            }
            if !change.starts_with("order_id") {
                let sql = format!("UPDATE orders SET {change} WHERE order_id = 'living'");
                assert_eq!(db.execute(&sql).await.unwrap(), 1, "{sql}");
            }
        }
        // A cancel can be undone of an order that never started, whose other columns stay.
        let undo = "UPDATE orders SET state = 'FRESH'";
        for (id, more) in [
            ("finished", ""), ("cancelled", ", priority = 1"),
            ("cancelled", ", scheduled_for = NULL"), ("cancelled", ", arguments = '{\"a\": 1}'"),
            ("cancelled", ", position = '[1]'"), ("cancelled", ", order_id = 'x'"),
            ("cancelled", ", workflow_path = '/sos/other'"),
        ] {
            let sql = format!("{undo}{more} WHERE order_id = '{id}'");
            let error = db.execute(&sql).await.unwrap_err().to_string();
            assert!(error.contains("a terminal order is never changed"), "{sql}: {error}");
        }
        db.execute("UPDATE orders SET state = 'CANCELLED', started = created WHERE order_id = 'other'")
            .await
            .unwrap();
        db.execute(&format!("{undo} WHERE order_id = 'other'")).await.unwrap_err();
        let cancelled = format!("{undo}, suspended = TRUE WHERE order_id = 'cancelled'");
        assert_eq!(db.execute(&cancelled).await.unwrap(), 1);
        assert_eq!(db.state("cancelled").await, "FRESH~");
        // One terminal order among others is enough.
        db.execute("UPDATE orders SET state = 'FAILED'").await.unwrap_err();
        assert_eq!(db.state("other").await, "CANCELLED");
    }

    async fn the_audit_trail_is_append_only(kind: Kind) {
        let db = Database::create(kind).await;
        let entry = "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome,
            affected, request_id) VALUES ('prod', 'root', './orders/cancel', '{}', 'DONE', 1, 'r')";
        let detail = "INSERT INTO audit_log_details (controller_id, audit_log_id, order_id,
            workflow_path, workflow_version_id, folder, previous_state, new_state)
            VALUES ('prod', 1, 'o', '/a', '1', '/', 'PENDING', 'CANCELLED')";
        assert!(db.execute(detail).await.is_err(), "details without an entry");
        db.execute(&format!("BEGIN; {entry}; {detail}; COMMIT")).await.unwrap();
        let before = snapshot(&db).await;

        for table in ["audit_logs", "audit_log_details"] {
            let mut wrong = vec![
                format!("UPDATE {table} SET created = created"),
                format!("UPDATE {table} SET controller_id = 'x' WHERE controller_id = 'prod'"),
                format!("DELETE FROM {table}"),
                format!("DELETE FROM {table} WHERE controller_id = 'prod'"),
            ];
            if kind == Kind::Postgres {
                wrong.push(format!("TRUNCATE {table} CASCADE"));
                wrong.push(format!("DELETE FROM {table} WHERE FALSE"));
                wrong.push("TRUNCATE audit_logs, audit_log_details".into());
            } else {
                wrong.push(format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table}"));
                wrong.push(format!("REPLACE INTO {table} SELECT * FROM {table}"));
                wrong.push(format!("UPDATE OR REPLACE {table} SET created = created"));
                wrong.push(format!("UPDATE OR IGNORE {table} SET created = created"));
                wrong.push(format!(
                    "INSERT INTO {table} SELECT * FROM {table} WHERE TRUE ON CONFLICT DO UPDATE SET created = ''"
                ));
            }
            for sql in wrong {
                let error = db.execute(&sql).await.unwrap_err().to_string();
                assert!(error.contains(" is append-only"), "{sql}: {error}");
            }
        }
        if kind == Kind::Postgres {
            db.execute("TRUNCATE audit_logs").await.unwrap_err();
        }
        for (from, to) in [
            ("'{}'", "'{'"), ("'DONE'", "'OK'"), ("'DONE'", "'DENIED'"), ("'DONE'", "'NO_ORDERS'"),
            ("DONE', 1", "DONE', -1"), ("'root'", "NULL"),
        ] {
            let wrong = entry.replace(from, to);
            assert!(db.execute(&wrong).await.is_err(), "was accepted: {wrong}");
        }
        for id in [-1, 0, 7] {
            let sql = entry.replace("(controller_id", "(id, controller_id")
                .replace("('prod'", &format!("({id}, 'prod'"));
            assert!(db.execute(&sql).await.is_err(), "was accepted: {sql}");
        }
        let after = snapshot(&db).await;
        assert_eq!(after[..before.len()], before);
    }
}

/// The rows of the audit trail.
async fn snapshot(db: &Database) -> Vec<Vec<Option<String>>> {
    let mut rows = db.rows("SELECT * FROM audit_log_details ORDER BY order_id").await.unwrap();
    rows.extend(db.rows("SELECT * FROM audit_logs ORDER BY id").await.unwrap());
    rows
}
