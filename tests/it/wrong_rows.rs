//! Rows that no program writes: the database rejects them by name, and those that older releases
//! accepted are reported and get in nobody's way.

use std::process::Command;

use chrono::TimeDelta;
use joc_orders::model::permission::known;
use joc_orders::store;
use serde_json::{Value, json};

use crate::harness::{
    App, Database, HASH, Kind, Order, launch, launch_command, start_time, with_controller,
};

use table::{insert, wrong_rows};

mod table;

const WORLD: &str = "INSERT INTO controllers (controller_id) VALUES ('prod');
    INSERT INTO workflows (controller_id, path, version_id) VALUES ('prod', '/sos/eod', '1');
    INSERT INTO roles (role) VALUES ('r')";

/// The migration that rejects wrong rows.
const CLOSED: i64 = 6;

/// The name of the violated rule.
#[track_caller]
fn broken(error: &sqlx::Error, kind: Kind) -> String {
    let error = error.as_database_error().unwrap_or_else(|| panic!("{error}"));
    let name = error.message().split(':').next().unwrap().to_owned();
    if kind == Kind::Postgres {
        assert_eq!(error.constraint(), Some(&*name), "{error}");
        assert!(error.is_check_violation(), "{error}");
    }
    name
}

/// A database of the previous release, with the rows that it accepted.
async fn before(kind: Kind) -> Database {
    let db = Database::create(kind).await.into_owner();
    store::migrate(&db.owner, Some(CLOSED - 1)).await.unwrap();
    db.execute(WORLD).await.unwrap();
    db.execute(&format!("INSERT INTO accounts (account, password_hash) VALUES ('root', '{HASH}')"))
        .await
        .unwrap();
    for row in wrong_rows(kind) {
        let sql = insert(&row, &row.3);
        db.execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    db
}

on_both! {
    async fn rejects_each_wrong_row_by_name(kind: Kind) {
        let db = Database::create(kind).await;
        db.execute(WORLD).await.unwrap();
        db.execute(&format!("INSERT INTO accounts (account, password_hash) VALUES ('root', '{HASH}')"))
            .await
            .unwrap();
        for row in wrong_rows(kind) {
            let (name, _, _, wrong, right) = &row;
            let sql = insert(&row, wrong);
            let Err(error) = db.execute(&sql).await else { panic!("was accepted: {sql}") };
            assert_eq!(broken(&error, kind), *name, "{sql}: {error}");
            let sql = insert(&row, right);
            db.execute(&sql).await.unwrap_or_else(|error| panic!("was refused: {sql}: {error}"));
        }
        for permission in known::permissions() {
            let sql = format!("INSERT INTO role_permissions (role, permission) VALUES ('r', '{permission}')
                ON CONFLICT DO NOTHING");
            db.execute(&sql).await.unwrap_or_else(|error| panic!("was refused: {sql}: {error}"));
        }
    }

    async fn rejects_updates_that_make_a_row_wrong(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[
            Order::new("fresh"),
            Order::new("running").state("RUNNING"),
            Order::new("waiting").waits("FORKED"),
            Order::new("suspended").suspended().mark("RESUMING"),
        ]).await;
        let early = "'2026-01-01T00:00:00.000Z'";
        db.execute(&format!("INSERT INTO accounts (account, password_hash) VALUES ('root', '{HASH}');
            INSERT INTO sessions (token_hash, account, created, expires)
            VALUES ('{}', 'root', {early}, {early})", "0".repeat(64))).await.unwrap();
        let now = db.now();
        for (name, table, change, key) in [
            ("orders_started_is_never_fresh", "orders", "state = 'FRESH'", "order_id = 'running'"),
            ("orders_started_is_never_fresh", "orders", "state = 'FRESH', reason = NULL", "order_id = 'waiting'"),
            ("orders_id_is_kept", "orders", "order_id = 'other'", "order_id = 'fresh'"),
            ("orders_id_is_kept", "orders", "order_id = 'other'", "order_id = 'running'"),
            ("orders_fresh_has_not_started", "orders", &format!("started = {now}"), "order_id = 'fresh'"),
            ("orders_reason_is_of_a_started_order", "orders", "reason = 'FORKED'", "order_id = 'fresh'"),
            ("orders_reason_is_of_a_started_order", "orders", "state = 'FINISHED'", "order_id = 'waiting'"),
            ("orders_resuming_is_suspended", "orders", "suspended = FALSE", "order_id = 'suspended'"),
            ("orders_resuming_is_suspended", "orders", "mark = 'RESUMING'", "order_id = 'running'"),
            ("orders_created_comes_first", "orders", &format!("modified = {early}"), "order_id = 'fresh'"),
            ("orders_created_comes_first", "orders", &format!("started = {early}"), "order_id = 'running'"),
            ("orders_created_comes_first", "orders", &format!("state_since = {early}"), "order_id = 'running'"),
            ("controllers_numbers_are_below_2_53", "controllers", "last_order_number = 9007199254740992", "TRUE"),
            ("accounts_password_is_hashed", "accounts", "password_hash = '$argon2id$x'", "TRUE"),
            ("sessions_end_after_they_begin", "sessions", "expires = '2025-01-01T00:00:00.000Z'", "TRUE"),
        ] {
            let sql = format!("UPDATE {table} SET {change} WHERE {key}");
            let Err(error) = db.execute(&sql).await else { panic!("was accepted: {sql}") };
            assert_eq!(broken(&error, kind), name, "{sql}: {error}");
        }
        // What executors write.
        for change in ["state = state, started = started, reason = reason, order_id = order_id",
            &format!("state = 'RUNNING', reason = NULL, mark = NULL, suspended = FALSE,
                started = coalesce(started, {now}), state_since = {now}, modified = {now}")] {
            db.execute(&format!("UPDATE orders SET {change}")).await.unwrap();
        }
        // An executor's clock was set back after an order was created.
        db.insert(&[Order { created: Some(chrono::Utc::now() + TimeDelta::hours(3)), ..Order::new("ahead") }]).await;
        let sql = format!("UPDATE orders SET state = 'RUNNING', started = {now}, state_since = {now},
            modified = {now} WHERE order_id = 'ahead'");
        assert_eq!(db.execute(&sql).await.unwrap(), 1);
    }

    async fn old_wrong_rows_are_reported_and_not_copied(kind: Kind) {
        let db = before(kind).await;
        let outdated = launch(&db.owner, &["check"], "").await;
        assert!(outdated.failed().contains("migrate"), "{outdated:?}");
        launch(&db.owner, &["migrate"], "").await.ok();
        let found = launch(&db.owner, &["check"], "").await;
        assert_eq!(found.code, Some(8), "{found:?}");
        let found: Vec<&str> = found.stdout.lines().collect();
        for (name, table, _, wrong, _) in wrong_rows(kind) {
            // Every other part is quoted.
            let words: Vec<&str> = wrong.split('\'').collect();
            let row = match table {
                "orders" => format!("prod, order {}: ", words[3]),
                "controllers" => format!("{}: ", words[1].replace(':', "")),
                "workflows" => format!("prod: workflow {} ", words[3]),
                "accounts" => format!("-: account {}: ", words[1].replace(':', "")),
                "roles" => format!("-: role {}: ", words[1]),
                "role_permissions" => format!("-: role r, permission {}: ", words[3]),
                "role_folders" => format!("-: role r, folder {}: ", words[3]),
                "sessions" => "-: session of root: ".into(),
                table => panic!("{table}"),
            };
            let of_row = |line: &&&str| line.starts_with(&row);
            let problem = match name.ends_with("_instants_are_valid") {
                true => "is not a valid instant: ",
                false => name,
            };
            let named = found.iter().filter(of_row).any(|line| line.contains(problem));
            assert!(named, "{row}{name} is not among {found:#?}");
        }
        let target = Database::create(kind).await;
        let copied = launch("", &["copy", "--from", &db.owner, "--to", &target.owner], "").await;
        let error = copied.failed();
        assert!(error.contains("--from: nothing was copied: some rows are wrong"), "{error}");
        assert!(error.contains("\n  "), "{error}");
        assert_eq!(target.count("SELECT count(*) FROM controllers").await, 0);

        // A single one is reported too.
        let one = Database::create(kind).await;
        store::migrate(&one.owner, Some(CLOSED - 1)).await.unwrap();
        one.insert(&[Order::new("a"), Order { state: "FINISHED", reason: Some("FORKED"), ..Order::new("b") }]).await;
        store::migrate(&one.owner, None).await.unwrap();
        let copied = launch("", &["copy", "--from", &one.owner, "--to", &target.owner], "").await;
        let error = copied.failed();
        assert!(error.contains("\n  prod, order b: it breaks orders_reason_is_of_a_started_order"), "{error}");
    }

    async fn an_old_invalid_session_does_not_block_a_copy(kind: Kind) {
        let db = Database::create(kind).await.into_owner();
        store::migrate(&db.owner, Some(CLOSED - 1)).await.unwrap();
        db.execute(WORLD).await.unwrap();
        db.execute(&format!("INSERT INTO accounts (account, password_hash) VALUES ('root', '{HASH}')"))
            .await.unwrap();
        let row = wrong_rows(kind).into_iter().find(|row| row.1 == "sessions").unwrap();
        db.execute(&insert(&row, &row.3)).await.unwrap();
        store::migrate(&db.owner, None).await.unwrap();
        let found = launch(&db.owner, &["check"], "").await;
        assert_eq!(found.stdout, "-: session of root: it breaks sessions_end_after_they_begin\n");
        let target = Database::create(kind).await;
        launch("", &["copy", "--from", &db.owner, "--to", &target.owner], "").await.ok();
        assert_eq!(target.count("SELECT count(*) FROM accounts").await, 1);
        assert_eq!(target.count("SELECT count(*) FROM sessions").await, 0);
    }

    async fn changes_a_role_with_an_old_invalid_folder(kind: Kind) {
        let db = before(kind).await;
        store::migrate(&db.owner, None).await.unwrap();
        let count = "SELECT count(*) FROM role_folders WHERE role = 'r'";
        let old = db.count(count).await;
        assert!(old >= 2, "{old}");
        launch(&db.owner, &["role", "limit", "r", "--add", "/sos"], "").await.ok();
        assert_eq!(db.count(count).await, old + 1);
        // The folder is already there, with the other `recursive`.
        launch(&db.owner, &["role", "limit", "r", "--add-only", "/sos"], "").await.ok();
        let only = format!("{count} AND folder = '/sos' AND NOT recursive");
        assert_eq!((db.count(count).await, db.count(&only).await), (old + 1, 1));
        launch(&db.owner, &["role", "limit", "r", "--folder", "/sos"], "").await.ok();
        assert_eq!((db.count(count).await, db.count(&only).await), (1, 0));
    }

    async fn old_wrong_rows_block_nothing(kind: Kind) {
        let db = before(kind).await;
        db.insert_into("second", &[Order::new("x")]).await;
        db.insert(&[Order::new("good")]).await;
        if kind == Kind::Postgres {
            db.execute("SET session_replication_role = replica;
                UPDATE controllers SET created = 'infinity';
                UPDATE workflows SET created = '-infinity' WHERE path = '/sos/eod';
                UPDATE orders SET started = '20000-01-01T00:00:00Z' WHERE state = 'CANCELLED';
                INSERT INTO audit_logs (controller_id, account, request, parameters, outcome, request_id,
                    created) VALUES ('prod', 'x', './orders/cancel', '{}', 'DENIED', 'r', 'infinity');
                RESET session_replication_role")
                .await.unwrap();
        }
        db.execute("DELETE FROM accounts WHERE account = 'root'").await.unwrap();
        store::migrate(&db.owner, None).await.unwrap();
        let app = App::over(db, &[]).await;
        let everywhere = json!({"folders": [{"folder": "/"}]});
        for call in ["/orders", "/orders/history", "/workflows", "/orders/overview/snapshot", "/tree",
            "/orders/cancel/preview"] {
            let mut body = with_controller(everywhere.clone());
            if call.ends_with("tree") {
                body = with_controller(json!({}));
            }
            let answer = app.post(call, &body).await;
            assert_eq!(answer.status, 200, "{call}: {}", answer.text);
        }
        let entries = app.post("/audit_log", &json!({})).await.ok();
        if kind == Kind::Postgres {
            assert!(entries.to_string().contains("9999-12-31T23:59:59.999Z"), "{entries}");
            let workflows = app.post("/workflows", &with_controller(json!({}))).await.ok();
            assert!(workflows.to_string().contains("0001-01-01T00:00:00.000Z"), "{workflows}");
            let history = app.post("/orders/history", &with_controller(json!({}))).await.ok();
            assert!(history.to_string().contains("9999-12-31T23:59:59.999Z"), "{history}");
        }

        let ids = |sql: &str| format!("SELECT count(*) FROM orders WHERE {sql}");
        for (call, fields) in [
            ("change", json!({"priority": 10000})),
            ("suspend", json!({})),
            ("cancel", json!({"kill": true})),
        ] {
            let mut body = with_controller(everywhere.clone());
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let answer = app.post(&format!("/orders/{call}"), &body).await;
            assert_eq!(answer.status, 200, "{call}: {}", answer.text);
        }
        let left = ids("controller_id = 'prod' AND state NOT IN ('CANCELLED', 'FINISHED') AND coalesce(mark, '') <> 'CANCELLING'");
        assert_eq!(app.db.count(&left).await, 0);
        assert_eq!(app.db.state("good").await, "CANCELLED");
        let other = json!({"controllerId": "second", "orderIds": ["x"]});
        assert_eq!(app.post("/orders/cancel", &other).await.affected(), 1);
        let add = json!({"orders": [{"workflowPath": "/sos/eod", "orderName": "n"}]});
        app.post("/orders/add", &with_controller(add)).await.ok();
        let line = json!({"controllerId": "prod", "workflow": {"path": "/sos/eod", "versionId": "2"}});
        launch(&app.db.owner, &["import"], line.to_string()).await.ok();
        app.login("root", crate::harness::ROOT.1).await;
        // A change leaves the row no worse than it was.
        let passwd = launch(&app.db.owner, &["account", "disable", "a0"], "").await;
        passwd.ok();
    }

    async fn cancels_after_the_clock_was_set_back(kind: Kind) {
        let created = start_time() + TimeDelta::hours(2);
        let ahead = |id: &str, state| Order { created: Some(created), state, ..Order::new(id) };
        let app = App::with(kind, &[ahead("a", "FRESH"), ahead("b", "WAITING"), ahead("c", "RUNNING")]).await;
        app.post("/orders/suspend", &with_controller(json!({"orderIds": ["b"]}))).await.ok();
        assert_eq!(app.cancel(json!({"folders": [{"folder": "/"}], "kill": true})).await.affected(), 3);
        let earlier = "SELECT count(*) FROM orders WHERE modified < created OR state_since < created";
        assert_eq!(app.db.count(earlier).await, 0);
        assert_eq!(app.db.count("SELECT count(*) FROM orders WHERE modified = created").await, 3);
        assert_eq!(launch(&app.db.owner, &["check"], "").await.ok(), "");
    }

    async fn an_import_adds_no_wrong_row(kind: Kind) {
        let db = Database::create(kind).await.into_owner();
        let line = |controller: &str, id: &str, path: &str, state: Value, more: Value| {
            let mut order = json!({"orderId": id, "workflowId": {"path": path, "versionId": "1"}, "state": state});
            order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"controllerId": controller, "order": order}).to_string() + "\n"
        };
        let none = || json!({});
        let text = |state: &str| json!({"_text": state});
        let bad = line("-", "a", "/a", text("RUNNING"), none()) + &line("prod", "b", "/a/../b", text("RUNNING"), none());
        let ran = launch(&db.owner, &["import"], bad).await;
        let error = ran.failed();
        assert!(error.contains("line 1: controllerId: '-' stands for no controller"), "{error}");
        assert!(error.contains("line 2: order.workflowId.path: '/a/../b' has a part that is . or .."), "{error}");
        let waiting = json!({"_text": "INPROGRESS", "_reason": "WAITING_FOR_ADMISSION"});
        let resuming = json!({"marked": {"_text": "RESUMING"}});
        let good = line("prod", "fresh", "/a", waiting, json!({"position": [0]}))
            + &line("prod", "failed", "/a", text("FAILED"), resuming.clone())
            + &line("prod", "suspended", "/a", text("SUSPENDED"), resuming)
            + &line("prod", "running", "/a", text("RUNNING"), none());
        launch(&db.owner, &["import"], good.clone()).await.ok();
        assert_eq!(db.state("fresh").await, "FRESH");
        assert_eq!(db.state("failed").await, "FAILED");
        assert_eq!(db.state("suspended").await, "FRESH+RESUMING~");
        // A running order does not become fresh.
        let again = line("prod", "running", "/a", text("SCHEDULED"), none()) + &line("prod", "fresh", "/a", text("FAILED"), none());
        let ran = launch(&db.owner, &["import", "--replace"], again).await;
        assert_eq!(ran.ok(), "imported: 0 new, 1 replaced, 0 unchanged, 1 skipped\n");
        assert_eq!(db.state("running").await, "RUNNING");
        assert_eq!(launch(&db.owner, &["check"], "").await.ok(), "");
        let folder = launch(&db.owner, &["role", "add", "r"], "").await;
        folder.ok();
        let limited = launch(&db.owner, &["role", "limit", "r", "--folder", "/a/../b"], "").await;
        assert!(!limited.success, "{limited:?}");
    }
}

/// The shell's releases before 3.43 accept 2027-02-31 as a valid instant.
#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite3_shell_cannot_insert_an_impossible_date() {
    let db = Database::create(Kind::Sqlite).await;
    db.execute(WORLD).await.unwrap();
    let file = db.owner.trim_start_matches("sqlite:");
    let shell = async |sql: &str| {
        let mut shell = Command::new("sqlite3");
        shell.args(["-bail", file]);
        launch_command(shell, sql).await.stderr
    };
    let order = |column: &str, at: &str| {
        format!(
            "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, state, \
             created, {column}) VALUES ('prod', '{column}{at}', '/sos/eod', '1', 'RUNNING', \
             '2024-01-01T00:00:00.000Z', '{at}')"
        )
    };
    for column in ["scheduled_for", "modified", "started", "state_since"] {
        for at in ["2027-02-29", "2027-02-30", "2027-02-31", "2027-04-31", "2100-02-29"] {
            let refused = shell(&order(column, &format!("{at}T12:00:00.000Z"))).await;
            assert!(refused.contains("orders_instants_are_valid"), "{column} {at}: {refused}");
        }
        for at in ["2028-02-29", "2027-02-28", "2027-01-31", "2027-04-30", "9999-12-31"] {
            assert_eq!(
                shell(&order(column, &format!("{at}T23:59:59.999Z"))).await,
                "",
                "{column} {at}"
            );
        }
    }
    for sql in [
        "UPDATE orders SET modified = '2027-02-31T12:00:00.000Z'",
        "INSERT INTO controllers VALUES ('x', '2027-02-31T12:00:00.000Z', 0)",
        "INSERT INTO workflows (controller_id, path, version_id, created)
         VALUES ('prod', '/x', '1', '2027-02-31T12:00:00.000Z')",
        "INSERT INTO roles VALUES ('x', '2027-02-31T12:00:00.000Z')",
    ] {
        let refused = shell(sql).await;
        assert!(refused.contains("_instants_are_valid"), "{sql}: {refused}");
    }
}
