//! The audit trail rejects rows that no request writes, and `audit verify` reports those from
//! before it did.

use chrono::Utc;
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::harness::{App, CONTROLLER, Database, Kind, Order, Ran, launch, start_time};
use crate::seals::unlock;

mod sealing;

const COLUMNS: &str = "controller_id, account, request, parameters, outcome, affected, request_id";
const DETAIL: &str =
    "controller_id, audit_log_id, order_id, workflow_path, workflow_version_id, folder,
    previous_state, new_state, mark, kill";

/// An entry as the service writes it, except for one replacement.
fn entry(from: &str, to: &str) -> String {
    let values = "('prod', 'root', './orders/cancel', '{}', 'DONE', 3, 'r')";
    assert!(values.contains(from), "{from}");
    format!("INSERT INTO audit_logs ({COLUMNS}) VALUES {};", values.replacen(from, to, 1))
}

/// A detail of the last entry as the service writes it, except for one replacement.
fn detail(from: &str, to: &str) -> String {
    let values = "'prod', max(id), 'o', '/a', '1', '/', 'RUNNING', 'RUNNING', 'CANCELLING', TRUE";
    assert!(values.contains(from), "{from}");
    let values = values.replacen(from, to, 1);
    format!("INSERT INTO audit_log_details ({DETAIL}) SELECT {values} FROM audit_logs;")
}

/// An entry with a forged id.
fn chosen(kind: Kind, id: i64, controller: &str) -> String {
    let overriding = if kind == Kind::Sqlite { "" } else { "OVERRIDING SYSTEM VALUE" };
    format!(
        "INSERT INTO audit_logs (id, {COLUMNS}) {overriding}
         VALUES ({id}, '{controller}', 'root', './orders/cancel', '{{}}', 'NO_ORDERS', 0, 'r');"
    )
}

/// Statements in one text, which PostgreSQL runs as one transaction.
fn together(sql: &[String]) -> String {
    sql.concat()
}

/// Like [`together`], but allows savepoints.
fn in_a_block(sql: &[String]) -> String {
    format!("BEGIN; {} COMMIT;", sql.concat())
}

async fn verify(db: &Database, flags: &[&str]) -> Ran {
    launch(&db.url, &[&["audit", "verify"], flags].concat(), "").await
}

/// Expects a rule to reject the row, as opposed to a mistake in the statement.
async fn refused(db: &Database, sql: &str) {
    let Err(error) = db.execute(sql).await else { panic!("was accepted: {sql}") };
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    let by_rule = match db.kind() {
        // A check, and a trigger.
        Kind::Sqlite => ["275", "1811"].contains(&&*code),
        // A check, a trigger, a key, an invalid date, and an undrawn id.
        Kind::Postgres => ["23514", "23001", "23505", "22008", "55000"].contains(&&*code),
    };
    assert!(by_rule, "{code}: {error}: {sql}");
}

/// What `audit verify` finds.
async fn found(db: &Database, flags: &[&str]) -> Vec<String> {
    let ran = verify(db, flags).await;
    let lines: Vec<String> = ran.stdout.lines().map(Into::into).collect();
    assert_eq!(ran.code, Some(if lines.is_empty() { 0 } else { 8 }), "{ran:?}");
    lines
}

async fn cancel(app: &App, id: &str) {
    assert_eq!(app.cancel(json!({"orderIds": [id]})).await.affected(), 1);
}

/// An app on the system clock, with these orders.
async fn today(kind: Kind, ids: &[&str]) -> App {
    let app = App::today(kind, &[]).await;
    app.db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
    app
}

/// Statements that make the trail accept forged rows, as older releases did.
fn unlocked(kind: Kind, sql: &str) -> String {
    let off = if kind == Kind::Sqlite {
        "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;"
    } else {
        ""
    };
    format!("{off}{}{sql}", unlock(kind))
}

