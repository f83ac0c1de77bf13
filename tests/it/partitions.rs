//! The audit trail's partitions on PostgreSQL: they are made ahead, refuse what the whole refuses, and go
//! as a whole once all of one is archived.

use chrono::Utc;
use joc_orders::store;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{App, Database, Kind, Order, Ran, launch};

async fn app(ids: &[&str]) -> App {
    let app = App::today(Kind::Postgres, &[]).await;
    app.db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
    app
}

/// Cancels an order, and returns the id of the entry.
async fn cancel(app: &App, id: &str) -> i64 {
    app.cancel(json!({"orderIds": [id]})).await.entry()
}

/// The next entry gets this id.
async fn set_next(app: &App, id: i64) {
    let sql = format!("SELECT setval(pg_get_serial_sequence('audit_logs', 'id'), {})", id - 1);
    app.db.rows(&sql).await.unwrap();
}

/// The partitions with entries and those with details, with how many.
async fn held(app: &App) -> Vec<String> {
    let sql = "SELECT tableoid::regclass || ' ' || count(*) FROM audit_logs GROUP BY tableoid
         UNION ALL SELECT tableoid::regclass || ' ' || count(*) FROM audit_log_details GROUP BY tableoid
         ORDER BY 1";
    app.db.rows(sql).await.unwrap().into_iter().flatten().flatten().collect()
}

/// The partitions of entries; those of details must be the same.
async fn partitions(app: &App) -> Vec<String> {
    let of = async |table: &str| {
        let sql = format!(
            "SELECT replace(c.relname, '{table}_', '') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE inhparent = '{table}'::regclass ORDER BY 1"
        );
        let rows = app.db.rows(&sql).await.unwrap();
        rows.into_iter().flatten().flatten().collect::<Vec<_>>()
    };
    let entries = of("audit_logs").await;
    assert_eq!(entries, of("audit_log_details").await);
    entries
}

async fn seal(app: &App) {
    app.store.seal(Utc::now()).await.unwrap();
}

/// An instant after all that was done, and before what follows.
async fn now() -> String {
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let now = Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    now
}

async fn check(db: &Database, flags: &[&str]) -> Vec<String> {
    let ran = launch(&db.url, &[&["check"], flags].concat(), "").await;
    assert_eq!(ran.code, Some(if ran.stdout.is_empty() { 0 } else { 8 }), "{ran:?}");
    ran.stdout.lines().map(Into::into).collect()
}

/// Applies all migrations, and grants the rights on tables that they have made anew.
async fn migrate_again(db: &Database) {
    store::migrate(&db.owner, None).await.unwrap();
    db.execute("GRANT SELECT ON order_runs TO joc_service").await.unwrap();
}

