//! Changes that are written together keep outcomes and entries of their own, and a long change
//! notices what happens beside it.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{App, Kind, Order};

/// How many orders are cancelled one by one.
const SINGLES: usize = 60;

on_both! {
    async fn concurrent_cancels_of_single_orders_keep_their_outcomes_and_entries(kind: Kind) {
        let orders: Vec<Order> = (0..SINGLES)
            .map(|i| match i % 5 {
                0 => Order::new(&format!("o{i}")).state("RUNNING"),
                1 => Order::new(&format!("o{i}")).state("FINISHED"),
                _ => Order::new(&format!("o{i}")),
            })
            .chain((0..5).flat_map(|i| {
                [Order::new(&format!("p{i}")).state("WAITING"), Order::new(&format!("p{i}|c"))]
            }))
            .collect();
        let app = App::with(kind, &orders).await;
        let mut ids: Vec<String> = (0..SINGLES).map(|i| format!("o{i}")).collect();
        ids.extend((0..SINGLES / 3).map(|i| format!("o{}", 3 * i)));
        ids.extend((0..10).map(|i| format!("unknown{i}")));
        ids.extend((0..5).flat_map(|i| [format!("p{i}"), format!("p{i}|c")]));
        let calls = ids.iter().map(|id| app.cancel(json!({"orderIds": [id]})));
        let answers = join_all(calls).await;

        let sql = "SELECT l.request_id, l.outcome, l.affected, d.order_id, l.parameters,
                       d.created = l.created AND d.created = o.modified
                   FROM audit_logs l
                   LEFT JOIN audit_log_details d ON d.audit_log_id = l.id
                   LEFT JOIN orders o ON o.order_id = d.order_id
                   WHERE l.request LIKE '%/orders/cancel'";
        let rows = app.db.rows(sql).await.unwrap();
        assert_eq!(rows.len(), ids.len());
        let entries: BTreeMap<String, Vec<Option<String>>> =
            rows.into_iter().map(|mut row| (row.remove(0).unwrap(), row)).collect();
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for (id, answer) in ids.iter().zip(&answers) {
            let entry = &entries[answer.headers["x-request-id"].to_str().unwrap()];
            let [outcome, affected, order, parameters, agree] = entry.as_slice() else { panic!() };
            assert!(parameters.as_ref().unwrap().contains(&format!("\"{id}\"")), "{id}: {entry:?}");
            let told = (outcome.as_deref(), affected.as_deref(), order.as_deref());
            if answer.status == 200 {
                assert_eq!(answer.affected(), 1);
                assert_eq!(told, (Some("DONE"), Some("1"), Some(id.as_str())));
                assert!(matches!(agree.as_deref(), Some("t" | "1")), "{id}: {entry:?}");
                *times.entry(id).or_default() += 1;
            } else {
                assert_eq!(answer.nothing_found(), "No orders found.");
                assert_eq!(told, (Some("NO_ORDERS"), Some("0"), None));
            }
        }
        for i in 0..SINGLES {
            let id = format!("o{i}");
            assert_eq!(times.remove(id.as_str()), (i % 5 != 1).then_some(1), "{id}");
            let state = if i % 5 == 0 { "RUNNING+CANCELLING" } else { "CANCELLED" };
            assert_eq!(app.db.state(&id).await, if i % 5 == 1 { "FINISHED" } else { state });
        }
        for i in 0..5 {
            assert_eq!(app.db.state(&format!("p{i}|c")).await, "CANCELLED");
        }
    }

    async fn a_long_cancel_judges_orders_as_they_are_when_it_writes(kind: Kind) {
        const MANY: usize = 6_000;
        let orders: Vec<Order> = (0..MANY).map(|i| Order::new(&format!("o{i}"))).collect();
        let app = App::with(kind, &orders).await;
        // It collects its orders while they are locked, and then they have changed.
        let begin = match kind {
            Kind::Sqlite => "BEGIN IMMEDIATE",
            Kind::Postgres => "BEGIN",
        };
        let mut other = app.db.lock(begin).await;
        other.execute("UPDATE orders SET state = 'RUNNING' WHERE order_id = 'o7'").await;
        let release = async {
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
            other.execute("COMMIT").await;
        };
        let (answer, ()) =
            tokio::join!(app.cancel(json!({"folders": [{"folder": "/"}]})), release);
        assert_eq!(answer.affected() as usize, MANY);
        let sql = "SELECT count(*) FROM orders WHERE state = 'CANCELLED'";
        assert_eq!(app.db.count(sql).await as usize, MANY - 1);
        let sql = "SELECT count(*) FROM orders WHERE order_id = 'o7' AND mark = 'CANCELLING'";
        assert_eq!(app.db.count(sql).await, 1);
    }
}

/// On SQLite another program locks the whole file.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_order_does_not_hold_up_cancels_of_others() {
    let orders: Vec<Order> = (0..SINGLES).map(|i| Order::new(&format!("o{i}"))).collect();
    let app = App::with(Kind::Postgres, &orders).await;
    let lock = "BEGIN; SELECT 1 FROM orders WHERE order_id = 'o0' FOR UPDATE";
    let mut locked = app.db.lock(lock).await;
    let cancel = async |i: usize| app.cancel(json!({"orderIds": [format!("o{i}")]})).await;
    let others = async {
        for answer in join_all((1..SINGLES).map(cancel)).await {
            assert_eq!(answer.affected(), 1);
        }
        locked.execute("UPDATE orders SET state = 'RUNNING' WHERE order_id = 'o0'").await;
        locked.execute("COMMIT").await;
    };
    let (answer, ()) = tokio::join!(cancel(0), others);
    assert_eq!(answer.affected(), 1);
    assert_eq!(app.db.state("o0").await, "RUNNING+CANCELLING");
}
