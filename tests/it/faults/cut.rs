//! The connection to PostgreSQL breaks in the middle of requests.

use std::time::{Duration, Instant};

use serde_json::json;

use super::proxy::When;
use super::{
    Clients, Told, UNSETTLED, agrees, behind_proxy, cancel, compare, session, unavailable, works,
};
use crate::citus::is_routed;
use crate::harness::{CONTROLLER, Database, Kind, Order, until, with_controller};

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_matches_what_its_client_is_told() {
    let db = Database::create(Kind::Postgres).await;
    let ids: Vec<String> = ["a", "b", "c", "d", "e"].map(Into::into).into();
    db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
    let (proxy, mut served) = behind_proxy(&db, &[]).await;
    let token = session(&served).await;
    let is_routed = is_routed(&db).await;
    let mut told = Vec::new();

    // The second time the statement is already prepared.
    for (id, when, request_id) in [
        (0, When::Before, "before-1"),
        (0, When::Before, "before-2"),
        (0, When::After, "after-1"),
        (1, When::After, "after-2"),
    ] {
        proxy.arm(when, if is_routed { b"COMMIT" } else { request_id.as_bytes() });
        let call = cancel(&served, &token, request_id, &ids[id..=id], None).await;
        assert!(proxy.has_cut());
        match when {
            When::Before => drop(unavailable(&call.answer)),
            _ => assert_eq!(call.answer.affected(), 1, "{request_id}"),
        }
        told.push(call);
    }

    // No data passes any more, while the server waits for an order. By then the client has been
    // told that nothing changed, so nothing must.
    let mut order = db.lock("BEGIN; SELECT 1 FROM orders WHERE order_id = 'c' FOR UPDATE").await;
    // What selects orders has the order's id in an array.
    proxy.arm(When::During, if is_routed { b"\0\0\0\x01c" } else { b"during" });
    let call = cancel(&served, &token, "during", &ids[2..3], None).await;
    assert!(!unavailable(&call.answer).contains(UNSETTLED), "{}", call.answer.text);
    order.execute("COMMIT").await;
    told.push(call);

    // It has started to write, and continues when it can, unless the server first notices that its
    // client is gone. The client learns the outcome.
    db.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END';
         CREATE TRIGGER waits AFTER INSERT ON audit_log_details EXECUTE FUNCTION wait()",
    )
    .await
    .unwrap();
    for (id, request_id, seconds) in [(3, "writes", 0), (4, "writes-for-long", 12)] {
        let mut trail = db.lock("BEGIN; SELECT pg_advisory_xact_lock(42)").await;
        let call = cancel(&served, &token, request_id, &ids[id..=id], None);
        let (call, ()) = tokio::join!(call, async {
            let waiting = "SELECT count(*) FROM pg_locks WHERE objid = 42 AND NOT granted";
            until("it waits", async || db.count(waiting).await > 0).await;
            proxy.cut();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            trail.execute("COMMIT").await;
        });
        told.push(call);
    }
    // `check` would report a trigger that is not from the migrations.
    db.execute("DROP TRIGGER waits ON audit_log_details").await.unwrap();
    until_idle(&db).await;
    assert_eq!(lost(&told), [""; 0]);
    let cancelled: &[&str] = if is_routed { &["a", "b"] } else { &["a", "b", "d"] };
    assert_eq!(db.ids_in("CANCELLED").await, cancelled);

    told.push(works(&mut served, &db, &token, "afterwards").await);
    let outcomes = compare(&db, &told).await;
    let expected = if is_routed { (3, 5, 0) } else { (4, 4, 0) };
    assert_eq!((outcomes.done, outcomes.refused, outcomes.unsettled), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn added_orders_are_added_once() {
    let db = Database::create(Kind::Postgres).await;
    db.insert(&[Order::new("a")]).await;
    let (proxy, mut served) = behind_proxy(&db, &[]).await;
    let add = with_controller(json!({"orders": [{"workflowPath": "/sos/eod", "orderName": "n"}]}));
    let added = "SELECT count(*) FROM orders WHERE order_id LIKE '%-n'";
    for (when, expected) in [(When::Before, 0), (When::After, 1)] {
        let token = session(&served).await;
        proxy.arm(when, b"COMMIT");
        let answer = served.post(&token, "/orders/add", &add).await;
        assert!(proxy.has_cut());
        assert_eq!(db.count(added).await, expected);
        if when == When::Before {
            unavailable(&answer);
        } else {
            let id = answer.ok()["orderIds"][0].as_str().unwrap().to_owned();
            assert_eq!(db.state(&id).await, "FRESH");
            let entry = format!(
                "SELECT count(*) FROM audit_logs WHERE id = {} AND controller_id = '{CONTROLLER}'
                     AND affected = 1",
                answer.headers["x-audit-log-id"].to_str().unwrap()
            );
            assert_eq!(db.count(&entry).await, 1);
        }
    }
    let token = session(&served).await;
    works(&mut served, &db, &token, "afterwards").await;
    agrees(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_keep_breaking_lose_nothing() {
    let db = Database::create(Kind::Postgres).await;
    let clients = Clients::with(&db, 10_000).await;
    let (proxy, mut served) = behind_proxy(&db, &["--database-connections", "6"]).await;
    let token = served.login().await;
    let chaos = async {
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(rand::random_range(20..150))).await;
            if rand::random() {
                proxy.cut();
            } else {
                db.rows(
                    "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name = 'joc-orders'
                         AND random() < 0.5",
                )
                .await
                .unwrap();
            }
        }
        // A connection that was just used is trusted: only a request notices the last break.
        clients.call(30).await;
        clients.stop();
    };
    let (mut told, ()) = tokio::join!(clients.cancel(&served, &token, 6), chaos);
    told.push(works(&mut served, &db, &token, "afterwards").await);
    until_idle(&db).await;
    let outcomes = compare(&db, &told).await;
    eprintln!("{outcomes:?}");
    assert!(outcomes.done > 10 && outcomes.refused > 0, "{outcomes:?}");
    assert_eq!(outcomes.unsettled, 0, "{:?}", lost(&told));
}

/// Waits until the service's connections are idle.
async fn until_idle(db: &Database) {
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle'
                AND datname = current_database() AND pid <> pg_backend_pid()";
    until("connections are idle", async || db.count(busy).await == 0).await;
}

fn lost(told: &[Told]) -> Vec<&str> {
    let lost = told.iter().filter(|told| told.answer.text.contains(UNSETTLED));
    lost.map(|told| told.request_id.as_str()).collect()
}