/// Nothing is found wrong with schema, rows and seals.
async fn is_well(app: &App, archives: &[&str]) {
    seal(app).await;
    assert_eq!(check(&app.db, &["--strict"]).await, [""; 0]);
    let args = if archives.is_empty() { vec![] } else { [&["--archive"], archives].concat() };
    launch(&app.db.url, &[&["audit", "verify"], &args[..]].concat(), "").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_partition_is_followed_by_the_next() {
    let app = app(&["a", "b", "c"]).await;
    assert_eq!(partitions(&app).await, ["default", "p0", "p1", "p2"]);
    assert_eq!(app.store.make_partitions().await.unwrap(), 0);
    set_next(&app, 999_999).await;
    assert_eq!(cancel(&app, "a").await, 999_999);
    assert_eq!(cancel(&app, "b").await, 1_000_000);
    // As the service, which owns nothing.
    assert_eq!(app.store.make_partitions().await.unwrap(), 1);
    assert_eq!(app.store.make_partitions().await.unwrap(), 0);
    assert_eq!(partitions(&app).await, ["default", "p0", "p1", "p2", "p3"]);
    assert_eq!(cancel(&app, "c").await, 1_000_001);
    assert_eq!(
        held(&app).await,
        ["audit_log_details_p0 1", "audit_log_details_p1 2", "audit_logs_p0 1", "audit_logs_p1 2"]
    );
    is_well(&app, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_refuses_what_the_whole_refuses() {
    let app = app(&["a", "b", "c"]).await;
    set_next(&app, 999_999).await;
    cancel(&app, "a").await;
    cancel(&app, "b").await;
    set_next(&app, 9_000_000).await;
    cancel(&app, "c").await;
    for suffix in ["p0", "p1", "p2", "default"] {
        for table in ["audit_logs", "audit_log_details"] {
            let part = format!("{table}_{suffix}");
            for sql in [
                format!("DELETE FROM {part}"),
                format!("DELETE FROM {part} WHERE false"),
                format!("UPDATE {part} SET created = now()"),
                format!("TRUNCATE {part} CASCADE"),
            ] {
                // As a superuser.
                let error = app.db.execute(&sql).await.expect_err(&sql).to_string();
                assert!(error.contains("is append-only"), "{sql}: {error}");
            }
        }
        let chosen = format!(
            "INSERT INTO audit_logs_{suffix} (id, controller_id, account, request, parameters, outcome, request_id)
             SELECT 500000 + 1000000 * coalesce(substring('{suffix}' FROM '[0-9]')::bigint, 10), controller_id, account,
                 request, parameters, 'DENIED', request_id FROM audit_logs LIMIT 1"
        );
        let error = app.db.execute(&chosen).await.unwrap_err().to_string();
        let expected = ["an id of audit_logs is drawn, not chosen", "currval of sequence"];
        assert!(expected.iter().any(|words| error.contains(words)), "{error}");
        let late = format!(
            "INSERT INTO audit_log_details_{suffix} SELECT controller_id, audit_log_id, 'x', workflow_path,
                 workflow_version_id, folder, previous_state, new_state FROM audit_log_details_{suffix}"
        );
        let late = app.db.execute(&late).await;
        assert_eq!(late.is_ok(), suffix == "p2", "{late:?}");
    }
    let service = app.db.login("orders").await;
    for sql in [
        "DROP TABLE audit_logs_p2",
        "ALTER TABLE audit_logs DETACH PARTITION audit_logs_p2",
        "ALTER TABLE audit_logs_p2 DISABLE TRIGGER ALL",
        "SELECT make_audit_partition(77)",
        "DELETE FROM audit_logs_p0",
        "CREATE TABLE x PARTITION OF audit_logs FOR VALUES FROM (77000000) TO (78000000)",
    ] {
        let error = service.execute(sql).await.expect_err(sql).to_string();
        let expected = ["permission denied", "must be owner"];
        assert!(expected.iter().any(|words| error.contains(words)), "{sql}: {error}");
    }
    let auditor = app.db.login("auditor").await;
    let error = auditor.execute("SELECT make_audit_partitions()").await.unwrap_err().to_string();
    assert!(error.contains("permission denied"), "{error}");
    is_well(&app, &[]).await;

    for (sql, undo) in [
        (
            "ALTER TABLE audit_logs_p1 DISABLE TRIGGER audit_logs_append_only",
            "ALTER TABLE audit_logs_p1 ENABLE TRIGGER audit_logs_append_only",
        ),
        (
            "ALTER TABLE audit_logs_p1 DISABLE TRIGGER audit_logs_drawn",
            "ALTER TABLE audit_logs_p1 ENABLE TRIGGER audit_logs_drawn",
        ),
        ("DROP TRIGGER audit_log_details_own_entry ON audit_log_details_p1", ""),
    ] {
        app.db.execute(sql).await.unwrap();
        let trigger =
            sql.split(' ').find(|word| word.matches('_').count() > 1 && !word.ends_with("_p1"));
        let trigger = trigger.unwrap();
        assert_eq!(
            check(&app.db, &[]).await,
            [format!("the trigger {trigger} of each partition differs from the migrations")],
            "{sql}"
        );
        app.db.execute(undo).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_without_a_partition_go_to_the_default_one() {
    let app = app(&["a", "b", "c", "d"]).await;
    app.db
        .execute("REVOKE EXECUTE ON FUNCTION make_audit_partitions() FROM joc_service")
        .await
        .unwrap();
    set_next(&app, 5_000_000).await;
    cancel(&app, "a").await;
    let error = app.store.make_partitions().await.unwrap_err().to_string();
    assert!(error.contains("permission denied"), "{error}");
    app.db
        .execute("GRANT EXECUTE ON FUNCTION make_audit_partitions() TO joc_service")
        .await
        .unwrap();
    // The range of that entry stays in the default partition.
    assert_eq!(app.store.make_partitions().await.unwrap(), 2);
    assert_eq!(app.store.make_partitions().await.unwrap(), 0);
    cancel(&app, "b").await;
    set_next(&app, 6_000_000).await;
    cancel(&app, "c").await;
    assert_eq!(partitions(&app).await, ["default", "p0", "p1", "p2", "p6", "p7"]);
    assert_eq!(
        held(&app).await,
        [
            "audit_log_details_default 2",
            "audit_log_details_p6 1",
            "audit_logs_default 2",
            "audit_logs_p6 1"
        ]
    );
    // Whoever works for long is not in the way: nobody waits for a partition.
    let writer = app.db.lock("BEGIN; LOCK TABLE audit_logs IN ROW EXCLUSIVE MODE").await;
    let error = app.store.make_partitions().await.unwrap_err().to_string();
    assert!(error.contains("lock timeout"), "{error}");
    cancel(&app, "d").await;
    drop(writer);
    is_well(&app, &[]).await;
}

async fn archive(app: &App, before: &str, to: &str) -> Ran {
    launch(&app.db.owner, &["audit", "archive", "--before", before, "--to", to], "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn archiving_drops_partitions_that_are_archived_as_a_whole() {
    let app = app(&["a", "b", "c", "d"]).await;
    let folder = TempDir::new().unwrap();
    let file = |n: u32| folder.path().join(format!("{n}.gz")).display().to_string();
    cancel(&app, "a").await;
    seal(&app).await;
    let before = now().await;
    set_next(&app, 999_999).await;
    cancel(&app, "b").await;
    cancel(&app, "c").await;
    seal(&app).await;
    // The partition has an entry that is too young.
    archive(&app, &before, &file(1)).await.ok();
    assert_eq!(partitions(&app).await, ["default", "p0", "p1", "p2"]);
    assert_eq!(
        held(&app).await,
        ["audit_log_details_p0 1", "audit_log_details_p1 1", "audit_logs_p0 1", "audit_logs_p1 2"]
    );
    is_well(&app, &[&file(1)]).await;

    let before = now().await;
    cancel(&app, "d").await;
    seal(&app).await;
    archive(&app, &before, &file(2)).await.ok();
    assert_eq!(partitions(&app).await, ["default", "p1", "p2"]);
    assert_eq!(held(&app).await, ["audit_log_details_p1 1", "audit_logs_p1 2"]);
    let left = app
        .db
        .rows("SELECT to_regclass('audit_logs_p0'), to_regclass('audit_log_details_p0')")
        .await;
    assert_eq!(left.unwrap(), [[None, None]]);
    is_well(&app, &[&file(1), &file(2)]).await;
    assert_eq!(app.store.make_partitions().await.unwrap(), 1);

    // The way back and forth loses no row, and of rows what migration 15 added.
    let before = held(&app).await.concat();
    store::migrate(&app.db.owner, Some(12)).await.unwrap();
    migrate_again(&app.db).await;
    assert_eq!(held(&app).await.concat(), before);
    assert_eq!(check(&app.db, &["--strict"]).await, [""; 0]);
    let archives = ["audit", "verify", "--archive", &file(1), &file(2)];
    let ran = launch(&app.db.url, &archives, "").await;
    let lost = ran.stdout.lines().collect::<Vec<_>>();
    assert!(lost.len() == 1 && lost[0].ends_with("order d: the detail was changed"), "{ran:?}");
}

/// Readers are waited for, but not for long.
#[tokio::test(flavor = "multi_thread")]
async fn archiving_tells_who_is_in_the_way() {
    let app = app(&["a", "b"]).await;
    set_next(&app, 999_999).await;
    cancel(&app, "a").await;
    cancel(&app, "b").await;
    seal(&app).await;
    let before = now().await;
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("1.gz").display().to_string();
    let reader = app.db.lock("BEGIN; SELECT FROM audit_logs").await;
    let ran = archive(&app, &before, &to).await;
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.failed().contains("other sessions read the audit trail"), "{ran:?}");
    drop(reader);
    assert_eq!(partitions(&app).await, ["default", "p0", "p1", "p2"]);
    is_well(&app, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_keeps_what_there_is() {
    let app = app(&["a", "b", "c"]).await;
    let db = &app.db;
    cancel(&app, "a").await;
    let was = store::schema(&db.owner).await.unwrap();
    store::migrate(&db.owner, Some(12)).await.unwrap();
    let plain = store::schema(&db.owner).await.unwrap();
    let additions =
        "CREATE VIEW own AS SELECT id FROM audit_logs; GRANT SELECT ON own TO joc_auditor;
         CREATE INDEX own_index ON audit_logs (client_address);
         GRANT SELECT (id, created) ON audit_logs TO joc_executor;
         SELECT setval(pg_get_serial_sequence('audit_logs', 'id'), 1999998);";
    db.execute(additions).await.unwrap();
    migrate_again(db).await;
    assert_eq!(partitions(&app).await, ["default", "p1", "p2", "p3"]);
    // Roles, the view and the ids go on.
    assert_eq!(cancel(&app, "b").await, 1_999_999);
    assert_eq!(cancel(&app, "c").await, 2_000_000);
    assert_eq!(app.store.make_partitions().await.unwrap(), 1);
    assert_eq!(held(&app).await[3..], ["audit_logs_p2 1"]);
    let auditor = db.login("auditor").await;
    assert_eq!(auditor.count("SELECT count(*) FROM own").await, 3);
    let executor = db.login("executor").await;
    assert_eq!(executor.count("SELECT count(id) FROM audit_logs").await, 3);
    executor.rows("SELECT account FROM audit_logs").await.unwrap_err();
    executor.rows("SELECT id FROM audit_logs_p1").await.unwrap_err();
    is_well(&app, &[]).await;

    db.execute("DROP VIEW own; DROP INDEX own_index").await.unwrap();
    assert_eq!(store::schema(&db.owner).await.unwrap(), was);
    store::migrate(&db.owner, Some(12)).await.unwrap();
    assert_eq!(store::schema(&db.owner).await.unwrap(), plain);

    // What would keep to the old table is named.
    db.execute("CREATE MATERIALIZED VIEW frozen AS SELECT id FROM audit_logs").await.unwrap();
    let error = store::migrate(&db.owner, None).await.unwrap_err().to_string();
    assert!(error.contains("the materialized view frozen is not from the migrations"), "{error}");
    db.execute("DROP MATERIALIZED VIEW frozen").await.unwrap();

    // An id that was never drawn.
    db.execute(
        "ALTER TABLE audit_logs DISABLE TRIGGER USER;
         INSERT INTO audit_logs (id, controller_id, account, request, parameters, outcome, request_id)
         OVERRIDING SYSTEM VALUE VALUES (7000000, 'prod', 'x', './x', '{}', 'DENIED', 'r');
         ALTER TABLE audit_logs ENABLE TRIGGER USER",
    )
    .await
    .unwrap();
    store::migrate(&db.owner, None).await.unwrap();
    assert_eq!(partitions(&app).await, ["default", "p3", "p4"]);
    assert_eq!(held(&app).await, ["audit_log_details_default 3", "audit_logs_default 4"]);
    assert_eq!(store::schema(&db.owner).await.unwrap(), was);
}

/// A copy has the partitions of its entries.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_divides_its_entries_too() {
    let app = app(&["a", "b"]).await;
    cancel(&app, "a").await;
    set_next(&app, 5_000_000).await;
    cancel(&app, "b").await;
    seal(&app).await;
    let target = Database::create(Kind::Postgres).await;
    let args = ["copy", "--from", &app.db.owner, "--to", &target.owner];
    launch(&app.db.owner, &args, "").await.ok();
    let sql = "SELECT tableoid::regclass, audit_log_id FROM audit_log_details ORDER BY audit_log_id DESC LIMIT 1";
    let expected = ["audit_log_details_p5", "5000000"].map(|text| Some(text.to_owned()));
    assert_eq!(target.rows(sql).await.unwrap(), [expected]);
    launch(&target.owner, &["check", "--strict"], "").await.ok();
    launch(&target.url, &["audit", "verify"], "").await.ok();
}
