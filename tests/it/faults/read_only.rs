//! The database stops accepting changes, and accepts them again.

use std::time::Duration;

use serde_json::json;

use super::shim::Faults;
use super::{agrees, becomes_ready, behind_proxy, cancel, compare, session, unavailable, works};
use crate::harness::{
    Cluster, Database, Kind, Order, ROOT, Served, program, until, with_controller,
};

/// Longer than `/ready` remembers a request that could not write.
const SOON: Duration = Duration::from_secs(25);

/// Part of the message.
const READ_ONLY: &str = "read-only";

/// Clients of a database that accepts no changes: one whose session is cached, and one that has
/// logged in and sent nothing yet.
struct Tokens([String; 2]);

impl Tokens {
    async fn of(served: &Served) -> Self {
        Self([session(served).await, served.login().await])
    }

    /// Expects everything that writes to fail, and clients to be told to come back.
    async fn are_refused(&self, served: &Served, round: &str, touches: bool) -> super::Told {
        let Self([known, new]) = self;
        let told = cancel(served, known, round, &["a".into()], None).await;
        let message = unavailable(&told.answer);
        assert!(
            message.contains(READ_ONLY) && message.contains("nothing has changed"),
            "{message}"
        );
        assert_eq!(served.try_login(ROOT.1).await, 503);
        if touches {
            let all = with_controller(json!({"folders": [{"folder": "/"}]}));
            unavailable(&served.post(new, "/orders/cancel/preview", &all).await);
        }
        let add = json!({"orders": [{"workflowPath": "/sos/eod", "orderName": "n"}]});
        unavailable(&served.post(known, "/orders/add", &with_controller(add)).await);
        assert!(unavailable(&served.page("/ready").await).contains(READ_ONLY));
        assert_eq!(served.page("/health").await.status, 200);
        told
    }
}

/// With an order.
async fn filled(db: Database) -> Database {
    db.insert(&[Order::new("a")]).await;
    db
}

/// What holds afterwards, without a restart.
async fn recovers(mut served: Served, db: &Database, mut told: Vec<super::Told>) {
    becomes_ready(&served, 200, SOON).await;
    let token = served.login().await;
    told.push(works(&mut served, db, &token, "afterwards").await);
    let outcomes = compare(db, &told).await;
    assert_eq!((outcomes.done, outcomes.unsettled), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_when_postgresql_is_set_read_only() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let db = filled(Database::of(&cluster).await).await;
    let served = Served::over(&db, &[]);
    let tokens = Tokens::of(&served).await;
    let set = async |sql: &str| {
        db.execute(sql).await.unwrap();
        db.execute("SELECT pg_reload_conf()").await.unwrap();
        let expected = if sql.contains("RESET") { "off" } else { "on" };
        let show = "SHOW default_transaction_read_only";
        until(sql, async || db.rows(show).await.unwrap()[0][0].as_deref() == Some(expected)).await;
    };
    set("ALTER SYSTEM SET default_transaction_read_only = on").await;
    becomes_ready(&served, 503, SOON).await;
    let told = tokens.are_refused(&served, "told-so", true).await;
    set("ALTER SYSTEM RESET default_transaction_read_only").await;
    recovers(served, &db, vec![told]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_when_new_database_sessions_are_read_only() {
    let db = filled(Database::create(Kind::Postgres).await).await;
    // The service has a role of its own, so that the test itself can write.
    let role = format!("service_of_{}", db.owner.rsplit_once('/').unwrap().1);
    db.execute(&format!("CREATE ROLE {role} LOGIN SUPERUSER")).await.unwrap();
    let mut command = program(&db.owner.replace("postgres@", &format!("{role}@")));
    command.env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1);
    let served = tokio::task::block_in_place(|| Served::start(command));
    let tokens = Tokens::of(&served).await;
    let alter = async |sql: &str| db.execute(&format!("ALTER ROLE {role} {sql}")).await.unwrap();
    alter("SET default_transaction_read_only = on").await;
    let end = format!(
        "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE usename = '{role}'"
    );
    db.rows(&end).await.unwrap();
    becomes_ready(&served, 503, SOON).await;
    let told = tokens.are_refused(&served, "new-sessions", true).await;
    // Existing sessions stay as they are.
    alter("RESET default_transaction_read_only").await;
    recovers(served, &db, vec![told]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_after_a_detour_to_a_standby() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let db = filled(Database::of(&cluster).await).await;
    let (proxy, served) = behind_proxy(&db, &[]).await;
    let tokens = Tokens::of(&served).await;
    let standby = tokio::task::block_in_place(|| cluster.standby());
    proxy.lead_to(&standby);
    proxy.cut();
    becomes_ready(&served, 503, SOON).await;
    let told = tokens.are_refused(&served, "standby", false).await;
    // Connections to the standby stay open.
    proxy.lead_to(&db.url);
    recovers(served, &db, vec![told]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_from_a_read_only_disk() {
    let db = filled(Database::create(Kind::Sqlite).await).await;
    let (faults, served) = tokio::task::block_in_place(|| Faults::under(&db, &[], 0));
    let tokens = Tokens::of(&served).await;
    let mut told = Vec::new();
    faults.forbid_writing(true);
    // The first finds a file opened for writing, the later ones one that cannot be.
    for round in ["once", "twice", "thrice"] {
        told.push(tokens.are_refused(&served, round, false).await);
        let list = served.post(&tokens.0[0], "/orders", &with_controller(json!({}))).await.ok();
        assert_eq!(list["orders"].as_array().unwrap().len(), 1);
    }
    faults.forbid_writing(false);
    recovers(served, &db, told).await;
}

/// On SQLite: `refused::recovers_from_a_full_disk`.
#[tokio::test(flavor = "multi_thread")]
async fn recovers_when_postgresql_has_no_space_left() {
    let db = filled(Database::create(Kind::Postgres).await).await;
    let mut served = Served::over(&db, &[]);
    let token = session(&served).await;
    db.execute(
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END$$;
         CREATE TRIGGER is_full BEFORE INSERT ON audit_logs EXECUTE FUNCTION no_room()",
    )
    .await
    .unwrap();
    assert_eq!(served.page("/ready").await.status, 200);
    let told = cancel(&served, &token, "full", &["a".into()], None).await;
    assert!(unavailable(&told.answer).contains("no room left, nothing has changed"));
    assert!(unavailable(&served.page("/ready").await).contains("no room left"));
    db.execute("DROP TRIGGER is_full ON audit_logs; DROP FUNCTION no_room").await.unwrap();
    becomes_ready(&served, 200, SOON).await;
    works(&mut served, &db, &token, "afterwards").await;
    agrees(&db).await;
}
