//! The connection to PostgreSQL breaks while a request with a key commits.

use serde_json::{Value, json};

use super::proxy::When;
use super::{agrees, behind_proxy, session, unavailable};
use crate::harness::{Database, Kind, Order, Response, Served, with_controller};

async fn keyed(served: &Served, token: &str, key: &str, call: &str, body: &Value) -> Response {
    let request = reqwest::Client::new().post(format!("{}{call}", served.url));
    let request = request.header("X-Access-Token", token).header("Idempotency-Key", key);
    Response::of(request.json(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_after_a_lost_commit_changes_no_more() {
    let db = Database::create(Kind::Postgres).await;
    let ids = ["a", "b"];
    db.insert(&ids.map(Order::new)).await;
    let (proxy, served) = behind_proxy(&db, &[]).await;
    let add = with_controller(json!({"orders": [{"workflowPath": "/sos/eod", "orderName": "n"}]}));
    let is_replayed = |response: &Response| response.headers.contains_key("idempotency-replayed");
    for (i, when) in [When::Before, When::After].into_iter().enumerate() {
        let cancel = with_controller(json!({"orderIds": [ids[i]]}));
        for (call, body) in [("/orders/cancel", &cancel), ("/orders/add", &add)] {
            let token = session(&served).await;
            let key = format!("{call} {i}");
            proxy.arm(when, b"COMMIT");
            let first = keyed(&served, &token, &key, call, body).await;
            assert!(proxy.has_cut());
            let again = keyed(&served, &token, &key, call, body).await;
            assert_eq!(again.affected(), 1, "{key}");
            if when == When::Before {
                // It did not happen, so the key is free.
                unavailable(&first);
                assert!(!is_replayed(&again), "{key}");
            } else {
                assert_eq!(first.text, again.text);
                assert!(is_replayed(&again), "{key}");
            }
        }
    }
    assert_eq!(db.ids_in("CANCELLED").await, ids);
    assert_eq!(db.count("SELECT count(*) FROM orders WHERE order_id LIKE '%-n'").await, 2);
    assert_eq!(db.count("SELECT count(*) FROM idempotency_keys").await, 4);
    let entries = "SELECT count(*) FROM audit_logs WHERE request LIKE './orders/%'";
    assert_eq!(db.count(entries).await, 4);
    agrees(&db).await;
}
