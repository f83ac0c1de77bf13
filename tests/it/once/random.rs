//! Clients that repeat requests at random, on several apps at once.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::{Response, is_replayed, send};
use crate::harness::{App, Order, with_controller};

const CLIENTS: usize = 6;
const CALLS: usize = 30;
/// How many keys there are; each stands for one request.
const KEYS: usize = 20;

/// The request of a key.
fn request(key: usize) -> (&'static str, String) {
    let id = format!("o{}", key % 10);
    let (call, fields) = match key % 4 {
        0 => ("/orders/cancel", json!({"orderIds": [id]})),
        1 => ("/orders/suspend", json!({"orderIds": [id]})),
        2 => ("/orders/resume", json!({"orderIds": [id], "maxOrders": 1})),
        _ => ("/orders/add", json!({"orders": [{"workflowPath": "/sos/eod", "orderName": id}]})),
    };
    (call, with_controller(fields).to_string())
}

on_both! {
    async fn each_key_stands_for_one_change(kind: Kind) {
        let seed = u64::from(rand::random::<u32>());
        println!("seed {seed}");
        let orders: Vec<Order> = (0..10).map(|i| Order::new(&format!("o{i}"))).collect();
        let one = App::with(kind, &orders).await;
        let other = one.replica(&[]).await;
        let clients = (0..CLIENTS).map(async |client| {
            let mut random = StdRng::seed_from_u64(seed + client as u64);
            let mut responses = Vec::new();
            for _ in 0..CALLS {
                let key = random.random_range(0..KEYS);
                let app = if random.random() { &one } else { &other };
                let (call, body) = request(key);
                let response = send(app, &app.token, &format!("k{key}"), call, &body).await;
                responses.push((key, response));
            }
            responses
        });
        let mut by_key: BTreeMap<usize, Vec<Response>> = BTreeMap::new();
        for (key, response) in join_all(clients).await.into_iter().flatten() {
            by_key.entry(key).or_default().push(response);
        }
        for (key, responses) in &by_key {
            let firsts = responses.iter().filter(|response| !is_replayed(response)).count();
            assert_eq!(firsts, 1, "key {key}, seed {seed}: {responses:?}");
            let first = &responses[0];
            for response in responses {
                assert_eq!((response.status, &response.text), (first.status, &first.text));
                assert_eq!(
                    response.headers.get("x-audit-log-id"),
                    first.headers.get("x-audit-log-id")
                );
            }
        }
        let count = by_key.len() as i64;
        let entries = "SELECT count(*) FROM audit_logs WHERE request LIKE './orders/%'";
        assert_eq!(one.db.count(entries).await, count, "seed {seed}");
        let ids = "SELECT count(DISTINCT audit_log_id) FROM idempotency_keys";
        assert_eq!(one.db.count(ids).await, count, "seed {seed}");
        let added = by_key.keys().filter(|key| *key % 4 == 3).count() as i64;
        let orders = "SELECT count(*) FROM orders WHERE order_id LIKE '#%'";
        assert_eq!(one.db.count(orders).await, added, "seed {seed}");
    }
}
