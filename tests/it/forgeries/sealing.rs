//! Forged seals, entries that nobody sealed, and sealing that stops.

use chrono::Utc;
use serde_json::json;
use sqlx::postgres::{PgAdvisoryLock, PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection};

use crate::harness::{CONTROLLER, Database, Kind, Order, Served, launch, until};

use super::{cancel, chosen, detail, entry, found, refused, today, unlocked, verify};

/// An instant this many hours ago, as SQL.
fn ago(kind: Kind, hours: i64) -> String {
    match kind {
        Kind::Sqlite => format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{} hours')", -hours),
        Kind::Postgres => format!("now() - interval '{hours} hours'"),
    }
}

on_both! {
    async fn rejects_a_seal_that_does_not_follow_the_last(kind: Kind) {
        let app = today(kind, &["a", "b"]).await;
        cancel(&app, "a").await;
        app.store.seal(Utc::now()).await.unwrap();
        cancel(&app, "b").await;
        let digests = if kind == Kind::Sqlite { "x''" } else { "''" };
        let hash = app.db.rows("SELECT hash FROM audit_seals").await.unwrap()[0][0].clone().unwrap();
        let (zeros, ones) = ("0".repeat(64), "1".repeat(64));
        let seal = |number: i64, first: i64, previous: &str, created: &str| format!(
            "INSERT INTO audit_seals (controller_id, number, first_id, last_id, entries, details,
                 previous_hash, hash, created, digests)
             VALUES ('prod', {number}, {first}, {first}, 1, 1, '{previous}', '{ones}', '{created}', {digests})");
        let now = "2026-11-23T12:34:56.789Z";
        // One that follows is accepted.
        app.db.execute(&format!("BEGIN; {}; ROLLBACK", seal(2, 2, &hash, now))).await.unwrap();
        for sql in [
            seal(3, 2, &hash, now), seal(2, 2, &zeros, now), seal(2, 1, &hash, now), seal(2, 0, &hash, now),
            seal(2, 1 << 53, &hash, now), seal(0, 2, &hash, now), seal(1, 2, &zeros, now),
            seal(2, 2, &hash, "infinity"), seal(2, 2, &hash, "2027-02-31T00:00:00.000Z"),
            seal(2, 2, &ones, now), seal(1, 2, &zeros, now).replace("'prod'", "'x'").replace("VALUES ('x', 1", "VALUES ('x', 2"),
        ] {
            refused(&app.db, &sql).await;
        }
        assert_eq!(app.store.seal(Utc::now()).await.unwrap(), 1);
        assert_eq!(found(&app.db, &[]).await, [""; 0]);
    }

    async fn rejects_a_seal_over_future_entries(kind: Kind) {
        let app = today(kind, &["a", "b"]).await;
        cancel(&app, "a").await;
        app.store.seal(Utc::now()).await.unwrap();
        for last in ["last_id + 1", "9007199254740991"] {
            let sql = format!(
                "INSERT INTO audit_seals (controller_id, number, first_id, last_id, entries,
                     details, previous_hash, hash, created, digests)
                 SELECT controller_id, number + 1, last_id + 1, {last}, 1, 0, hash, hash, created,
                     digests FROM audit_seals");
            let error = app.db.execute(&sql).await.unwrap_err().to_string();
            assert!(error.contains("the seal does not follow the last one"), "{error}");
        }
        cancel(&app, "b").await;
        assert_eq!(app.store.seal(Utc::now()).await.unwrap(), 1);
        assert_eq!(found(&app.db, &[]).await, [""; 0]);
    }

    async fn reports_forged_unsealed_rows(kind: Kind) {
        let app = today(kind, &["a", "b", "c"]).await;
        cancel(&app, "a").await;
        app.store.seal(Utc::now()).await.unwrap();
        cancel(&app, "b").await;
        assert_eq!(found(&app.db, &[]).await, [""; 0]);
        let orphan = |id: i64, controller: &str| detail("max(id)", &format!("max(id) * 0 + {id}")).replace("'prod'", &format!("'{controller}'"));
        let sql = [chosen(kind, 0, "prod"), chosen(kind, -5, "prod"), chosen(kind, 2000, ""),
            orphan(-9, "prod"), orphan(3000, "prod"), orphan(2, "other")].concat();
        app.db.execute(&unlocked(kind, &sql)).await.unwrap();
        assert_eq!(found(&app.db, &[]).await, [
            "prod, audit log -5: the entry is forged: the database never drew its id",
            "prod, audit log 0: the entry is forged: the database never drew its id",
            ", audit log 2000: the entry is forged: it has no controller, not even '-'",
            "other, audit log 2: this controller has no such entry, but 1 detail of it",
            "prod, audit log -9: this controller has no such entry, but 1 detail of it",
            "prod, audit log 3000: this controller has no such entry, but 1 detail of it",
        ]);
        let checked = launch(&app.db.url, &["check"], "").await;
        for line in ["prod, audit log -5: the id is none that the database draws",
            ", audit log 2000: the controller is empty"] {
            assert!(checked.stdout.lines().any(|found| found == line), "{line}: {checked:?}");
        }
    }

    async fn verify_fails_on_old_unsealed_entries(kind: Kind) {
        let app = today(kind, &["a", "b"]).await;
        cancel(&app, "a").await;
        app.try_login("nobody", "wrong").await;
        assert_eq!(found(&app.db, &[]).await, [""; 0]);
        let lines = found(&app.db, &["--unsealed", "0"]).await;
        assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("has no seal: sealing has stopped")), "{lines:?}");
        app.store.seal(Utc::now()).await.unwrap();
        cancel(&app, "b").await;
        app.store.seal(Utc::now()).await.unwrap();
        assert_eq!(found(&app.db, &["--unsealed", "0"]).await, [""; 0]);
        // The tail of a chain, once there is an entry an hour newer.
        let tail = "DELETE FROM audit_seals WHERE controller_id = 'prod' AND number = 2;";
        app.db.execute(&unlocked(kind, tail)).await.unwrap();
        assert_eq!(found(&app.db, &[]).await, [""; 0]);
        let newer = entry("root", "root").replacen("controller_id,", "created, controller_id,", 1);
        let newer = newer.replacen("'prod'", &format!("{}, 'prod'", ago(kind, -2)), 1);
        app.db.execute(&newer).await.unwrap();
        let lines = found(&app.db, &[]).await;
        assert!(lines.len() == 1 && lines[0].starts_with("prod, audit log 3: 1 entry from here on, "), "{lines:?}");
        // All seals of all controllers, with entries older than an hour.
        let sql = format!("DELETE FROM audit_seals; UPDATE audit_logs SET created = {};", ago(kind, 2));
        app.db.execute(&sql).await.unwrap();
        let lines = found(&app.db, &[]).await;
        assert!(lines.len() == 2 && lines[0].starts_with("-, audit log 2: 1 entry from here on, written before ")
            && lines[1].starts_with("prod, audit log 1: 3 entries from here on, written before ")
            && lines[1].ends_with("have no seal: sealing has stopped, or seals were removed"), "{lines:?}");
        assert_eq!(found(&app.db, &["--unsealed", "180"]).await, [""; 0]);
        assert_eq!(found(&app.db, &["--unsealed", "52704000"]).await, [""; 0]);
        for minutes in ["52704001", "4294967295"] {
            let ran = verify(&app.db, &["--unsealed", minutes]).await;
            assert!(ran.failed().contains("is not in 0..=52704000"), "{ran:?}");
        }
    }

    async fn reports_that_sealing_has_stopped(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&["a", "b"].map(Order::new)).await;
        let served = Served::over(&db, &["--seal-every", "1"]);
        let token = served.login().await;
        let cancel = async |id: &str| {
            let body = json!({"controllerId": CONTROLLER, "orderIds": [id]});
            assert_eq!(served.post(&token, "/orders/cancel", &body).await.affected(), 1);
        };
        cancel("a").await;
        // The gauges may still be from before the cancel.
        let sealed = format!("SELECT count(*) FROM audit_seals WHERE controller_id = '{CONTROLLER}'");
        until("the cancel is sealed", async || db.count(&sealed).await == 1).await;
        until_told(&served, "sealing\":\"ok", |page| gauge(page, "unsealed_entries") == Some(0.0) && gauge(page, "last_seal").is_some()).await;

        // An insert that never commits, or a trigger that blocks sealing.
        let stopped = match kind {
            Kind::Sqlite => {
                db.execute("CREATE TRIGGER stop BEFORE INSERT ON audit_seals
                            BEGIN SELECT RAISE(ABORT, 'stop'); END").await.unwrap();
                None
            }
            Kind::Postgres => {
                let pool = PgPool::connect(&db.url).await.unwrap();
                let mut writer = pool.begin().await.unwrap();
                let sql = entry("'DONE', 3", "'NO_ORDERS', 0");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *writer).await.unwrap();
                Some(writer)
            }
        };
        // The log reports at the next interval what the pages show at once.
        let errors = || served.log().lines().filter(|line| line.contains("\"ERROR\"")
            && line.contains("not been sealed for 3 intervals")).count();
        // On a busy machine, the first seal may have been late.
        let before = errors();
        cancel("b").await;
        until_told(&served, "sealing\":\"overdue", |page| gauge(page, "unsealed_entries") == Some(1.0)
            && gauge(page, "unsealed_seconds").is_some_and(|seconds| seconds > 3.0) && errors() > before).await;
        assert_eq!(errors(), before + 1, "{}", served.log());
        match stopped {
            None => drop(db.execute("DROP TRIGGER stop").await.unwrap()),
            Some(writer) => writer.rollback().await.unwrap(),
        }
        until_told(&served, "sealing\":\"ok", |page| gauge(page, "unsealed_entries") == Some(0.0)
            && gauge(page, "unsealed_seconds") == Some(0.0) && served.log().contains("is being sealed again")).await;
    }
}

