//! A read replica that lags, is lost, or lacks a migration.

use std::time::Duration;

use chrono::{DateTime, Utc};
use joc_orders::store;
use serde_json::json;

use super::agrees;
use super::proxy::Proxy;
use crate::harness::{
    Cluster, Database, Kind, Order, ROOT, Served, latest, launch, program, until, with_controller,
};

/// A primary and its standby.
async fn pair() -> (Cluster, Database, Database) {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let primary = Database::of(&cluster).await;
    let standby = tokio::task::block_in_place(|| cluster.standby());
    let standby = Database::reached(&standby).await;
    (cluster, primary, standby)
}

/// A service that reads from the replica.
fn reading(primary: &Database, replica: &str, args: &[&str]) -> Served {
    let mut command = program(&primary.url);
    command.args(["--database-read-url", replica]).args(args);
    command.env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1);
    tokio::task::block_in_place(|| Served::start(command))
}

/// A value of `/metrics`.
async fn metric(served: &Served, name: &str) -> f64 {
    let page = served.page("/metrics").await.text;
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().unwrap())
}

const FROM_REPLICA: &str = r#"joc_orders_reads_total{server="replica"}"#;
const LAG: &str = "joc_orders_replica_lag_seconds";

/// The ids of all orders that are listed, and the instant to which the list is current.
async fn listed(served: &Served, token: &str) -> (Vec<String>, DateTime<Utc>) {
    let list = served.post(token, "/orders", &with_controller(json!({}))).await.ok();
    let ids = list["orders"].as_array().unwrap().iter();
    let ids = ids.map(|order| order["orderId"].as_str().unwrap().to_owned()).collect();
    (ids, list["surveyDate"].as_str().unwrap().parse().unwrap())
}

