//! Several services on one database act as one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use joc_orders::store;
use serde_json::{Value, json};

use crate::harness::{CONTROLLER, Database, Kind, Order, Served, launch, program, with_controller};

/// Two processes on one database.
struct Pair([Served; 2], AtomicUsize);

impl Pair {
    fn over(db: &Database) -> Self {
        Self([Served::over(db, &[]), Served::over(db, &[])], AtomicUsize::new(0))
    }

    /// Each in turn.
    fn next(&self) -> &Served {
        &self.0[self.1.fetch_add(1, Ordering::Relaxed) % 2]
    }

    /// The response to a read, which must be the same from both.
    async fn read(&self, token: &str, call: &str, body: &Value) -> Value {
        let [mut one, mut other] = [Value::Null, Value::Null];
        for (served, answer) in self.0.iter().zip([&mut one, &mut other]) {
            *answer = served.post(token, call, body).await.ok();
            for date in ["deliveryDate", "surveyDate"] {
                answer.as_object_mut().unwrap().remove(date);
            }
        }
        assert_eq!(one, other, "{call}");
        one
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_act_as_one() {
    const CLIENTS: usize = 6;
    const CALLS: usize = 25;
    let db = Database::create(Kind::Postgres).await;
    let ids: Vec<String> = (0..CLIENTS * CALLS).map(|i| format!("o{i:04}")).collect();
    db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
    let pair = Pair::over(&db);

    // Each client logs in once and alternates between the two; each order has two competing
    // clients.
    let clients = (0..CLIENTS).map(async |client| {
        let token = pair.next().login().await;
        let mut done = 0;
        for call in 0..CALLS {
            let first = (client / 2 * 2) * CALLS + 2 * call;
            let body = with_controller(json!({"orderIds": [ids[first], ids[first + 1]]}));
            let answer = pair.next().post(&token, "/orders/cancel", &body).await;
            match answer.status {
                200 => done += answer.affected(),
                _ => assert_eq!(answer.nothing_found(), "No orders found."),
            }
        }
        done
    });
    let done: u64 = futures_util::future::join_all(clients).await.iter().sum();
    assert_eq!(done as usize, ids.len());
    assert_eq!(db.ids_in("CANCELLED").await, ids);
    assert_eq!(
        db.count("SELECT count(DISTINCT order_id) FROM audit_log_details").await as u64,
        done
    );
    assert_eq!(db.count("SELECT count(*) FROM audit_log_details").await as u64, done);

    // Ids differ between the two, and both read the same.
    let token = pair.next().login().await;
    let add = json!({"orders": [{"workflowPath": "eod", "orderName": "n"}]});
    let mut added = Vec::new();
    for _ in 0..10 {
        let answer = pair.next().post(&token, "/orders/add", &with_controller(add.clone())).await;
        added.push(answer.ok()["orderIds"][0].as_str().unwrap().to_owned());
    }
    added.sort_unstable();
    added.dedup();
    assert_eq!(added.len(), 10);
    let all = with_controller(json!({"folders": [{"folder": "/"}]}));
    let listed = pair.read(&token, "/orders", &all).await;
    assert_eq!(listed["orders"].as_array().unwrap().len(), 10);
    pair.read(&token, "/orders/overview/snapshot", &all).await;
    pair.read(&token, "/audit_log", &with_controller(json!({}))).await;
    pair.read(&token, "/orders/cancel/preview", &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_share_sessions_and_permissions() {
    let db = Database::create(Kind::Postgres).await;
    db.insert(&[Order::new("a")]).await;
    let pair = Pair::over(&db);
    let [here, there] = &pair.0;
    let all = with_controller(json!({"folders": [{"folder": "/"}]}));
    let preview = "/orders/cancel/preview";
    let is_at = async |served: &Served, token: &str, status: u16| {
        served.post(token, preview, &all).await.status == status
    };
    // Waits until both respond with this status, within 5 seconds.
    let become_both = async |token: &str, expected: u16| {
        let started = Instant::now();
        let mut within = false;
        while !within {
            assert!(started.elapsed() < Duration::from_secs(5), "not {expected} within 5 s");
            within = is_at(here, token, expected).await && is_at(there, token, expected).await;
        }
    };
    let token = here.login().await;
    become_both(&token, 200).await;
    // Meanwhile other clients use the session on both, which keeps it cached.
    here.post(&token, "/authentication/logout", &json!({})).await.ok();
    assert_eq!(here.post(&token, "/touch", &json!({})).await.status, 440);
    become_both(&token, 440).await;

    let token = there.login().await;
    become_both(&token, 200).await;
    let store = store::open(&db.url, 1, store::Access::Write).await.unwrap();
    store.unassign("all", "root").await.unwrap();
    become_both(&token, 403).await;
    store.assign("all", "root").await.unwrap();
    become_both(&token, 200).await;
    store.set_disabled("root", true).await.unwrap();
    become_both(&token, 440).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_starts_apply_migrations_once() {
    for _ in 0..3 {
        let db = Database::create(Kind::Postgres).await;
        store::migrate(&db.owner, Some(0)).await.unwrap();
        db.execute("DROP TABLE _sqlx_migrations").await.unwrap();
        let start = || {
            let url = db.owner.clone();
            tokio::task::spawn_blocking(move || Served::start(program(&url)))
        };
        let (one, other, third) = tokio::join!(start(), start(), start());
        let known = store::migrations(&db.owner).await.unwrap().len() as i64;
        assert_eq!(db.count("SELECT count(*) FROM _sqlx_migrations WHERE success").await, known);
        assert_eq!(db.count("SELECT count(*) FROM _sqlx_migrations").await, known);
        // One of them created the account and showed its password.
        assert_eq!(db.count("SELECT count(*) FROM accounts").await, 1);
        let mut shown = Vec::new();
        for served in [one, other, third] {
            let served = served.unwrap();
            assert_eq!(served.page("/ready").await.status, 200);
            let output = tokio::task::block_in_place(|| served.stop());
            shown.extend(output.lines().map(str::to_owned).collect::<Vec<_>>());
        }
        assert_eq!(shown.len(), 1, "{shown:?}");
    }
}

/// Cancels an order, and returns the status unless the connection fails.
async fn cancel(client: &reqwest::Client, url: &str, token: &str, id: &str) -> Option<u16> {
    let body = with_controller(json!({"orderIds": [id]}));
    let request = client.post(format!("{url}/orders/cancel")).header("X-Access-Token", token);
    let answer = request.json(&body).send().await.ok()?;
    let status = answer.status().as_u16();
    answer.bytes().await.ok()?;
    Some(status)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_on_one_sqlite_file_are_safe() {
    const ORDERS: usize = 300;
    const CLIENTS: usize = 6;
    let db = Database::create(Kind::Sqlite).await;
    let ids: Vec<String> = (0..ORDERS).map(|i| format!("order {i:03}")).collect();
    db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
    let first = Served::over(&db, &["--seal-every", "1"]);
    let second = Served::over(&db, &["--seal-every", "1"]);
    let token = first.login().await;
    let client = reqwest::Client::new();
    let urls = [first.url.clone(), second.url.clone()];
    // Each order is cancelled on both at once.
    let one = async |id: &String| {
        let calls = urls.iter().map(|url| cancel(&client, url, &token, id));
        join_all(calls).await
    };
    let all = async |ids: &[String]| -> Vec<(String, Vec<Option<u16>>)> {
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = async || {
            let mut outcomes = Vec::new();
            while let Some(id) = ids.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                outcomes.push((id.clone(), one(id).await));
            }
            outcomes
        };
        join_all((0..CLIENTS).map(|_| work())).await.into_iter().flatten().collect()
    };
    let (both_live, one_dies) = ids.split_at(ORDERS / 2);
    let mut outcomes = all(both_live).await;
    assert_eq!(outcomes.len(), ORDERS / 2);
    for (id, statuses) in &mut outcomes {
        statuses.sort_unstable();
        assert_eq!(statuses[..], [Some(200), Some(420)], "{id}");
    }
    let death = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // By SIGKILL.
        drop(second);
    };
    let (later, ()) = tokio::join!(all(one_dies), death);
    let died = later.iter().filter(|(_, statuses)| statuses[1].is_none()).count();
    assert!(died > 0, "all calls were over before it died");

    let entries = db
        .rows("SELECT d.order_id, count(*) FROM audit_log_details d GROUP BY d.order_id")
        .await
        .unwrap();
    let entries: HashMap<String, String> =
        entries.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())).collect();
    for (id, statuses) in later {
        let accepted = statuses.iter().filter(|status| **status == Some(200)).count();
        assert!(accepted == 1 || accepted == 0 && statuses[1].is_none(), "{id} {statuses:?}");
    }
    for id in &ids {
        assert_eq!(entries.get(id).map(String::as_str), Some("1"), "{id}");
    }
    let left = format!(
        "SELECT count(*) FROM orders WHERE state <> 'CANCELLED' AND controller_id = '{CONTROLLER}'"
    );
    assert_eq!(db.count(&left).await, 0);
    first.stop();
    launch(&db.url, &["check", "--strict"], "").await.ok();
    launch(&db.url, &["audit", "verify"], "").await.ok();
}
