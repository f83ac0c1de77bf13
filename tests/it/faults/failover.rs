//! The primary dies under load, its synchronous standby is promoted, and a proxy leads there, as
//! Patroni and HAProxy do it.

use std::time::Instant;

use super::{Clients, agrees, becomes_ready, behind_proxy, compare, works};
use crate::harness::{Cluster, Database, PATIENCE, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_loses_no_acknowledged_change() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let old = Database::of(&cluster).await;
    let clients = Clients::with(&old, 20_000).await;
    let standby = tokio::task::block_in_place(|| cluster.standby());
    old.execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await.unwrap();
    old.execute("SELECT pg_reload_conf()").await.unwrap();
    let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    until("the standby is synchronous", async || old.count(synchronous).await == 1).await;

    let (proxy, mut served) = behind_proxy(&old, &["--seal-every", "1"]).await;
    let token = served.login().await;
    let new = Database::reached(&standby).await;
    let operator = async {
        clients.call(200).await;
        let killed = Instant::now();
        tokio::task::block_in_place(|| cluster.tell("QUIT"));
        // The clients hear of it.
        clients.call(10).await;
        new.rows("SELECT pg_promote()::text").await.unwrap();
        let promoted = Instant::now();
        proxy.lead_to(&standby);
        becomes_ready(&served, 200, PATIENCE).await;
        let (since_promotion, since_kill) = (promoted.elapsed(), killed.elapsed());
        eprintln!("ready {since_promotion:?} after the promotion, {since_kill:?} after the kill");
        clients.call(200).await;
        clients.stop();
    };
    let (mut told, ()) = tokio::join!(clients.cancel(&served, &token, 8), operator);
    told.push(works(&mut served, &new, &token, "afterwards").await);
    let outcomes = compare(&new, &told).await;
    eprintln!("{outcomes:?}");
    assert!(outcomes.done > 300 && outcomes.refused + outcomes.unsettled > 0, "{outcomes:?}");

    // The trail is sealed on the new primary, and the seals from before hold.
    let unsealed =
        "SELECT (SELECT count(*) FROM audit_logs) - (SELECT sum(entries)::bigint FROM audit_seals)";
    until("all is sealed", async || new.count(unsealed).await == 0).await;
    agrees(&new).await;
}
