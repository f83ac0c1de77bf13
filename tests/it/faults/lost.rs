//! Connections to PostgreSQL are lost silently, as when a firewall drops them or a cable is pulled,
//! and a replica stops with its connections open.

use std::time::{Duration, Instant};

use serde_json::json;

use super::proxy::When;
use super::{
    Told, UNSETTLED, agrees, becomes_ready, behind_proxy, cancel, compare, session, unavailable,
    works,
};
use crate::citus::is_routed;
use crate::harness::{
    CONTROLLER, Database, Kind, Order, Response, Served, WAIT_FOR_ROWS, until, with_controller,
};

/// The longest that a change with a lost connection takes: 5 seconds until the service looks, 10 in
/// which it cannot reach the server, 10 in which it cannot learn the outcome, and a bit for other
/// tests.
const LONGEST: Duration = Duration::from_secs(25 + 35);

/// How long it takes.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    (work.await, started.elapsed())
}

/// Adds an order.
async fn add(served: &Served, token: &str) -> Response {
    let order = json!({"workflowPath": "/sos/eod", "orderName": "n"});
    served.post(token, "/orders/add", &with_controller(json!({"orders": [order]}))).await
}

/// Waits until a query counts this many.
async fn until_counted(db: &Database, sql: &str, expected: i64) {
    until(sql, async || db.count(sql).await == expected).await;
}

/// How many of the service's transactions hold locks and are idle.
const IDLE: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'joc-orders'
    AND datname = current_database() AND state LIKE 'idle in transaction%'";

