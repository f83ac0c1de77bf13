//! The service is killed repeatedly under load, while executors work on the same orders.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{agrees, works};
use crate::harness::{CONTROLLER, Database, Order, Served, until, with_controller};

const CLIENTS: usize = 64;
const KILLS: usize = 5;
/// How many requests get a response between two kills.
const CALLS: usize = 100;
const ORDERS: usize = 20_000;
/// An executor takes every order with this step, before a client names it.
const TAKEN: usize = 10;

/// How a request ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Status(u16),
    /// The connection ended, and the outcome is unknown.
    Nothing,
}

on_both! {
    async fn kills_neither_lose_nor_repeat_acknowledged_changes(kind: Kind) {
        let db = Database::create(kind).await;
        let ids: Vec<String> = (0..ORDERS).map(|i| format!("order {i:05}")).collect();
        db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        let mut served = Served::over(&db, &[]);
        let token = served.login().await;
        let (url, address) = (served.url.clone(), served.address().to_owned());
        let (next, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let stopped = AtomicBool::new(false);

        let client = async || {
            let client = reqwest::Client::new();
            let mut calls: Vec<(usize, Heard)> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let i = next.fetch_add(1, Ordering::Relaxed);
                assert!(i < ORDERS, "more orders are needed");
                let request = client.post(format!("{url}/orders/cancel"));
                let request = request.header("X-Access-Token", &token);
                let request = request.header("X-Request-Id", format!("call-{i}"));
                let body = with_controller(json!({"orderIds": [&ids[i]]}));
                let heard = match request.json(&body).send().await {
                    Ok(response) => {
                        answered.fetch_add(1, Ordering::Relaxed);
                        Heard::Status(response.status().as_u16())
                    }
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        Heard::Nothing
                    }
                };
                calls.push((i, heard));
            }
            calls
        };
        let executor = async || {
            let mut taken = 0;
            while !stopped.load(Ordering::Relaxed) {
                // Just ahead of the clients, so that they compete.
                let ahead = next.load(Ordering::Relaxed) + 2 * CLIENTS;
                taken = (taken + TAKEN).max(ahead.next_multiple_of(TAKEN));
                let Some(id) = ids.get(taken) else { break };
                let order = format!("controller_id = '{CONTROLLER}' AND order_id = '{id}'");
                for (from, to) in [("FRESH", "RUNNING"), ("RUNNING", "FINISHED")] {
                    let sql = format!(
                        "UPDATE orders SET state = '{to}' WHERE {order} AND state = '{from}'
                         AND mark IS NULL"
                    );
                    db.execute(&sql).await.unwrap();
                }
            }
        };
        let operator = async {
            for _ in 0..KILLS {
                let goal = answered.load(Ordering::Relaxed) + CALLS;
                until("responses arrive", async || answered.load(Ordering::Relaxed) >= goal).await;
                served.signal("-KILL");
                let ended = tokio::task::block_in_place(|| served.wait(Duration::from_secs(10)));
                assert!(!ended.success());
                served = tokio::task::block_in_place(|| Served::over(&db, &["--listen", &address]));
            }
            let goal = answered.load(Ordering::Relaxed) + CALLS;
            until("responses arrive", async || answered.load(Ordering::Relaxed) >= goal).await;
            stopped.store(true, Ordering::Relaxed);
        };
        let clients = futures_util::future::join_all((0..CLIENTS).map(|_| client()));
        let (calls, (), ()) = tokio::join!(clients, executor(), operator);

        let sql = "SELECT l.request_id, l.outcome, l.affected, d.order_id, o.state
                   FROM audit_logs l
                   LEFT JOIN audit_log_details d
                       ON d.controller_id = l.controller_id AND d.audit_log_id = l.id
                   LEFT JOIN orders o
                       ON o.controller_id = d.controller_id AND o.order_id = d.order_id
                   WHERE l.request_id LIKE 'call-%' AND l.outcome = 'DONE'";
        let mut audited = HashMap::new();
        for row in db.rows(sql).await.unwrap() {
            let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            let call: usize = row[0].strip_prefix("call-").unwrap().parse().unwrap();
            assert_eq!(row[1..4], ["DONE", "1", &ids[call]]);
            assert!(audited.insert(call, row[4].clone()).is_none(), "{call} is there twice");
        }
        let (mut done, mut late, mut unknown) = (0, 0, 0);
        for (call, heard) in calls.into_iter().flatten() {
            match heard {
                Heard::Status(200) => {
                    done += 1;
                    assert!(audited.contains_key(&call), "{call} was acknowledged and is lost");
                }
                // An executor had ended the order before.
                Heard::Status(420) => {
                    late += 1;
                    assert!(!audited.contains_key(&call), "{call} was refused and done");
                }
                Heard::Status(other) => panic!("{call}: {other}"),
                Heard::Nothing => unknown += 1,
            }
        }
        // Cancelling a running order leaves a mark, which no executor has seen yet.
        let cancelled = db.count("SELECT count(*) FROM orders WHERE state = 'CANCELLED'").await;
        let audited = audited.values().filter(|state| *state == "CANCELLED").count();
        assert_eq!(usize::try_from(cancelled).unwrap(), audited);
        eprintln!("{kind:?}: {done} done, {late} too late, {unknown} unknown");
        assert!(done > KILLS * CALLS / 2 && late > 0 && unknown > 0);
        agrees(&db).await;
        works(&mut served, &db, &token, "afterwards").await;
    }
}