/// The value of a sealing gauge whose name contains this.
fn gauge(page: &str, part: &str) -> Option<f64> {
    let is_it = |line: &&str| line.starts_with("joc_orders_audit_") && line.contains(part);
    page.lines().find(is_it).map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

/// Waits until `/ready`, which stays 200, contains this and `/metrics` satisfies the condition.
async fn until_told(served: &Served, ready: &str, is_so: impl Fn(&str) -> bool) {
    until(ready, async || {
        let answer = served.page("/ready").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text.contains(ready) && is_so(&served.page("/metrics").await.text)
    })
    .await;
}

/// A role without any rights could hold the lock that sealers once took, and so stop them.
#[tokio::test(flavor = "multi_thread")]
async fn an_advisory_lock_cannot_block_sealing() {
    let app = today(Kind::Postgres, &["a"]).await;
    let connection = PgConnection::connect(&app.db.url).await.unwrap();
    let lock = PgAdvisoryLock::new("joc-orders: sealer");
    let held = lock.acquire(connection).await.unwrap();
    cancel(&app, "a").await;
    assert_eq!(app.store.seal(Utc::now()).await.unwrap(), 1);
    held.release_now().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_at_minus_infinity_is_overdue() {
    let app = today(Kind::Postgres, &["a"]).await;
    cancel(&app, "a").await;
    app.store.seal(Utc::now()).await.unwrap();
    let early = entry("'DONE', 3", "'NO_ORDERS', 0").replacen(
        "(controller_id",
        "(created, controller_id",
        1,
    );
    let early = early.replacen("('prod'", "('-infinity', 'prod'", 1);
    app.db.execute(&unlocked(Kind::Postgres, &early)).await.unwrap();
    let lines = found(&app.db, &[]).await;
    assert!(
        lines.len() == 1
            && lines[0].starts_with("prod, audit log 2: 1 entry from here on, written before "),
        "{lines:?}"
    );
}