/// Waits until a list comes from the replica.
async fn until_read(served: &Served, token: &str) {
    until("a list from the replica", async || {
        let before = metric(served, FROM_REPLICA).await;
        listed(served, token).await;
        metric(served, FROM_REPLICA).await > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_from_a_replica_that_has_what_the_account_should_see() {
    let (_cluster, primary, standby) = pair().await;
    primary.insert(&["a", "b"].map(Order::new)).await;
    let served = reading(&primary, &standby.url, &["--database-read-lag", "4"]);
    let add = ["account", "add", "other", "--role", "all"];
    launch(&primary.url, &add, "other-password\n").await.ok();
    let token = served.login().await;
    let other = served.login_as("other", "other-password").await;
    until_read(&served, &token).await;
    assert!(metric(&served, LAG).await < 2.0);

    standby.rows("SELECT pg_wal_replay_pause()::text").await.unwrap();
    // A sample from before the pause may still make it younger.
    tokio::time::sleep(Duration::from_millis(500)).await;
    primary.insert(&[Order::new("late")]).await;
    // Only from now on does every sample of the primary include it.
    let inserted = Utc::now();
    let (ids, current_to) = listed(&served, &token).await;
    assert_eq!(ids, ["a", "b"]);
    assert!(current_to < inserted, "{current_to} {inserted}");

    // Who has changed something sees it at once, and everybody's preview is of the primary.
    let cancelled = with_controller(json!({"orderIds": ["a"]}));
    let affected = served.post(&token, "/orders/cancel", &cancelled).await.affected();
    assert_eq!(affected, 1);
    assert_eq!(listed(&served, &token).await.0, ["b", "late"]);
    let trail = served.post(&token, "/audit_log", &with_controller(json!({}))).await.ok();
    assert_eq!(trail["auditLog"].as_array().unwrap().len(), 1);
    let order = |id: &str| with_controller(json!({"orderId": id}));
    assert_eq!(served.post(&token, "/order", &order("late")).await.ok()["orderId"], "late");
    let (ids, current_to) = listed(&served, &other).await;
    assert_eq!(ids, ["a", "b"]);
    assert!(current_to < inserted);
    served.post(&other, "/order", &order("late")).await.not_found();
    let all = with_controller(json!({"folders": [{"folder": "/"}]}));
    let preview = served.post(&other, "/orders/cancel/preview", &all).await.ok();
    assert_eq!(preview["total"], 2);

    // Too old for everybody.
    until("the limit passes", async || listed(&served, &other).await.0 == ["b", "late"]).await;
    assert!(metric(&served, LAG).await > 4.0);
    standby.rows("SELECT pg_wal_replay_resume()::text").await.unwrap();
    for token in [&token, &other] {
        until_read(&served, token).await;
        let (ids, current_to) = listed(&served, token).await;
        assert_eq!(ids, ["b", "late"]);
        assert!(current_to > inserted);
    }
    agrees(&standby).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_replica_is_replaced_by_the_primary() {
    let (_cluster, primary, standby) = pair().await;
    primary.insert(&["a", "b"].map(Order::new)).await;
    let proxy = Proxy::to(&standby.url).await;
    let served = reading(&primary, &proxy.url, &[]);
    let token = served.login().await;
    until_read(&served, &token).await;
    // Broken connections, a network that is silent, and a server that is not the replica.
    proxy.cut();
    assert_eq!(listed(&served, &token).await.0, ["a", "b"]);
    until_read(&served, &token).await;
    proxy.lose(true);
    for _ in 0..3 {
        assert_eq!(listed(&served, &token).await.0, ["a", "b"]);
    }
    served.until_logged("the read replica cannot be used", 1).await;
    let before = metric(&served, FROM_REPLICA).await;
    assert_eq!(listed(&served, &token).await.0, ["a", "b"]);
    assert_eq!(metric(&served, FROM_REPLICA).await, before);
    assert_eq!(served.page("/ready").await.status, 200);
    proxy.lose(false);
    until_read(&served, &token).await;
    let stranger = Database::create(Kind::Postgres).await;
    proxy.lead_to(&stranger.url);
    proxy.cut();
    for _ in 0..20 {
        assert_eq!(listed(&served, &token).await.0, ["a", "b"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    proxy.lead_to(&standby.url);
    proxy.cut();
    until_read(&served, &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lacks_a_migration_waits_for_it() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let primary = Database::of(&cluster).await.into_owner();
    primary.insert(&[Order::new("a")]).await;
    store::migrate(&primary.owner, Some(latest() - 1)).await.unwrap();
    let standby = tokio::task::block_in_place(|| cluster.standby());
    let standby = Database::reached(&standby).await;
    standby.rows("SELECT pg_wal_replay_pause()::text").await.unwrap();
    let served = reading(&primary, &standby.url, &[]);
    assert!(served.log().contains("has not run"), "{}", served.log());
    let token = served.login().await;
    assert_eq!(listed(&served, &token).await.0, ["a"]);
    assert_eq!(metric(&served, FROM_REPLICA).await, 0.0);
    standby.rows("SELECT pg_wal_replay_resume()::text").await.unwrap();
    until_read(&served, &token).await;
    assert_eq!(listed(&served, &token).await.0, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_url_that_names_no_replica_is_refused() {
    let [sqlite, postgres, other] = [
        Database::create(Kind::Sqlite).await,
        Database::create(Kind::Postgres).await,
        Database::create(Kind::Postgres).await,
    ];
    for (database, read_url, problem) in [
        (&sqlite, &*postgres.url, "only PostgreSQL has read replicas"),
        (&postgres, &*sqlite.url, "must be a PostgreSQL"),
        (&postgres, "postgres:", "// is missing"),
        (&postgres, &*other.url, "it is no replica of this database"),
    ] {
        let mut command = program(&database.url);
        command.args(["--database-read-url", read_url]);
        let log = tokio::task::block_in_place(|| Served::launch(command)).err().unwrap();
        assert!(log.contains("JOC_ORDERS_DATABASE_READ_URL: ") && log.contains(problem), "{log}");
    }
    // The primary itself is always current.
    postgres.insert(&[Order::new("a")]).await;
    let served = reading(&postgres, &postgres.url, &[]);
    let token = served.login().await;
    until_read(&served, &token).await;
    assert_eq!(listed(&served, &token).await.0, ["a"]);
}
