//! docs/roles.sql on PostgreSQL: every test's service is a `joc_service`, the statements for
//! executors run as a `joc_executor`, and the queries for the audit trail as a `joc_auditor`.

use serde_json::json;

use crate::harness::Served;
use crate::harness::{App, CONTROLLER, Database, Kind, Order, launch, program, with_controller};

/// Each statement must fail for want of a right.
async fn refuses(db: &Database, login: &str, statements: &[&str]) {
    let db = db.login(login).await;
    for statement in statements {
        let error = db.execute(statement).await.expect_err(statement).to_string();
        let expected = ["permission denied", "must be owner"];
        assert!(
            expected.iter().any(|words| error.contains(words)),
            "{login}: {statement}: {error}"
        );
    }
}

async fn used() -> App {
    let app = App::today(Kind::Postgres, &[]).await;
    app.db.insert(&["a", "b"].map(Order::new)).await;
    app.cancel(json!({"orderIds": ["a"]})).await.ok();
    app.store.seal(chrono::Utc::now()).await.unwrap();
    app
}

/// A table, view or function of a later migration must not be forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_owns_everything() {
    let db = Database::create(Kind::Postgres).await;
    let others = "
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relowner <> 'joc_owner'::regrole
        UNION ALL
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            AND proowner <> 'joc_owner'::regrole";
    assert_eq!(db.rows(others).await.unwrap(), [[None::<String>; 0]; 0]);
    // The auditor sees every table, except secrets; PUBLIC sees none.
    let hidden = "
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
            -- Partitions are read through their table.
            AND NOT relispartition AND NOT has_any_column_privilege('joc_auditor', oid, 'SELECT')";
    assert_eq!(db.rows(hidden).await.unwrap(), [[None::<String>; 0]; 0]);
    db.execute("CREATE ROLE nobody_in_particular").await.unwrap();
    let open = "
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
            AND has_any_column_privilege('nobody_in_particular', oid, 'SELECT')";
    assert_eq!(db.rows(open).await.unwrap(), [[None::<String>; 0]; 0]);
}

/// A member of `joc_owner` migrates, and the file runs again after each migration.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_migrates() {
    let db = used().await.db;
    db.execute("CREATE ROLE migrator LOGIN IN ROLE joc_owner").await.unwrap();
    let migrator = db.login("migrator").await;
    for args in [&["migrate", "--to", "3", "--yes", "--drop-audit-trail"][..], &["migrate"]] {
        launch(&migrator.url, args, "").await.ok();
    }
    let refused = launch(&db.url, &["check"], "").await;
    assert!(refused.failed().contains("permission denied"), "{refused:?}");
    for _ in 0..2 {
        db.execute(include_str!("../../docs/roles.sql")).await.unwrap();
    }
    launch(&db.url, &["check"], "").await.ok();
    let served = Served::start(program(&db.url));
    assert_eq!(served.page("/ready").await.status, 200);
    served.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_only_adds_to_the_audit_trail() {
    let app = used().await;
    refuses(
        &app.db,
        "orders",
        &[
            "UPDATE audit_logs SET account = 'somebody'",
            "DELETE FROM audit_logs",
            "TRUNCATE audit_logs CASCADE",
            "UPDATE audit_log_details SET order_id = 'x'",
            "DELETE FROM audit_log_details",
            "UPDATE audit_seals SET hash = ''",
            "DELETE FROM audit_seals",
            "ALTER TABLE audit_logs DISABLE TRIGGER ALL",
            "ALTER TABLE orders ADD COLUMN x int",
            "CREATE TABLE x (i int)",
            "CREATE INDEX x ON orders (state)",
            "DROP TABLE orders",
            "DELETE FROM orders",
            "TRUNCATE orders",
            "UPDATE workflows SET path = '/x'",
            "DELETE FROM workflows",
            "UPDATE controllers SET controller_id = 'x'",
            "DELETE FROM controllers",
            "UPDATE accounts SET account = 'x'",
            "UPDATE roles SET role = 'x'",
            "UPDATE role_permissions SET permission = 'sos:products'",
            "UPDATE sessions SET account = 'x'",
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (99, 'x', true, '', 0)",
        ],
    )
    .await;
}

/// `docs/executors.md` is run as an executor elsewhere; this is what it may not do.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_reports_and_does_nothing_else() {
    let app = used().await;
    refuses(&app.db, "executor", &[
        "DELETE FROM orders",
        "UPDATE orders SET order_id = 'x'",
        "UPDATE orders SET workflow_path = '/x'",
        "UPDATE orders SET scheduled_for = now()",
        "UPDATE orders SET priority = 1",
        "UPDATE orders SET remove_when_terminated = true",
        "UPDATE orders SET created = now()",
        "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, state)
             VALUES ('prod', 'x', '/a', '1', 'FINISHED')",
        "SELECT * FROM audit_logs",
        "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome, request_id)
             VALUES ('prod', 'x', './x', '{}', 'NO_ORDERS', 'r')",
        "SELECT * FROM accounts",
        "SELECT * FROM sessions",
        "DELETE FROM order_runs",
        "UPDATE order_runs SET agent = 'x'",
        "UPDATE workflows SET path = '/x'",
    ]).await;
    let executor = app.db.login("executor").await;
    let ran = launch(&executor.url, &["check"], "").await;
    assert!(ran.failed().contains("permission denied"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_reads_everything_but_secrets() {
    let app = used().await;
    let auditor = app.db.login("auditor").await;
    for args in [
        &["audit", "verify", "--unsealed", "0"][..],
        &["audit", "seals"],
        &["check", "--strict"],
        &["account", "list"],
        &["role", "list"],
        &["migrate", "--status"],
    ] {
        let ran = launch(&auditor.url, args, "").await;
        ran.ok();
        let is_told = ran.stderr.contains("password hashes: they were not checked");
        assert_eq!(is_told, args[0] == "check", "{ran:?}");
    }
    // A check that finds something finds it for the auditor, too.
    app.db.execute("UPDATE orders SET state = 'CANCELLED', state_since = now(), modified = now() WHERE order_id = 'b'").await.unwrap();
    let found = launch(&auditor.url, &["check", "--strict"], "").await;
    assert_eq!(found.code, Some(8), "{found:?}");
    assert!(found.stdout.contains(&format!("{CONTROLLER}, order b: ")), "{found:?}");

    refuses(&app.db, "auditor", &[
        "SELECT password_hash FROM accounts",
        "SELECT token_hash FROM sessions",
        "SELECT * FROM accounts",
        "UPDATE orders SET state = 'CANCELLED'",
        "DELETE FROM audit_logs",
        "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome, request_id)
             VALUES ('prod', 'x', './x', '{}', 'NO_ORDERS', 'r')",
        "CREATE TABLE x (i int)",
    ]).await;
    let ran = launch(&auditor.url, &["account", "disable", "root"], "").await;
    assert!(ran.failed().contains("permission denied"), "{ran:?}");
}

/// Without the owner's rights, an import says nothing of statistics that it cannot renew.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_imports() {
    let db = Database::create(Kind::Postgres).await;
    let lines = (0..3)
        .map(|i| {
            let order = json!({"orderId": format!("o{i}"), "state": {"_text": "PENDING"},
                "workflowId": {"path": "/a", "versionId": "1"}});
            with_controller(json!({"order": order})).to_string()
        })
        .collect::<Vec<_>>()
        .join("\n");
    let ran = launch(&db.url, &["import"], lines).await;
    assert_eq!(ran.ok(), "imported: 3 new, 0 replaced, 0 skipped\n");
    assert_eq!(ran.stderr, "");
}
