//! `joc-orders check` finds planted faults, and nothing after what requests, executors, imports and
//! scripts may do.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{App, Database, Kind, Order, launch, with_controller};

mod schema;

async fn check(db: &Database, flags: &[&str]) -> Vec<String> {
    let ran = launch(&db.url, &[&["check"], flags].concat(), "").await;
    let mut lines: Vec<String> = ran.stdout.lines().map(Into::into).collect();
    assert_eq!(ran.code, Some(if lines.is_empty() { 0 } else { 8 }), "{ran:?}");
    lines.sort();
    lines
}

/// An order created now, so that requests of today come after it.
fn order(id: &str) -> Order {
    let due = Utc::now() + TimeDelta::hours(1);
    Order { scheduled_for: Some(due), created: None, ..Order::new(id) }
}

async fn post(app: &App, call: &str, body: Value) {
    app.post(call, &with_controller(body)).await.ok();
}

async fn set(app: &App, id: &str, change: &str) {
    let now = if app.db.kind() == Kind::Sqlite { "(SELECT now FROM clock)" } else { "now()" };
    let sql = format!(
        "UPDATE orders SET {change}, state_since = {now}, modified = {now} WHERE order_id = '{id}'"
    );
    assert_eq!(app.db.execute(&sql).await.unwrap(), 1, "{id}");
}

/// Disables the protection of the audit trail and of terminal orders.
async fn unlock(db: &Database) {
    let sql = match db.kind() {
        Kind::Sqlite => "DROP TRIGGER orders_terminal_is_final;
            DROP TRIGGER audit_logs_refuse_update; DROP TRIGGER audit_logs_refuse_delete;
            DROP TRIGGER audit_log_details_refuse_update; DROP TRIGGER audit_log_details_refuse_delete;
            DROP TRIGGER audit_logs_new; DROP TRIGGER audit_logs_drawn; DROP TRIGGER audit_log_details_new;",
        Kind::Postgres => "ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_done_affects,
                DROP CONSTRAINT audit_logs_years;
            ALTER TABLE audit_log_details DROP CONSTRAINT audit_log_details_years;
            ALTER TABLE audit_logs DISABLE TRIGGER ALL;
            ALTER TABLE audit_log_details DISABLE TRIGGER ALL; 
             ALTER TABLE orders DISABLE TRIGGER orders_terminal_is_final;",
    };
    db.execute(sql).await.unwrap();
}

