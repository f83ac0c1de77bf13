//! `joc-orders check`: it finds what was planted, and nothing after what calls, executors,
//! imports and scripts may do.

use std::io::Write;
use std::process::{Command, Stdio};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{App, Database, Kind, Order, latest, launch, with_controller};

async fn check(db: &Database, flags: &[&str]) -> Vec<String> {
    let ran = launch(&db.url, &[&["check"], flags].concat(), "").await;
    let mut lines: Vec<String> = ran.stdout.lines().map(Into::into).collect();
    assert_eq!(ran.code, Some(if lines.is_empty() { 0 } else { 8 }), "{ran:?}");
    lines.sort();
    lines
}

/// An order of today, which calls of today come after.
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

/// Lets the audit trail and terminal orders be changed.
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
    async fn nothing_is_found_after_what_calls_and_executors_do(kind: Kind) {
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
        app.cancel(ids(&["f00"])).await.refused();
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

        // Executors.
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

        // After a retention time, and a new start under the same id.
        app.db.execute("DELETE FROM orders WHERE order_id IN ('f00', 'f04', 'r3')").await.unwrap();
        app.db.insert(&[order("f04")]).await;
        post(&app, "/orders/cancel", ids(&["f04"])).await;
        assert_eq!(check(&app.db, &["--strict"]).await, [""; 0]);
    }

    async fn imports_and_scripts_are_no_fault_unless_strict(kind: Kind) {
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

    async fn planted_faults_are_named(kind: Kind) {
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

    async fn a_schema_that_was_changed_is_named(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&[order("a")]).await;
        let own = "CREATE TABLE own (id TEXT PRIMARY KEY); CREATE INDEX own_orders ON orders (modified);
            CREATE VIEW own_view AS SELECT order_id FROM orders; ALTER TABLE orders ADD COLUMN own TEXT;";
        app.db.execute(own).await.unwrap();
        // What somebody adds is no fault.
        assert_eq!(check(&app.db, &["--strict"]).await, [""; 0]);
        let cases: &[(&str, &[&str])] = match kind {
            Kind::Sqlite => &[
                ("DROP TRIGGER audit_logs_refuse_update; CREATE TRIGGER audit_logs_refuse_update
                  BEFORE UPDATE ON audit_logs WHEN NEW.id = 7 BEGIN SELECT RAISE(ABORT, 'x'); END",
                 &["the trigger audit_logs_refuse_update differs from the migrations"]),
                ("DROP INDEX orders_living_state; DROP INDEX orders_marked",
                 &["the index orders_living_state is missing", "the index orders_marked is missing"]),
                ("DROP VIEW orders_effective; CREATE VIEW orders_effective AS
                  SELECT o.*, o.state AS effective_state FROM orders o",
                 &["the view orders_effective differs from the migrations"]),
                ("PRAGMA writable_schema = ON;
                  UPDATE sqlite_schema SET sql = replace(replace(sql, '''RESUMING''))', '''RESUMING'', ''X''))'),
                      'orders_kill_has_mark', 'other_name') WHERE name = 'orders';
                  PRAGMA writable_schema = RESET",
                 &["the column orders.mark differs from the migrations",
                   "the constraint orders_kill_has_mark of orders is missing"]),
                ("ALTER TABLE orders RENAME COLUMN reason TO motive",
                 &["the column orders.reason is missing"]),
            ],
            Kind::Postgres => &[
                ("DROP TRIGGER audit_logs_append_only ON audit_logs; CREATE TRIGGER audit_logs_append_only
                  BEFORE UPDATE ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('x');
                  ALTER TABLE audit_seals DISABLE TRIGGER audit_seals_append_only",
                 &["the trigger audit_logs_append_only differs from the migrations",
                   "the trigger audit_seals_append_only is disabled"]),
                ("CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN RETURN NULL; END $$",
                 &["the function refuse_change differs from the migrations"]),
                ("DROP INDEX orders_living_state; DROP INDEX orders_marked",
                 &["the index orders_living_state is missing", "the index orders_marked is missing"]),
                ("CREATE OR REPLACE VIEW orders_effective AS SELECT o.controller_id, o.order_id,
                  o.parent_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
                  o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.created,
                  o.modified, o.priority, o.arguments, o.position, o.reason, o.started, o.state_since,
                  o.remove_when_terminated, (o.state || '')::text AS effective_state FROM orders o",
                 &["the view orders_effective differs from the migrations"]),
                ("ALTER TABLE orders DROP CONSTRAINT orders_kill_has_mark;
                  ALTER TABLE orders DROP CONSTRAINT orders_mark_check;
                  ALTER TABLE orders ADD CONSTRAINT orders_mark_check CHECK (mark <> '') NOT VALID",
                 &["the constraint orders_kill_has_mark of orders is missing",
                   "the constraint orders_mark_check of orders differs from the migrations"]),
                ("ALTER TABLE orders RENAME COLUMN reason TO motive",
                 &["the column orders.reason is missing",
                   "the constraint orders_reason_is_a_word of orders differs from the migrations"]),
            ],
        };
        let mut expected = Vec::new();
        for (sql, problems) in cases {
            app.db.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            expected.extend(*problems);
            expected.sort_unstable();
            let mut found = check(&app.db, &[]).await;
            // What names a column that has another name now is another one, too.
            found.retain(|line| !sql.contains("RENAME") || expected.contains(&&**line));
            assert_eq!(found, expected, "{sql}");
        }
        let lines = check(&app.db, &["--output", "json"]).await;
        let line = json!({"problem": "the column orders.reason is missing"}).to_string();
        assert!(lines.contains(&line), "{lines:?}");
    }

    async fn what_is_missing_is_named_though_the_rest_cannot_be_looked_at(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.store.close().await;
        app.db.execute("DROP VIEW orders_effective; DROP TABLE audit_seals").await.unwrap();
        let ran = launch(&app.db.url, &["check"], "").await;
        assert_eq!(ran.code, Some(8), "{ran:?}");
        let lines: Vec<_> = ran.stdout.lines().collect();
        for line in ["the table audit_seals is missing", "the view orders_effective is missing"] {
            assert!(lines.contains(&line), "{ran:?}");
        }
        assert!(ran.stderr.contains("the rest was not checked"), "{ran:?}");
    }

    async fn others_triggers_on_its_tables_are_named_if_strict(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let (sql, expected): (_, &[&str]) = match kind {
            Kind::Sqlite => (
                "CREATE TRIGGER swallow BEFORE INSERT ON audit_logs BEGIN SELECT RAISE(IGNORE); END",
                &["the trigger swallow on audit_logs is not from the migrations"]),
            Kind::Postgres => (
                "CREATE RULE swallow AS ON INSERT TO audit_logs DO INSTEAD NOTHING;
                 CREATE TRIGGER other AFTER INSERT ON orders FOR EACH STATEMENT
                     EXECUTE FUNCTION refuse_change('x')",
                &["the rule swallow on audit_logs is not from the migrations",
                  "the trigger other on orders is not from the migrations"]),
        };
        app.db.execute(sql).await.unwrap();
        assert_eq!(check(&app.db, &[]).await, [""; 0]);
        assert_eq!(check(&app.db, &["--strict"]).await, expected);
    }

    async fn a_schema_that_went_back_and_forth_is_the_same(kind: Kind) {
        let db = Database::create(kind).await;
        let last = latest();
        for target in [0, last, 3, last, 5, last, 4, last, 1, last] {
            joc_orders::store::migrate(&db.url, Some(target)).await.unwrap();
        }
        assert_eq!(check(&db, &["--strict"]).await, [""; 0]);
    }

    async fn what_is_no_instant_is_named_by_its_row(kind: Kind) {
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

    async fn changes_by_sql_are_named_if_strict(kind: Kind) {
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
        // An executor takes one, and reports how far it is, also of one that it was asked to suspend.
        set(&app, "e", &format!("state = 'RUNNING', started = {now}")).await;
        app.db.execute(&format!("UPDATE orders SET position = '[1]', modified = {now}
            WHERE order_id IN ('e', 't')")).await.unwrap();
        assert_eq!(check(&app.db, &[]).await, [""; 0]);
        assert_eq!(check(&app.db, &["--strict"]).await, ["a", "b", "d", "r"]
            .map(|id| format!("prod, order {id}: no audit entry for its last change")));
    }
}

/// A dump tells the schema in the database's own words.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_was_restored_from_a_dump_is_the_same() {
    let db = Database::create(Kind::Postgres).await;
    db.insert(&[order("a")]).await;
    let (server, _) = db.url.rsplit_once('/').unwrap();
    db.execute("CREATE DATABASE restored TEMPLATE template0").await.unwrap();
    let restored = format!("{server}/restored");
    pipe(Command::new("pg_dump").arg(&db.url), Command::new("psql").arg(&restored)).await;
    launch(&restored, &["check", "--strict"], "").await.ok();

    let db = Database::create(Kind::Sqlite).await;
    db.insert(&[order("a")]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("restored.db");
    let dump = db.url.trim_start_matches("sqlite:");
    pipe(Command::new("sqlite3").args([dump, ".dump"]), Command::new("sqlite3").arg(&file)).await;
    launch(&format!("sqlite:{}", file.display()), &["check", "--strict"], "").await.ok();
}

async fn pipe(from: &mut Command, to: &mut Command) {
    let output = from.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut to = to.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    to.stdin.take().unwrap().write_all(&output.stdout).unwrap();
    assert!(to.wait().unwrap().success());
}