on_both! {
    async fn rejects_rows_that_no_request_writes(kind: Kind) {
        let db = Database::create(kind).await;
        db.execute(&together(&[entry("root", "root"), detail("'o'", "'o'")])).await.unwrap();
        for (from, to) in [
            ("prod", ""), ("prod", "a/b"), ("prod", "a\u{7f}"), ("root", ""), ("./orders/cancel", ""),
            ("'r'", "''"), ("{}", "[]"), ("{}", "\"x\""), ("{}", "7"), ("{}", "null"), ("3", "0"),
        ] {
            let sql = entry(from, to);
            refused(&db, &sql).await;
        }
        let created = |sql: String, instant: &str| {
            let sql = sql.replacen("controller_id,", "created, controller_id,", 1);
            sql.replacen("'prod'", &format!("'{instant}', 'prod'"), 1)
        };
        for instant in ["infinity", "-infinity", "10000-01-01T00:00:00.000Z", "0000-12-31T23:59:59.999Z",
            "2027-02-31T00:00:00.000Z"] {
            let sql = created(entry("root", "root"), instant);
            refused(&db, &sql).await;
            let sql = together(&[entry("root", "root"), created(detail("'o'", "'o'"), instant)]);
            refused(&db, &sql).await;
        }
        for instant in ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"] {
            let rows = [created(entry("root", "root"), instant), created(detail("'o'", "'o'"), instant)];
            db.execute(&together(&rows)).await.unwrap();
        }
        for (from, to) in [
            ("'RUNNING'", "'FRESH'"), ("'RUNNING'", "''"), ("'RUNNING', 'RUNNING'", "'RUNNING', 'NONE'"),
            ("'RUNNING', 'RUNNING'", "'RUNNING', 'running'"), ("'CANCELLING'", "'CANCELLED'"),
            ("'CANCELLING'", "''"), ("'CANCELLING'", "'RESUMING'"), ("'CANCELLING'", "NULL"), ("'o'", "''"),
            ("'/a'", "''"), ("'/'", "''"), ("'1'", "''"),
        ] {
            let sql = together(&[entry("root", "root"), detail(from, to)]);
            refused(&db, &sql).await;
        }
    }

    async fn rejects_details_without_their_entry(kind: Kind) {
        let db = Database::create(kind).await;
        let refused = async |sql: &str| {
            let error = db.execute(sql).await.expect_err(sql).to_string();
            assert!(error.contains("come with their entry"), "{sql}: {error}");
        };
        // The entry says DENIED or NO_ORDERS.
        for outcome in ["DENIED", "NO_ORDERS"] {
            let row = entry("'DONE', 3", &format!("'{outcome}', 0"));
            refused(&together(&[row, detail("'o'", "'o'")])).await;
        }
        // The entry belongs to another controller.
        let other = together(&[entry("prod", "other"), detail("'o'", "'o'")]);
        assert!(db.execute(&other).await.is_err(), "was accepted: {other}");
        // Later than their entry: after its transaction on PostgreSQL, after the next entry on
        // SQLite.
        db.execute(&together(&[entry("root", "root"), detail("'o'", "'a'")])).await.unwrap();
        db.execute(&entry("root", "root")).await.unwrap();
        refused(&detail("max(id)", "min(id)")).await;
        if kind == Kind::Postgres {
            refused(&detail("'o'", "'b'")).await;
            // More than the entry says.
            let two = detail("'o'", "x.x")
                .replace("FROM audit_logs", "FROM audit_logs, (VALUES ('e'), ('f')) x (x) GROUP BY x.x");
            refused(&together(&[entry("DONE', 3", "DONE', 1"), two])).await;
            // Savepoints belong to the same transaction.
            let rows = [entry("root", "root"), "SAVEPOINT a;".into(), detail("'o'", "'g'"), "RELEASE a;".into()];
            db.execute(&in_a_block(&rows)).await.unwrap();
            let rows = ["SAVEPOINT a;".into(), entry("root", "root"), "RELEASE a; SAVEPOINT b;".into(),
                detail("'o'", "'h'"), "RELEASE b;".into()];
            db.execute(&in_a_block(&rows)).await.unwrap();
        }
        // A sealed entry takes no more details.
        let store = joc_orders::store::open(&db.url, 2, joc_orders::store::Access::Write).await.unwrap();
        assert!(store.seal(start_time()).await.unwrap() > 0);
        store.close().await;
        refused(&detail("'o'", "'z'")).await;
        assert_eq!(found(&db, &[]).await, [""; 0]);
    }

    async fn rejects_entries_with_a_chosen_id(kind: Kind) {
        let app = today(kind, &["a", "b"]).await;
        cancel(&app, "a").await;
        for id in [i64::MIN, -1, 0, 1, 3, 7, 1 << 53, i64::MAX] {
            let sql = chosen(kind, id, "prod");
            refused(&app.db, &sql).await;
        }
        // The service keeps counting from its last id.
        cancel(&app, "b").await;
        assert_eq!(app.db.count("SELECT max(id) FROM audit_logs").await, 2);
    }

    async fn a_copy_keeps_the_trail_unchanged(kind: Kind) {
        let app = today(kind, &["a", "b"]).await;
        cancel(&app, "a").await;
        cancel(&app, "b").await;
        // Rows that older releases accepted and this one rejects.
        let sql = [entry("root", ""), entry("{}", "[]"), entry("3", "0"),
            detail("max(id)", "min(id)"), detail("max(id)", "min(id) + 1").replace("'RUNNING'", "'FRESH'")].concat();
        app.db.execute(&unlocked(kind, &sql).replace("PRAGMA ignore_check_constraints = ON;", "")).await.unwrap();
        app.store.seal(Utc::now()).await.unwrap();
        for to in [Kind::Sqlite, Kind::Postgres] {
            let target = Database::create(to).await;
            launch("", &["copy", "--from", &app.db.owner, "--to", &target.owner], "").await.ok();
            // The entry of the copy is not sealed yet.
            assert_eq!(found(&target, &[]).await, [""; 0]);
            let checked = launch(&target.url, &["check"], "").await;
            let lines: Vec<&str> = checked.stdout.lines().collect();
            for line in ["prod, audit log 3: the account is empty", "prod, audit log 4: the parameters are no object",
                "prod, audit log 2, order o: the detail has the state FRESH"] {
                assert!(lines.contains(&line), "{line}: {checked:?}");
            }
            // The schema is complete, and its rules apply again.
            assert!(lines.iter().all(|line| line.starts_with("prod, ")), "{checked:?}");
            for sql in [entry("root", ""), detail("max(id)", "min(id)"), chosen(to, 1000, "prod")] {
                assert!(target.execute(&sql).await.is_err(), "was accepted: {sql}");
            }
            target.execute(&together(&[entry("root", "root"), detail("'o'", "'o'")])).await.unwrap();
        }
    }
}

