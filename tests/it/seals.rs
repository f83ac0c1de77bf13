//! Seals over the audit trail: what `audit verify` finds after somebody bypassed the triggers, and
//! that sealing works next to everything else.

use std::time::Duration;

use serde_json::json;

use crate::harness::{App, CONTROLLER, Database, Kind, Order, Ran, launch};

/// Statements that allow changes to the audit tables, and rows that no request writes.
pub fn unlock(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => {
            "DROP TRIGGER audit_logs_refuse_update; DROP TRIGGER audit_logs_refuse_delete;
             DROP TRIGGER audit_log_details_refuse_update;
             DROP TRIGGER audit_log_details_refuse_delete;
             DROP TRIGGER audit_seals_refuse_update; DROP TRIGGER audit_seals_refuse_delete;
             DROP TRIGGER audit_cuts_refuse_update; DROP TRIGGER audit_cuts_refuse_delete;
             DROP TRIGGER audit_logs_new; DROP TRIGGER audit_logs_drawn;
             DROP TRIGGER audit_log_details_new; DROP TRIGGER audit_seals_new;"
        }
        Kind::Postgres => {
            "ALTER TABLE audit_logs DISABLE TRIGGER USER;
             ALTER TABLE audit_log_details DISABLE TRIGGER USER;
             ALTER TABLE audit_seals DISABLE TRIGGER USER;
             ALTER TABLE audit_cuts DISABLE TRIGGER USER;
             ALTER TABLE audit_log_details
                 DROP CONSTRAINT audit_log_details_controller_id_audit_log_id_fkey;
             DO $$ DECLARE rule record; BEGIN
                 FOR rule IN SELECT conrelid::regclass AS of, conname FROM pg_constraint
                     WHERE NOT convalidated AND coninhcount = 0 AND conrelid::regclass::text LIKE 'audit%' LOOP
                     EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', rule.of, rule.conname);
                 END LOOP;
             END $$;"
        }
    }
}

/// An app with three seals of [`CONTROLLER`], over the cancels of `a1` to `a5` (audit log 1), of
/// `b1` (2) and of `c1` and `c2` (3 and 4), and one seal over a rejected login (5).
async fn sealed(kind: Kind) -> App {
    let ids = ["a1", "a2", "a3", "a4", "a5", "b1", "c1", "c2"];
    let app = App::with(kind, &ids.map(Order::new)).await;
    cancel(&app, &ids[..5]).await;
    assert_eq!(seal(&app).await, 1);
    assert_eq!(seal(&app).await, 0);
    cancel(&app, &["b1"]).await;
    assert_eq!(seal(&app).await, 1);
    cancel(&app, &["c1"]).await;
    cancel(&app, &["c2"]).await;
    assert_eq!(app.try_login("nobody", "wrong").await.status, 401);
    assert_eq!(seal(&app).await, 2);
    app
}

async fn cancel(app: &App, ids: &[&str]) {
    let body = json!({"orderIds": ids, "auditLog": {"comment": "why"}});
    assert_eq!(app.cancel(body).await.affected(), ids.len() as u64);
}

async fn seal(app: &App) -> u64 {
    app.store.seal(crate::harness::start_time()).await.unwrap()
}

async fn verify(db: &Database) -> Ran {
    launch(&db.url, &["audit", "verify"], "").await
}

/// Changes the trail by SQL, and returns what `audit verify` reports.
async fn tamper(kind: Kind, sql: &str) -> Vec<String> {
    let app = sealed(kind).await;
    tamper_with(&app, sql).await
}

async fn tamper_with(app: &App, sql: &str) -> Vec<String> {
    let kind = app.db.kind();
    let off = if kind == Kind::Sqlite { "PRAGMA foreign_keys = OFF;" } else { "" };
    app.db.execute(&format!("{off}{}{sql}", unlock(kind))).await.unwrap();
    let ran = verify(&app.db).await;
    let lines: Vec<String> = ran.stdout.lines().map(Into::into).collect();
    assert_eq!(ran.code, Some(if lines.is_empty() { 0 } else { 8 }), "{ran:?}");
    lines
}