on_both! {
    async fn reports_nothing_after_requests_and_executors(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let mut orders: Vec<Order> = (0..12).map(|i| order(&format!("f{i:02}"))).collect();
        orders.extend([
            order("r1").state("RUNNING"), order("r2").state("RUNNING"), order("r3").state("INPROGRESS"),
            order("r4").state("RUNNING"), order("p1").state("PROMPTING"), order("w1").waits("SLEEPING"),
            order("w2").waits("FORKED"), order("w2|a").state("RUNNING"), order("x1").state("FAILED"),
            order("done").state("FINISHED"),
        ]);
        app.db.insert(&orders).await;
        post(&app, "/orders/add", json!({"orders": [
            {"workflowPath": "/sos/eod", "orderName": "new"},
            {"workflowPath": "/sos/eod", "orderName": "due", "scheduledFor": "now"}]})).await;
        let ids = |ids: &[&str]| json!({"orderIds": ids});
        post(&app, "/orders/cancel", ids(&["f00", "f01"])).await;
        app.cancel(ids(&["f00"])).await.nothing_found();
        post(&app, "/orders/cancel", json!({"orderIds": ["r1", "w2"], "kill": true, "deep": true})).await;
        post(&app, "/orders/suspend", ids(&["f02", "f03", "f04", "r3", "w1"])).await;
        post(&app, "/orders/suspend", json!({"orderIds": ["r2", "r4"], "kill": true})).await;
        post(&app, "/orders/resume", ids(&["f03", "w1", "x1"])).await;
        post(&app, "/orders/cancel", ids(&["f04"])).await;
        post(&app, "/orders/cancel", json!({"orderIds": ["r4"], "kill": true})).await;
        post(&app, "/orders/confirm", ids(&["p1"])).await;
        post(&app, "/orders/continue", ids(&["w1"])).await;
        post(&app, "/orders/change", json!({"orderIds": ["f05", "r1"], "priority": 10000})).await;
        post(&app, "/orders/remove_when_terminated", ids(&["f00", "f06", "done"])).await;
        assert_eq!(app.try_login("root", "wrong").await.status, 401);
        let viewer = app.account("viewer", "sos:products:controller:orders:view", &[]).await;
        let denied = app.post_as(&viewer, "/orders/cancel", with_controller(ids(&["f07"])).to_string()).await;
        assert_eq!(denied.status, 403);

        // What executors do.
        let settled = "mark = NULL, kill_requested = NULL, sigkill_at = NULL";
        set(&app, "r1", &format!("state = 'CANCELLED', {settled}")).await;
        set(&app, "w2|a", &format!("state = 'CANCELLED', {settled}")).await;
        set(&app, "w2", &format!("state = 'CANCELLED', reason = NULL, {settled}")).await;
        set(&app, "r2", &format!("state = 'INPROGRESS', suspended = TRUE, {settled}")).await;
        set(&app, "r3", &format!("state = 'FINISHED', {settled}")).await;
        set(&app, "f06", "state = 'RUNNING'").await;
        set(&app, "f06", "state = 'FINISHED'").await;
        set(&app, "f03", "state = 'RUNNING'").await;
        post(&app, "/orders/resume", ids(&["r2"])).await;
        assert_eq!(check(&app.db, &["--strict"]).await, [""; 0]);

        // An order is deleted after its retention time, and its id used again.
        app.db.execute("DELETE FROM orders WHERE order_id IN ('f00', 'f04', 'r3')").await.unwrap();
        app.db.insert(&[order("f04")]).await;
        post(&app, "/orders/cancel", ids(&["f04"])).await;
        assert_eq!(check(&app.db, &["--strict"]).await, [""; 0]);
    }

    async fn only_strict_reports_imports_and_scripts(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let line = |id: &str, state: &str, mark: Value| json!({"controllerId": "prod", "order": {
            "orderId": id, "workflowId": {"path": "/sos/eod", "versionId": "1"},
            "state": {"_text": state}, "marked": mark}}).to_string();
        let marked = json!({"_text": "CANCELLING"});
        let first = [line("a", "RUNNING", marked.clone()), line("b", "CANCELLED", Value::Null),
            line("c", "SUSPENDED", Value::Null), line("d", "RUNNING", Value::Null)].join("\n");
        launch(&app.db.url, &["import"], first).await.ok();
        let suspend = json!({"orderIds": ["d"]});
        post(&app, "/orders/suspend", suspend).await;
        launch(&app.db.url, &["import", "--replace"], line("d", "RUNNING", marked)).await.ok();
        app.db.insert(&[order("k").state("RUNNING").mark("CANCELLING").killed(), order("h"), order("s"),
            order("v").remove_when_terminated()]).await;
        set(&app, "h", "state = 'CANCELLED'").await;
        set(&app, "s", "suspended = TRUE").await;
        assert_eq!(check(&app.db, &[]).await, [""; 0]);
        assert_eq!(check(&app.db, &["--strict"]).await, [
            "prod, order a: no entry says who marked it CANCELLING",
            "prod, order d: no entry says who marked it CANCELLING",
            "prod, order h: no entry says who cancelled it",
            "prod, order k: no entry says who marked it CANCELLING",
            "prod, order k: no entry says who requested its kill",
            "prod, order s: no entry says who suspended it",
            "prod, order v: no entry says who took it out of sight",
        ]);
    }

    async fn reports_planted_faults(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(order)).await;
        app.db.insert(&[order("r").state("RUNNING"), order("t").state("RUNNING")]).await;
        for ids in [&["a", "b", "c"][..], &["d"], &["e"]] {
            post(&app, "/orders/cancel", json!({"orderIds": ids})).await;
        }
        post(&app, "/orders/suspend", json!({"orderIds": ["f"]})).await;
        post(&app, "/orders/cancel", json!({"orderIds": ["r", "t"], "kill": true})).await;
        unlock(&app.db).await;
        let columns = "controller_id, account, request, parameters, outcome, affected, request_id";
        let off = if kind == Kind::Sqlite { "PRAGMA foreign_keys = OFF;" } else { "" };
        app.db.execute(&format!("{off}
            UPDATE orders SET state = 'FRESH' WHERE order_id = 'a';
            DELETE FROM audit_log_details WHERE order_id = 'b';
            DELETE FROM audit_log_details WHERE order_id = 'd';
            DELETE FROM audit_logs WHERE id = 3;
            UPDATE orders SET suspended = FALSE WHERE order_id = 'f';
            UPDATE orders SET kill_requested = NULL, sigkill_at = NULL WHERE order_id = 'r';
            UPDATE orders SET mark = 'SUSPENDING' WHERE order_id = 't';
            INSERT INTO audit_logs ({columns}) VALUES ('prod', 'x', './orders/cancel', '{{}}', 'DONE', 0, 'r');
            INSERT INTO audit_logs ({columns}) VALUES ('prod', 'x', './orders/cancel', '{{}}', 'DONE', 1, 'r');
            INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
                workflow_version_id, folder, previous_state, new_state)
            SELECT controller_id, 7, order_id, workflow_path, workflow_version_id, folder,
                previous_state, new_state FROM audit_log_details WHERE order_id = 'c'")).await.unwrap();
        let mut faults = vec![
            "prod, audit log 1, order a: the order was CANCELLED then, and is FRESH",
            "prod, audit log 1: affected is 3, and there are 2 details",
            "prod, audit log 2: affected is 1, and there are 0 details",
            "prod, audit log 3: there is no entry for 1 details",
            "prod, audit log 4, order f: the order is not as the call left it: it is not suspended",
            "prod, audit log 5, order r: the order is not as the call left it: no kill is requested",
            "prod, audit log 5, order t: the order is not as the call left it: its mark is SUSPENDING",
            "prod, audit log 6: the outcome is DONE, and no order is affected",
            "prod, audit log 7, order c: the order was changed after it had ended",
        ];
        let schema: &[_] = match kind {
            Kind::Sqlite => &[
                "the trigger audit_log_details_new is missing",
                "the trigger audit_log_details_refuse_delete is missing",
                "the trigger audit_log_details_refuse_update is missing",
                "the trigger audit_logs_drawn is missing",
                "the trigger audit_logs_new is missing",
                "the trigger audit_logs_refuse_delete is missing",
                "the trigger audit_logs_refuse_update is missing",
                "the trigger orders_terminal_is_final is missing",
            ],
            Kind::Postgres => &[
                "the constraint audit_log_details_controller_id_audit_log_id_fkey of audit_log_details \
                 is disabled",
                "the constraint audit_log_details_years of audit_log_details is missing",
                "the constraint audit_logs_done_affects of audit_logs is missing",
                "the constraint audit_logs_years of audit_logs is missing",
                "the trigger audit_log_details_append_only is disabled",
                "the trigger audit_log_details_own_entry is disabled",
                "the trigger audit_logs_append_only is disabled",
                "the trigger audit_logs_drawn is disabled",
                "the trigger audit_logs_drawn of each partition is disabled",
                "the trigger orders_terminal_is_final is disabled",
            ],
        };
        faults.extend(schema);
        assert_eq!(check(&app.db, &[]).await, faults);
        faults.extend([
            "prod, order b: no entry says who cancelled it",
            "prod, order d: no entry says who cancelled it",
            "prod, order t: no entry says who marked it SUSPENDING",
        ]);
        faults.sort_unstable();
        assert_eq!(check(&app.db, &["--strict"]).await, faults);
        let lines = check(&app.db, &["--output", "json"]).await;
        assert!(lines.contains(&json!({"controllerId": "prod", "auditLogId": 1, "orderId": "a",
            "problem": "the order was CANCELLED then, and is FRESH"}).to_string()), "{lines:?}");
    }

    async fn reports_the_row_of_an_invalid_instant(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&["a", "b", "c"].map(order)).await;
        post(&app, "/orders/cancel", json!({"orderIds": ["c"]})).await;
        assert_eq!(app.store.seal(Utc::now()).await.unwrap(), 1);
        unlock(&app.db).await;
        let off = match kind {
            Kind::Sqlite => "PRAGMA ignore_check_constraints = ON; DROP TRIGGER audit_seals_refuse_update;",
            Kind::Postgres => "ALTER TABLE orders DROP CONSTRAINT orders_created_check,
                    DROP CONSTRAINT orders_scheduled_for_check;
                ALTER TABLE audit_seals DROP CONSTRAINT audit_seals_created_check,
                    DROP CONSTRAINT audit_seals_years;
                SET session_replication_role = replica;",
        };
        let (high, low) = match kind {
            Kind::Sqlite => ("soon", "0000-01-01T00:00:00.000Z"),
            Kind::Postgres => ("infinity", "0001-01-01 00:00:00+00 BC"),
        };
        let mut connection = app.db.lock(off).await;
        connection.execute(&format!("
            UPDATE controllers SET created = '{high}';
            UPDATE workflows SET created = '{low}';
            UPDATE orders SET created = '{high}' WHERE order_id = 'a';
            UPDATE orders SET scheduled_for = '{low}' WHERE order_id = 'b';
            UPDATE audit_logs SET created = '{high}';
            UPDATE audit_log_details SET created = '{low}';
            UPDATE audit_seals SET created = '{high}';
            UPDATE accounts SET created = '{low}';
            UPDATE roles SET created = '{high}';
            UPDATE sessions SET expires = '{high}'")).await;
        let verified = launch(&app.db.url, &["audit", "verify"], "").await;
        assert_eq!(verified.code, Some(8), "{verified:?}");
        let mut found = check(&app.db, &[]).await;
        found.retain(|line| line.contains("instant"));
        assert_eq!(found, [
            format!("-: account root: created is not a valid instant: {low}"),
            format!("-: role all: created is not a valid instant: {high}"),
            format!("-: session of root: expires is not a valid instant: {high}"),
            format!("prod, audit log 1, order c: the detail: created is not a valid instant: {low}"),
            format!("prod, audit log 1: created is not a valid instant: {high}"),
            format!("prod, order a: created is not a valid instant: {high}"),
            format!("prod, order b: scheduled_for is not a valid instant: {low}"),
            format!("prod: created is not a valid instant: {high}"),
            format!("prod: seal 1: created is not a valid instant: {high}"),
            format!("prod: workflow /sos/eod 1: created is not a valid instant: {low}"),
        ]);
    }

    async fn strict_reports_changes_by_sql(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&["a", "b", "c", "d", "e", "f"].map(order)).await;
        app.db.insert(&["r", "s", "t"].map(|id| order(id).state("RUNNING"))).await;
        post(&app, "/orders/suspend", json!({"orderIds": ["b", "c"]})).await;
        post(&app, "/orders/suspend", json!({"orderIds": ["t"]})).await;
        assert_eq!(check(&app.db, &["--strict"]).await, [""; 0]);
        let now = if kind == Kind::Sqlite { "(SELECT now FROM clock)" } else { "now()" };
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        app.db.execute(&format!("
            UPDATE orders SET scheduled_for = NULL, modified = {now} WHERE order_id = 'a';
            UPDATE orders SET priority = 7, modified = {now} WHERE order_id = 'b';
            UPDATE orders SET state = 'CANCELLED', modified = {now} WHERE order_id = 'd';
            UPDATE orders SET priority = 7, modified = {now} WHERE order_id = 'r'")).await.unwrap();
        // An executor takes one, and reports its position, also for one with a request to suspend.
        set(&app, "e", &format!("state = 'RUNNING', started = {now}")).await;
        app.db.execute(&format!("UPDATE orders SET position = '[1]', modified = {now}
            WHERE order_id IN ('e', 't')")).await.unwrap();
        assert_eq!(check(&app.db, &[]).await, [""; 0]);
        assert_eq!(check(&app.db, &["--strict"]).await, ["a", "b", "d", "r"]
            .map(|id| format!("prod, order {id}: no audit entry for its last change")));
    }
}