/// The service's role, as documented, has no right to the sequence, so it cannot choose an id.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_insert_cannot_choose_an_id() {
    let app = today(Kind::Postgres, &["a", "b"]).await;
    cancel(&app, "a").await;
    let role = format!("forger_{}", app.db.owner.rsplit_once('/').unwrap().1);
    app.db
        .execute(&format!(
            "CREATE ROLE {role}; GRANT USAGE ON SCHEMA public TO {role};
             CREATE SCHEMA {role} AUTHORIZATION {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};"
        ))
        .await
        .unwrap();
    let mut connection = PgConnection::connect(&app.db.owner).await.unwrap();
    let run = async |connection: &mut PgConnection, sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
    };
    run(&mut connection, format!("SET ROLE {role}")).await.unwrap();
    for id in [9_007_199_254_740_991, 1000, 2, 1, 0, -1] {
        for controller in ["prod", "other"] {
            let refused = run(&mut connection, chosen(Kind::Postgres, id, controller)).await;
            assert!(refused.is_err(), "{id} was accepted");
        }
    }
    // Drawing an id first, or hiding the table behind a temporary one, does not help.
    run(&mut connection, entry("root", "root")).await.unwrap();
    let own = "CREATE TEMP TABLE audit_logs (id bigint, controller_id text, outcome text, affected bigint);
               INSERT INTO audit_logs VALUES (1, 'prod', 'DONE', 9)";
    run(&mut connection, own.into()).await.unwrap();
    for id in [1000, 2] {
        let sql =
            chosen(Kind::Postgres, id, "prod").replace("INTO audit_logs", "INTO public.audit_logs");
        assert!(run(&mut connection, sql).await.is_err(), "{id} was accepted");
    }
    let late = detail("max(id)", "1");
    let late = late.replace("FROM audit_logs", "").replace("'o'", "'late'");
    assert!(run(&mut connection, late.clone()).await.is_err(), "a detail came late");
    let drawn = sqlx::query_scalar::<_, Option<i64>>("SELECT public.last_drawn_id()");
    assert!(drawn.fetch_one(&mut connection).await.unwrap().is_some_and(|id| id > 1));
    // Nor do functions and operators that hide the built-in ones.
    let own = "DROP TABLE pg_temp.audit_logs; SET search_path = OWN, pg_catalog, public;
        CREATE FUNCTION pg_snapshot_xmax(pg_snapshot) RETURNS xid8 LANGUAGE sql
            AS $$ SELECT '0'::xid8 $$;
        CREATE FUNCTION pg_xact_status(xid8) RETURNS text LANGUAGE sql AS $$ SELECT 'in progress' $$;
        CREATE FUNCTION yes(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE FUNCTION yes(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE OPERATOR = (leftarg = bigint, rightarg = bigint, function = yes);
        CREATE OPERATOR = (leftarg = text, rightarg = text, function = yes)";
    run(&mut connection, own.replace("OWN", &role)).await.unwrap();
    let refused = run(&mut connection, late).await.expect_err("a detail came late").to_string();
    assert!(refused.contains("come with their entry"), "{refused}");
    let digit = "1".repeat(64);
    let seal = format!(
        "INSERT INTO audit_seals (controller_id, number, first_id, last_id, entries, details,
             previous_hash, hash, created, digests)
         VALUES ('prod', 7, 50, 50, 1, 1, '{digit}', '{digit}', now(), '')"
    );
    let refused = run(&mut connection, seal).await.expect_err("a seal was accepted").to_string();
    assert!(refused.contains("does not follow"), "{refused}");
    connection.close().await.unwrap();
    app.db.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
    cancel(&app, "b").await;
    app.store.seal(Utc::now()).await.unwrap();
    assert_eq!(found(&app.db, &[]).await, [""; 0]);
}

