//! Synchronous replication: the primary dies under load, its standby is promoted, and a proxy leads
//! there, as Patroni and HAProxy do it; and a commit that waits for its standby is interrupted.

use std::time::Instant;

use super::{
    Clients, UNSETTLED, agrees, becomes_ready, behind_proxy, cancel, compare, session, unavailable,
    works,
};
use crate::citus::is_routed;
use crate::harness::{Cluster, Database, Order, PATIENCE, Served, until};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_no_standby_has_is_not_acknowledged() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let db = Database::of(&cluster).await;
    db.insert(&["a", "b"].map(Order::new)).await;
    let is_routed = is_routed(&db).await;
    let mut served = Served::over(&db, &["--seal-every", "3600"]);
    let require = async |standby: &str| {
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'");
        db.execute(&sql).await.unwrap();
        db.execute("SELECT pg_reload_conf()").await.unwrap();
        let show = "SHOW synchronous_standby_names";
        until(show, async || db.rows(show).await.unwrap()[0][0].as_deref() == Some(standby)).await;
    };
    let waiting = async |statement: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'
                 AND query LIKE '%{statement}%'"
        );
        until(&sql, async || db.count(&sql).await == 1).await;
    };
    let end = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
               WHERE wait_event = 'SyncRep'";

    // The server commits a change locally when its connection ends, and shows it.
    let mut told = Vec::new();
    for (id, returns) in [("a", false), ("b", true)] {
        let token = session(&served).await;
        require("missing").await;
        let orders = [id.to_owned()];
        let call = cancel(&served, &token, id, &orders, None);
        let (call, ()) = tokio::join!(call, async {
            waiting(if is_routed { "COMMIT" } else { "chosen" }).await;
            db.rows(end).await.unwrap();
            waiting("pg_logical_emit_message").await;
            if returns {
                require("").await;
            }
        });
        require("").await;
        if returns {
            assert_eq!(call.answer.affected(), 1);
        } else {
            let message = unavailable(&call.answer);
            assert!(message.contains(UNSETTLED), "{message}");
        }
        told.push(call);
    }
    let token = session(&served).await;
    told.push(works(&mut served, &db, &token, "afterwards").await);
    let outcomes = compare(&db, &told).await;
    assert_eq!((outcomes.done, outcomes.unsettled), (2, 1));
}