#[tokio::test(flavor = "multi_thread")]
async fn changes_in_flight_match_what_their_clients_are_told() {
    let db = Database::create(Kind::Postgres).await;
    let ids: Vec<String> = ["a", "b", "c"].map(Into::into).into();
    db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
    let (proxy, mut served) = behind_proxy(&db, &[]).await;
    let token = session(&served).await;
    let lost = async || until("connections are lost", async || proxy.has_cut()).await;
    let is_routed = is_routed(&db).await;
    let mark = |request_id: &'static str| -> &'static [u8] {
        if is_routed { b"COMMIT" } else { request_id.as_bytes() }
    };
    proxy.arm(When::LostBefore, mark("before"));
    let before = timed(cancel(&served, &token, "before", &ids[..1], None));
    let rest = async {
        lost().await;
        proxy.arm(When::LostAfter, mark("after"));
        let after = timed(cancel(&served, &token, "after", &ids[1..2], None));
        let rest = async {
            lost().await;
            // Its transaction has written, and locks the controller's row.
            proxy.arm(When::LostBefore, b"COMMIT");
            let added = timed(add(&served, &token));
            let rest = async {
                lost().await;
                timed(add(&served, &token)).await
            };
            tokio::join!(added, rest)
        };
        tokio::join!(after, rest)
    };
    let ((before, b), ((after, a), ((added, c), (next, d)))) = tokio::join!(before, rest);
    assert!([a, b, c, d].iter().max().unwrap() < &LONGEST, "{a:?} {b:?} {c:?} {d:?}");
    assert!(!unavailable(&before.answer).contains(UNSETTLED));
    assert_eq!(after.answer.affected(), 1);
    assert!(!unavailable(&added).contains(UNSETTLED));
    next.ok();
    assert_eq!(db.count("SELECT count(*) FROM orders WHERE order_id LIKE '%-n'").await, 1);
    assert_eq!(db.count(IDLE).await, 0);
    let told = [before, after, works(&mut served, &db, &token, "afterwards").await];
    let outcomes = compare(&db, &told).await;
    assert_eq!((outcomes.done, outcomes.refused), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_from_a_network_that_loses_everything() {
    let db = Database::create(Kind::Postgres).await;
    let ids: Vec<String> = (0..6).map(|i| format!("order {i}")).collect();
    db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
    let args = ["--request-timeout", "12", "--seal-every", "1"];
    let (proxy, mut served) = behind_proxy(&db, &args).await;
    let token = session(&served).await;
    let all = with_controller(json!({"folders": [{"folder": "/"}]}));
    // Connections that will be idle.
    for _ in 0..3 {
        let lists = (0..3).map(|_| served.post(&token, "/orders", &all));
        futures_util::future::join_all(lists).await;
    }
    // One change waits for an order, and another finishes without the service hearing of it.
    let mut order =
        db.lock("BEGIN; SELECT 1 FROM orders WHERE order_id = 'order 0' FOR UPDATE").await;
    let call = |i: usize| {
        let (served, token, ids) = (&served, &token, &ids);
        timed(async move { cancel(served, token, &format!("call-{i}"), &ids[i..=i], None).await })
    };
    let under_way = call(0);
    let network = async {
        until_counted(&db, WAIT_FOR_ROWS, 1).await;
        proxy.lose(true);
        let ready = timed(served.page("/ready")).await;
        let meanwhile = async {
            tokio::join!(
                call(1),
                call(2),
                timed(served.post(&token, "/orders", &all)),
                timed(served.try_login("any")),
            )
        };
        let (meanwhile, ()) = tokio::join!(meanwhile, async {
            tokio::time::sleep(Duration::from_secs(6)).await;
            // The server commits it, and nobody hears of it.
            order.execute("COMMIT").await;
        });
        (ready, meanwhile)
    };
    let (under_way, ((ready, probed), ((one, a), (two, b), (list, c), (login, d)))) =
        tokio::join!(under_way, network);
    unavailable(&ready);
    assert!(probed < Duration::from_secs(3 * (3 + 5)), "{probed:?}");
    for answer in [&one.answer, &two.answer, &list] {
        assert!(!unavailable(answer).contains(UNSETTLED));
    }
    assert_eq!(login, 503);
    assert!(
        [a, b, c, d].iter().max().unwrap() < &Duration::from_secs(12 + 3 * 8),
        "{a:?} {b:?} {c:?} {d:?}"
    );
    let (under_way, elapsed) = under_way;
    // Several statements have not been committed by then.
    let is_routed = is_routed(&db).await;
    let is_unsettled = unavailable(&under_way.answer).contains(UNSETTLED);
    assert_eq!(is_unsettled, !is_routed, "{}", under_way.answer.text);
    assert!(elapsed < LONGEST, "{elapsed:?}");

    proxy.lose(false);
    becomes_ready(&served, 200, LONGEST).await;
    let (next, elapsed) = call(3).await;
    assert_eq!(next.answer.affected(), 1);
    assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
    served.login().await;
    served.post(&token, "/orders", &all).await.ok();
    until_counted(&db, IDLE, 0).await;
    // If the network is fine, losing connections again is only a pause.
    proxy.lose(true);
    proxy.lose(false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (again, elapsed) = call(4).await;
    assert_eq!(again.answer.affected(), 1);
    assert!(elapsed < Duration::from_secs(30), "{elapsed:?}");
    assert_eq!(served.page("/ready").await.status, 200);
    let told =
        vec![under_way, one, two, next, again, works(&mut served, &db, &token, "last").await];
    let outcomes = compare(&db, &told).await;
    let expected = if is_routed { (3, 3, 0) } else { (3, 2, 1) };
    assert_eq!((outcomes.done, outcomes.refused, outcomes.unsettled), expected);
    // The sealer has lost its connection as well.
    until_counted(
        &db,
        "SELECT count(*) - (SELECT coalesce(sum(entries), 0) FROM audit_seals) FROM audit_logs",
        0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_replica_blocks_others_only_for_seconds() {
    let db = Database::create(Kind::Postgres).await;
    let ids: Vec<String> = (0..4).map(|i| format!("order {i}")).collect();
    db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
    let [paused, mut served] =
        [(); 2].map(|()| Served::over(&db, &["--database-connections", "4"]));
    let token = session(&served).await;
    session(&paused).await;

    // The replica is stopped while it holds the lock on its controller's row.
    let mut workflow = db.lock("BEGIN; SELECT 1 FROM workflows FOR UPDATE").await;
    let stopped = add(&paused, &token);
    let others = async {
        until_counted(&db, WAIT_FOR_ROWS, 1).await;
        paused.signal("-STOP");
        workflow.execute("COMMIT").await;
        until_counted(&db, IDLE, 1).await;
        // More than there are connections for changes.
        let adds = futures_util::future::join_all((0..3).map(|_| add(&served, &token)));
        let cancels = ids.iter().map(async |id| {
            cancel(
                &served,
                &token,
                &format!("cancel {id}").replace(' ', "-"),
                std::slice::from_ref(id),
                None,
            )
            .await
        });
        let ((adds, told), elapsed) =
            timed(async { tokio::join!(adds, futures_util::future::join_all(cancels)) }).await;
        assert!(elapsed < Duration::from_secs(3 * (5 + 5)), "{elapsed:?}");
        for answer in adds {
            answer.ok();
        }
        paused.signal("-CONT");
        told
    };
    let (stopped, told): (Response, Vec<Told>) = tokio::join!(stopped, others);
    assert!(!unavailable(&stopped).contains(UNSETTLED));
    let outcomes = compare(&db, &told).await;
    assert_eq!(outcomes.done, ids.len());
    let added = format!(
        "SELECT count(*) FROM orders WHERE controller_id = '{CONTROLLER}' AND order_id LIKE '%-n'"
    );
    assert_eq!(db.count(&added).await, 3);
    becomes_ready(&paused, 200, LONGEST).await;
    add(&paused, &token).await.ok();
    works(&mut served, &db, &token, "afterwards").await;
    agrees(&db).await;
}