/// An older release sealed a forged entry with an undrawn id, and then found nothing more to seal.
/// The genuine entries since then must not be reported.
#[tokio::test(flavor = "multi_thread")]
async fn reports_a_forged_entry_with_the_highest_id_and_no_genuine_one() {
    let app = today(Kind::Postgres, &["a", "b", "c", "d"]).await;
    cancel(&app, "a").await;
    let high = chosen(Kind::Postgres, 9_007_199_254_740_000, CONTROLLER);
    app.db.execute(&unlocked(Kind::Postgres, &high)).await.unwrap();
    // This release leaves it unsealed, and seals the others.
    cancel(&app, "b").await;
    assert_eq!(app.store.seal(Utc::now()).await.unwrap(), 1);
    // It does not make sealing overdue either.
    let unsealed = app.store.unsealed().await.unwrap();
    assert_eq!((unsealed.entries, unsealed.lowest, unsealed.highest), (0, None, Some(2)));
    let forged =
        "prod, audit log 9007199254740000: the entry is forged: the database never drew its id";
    assert_eq!(found(&app.db, &[]).await, [forged]);
    // The older release sealed it.
    cancel(&app, "c").await;
    let sequence = "SELECT setval(pg_get_serial_sequence('audit_logs', 'id'), ";
    app.db.execute(&format!("{sequence} 9007199254740000)")).await.unwrap();
    assert_eq!(app.store.seal(Utc::now()).await.unwrap(), 1);
    app.db.execute(&format!("{sequence} 3)")).await.unwrap();
    cancel(&app, "d").await;
    let ran = verify(&app.db, &[]).await;
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), [forged]);
    assert!(ran.stderr.contains("1 entry is not sealed"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tolerates_an_additional_foreign_key() {
    let app = today(Kind::Postgres, &["a"]).await;
    let key =
        "ALTER TABLE audit_log_details ADD FOREIGN KEY (controller_id) REFERENCES controllers";
    app.db.execute(key).await.unwrap();
    cancel(&app, "a").await;
}

/// An SQLite database of the previous release, with an entry of this id and an order `a`.
async fn with_an_old_id(id: i64) -> App {
    let db = Database::create(Kind::Sqlite).await;
    joc_orders::store::migrate(&db.owner, Some(6)).await.unwrap();
    db.insert(&[Order::new("a"), Order::new("b")]).await;
    db.execute(&chosen(Kind::Sqlite, id, "prod")).await.unwrap();
    joc_orders::store::migrate(&db.owner, None).await.unwrap();
    App::over(db, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_too_high_id_on_sqlite_blocks_nothing() {
    let app = with_an_old_id(1 << 53).await;
    cancel(&app, "a").await;
    assert_eq!(app.store.seal(Utc::now()).await.unwrap(), 1);
    cancel(&app, "b").await;
    assert_eq!(app.store.seal(Utc::now()).await.unwrap(), 1);
    assert_eq!(app.db.count("SELECT max(id) - 9007199254740992 FROM audit_logs").await, 2);
    assert_eq!(
        found(&app.db, &[]).await,
        ["prod, audit log 9007199254740992: the entry is forged: the database never drew its id"]
    );
    let checked = launch(&app.db.url, &["check"], "").await;
    let line = "prod, audit log 9007199254740992: the id is none that the database draws";
    assert!(checked.stdout.lines().any(|found| found == line), "{checked:?}");
}

/// SQLite then draws no more ids until the procedure in docs/audit.md is followed.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_recipe_removes_an_exhausting_id_on_sqlite() {
    let app = with_an_old_id(i64::MAX).await;
    let answer = app.cancel(json!({"orderIds": ["a"]})).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    let docs = include_str!("../../docs/audit.md");
    let (_, recipe) = docs.split_once("```sql\nBEGIN IMMEDIATE;").expect("what to do");
    let (recipe, _) = recipe.split_once("```").unwrap();
    app.db.execute(&format!("BEGIN IMMEDIATE;{recipe}")).await.unwrap();
    cancel(&app, "a").await;
    assert_eq!(app.db.count("SELECT max(id) FROM audit_logs").await, 1);
    app.store.seal(Utc::now()).await.unwrap();
    assert_eq!(found(&app.db, &[]).await, [""; 0]);
    assert_eq!(launch(&app.db.url, &["check"], "").await.ok(), "");
}
