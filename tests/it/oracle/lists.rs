//! What lists and counts show of the orders that a request's fields select.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use joc_orders::model::window::of_list;
use serde_json::{Value, json};

use super::case::Request;
use super::model::ModelOrder;
use super::selection::{cycle_of, effective, is_living, is_visible, matches};
use crate::harness::App;

/// The names of the counts, and the effective states that they count.
const COUNTS: &[(&str, &[&str])] = &[
    ("pending", &["PENDING"]),
    ("scheduled", &["SCHEDULED"]),
    ("inProgress", &["INPROGRESS"]),
    ("running", &["RUNNING"]),
    ("prompting", &["PROMPTING"]),
    ("suspended", &["SUSPENDED"]),
    ("waiting", &["WAITING"]),
    ("blocked", &["BLOCKED"]),
    ("failed", &["FAILED"]),
    ("terminated", &["FINISHED", "CANCELLED"]),
];

/// Sends the request's selectors to the endpoints that read, and compares each with the model.
pub async fn compare(
    app: &App,
    token: &str,
    controller: &str,
    request: &Request,
    orders: &[ModelOrder],
    now: DateTime<Utc>,
) -> Result<(), String> {
    let body = |fields: &[&str]| {
        let mut body = request.body(controller);
        body.as_object_mut().unwrap().retain(|name, _| fields.contains(&name.as_str()));
        body
    };
    let of_list = body(&[
        "controllerId",
        "orderIds",
        "workflowIds",
        "folders",
        "states",
        "dateFrom",
        "dateTo",
        "timeZone",
    ]);
    let terminal = request.states.iter().any(|s| matches!(*s, "FINISHED" | "CANCELLED"));
    let by_id = !request.order_ids.is_empty();
    let listed = shown(orders, request, terminal || by_id, now)
        .map(|orders| items(&orders, request.whole_cycles && !by_id));
    let answer = app.post_as(token, "/orders", of_list.to_string()).await;
    let seen = (answer.status == 200).then(|| {
        let orders = answer.json()["orders"].as_array().unwrap().clone();
        let item = |order: &Value| {
            let cycle = &order["cyclicOrder"];
            json!([order["orderId"], cycle["count"], cycle["firstOrderId"], cycle["lastOrderId"]])
        };
        orders.iter().map(item).collect::<Vec<Value>>()
    });
    same("/orders", &seen, &listed, &answer.text)?;

    let all = Request { order_ids: vec![], states: vec![], ..request.clone() };
    let of_snapshot =
        body(&["controllerId", "workflowIds", "folders", "dateFrom", "dateTo", "timeZone"]);
    let counted = shown(orders, &all, true, now).map(|orders| counts(&orders, now));
    let answer = app.post_as(token, "/orders/overview/snapshot", of_snapshot.to_string()).await;
    let seen = (answer.status == 200).then(|| answer.json()["orders"].take());
    same("/orders/overview/snapshot", &seen, &counted, &answer.text)?;

    // Every workflow that has orders.
    let every = Request { workflow_ids: vec![], folders: vec![], ..all };
    let counted = shown(orders, &every, true, now).map(|orders| counts(&orders, now));
    let mut of_count = body(&["controllerId", "dateFrom", "dateTo", "timeZone"]);
    let versions: BTreeMap<_, _> = orders.iter().map(|order| (&order.workflow, ())).collect();
    let versions = versions.keys().map(|(path, id)| json!({"path": path, "versionId": id}));
    of_count["workflowIds"] = versions.collect();
    let answer = app.post_as(token, "/workflows/order_count", of_count.to_string()).await;
    let seen = (answer.status == 200).then(|| answer.json()["numOfAllOrders"].take());
    same("/workflows/order_count", &seen, &counted, &answer.text)
}

/// The orders that are shown; `None` if the request is rejected.
fn shown<'a>(
    orders: &'a [ModelOrder],
    request: &Request,
    terminal: bool,
    now: DateTime<Utc>,
) -> Option<Vec<&'a ModelOrder>> {
    let [from, to, zone] =
        [&request.date_from, &request.date_to, &request.time_zone].map(Option::as_deref);
    let (window, mut horizon) = of_list(from, to, zone, now).ok()?;
    if !request.order_ids.is_empty() {
        horizon = None;
    }
    let in_reach = |order: &ModelOrder| {
        is_visible(order, request.account)
            && (is_living(order) || (terminal && !order.remove_when_terminated))
    };
    let is_near = |order: &ModelOrder| match (horizon, order.scheduled_for) {
        (Some(horizon), Some(at)) => at < horizon || order.state != "FRESH" || order.suspended,
        _ => true,
    };
    let is_shown = |order: &&ModelOrder| {
        in_reach(order) && is_near(order) && matches(order, request, &window, now)
    };
    Some(orders.iter().filter(is_shown).collect())
}

/// The ids of what is shown, each with its cycle.
fn items(orders: &[&ModelOrder], whole_cycles: bool) -> Vec<Value> {
    let mut items = BTreeMap::new();
    for order in orders {
        let id = &order.order_id;
        let cycle = cycle_of(id).filter(|_| whole_cycles && order.state == "FRESH");
        let Some(cycle) = cycle else {
            items.insert(id.clone(), json!([id, null, null, null]));
            continue;
        };
        // After the others of the cycle.
        let item = items.entry(cycle + "\u{10ffff}\u{10ffff}").or_insert(json!([id, 0, id, id]));
        item[1] = json!(item[1].as_u64().unwrap() + 1);
        item[3] = json!(id);
    }
    items.into_values().collect()
}

fn counts(orders: &[&ModelOrder], now: DateTime<Utc>) -> Value {
    let count = |states: &[&str]| {
        orders.iter().filter(|order| states.contains(&effective(order, now))).count()
    };
    COUNTS.iter().map(|(name, states)| ((*name).to_owned(), json!(count(states)))).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(
    call: &str,
    seen: &Option<T>,
    wanted: &Option<T>,
    text: &str,
) -> Result<(), String> {
    if seen == wanted {
        return Ok(());
    }
    let text: String = text.chars().take(300).collect();
    Err(format!("{call}: {seen:?}, expected {wanted:?}: {text}"))
}
