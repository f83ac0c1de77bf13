//! The service while what it depends on fails. After each fault: what clients were told matches the
//! tables, orders and audit trail agree, and the next request works without a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use self::proxy::Proxy;
use crate::harness::{
    Database, Order, ROOT, Response, Served, launch, program, until, with_controller,
};

mod clock;
mod cut;
mod failover;
mod killed;
mod lost;
mod namespace;
mod once;
mod proxy;
mod read_only;
mod refused;
mod replica;
mod service;
mod shim;

/// How many orders each request of [`Clients`] cancels.
const ORDERS: usize = 2;
/// Part of the message when it is unknown whether the change took effect.
const UNSETTLED: &str = "applied fully or not at all";

/// A request, and what its client was told.
struct Told {
    request_id: String,
    order_ids: Vec<String>,
    answer: Response,
}

/// Cancels these orders, or selects them by the fields.
async fn cancel(
    served: &Served,
    token: &str,
    request_id: &str,
    order_ids: &[String],
    fields: Option<Value>,
) -> Told {
    let fields = fields.unwrap_or_else(|| json!({"orderIds": order_ids}));
    let request = reqwest::Client::new().post(format!("{}/orders/cancel", served.url));
    let request = request.header("X-Access-Token", token).header("X-Request-Id", request_id);
    let answer = Response::of(request.json(&with_controller(fields))).await;
    Told { request_id: request_id.into(), order_ids: order_ids.into(), answer }
}

/// Clients that cancel one batch of orders after another.
struct Clients {
    orders: Vec<String>,
    next: AtomicUsize,
    stopped: AtomicBool,
}

impl Clients {
    /// Inserts this many orders for them.
    async fn with(db: &Database, orders: usize) -> Self {
        let orders: Vec<String> = (0..orders).map(|i| format!("order {i:05}")).collect();
        db.insert(&orders.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        Self { orders, next: AtomicUsize::new(0), stopped: AtomicBool::new(false) }
    }

    /// Runs this many clients until they are stopped, and returns what they were told.
    async fn cancel(&self, served: &Served, token: &str, clients: usize) -> Vec<Told> {
        let client = async || {
            let mut told = Vec::new();
            while !self.stopped.load(Ordering::Relaxed) {
                let first = self.next.fetch_add(ORDERS, Ordering::Relaxed);
                let orders =
                    self.orders.get(first..first + ORDERS).expect("more orders are needed");
                told.push(cancel(served, token, &format!("call-{first}"), orders, None).await);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            told
        };
        let clients = futures_util::future::join_all((0..clients).map(|_| client())).await;
        clients.into_iter().flatten().collect()
    }

    /// Waits until they have sent this many more requests.
    async fn call(&self, calls: usize) {
        let target = self.next.load(Ordering::Relaxed) + calls * ORDERS;
        until("more requests", async || self.next.load(Ordering::Relaxed) >= target).await;
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// How requests ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcomes {
    done: usize,
    refused: usize,
    /// Their clients were told that the outcome is unknown.
    unsettled: usize,
}

/// Compares what clients were told with what the database holds, and checks that.
async fn compare(db: &Database, told: &[Told]) -> Outcomes {
    let rows = db
        .rows(
            "SELECT l.request_id, l.id, l.affected, l.outcome, d.order_id, o.state
               FROM audit_logs l
               LEFT JOIN audit_log_details d
                   ON d.controller_id = l.controller_id AND d.audit_log_id = l.id
               LEFT JOIN orders o ON o.controller_id = d.controller_id AND o.order_id = d.order_id
               WHERE l.request <> './orders/add'
               ORDER BY l.id, d.order_id",
        )
        .await
        .unwrap();
    let mut entries: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut touched = BTreeSet::new();
    for row in rows {
        let mut row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
        assert!(row[4].is_empty() || touched.insert(row[4].clone()), "{} twice", row[4]);
        entries.entry(row.remove(0)).or_default().push(row);
    }
    let cancelled: BTreeSet<String> = db.ids_in("CANCELLED").await.into_iter().collect();
    assert_eq!(cancelled, touched, "orders that are cancelled, and what is audited");

    let mut outcomes = Outcomes::default();
    for Told { request_id, order_ids, answer } in told {
        let entry = entries.get(request_id);
        if let Some(rows) = entry {
            // The entry is complete, and there once.
            let ids: Vec<&str> = rows.iter().map(|row| row[3].as_str()).collect();
            assert_eq!(ids, *order_ids, "{request_id}");
            let affected = order_ids.len().to_string();
            for row in rows {
                assert_eq!(row[1..3], [affected.as_str(), "DONE"], "{request_id}");
                assert_eq!((&row[0], row[4].as_str()), (&rows[0][0], "CANCELLED"), "{request_id}");
            }
        }
        match answer.status {
            200 => {
                let rows = entry.unwrap_or_else(|| panic!("{request_id} is lost"));
                assert_eq!(answer.headers["x-audit-log-id"], rows[0][0], "{request_id}");
                assert_eq!(answer.affected() as usize, order_ids.len(), "{request_id}");
                outcomes.done += 1;
            }
            _ if unavailable(answer).contains(UNSETTLED) => outcomes.unsettled += 1,
            _ => {
                assert!(entry.is_none(), "{request_id} was refused and done: {}", answer.text);
                outcomes.refused += 1;
            }
        }
    }
    agrees(db).await;
    outcomes
}

/// The message of a response that says to come back later.
#[track_caller]
fn unavailable(answer: &Response) -> String {
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.headers["retry-after"], "5");
    let body = answer.json();
    assert_eq!(body["error"]["code"], "JOC-500", "{body}");
    body["error"]["message"].as_str().unwrap().into()
}

/// Waits until `/ready` responds with this status.
async fn becomes_ready(served: &Served, status: u16, patience: Duration) {
    let ready = served.until_ready(status, patience).await;
    if status == 503 {
        unavailable(&ready);
    }
}

/// A service whose connection to its database can be cut.
async fn behind_proxy(db: &Database, args: &[&str]) -> (Proxy, Served) {
    let proxy = Proxy::to(&db.url).await;
    let mut command = program(&proxy.url);
    command.args(args).env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1);
    let served = tokio::task::block_in_place(|| Served::start(command));
    (proxy, served)
}

/// A session that the service keeps cached for the next seconds, so that a request does only its
/// own work.
async fn session(served: &Served) -> String {
    let token = served.login().await;
    served.post(&token, "/orders", &with_controller(json!({"limit": 1}))).await.ok();
    token
}

/// What an operator checks.
async fn agrees(db: &Database) {
    launch(&db.url, &["check", "--strict"], "").await.ok();
    launch(&db.url, &["audit", "verify"], "").await.ok();
}

/// A request that must work now, without harm to existing sessions.
async fn works(served: &mut Served, db: &Database, token: &str, order_id: &str) -> Told {
    db.insert(&[Order::new(order_id)]).await;
    let told = cancel(served, token, order_id, &[order_id.to_owned()], None).await;
    assert_eq!(told.answer.affected(), 1);
    assert!(served.runs());
    assert!(!served.log().contains("panicked"), "{}", served.log());
    told
}