fn copy_detail(from: &str, to: &str) -> String {
    format!(
        "INSERT INTO audit_log_details SELECT controller_id, audit_log_id, '{to}', workflow_path,
         workflow_version_id, folder, previous_state, new_state, mark, kill, via_parent, created, before
         FROM audit_log_details WHERE order_id = '{from}';"
    )
}

const COLUMNS: &str = "controller_id, account, request, parameters, category, comment, time_spent,
    ticket_link, outcome, affected, request_id, client_address, created";

on_both! {
    async fn an_unchanged_trail_is_intact(kind: Kind) {
        let app = sealed(kind).await;
        cancel_none(&app).await;
        let ran = verify(&app.db).await;
        assert_eq!(ran.ok(), "");
        assert_eq!(
            ran.stderr,
            "-: 1 seal over 1 entry and 0 details; 0 entries are not sealed\n\
             prod: 3 seals over 4 entries and 8 details; 1 entry is not sealed\n\
             ok: 6 entries, 8 details, 4 seals\n"
        );
        // Restoring the original row leaves nothing to report.
        let lines = tamper_with(&app, "UPDATE audit_logs SET comment = 'x' WHERE id = 1;
            UPDATE audit_logs SET comment = 'why' WHERE id = 1;").await;
        assert!(lines.is_empty(), "{lines:?}");
    }

    async fn reports_a_changed_row(kind: Kind) {
        let app = sealed(kind).await;
        let lines = tamper_with(&app, "
            UPDATE audit_logs SET comment = NULL WHERE id = 1;
            UPDATE audit_log_details SET previous_state = 'FAILED' WHERE order_id = 'a3';
            UPDATE audit_log_details SET mark = '' WHERE order_id = 'c2';
            UPDATE audit_logs SET account = 'somebody' WHERE controller_id = '-';").await;
        assert_eq!(lines, [
            "-, seal 1, audit log 5: the entry was changed",
            "prod, seal 1, audit log 1: the entry was changed",
            "prod, seal 1, audit log 1, order a3: the detail was changed",
            "prod, seal 3, audit log 4, order c2: the detail was changed",
        ]);
        for change in [
            "account = 'x'", "request = 'x'", "parameters = '{}'", "category = 'IDENTITY'",
            "comment = ''", "time_spent = 1", "ticket_link = ''", "affected = 9",
            "request_id = 'x'", "client_address = NULL", "created = '2026-11-23T12:34:56.788Z'",
            "parameters = '{\"orderIds\": 1}'",
        ] {
            let sql = format!("UPDATE audit_logs SET {change} WHERE id = 2;");
            assert_eq!(tamper(kind, &sql).await,
                ["prod, seal 2, audit log 2: the entry was changed"], "{change}");
        }
    }

    async fn reports_a_removed_row(kind: Kind) {
        let lines = tamper(kind, "DELETE FROM audit_log_details WHERE order_id = 'a3';
            DELETE FROM audit_log_details WHERE audit_log_id = 2;
            DELETE FROM audit_logs WHERE id = 2; DELETE FROM audit_logs WHERE id = 4;").await;
        assert_eq!(lines, [
            "prod, seal 1, audit log 1: missing details: 1, between the orders a2 and a4",
            "prod, seal 2, audit log 2: the entry was removed",
            "prod, seal 2, audit log 2: missing details: 1, all that there were",
            "prod, seal 3, audit log 4: the entry was removed",
        ]);
    }

    async fn reports_an_inserted_row(kind: Kind) {
        // Number 2 is free for another controller, but would change that chain.
        let overriding = if kind == Kind::Sqlite { "" } else { "OVERRIDING SYSTEM VALUE" };
        let sql = copy_detail("a3", "a33") + &copy_detail("c2", "a") + &format!(
            "DELETE FROM audit_log_details WHERE audit_log_id = 2; DELETE FROM audit_logs WHERE id = 2;
             INSERT INTO audit_logs (id, {}) {overriding}
             SELECT 2, 'other', account, request, parameters, category, comment, time_spent,
                 ticket_link, outcome, affected, request_id, client_address
             FROM audit_logs WHERE id = 1;
             INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
                 workflow_version_id, folder, previous_state, new_state)
             VALUES ('prod', 3, 'z', '/a', '1', '/', 'RUNNING', 'RUNNING');", COLUMNS.trim_end_matches(", created"));
        assert_eq!(tamper(kind, &sql).await, [
            "prod, seal 1, audit log 1, order a33: the detail was inserted",
            "prod, seal 2, audit log 2: the entry was removed",
            "prod, seal 2, audit log 2: missing details: 1, all that there were",
            "prod, seal 3, audit log 3, order z: the detail was inserted",
            "prod, seal 3, audit log 4, order a: the detail was inserted",
        ]);
        // Entries: into a gap between the ids of a seal.
        let app = App::with(kind, &["a", "b"].map(Order::new)).await;
        cancel(&app, &["a"]).await;
        app.try_login("nobody", "wrong").await;
        cancel(&app, &["b"]).await;
        seal(&app).await;
        let lines = tamper_with(&app, "UPDATE audit_logs SET controller_id = 'prod' WHERE id = 2;").await;
        assert_eq!(lines, [
            "-, seal 1, audit log 2: the entry was removed",
            "prod, seal 1, audit log 2: the entry was inserted",
        ]);
    }

    async fn reports_swapped_rows(kind: Kind) {
        let lines = tamper(kind, "
            UPDATE audit_log_details SET order_id = CASE order_id WHEN 'a2' THEN 'x' WHEN 'a4' THEN 'y' END
                WHERE order_id IN ('a2', 'a4');
            UPDATE audit_log_details SET order_id = CASE order_id WHEN 'x' THEN 'a4' WHEN 'y' THEN 'a2' END,
                previous_state = order_id WHERE order_id IN ('x', 'y');").await;
        assert_eq!(lines, [
            "prod, seal 1, audit log 1, order a2: the detail was changed",
            "prod, seal 1, audit log 1, order a4: the detail was changed",
        ]);
        let swap = |a: i64, b: i64| match kind {
            Kind::Sqlite => format!("UPDATE audit_logs SET id = {a} WHERE id = {b}"),
            Kind::Postgres => format!("ALTER TABLE audit_logs ALTER id SET GENERATED BY DEFAULT;
                INSERT INTO audit_logs (id, {COLUMNS}) SELECT {a}, {COLUMNS} FROM audit_logs WHERE id = {b};
                DELETE FROM audit_logs WHERE id = {b}"),
        };
        let sql = [swap(99, 3), swap(3, 4), swap(4, 99)].join(";");
        assert_eq!(tamper(kind, &sql).await, [
            "prod, seal 3, audit log 3: the entry was changed",
            "prod, seal 3, audit log 4: the entry was changed",
        ]);
    }

    async fn reports_a_changed_seal(kind: Kind) {
        let zeros = "0".repeat(64);
        for change in [
            format!("hash = '{zeros}'"), format!("previous_hash = '{zeros}'"), "entries = 2".into(),
            "details = 7".into(), "first_id = 1".into(), "created = '2020-01-01T00:00:00.000Z'".into(),
        ] {
            let sql = format!("UPDATE audit_seals SET {change} WHERE number = 2;");
            assert_eq!(tamper(kind, &sql).await, ["prod, seal 2: the seal was changed"], "{change}");
        }
        let digests = if kind == Kind::Sqlite { "x'00'" } else { "'\\x00'" };
        let sql = format!("UPDATE audit_seals SET digests = {digests} WHERE number = 2;");
        assert_eq!(tamper(kind, &sql).await, ["prod, seal 2: the digests of the seal were changed"]);
        let lines = tamper(kind, "DELETE FROM audit_seals WHERE number = 2").await;
        assert_eq!(lines, ["prod, seal 2: the seal was removed"]);
        let lines = tamper(kind, "DELETE FROM audit_seals WHERE number <= 2 AND controller_id = 'prod'").await;
        assert_eq!(lines, ["prod, seal 1: 2 seals were removed from here on"]);
        // Only their order differs.
        let lines = tamper(kind, "UPDATE audit_seals SET number = 9 WHERE number = 1 AND controller_id = 'prod';
            UPDATE audit_seals SET number = 1 WHERE number = 2; UPDATE audit_seals SET number = 2 WHERE number = 9;").await;
        assert!(lines.iter().any(|line| line.contains("seal 1"))
            && lines.iter().any(|line| line.contains("seal 2")), "{lines:?}");
    }

    async fn exported_seals_reveal_what_the_chain_cannot(kind: Kind) {
        let app = sealed(kind).await;
        let kept = launch(&app.db.url, &["audit", "seals"], "").await.ok().to_owned();
        let lines: Vec<serde_json::Value> =
            kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1], json!({"controllerId": CONTROLLER, "number": 1, "firstId": 1, "lastId": 1,
            "entries": 1, "details": 5, "hash": lines[1]["hash"], "created": "2026-11-23T12:34:56.789Z"}));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &kept).unwrap();
        let file = file.path().display().to_string();
        let against = ["audit", "verify", "--seals", &file];
        assert_eq!(launch(&app.db.url, &against, "").await.ok(), "");
        assert_eq!(launch(&app.db.url, &["audit", "verify", "--seals", "-"], kept.clone()).await.ok(), "");

        // A removed tail, with its rows or without, looks as if it had never been there.
        let cut = "DELETE FROM audit_seals WHERE number = 3;
            DELETE FROM audit_log_details WHERE audit_log_id >= 3; DELETE FROM audit_logs WHERE id IN (3, 4);";
        assert!(tamper_with(&app, cut).await.is_empty());
        let ran = launch(&app.db.url, &against, "").await;
        assert_eq!((ran.code, &*ran.stdout),
            (Some(8), "prod, seal 3: the seal that was kept is not there: it was removed\n"));

        // A chain that is built anew is consistent.
        app.db.execute("DELETE FROM audit_seals; UPDATE audit_logs SET comment = 'other' WHERE id = 2;").await.unwrap();
        assert_eq!(seal(&app).await, 2);
        assert_eq!(verify(&app.db).await.ok(), "");
        let ran = launch(&app.db.url, &["audit", "verify", "--output", "json", "--seals", &file], "").await;
        assert_eq!(ran.code, Some(8));
        let first: serde_json::Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
        assert_eq!(first, json!({"controllerId": "prod", "seal": 1,
            "problem": "the seal is not the one that was kept: it was replaced"}));

        let ran = launch(&app.db.url, &["audit", "verify", "--seals", "-"], "\n{\"number\": 1}\n").await;
        assert_eq!(ran.code, Some(1));
        assert!(ran.failed().contains("line 2") && ran.stderr.contains("controllerId"), "{ran:?}");
        launch(&app.db.url, &["audit", "verify", "--seals", "/no/such/file"], "").await.failed();
        // What could not have been exported the night before proves nothing.
        let ran = launch(&app.db.url, &["audit", "verify", "--seals", "-"], "\n").await;
        assert_eq!(ran.code, Some(2));
        assert!(ran.failed().contains("the file has no seals"), "{ran:?}");
    }

    async fn concurrent_sealers_make_one_chain(kind: Kind) {
        let ids: Vec<String> = (0..40).map(|i| format!("o{i:02}")).collect();
        let app = App::with(kind, &ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        let other = joc_orders::store::open(&app.db.url, 2, joc_orders::store::Access::Write).await.unwrap();
        let sealing = |store: std::sync::Arc<dyn joc_orders::store::Store>| tokio::spawn(async move {
            for _ in 0..100 {
                store.seal(crate::harness::start_time()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let sealers = [sealing(app.store.clone()), sealing(other.clone())];
        let app = &app;
        let cancels = ids.chunks(5).map(|ids| async move {
            for id in ids {
                cancel(app, &[id]).await;
            }
        });
        futures_util::future::join_all(cancels).await;
        for sealer in sealers {
            sealer.await.unwrap();
        }
        seal(app).await;
        other.close().await;
        let ran = verify(&app.db).await;
        assert_eq!(ran.ok(), "");
        assert!(ran.stderr.contains("over 40 entries and 40 details; 0 entries are not"), "{ran:?}");
        assert!(app.db.count("SELECT count(*) FROM audit_seals").await > 1);
        assert_eq!(app.db.count("SELECT sum(entries) FROM audit_seals").await, 40);
    }

    async fn many_entries_get_several_seals(kind: Kind) {
        let db = Database::create(kind).await;
        let entries: Vec<String> = (0..2345)
            .map(|i| format!("('c{}', 'root', './x', '{{\"i\": {i}}}', 'NO_ORDERS', 'r')", i % 2))
            .collect();
        db.execute(&format!("INSERT INTO audit_logs (controller_id, account, request, parameters,
            outcome, request_id) VALUES {}", entries.join(", "))).await.unwrap();
        let store = joc_orders::store::open(&db.url, 1, joc_orders::store::Access::Write).await.unwrap();
        assert_eq!(store.seal(crate::harness::start_time()).await.unwrap(), 4);
        store.close().await;
        let ran = verify(&db).await;
        assert_eq!(ran.ok(), "");
        assert!(ran.stderr.contains("c1: 2 seals over 1172 entries"), "{ran:?}");
    }

    async fn seals_cannot_be_changed(kind: Kind) {
        let app = sealed(kind).await;
        for sql in ["UPDATE audit_seals SET entries = 1", "DELETE FROM audit_seals",
            "UPDATE audit_seals SET number = 7 WHERE number = 1"] {
            let error = app.db.execute(sql).await.unwrap_err().to_string();
            assert!(error.contains("audit_seals is append-only"), "{error}");
        }
    }
}

async fn cancel_none(app: &App) {
    app.cancel(json!({"orderIds": ["none"]})).await.nothing_found();
}

/// A transaction that draws its id early and commits after later ones.
#[tokio::test(flavor = "multi_thread")]
async fn seals_an_entry_that_commits_late_in_its_place() {
    let app = App::with(Kind::Postgres, &["a", "b"].map(Order::new)).await;
    let pool = sqlx::PgPool::connect(&app.db.owner).await.unwrap();
    let mut late = pool.begin().await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome, request_id)
         VALUES ('prod', 'late', './x', '{}', 'NO_ORDERS', 'r')",
    )
    .execute(&mut *late)
    .await
    .unwrap();
    cancel(&app, &["a"]).await;
    // A transaction that does not write to the trail blocks nobody.
    let mut idle = pool.begin().await.unwrap();
    sqlx::raw_sql("CREATE TABLE elsewhere (i int)").execute(&mut *idle).await.unwrap();

    let store = app.store.clone();
    let sealing = tokio::spawn(async move { store.seal(crate::harness::start_time()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!sealing.is_finished(), "it did not wait for the lower id");
    cancel(&app, &["b"]).await;
    late.commit().await.unwrap();
    assert_eq!(sealing.await.unwrap().unwrap(), 1);
    let seals = app.db.rows("SELECT first_id, last_id, entries FROM audit_seals").await.unwrap();
    let seals: Vec<_> = seals[0].iter().flatten().map(String::as_str).collect();
    assert_eq!(seals, ["1", "2", "2"]);
    seal(&app).await;
    assert_eq!(verify(&app.db).await.ok(), "");
    idle.rollback().await.unwrap();
}
