//! The database is there but does not let the service work: no free connection, a locked file, a
//! full disk.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::shim::Faults;
use super::{Clients, agrees, becomes_ready, cancel, compare, unavailable, works};
use crate::harness::{Database, Kind, Order, Served, launch, with_controller};

/// How long a request may wait for the database, and a bit.
const PATIENCE: Duration = Duration::from_secs(13);

/// Every order.
fn all() -> Value {
    with_controller(json!({"folders": [{"folder": "/"}]}))
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_when_no_connection_is_free() {
    // Two for changes, one for everything else.
    const CONNECTIONS: usize = 3;
    const CHANGES: usize = 2;
    let db = Database::create(Kind::Postgres).await;
    let ids: Vec<String> = (0..CHANGES + 3).map(|i| format!("order {i}")).collect();
    db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
    let connections = CONNECTIONS.to_string();
    let mut served = Served::over(&db, &["--database-connections", &connections]);
    let token = served.login().await;
    // One account leaves a connection to others.
    let add = ["account", "add", "other", "--role", "all"];
    launch(&db.url, &add, "a-password\n").await.ok();
    let other = served.login_as("other", "a-password").await;
    served.post(&token, "/orders/cancel/preview", &all()).await.ok();

    let mut lock = db.lock("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await;
    let call = async |i: usize| {
        let started = Instant::now();
        let token = if i.is_multiple_of(2) { &token } else { &other };
        let told = cancel(&served, token, &format!("call-{i}"), &ids[i..=i], None).await;
        (told, started.elapsed())
    };
    let all = all();
    let blocked = futures_util::future::join_all((0..CHANGES).map(call));
    let waiting = async |expected: usize| {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                       AND datname = current_database()";
        while db.count(waiting).await != expected as i64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let blocked_list = async {
        waiting(CHANGES).await;
        served.post(&token, "/orders", &all).await.ok()
    };
    let others = async {
        waiting(CONNECTIONS).await;
        let (refused, list, login, ready) = tokio::join!(
            futures_util::future::join_all((CHANGES..ids.len()).map(call)),
            served.post(&token, "/orders", &all),
            served.try_login("any"),
            served.page("/ready"),
        );
        unavailable(&list);
        unavailable(&ready);
        assert_eq!(login, 503);
        assert_eq!(served.page("/health").await.status, 200);
        lock.execute("COMMIT").await;
        refused
    };
    let (blocked, list, refused) = tokio::join!(blocked, blocked_list, others);
    assert!(list["orders"].is_array(), "{list}");
    for (told, elapsed) in &refused {
        unavailable(&told.answer);
        assert!(*elapsed < PATIENCE, "{elapsed:?}");
    }
    let mut told: Vec<_> = blocked.into_iter().chain(refused).map(|(told, _)| told).collect();
    told.push(works(&mut served, &db, &token, "afterwards").await);
    let outcomes = compare(&db, &told).await;
    assert_eq!((outcomes.done, outcomes.refused), (CHANGES + 1, 3));
    assert_eq!(served.page("/ready").await.status, 200);
}

/// Another process holds the file's write lock longer than a request waits.
async fn locked(begin: &str) {
    let db = Database::create(Kind::Sqlite).await;
    let ids: Vec<String> = (0..4).map(|i| format!("order {i}")).collect();
    db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
    let mut served = Served::over(&db, &[]);
    let token = served.login().await;

    let mut lock = db.lock(begin).await;
    let started = Instant::now();
    let calls = ids.iter().enumerate().map(async |(i, id)| {
        // One after another, so that they do not wait as one.
        tokio::time::sleep(Duration::from_millis(300 * i as u64)).await;
        cancel(&served, &token, &format!("call-{i}"), std::slice::from_ref(id), None).await
    });
    let reads = async {
        while started.elapsed() < Duration::from_secs(5) {
            let list = served.post(&token, "/orders", &all()).await.ok();
            assert_eq!(list["orders"].as_array().unwrap().len(), ids.len());
            served.post(&token, "/orders/cancel/preview", &all()).await.ok();
            assert_eq!(served.page("/ready").await.status, 200);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let (mut told, ()) = tokio::join!(futures_util::future::join_all(calls), reads);
    for told in &told {
        unavailable(&told.answer);
    }
    assert!(started.elapsed() < 2 * PATIENCE, "{:?}", started.elapsed());
    lock.execute("ROLLBACK").await;
    told.push(works(&mut served, &db, &token, "afterwards").await);
    told.push(cancel(&served, &token, "again", &ids, None).await);
    let outcomes = compare(&db, &told).await;
    assert_eq!((outcomes.done, outcomes.refused), (2, ids.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_from_a_locked_file() {
    locked("BEGIN IMMEDIATE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_from_an_exclusively_locked_file() {
    locked("BEGIN EXCLUSIVE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_from_a_full_disk() {
    let db = Database::create(Kind::Sqlite).await;
    let clients = Clients::with(&db, 4000).await;
    let big: Vec<String> = (0..5000).map(|i| format!("big {i:05}")).collect();
    db.insert(&big.iter().map(|id| Order::new(id).workflow("/big/job", "1")).collect::<Vec<_>>())
        .await;
    let (faults, mut served) = Faults::under(&db, &[], 0);
    let token = served.login().await;
    let fields = || Some(json!({"folders": [{"folder": "/big"}]}));

    faults.fill_disk(true);
    let alone = cancel(&served, &token, "full", &big, fields()).await;
    let message = unavailable(&alone.answer);
    assert!(message.contains("no room left, nothing has changed"), "{message}");
    faults.fill_disk(false);

    let operator = async {
        let mut told = vec![alone];
        for round in 0..3 {
            clients.call(10).await;
            faults.fill_disk(true);
            let call = cancel(&served, &token, &format!("full-{round}"), &big, fields()).await;
            unavailable(&call.answer);
            told.push(call);
            let list = served.post(&token, "/orders", &all()).await.ok();
            assert!(list["orders"].as_array().unwrap().len() >= big.len());
            assert!(unavailable(&served.page("/ready").await).contains("no room left"));
            clients.call(10).await;
            faults.fill_disk(false);
        }
        told.push(cancel(&served, &token, "room", &big, fields()).await);
        clients.call(10).await;
        clients.stop();
        told
    };
    let (mut told, operators) = tokio::join!(clients.cancel(&served, &token, 4), operator);
    assert_eq!(operators.last().unwrap().answer.affected() as usize, big.len());
    told.extend(operators);
    told.push(works(&mut served, &db, &token, "afterwards").await);
    let outcomes = compare(&db, &told).await;
    eprintln!("{outcomes:?}");
    assert!(outcomes.done > 10 && outcomes.refused >= 4, "{outcomes:?}");
    assert_eq!(outcomes.unsettled, 0);
    becomes_ready(&served, 200, PATIENCE).await;
    assert_eq!(db.rows("PRAGMA integrity_check").await.unwrap(), [[Some("ok".to_owned())]]);
    agrees(&db).await;
}
