//! What requests should do, as plainly as possible: loops over all orders, no ranges of text, no
//! shared code except the resolution of dates, which has tests of its own.

use std::collections::BTreeMap;
use std::ops::Deref;

use chrono::{DateTime, Utc};
use joc_orders::model::action::{Action, Situation};
use joc_orders::model::window::{Window, iso};
use serde_json::{Map, Value, json};

use super::case::Request;
use super::selection::{
    effective, folder_of, in_reach, is_below, is_living, matches, names_hidden, with_cycles,
};
use crate::harness::Order;

/// An order, with what only requests set.
#[derive(Debug, Clone)]
pub struct ModelOrder {
    pub order: Order,
    pub priority: i32,
    pub arguments: Map<String, Value>,
    pub position: Option<Value>,
    pub state_since: Option<DateTime<Utc>>,
}

impl ModelOrder {
    /// As it was inserted.
    pub fn new(order: &Order) -> Self {
        let (order, arguments) = (order.clone(), Map::new());
        Self { order, priority: 0, arguments, position: None, state_since: None }
    }
}

impl Deref for ModelOrder {
    type Target = Order;

    fn deref(&self) -> &Order {
        &self.order
    }
}

/// The expected outcome of a request.
pub enum Expected {
    /// It is not valid.
    Refused,
    /// It does this, sorted by id; its outcome if that is nothing.
    Touches { touches: Vec<ModelTouch>, window: Window, without_effect: &'static str },
}

/// What should happen to an order.
pub struct ModelTouch {
    /// Before.
    pub order: Order,
    /// After.
    pub after: ModelOrder,
    effective: &'static str,
    effective_after: &'static str,
    effect: &'static str,
    via_parent: Option<String>,
}

/// The message when there is nothing to do.
pub fn nothing_found(request: &Request) -> &'static str {
    match request.call {
        "suspend" => "No suspendible orders found.",
        "resume" => "No resumable orders found.",
        "confirm" => "No prompting orders found.",
        _ => "No orders found.",
    }
}

/// The outcome of a request that affects no order.
fn without_effect(
    orders: &[ModelOrder],
    request: &Request,
    window: &Window,
    now: DateTime<Utc>,
) -> &'static str {
    let unlimited = Request { account: 0, ..request.clone() };
    let outside = orders.iter().any(|order| {
        in_reach(order, &unlimited, now)
            && matches(order, request, window, now)
            && !in_reach(order, request, now)
    });
    if outside || names_hidden(request) { "OUTSIDE" } else { "NO_ORDERS" }
}

pub fn expected(orders: &[ModelOrder], request: &Request, now: DateTime<Utc>) -> Expected {
    let zone = request.time_zone.as_deref().filter(|zone| !zone.is_empty());
    let [from, to] = [&request.date_from, &request.date_to].map(Option::as_deref);
    let Ok(window) = Window::resolve(from, to, zone, now) else {
        return Expected::Refused;
    };
    let nothing_named = request.order_ids.is_empty()
        && request.workflow_ids.is_empty()
        && request.folders.is_empty()
        && request.states.is_empty()
        && from.is_none()
        && to.is_none();
    if nothing_named {
        return Expected::Refused;
    }

    let without_effect = without_effect(orders, request, &window, now);
    let request = &with_cycles(orders, request, now);
    let mut matched: Vec<&ModelOrder> = Vec::new();
    for order in orders {
        if in_reach(order, request, now) && matches(order, request, &window, now) {
            matched.push(order);
        }
    }
    let deep = request.deep && matches!(request.call, "cancel" | "suspend");
    let mut chosen: Vec<(&ModelOrder, Option<String>)> = Vec::new();
    for order in orders {
        if matched.iter().any(|m| m.order_id == order.order_id) {
            chosen.push((order, None));
        } else if deep && in_reach(order, request, now) {
            let ancestors = matched.iter().filter(|m| is_below(&order.order_id, &m.order_id));
            if let Some(nearest) = ancestors.max_by_key(|m| m.order_id.len()) {
                chosen.push((order, Some(nearest.order_id.clone())));
            }
        }
    }

    // Descendants have longer ids, so their fate is known before their ancestors' turn.
    let mut longest_first = chosen;
    longest_first.sort_by_key(|(order, _)| std::cmp::Reverse(order.order_id.len()));
    let mut touches: Vec<ModelTouch> = Vec::new();
    for (order, via_parent) in longest_first {
        let held = orders.iter().any(|child| {
            let cancelled = |touch: &ModelTouch| {
                touch.order.order_id == child.order_id && touch.effect == "CANCELLED"
            };
            is_below(&child.order_id, &order.order_id)
                && is_living(child)
                && !touches.iter().any(cancelled)
        });
        let effective = effective(order, now);
        let effect = effect(order, effective, request, held);
        let unless_held = self::effect(order, effective, request, false);
        assert_eq!(is_affected(order, effective, request), unless_held.is_some(), "{order:?}");
        if let Some(effect) = effect {
            let after = changed(order, effect, request, now);
            touches.push(ModelTouch {
                order: order.order.clone(),
                effective,
                effective_after: self::effective(&after, now),
                after,
                effect,
                via_parent,
            });
        }
    }
    touches.sort_by(|a, b| a.order.order_id.cmp(&b.order.order_id));
    Expected::Touches { touches, window, without_effect }
}

/// What the tables of the actions say, which the service shows in lists of orders.
fn is_affected(order: &Order, effective: &str, request: &Request) -> bool {
    let action = match request.call {
        "cancel" => Action::Cancel { kill: request.kill },
        "suspend" => Action::Suspend { kill: request.kill, reset: request.reset },
        "resume" => Action::Resume {
            position: request.position.as_ref().map(Value::to_string),
            variables: has_variables(request).then(|| "{}".into()),
        },
        "confirm" => Action::Confirm,
        "continue" => Action::Continue,
        "change" => Action::Change { priority: request.priority },
        _ => Action::RemoveWhenTerminated,
    };
    let situation = Situation {
        state: effective.parse().unwrap(),
        mark: order.mark.and_then(|mark| mark.parse().ok()),
        killed: order.killed,
        reason: order.reason,
    };
    situation.is_affected(&action.rules())
}

fn effect(order: &Order, effective: &str, request: &Request, held: bool) -> Option<&'static str> {
    let kill = request.kill && effective == "RUNNING" && !order.killed;
    let cancelling = order.mark == Some("CANCELLING");
    let suspending = order.mark == Some("SUSPENDING");
    match (request.call, effective) {
        ("cancel", _) if kill => Some("KILL"),
        ("cancel", _) if cancelling => None,
        ("cancel", "RUNNING" | "INPROGRESS") => Some("CANCELLING"),
        ("cancel", "WAITING") if held => Some("CANCELLING"),
        ("cancel", _) => Some("CANCELLED"),
        ("change", _) => Some("CHANGED"),
        ("remove_when_terminated", "FINISHED" | "CANCELLED") => Some("REMOVED"),
        ("remove_when_terminated", _) => Some("REMOVED_WHEN_TERMINATED"),
        _ if cancelling => None,
        ("suspend", _) if kill => Some("KILL"),
        ("suspend", _) if suspending => None,
        ("suspend", "RUNNING" | "INPROGRESS") => Some("SUSPENDING"),
        ("suspend", "SUSPENDED") => (order.mark == Some("RESUMING")).then_some("SUSPENDED"),
        ("suspend", "FAILED") => None,
        ("suspend", "WAITING" | "PROMPTING") if request.reset && !held => Some("RESET"),
        ("suspend", _) => Some("SUSPENDED"),
        ("resume", "SUSPENDED" | "FAILED") if held && request.position.is_some() => None,
        ("resume", "SUSPENDED") => Some("RESUMED"),
        ("resume", "FAILED") => Some("RETRIED"),
        ("resume", _) if request.position.is_some() || has_variables(request) => None,
        ("resume", _) => (suspending && !order.killed).then_some("RESUMED"),
        ("confirm", _) => (effective == "PROMPTING").then_some("CONFIRMED"),
        ("continue", "WAITING") => {
            let time = ["DELAYED_AFTER_ERROR", "DELAYING_RETRY", "BETWEEN_CYCLES", "SLEEPING"];
            order.reason.filter(|reason| time.contains(reason)).map(|_| "CONTINUED")
        }
        ("continue", _) => None,
        (call, _) => panic!("{call}"),
    }
}

fn has_variables(request: &Request) -> bool {
    request.variables.as_ref().is_some_and(|variables| !variables.is_empty())
}

/// The mark that the effect sets.
fn mark(effect: &str, request: &Request) -> Option<&'static str> {
    match (effect, request.call) {
        ("KILL", "cancel") | ("CANCELLING", _) => Some("CANCELLING"),
        ("KILL", _) | ("SUSPENDING", _) => Some("SUSPENDING"),
        _ => None,
    }
}

/// The order after the effect.
fn changed(row: &ModelOrder, effect: &str, request: &Request, now: DateTime<Utc>) -> ModelOrder {
    let mut row = row.clone();
    let order = &mut row.order;
    let before = (order.state, order.suspended);
    let state = match effect {
        "CANCELLED" => Some("CANCELLED"),
        "RESET" | "RETRIED" | "CONFIRMED" | "CONTINUED" => Some("INPROGRESS"),
        _ => None,
    };
    if let Some(state) = state {
        order.state = state;
        order.reason = None;
    }
    match effect {
        "SUSPENDED" | "RESET" => order.suspended = true,
        "RESUMED" | "CANCELLED" => order.suspended = false,
        _ => {}
    }
    if matches!(effect, "SUSPENDED" | "RESET" | "RESUMED" | "RETRIED" | "CANCELLED") {
        order.mark = None;
        order.killed = false;
    }
    order.mark = mark(effect, request).or(order.mark);
    order.killed |= effect == "KILL";
    order.remove_when_terminated |= effect.starts_with("REMOVED");
    if (order.state, order.suspended) != before {
        row.state_since = Some(now);
    }
    if request.call == "change" {
        row.priority = request.priority;
    }
    if request.call == "resume" {
        row.arguments.extend(request.variables.clone().unwrap_or_default());
        row.position = request.position.clone().or(row.position);
    }
    row
}

impl ModelTouch {
    /// The order's row in `audit_log_details`.
    pub fn detail(&self, request: &Request) -> Vec<Option<String>> {
        vec![
            Some(self.order.order_id.clone()),
            Some(self.order.workflow.0.clone()),
            Some(self.order.workflow.1.clone()),
            Some(folder_of(&self.order.workflow.0)),
            Some(self.effective.into()),
            Some(self.effective_after.into()),
            mark(self.effect, request).map(Into::into),
            (self.effect == "KILL").then(|| "killed".into()),
            self.via_parent.clone(),
        ]
    }
}

/// The preview of the touches, without the response's dates.
pub fn preview(touches: &[ModelTouch], window: &Window, request: &Request) -> Value {
    let with = |effects: &[&str]| touches.iter().filter(|t| effects.contains(&t.effect)).count();
    let counts: &[(&str, &[&str])] = match request.call {
        "cancel" => {
            &[("cancelled", &["CANCELLED"]), ("marked", &["CANCELLING"]), ("killed", &["KILL"])]
        }
        "suspend" => &[
            ("suspended", &["SUSPENDED", "RESET"]),
            ("marked", &["SUSPENDING"]),
            ("killed", &["KILL"]),
        ],
        "resume" => &[("resumed", &["RESUMED", "RETRIED"])],
        "confirm" => &[("confirmed", &["CONFIRMED"])],
        "continue" => &[("continued", &["CONTINUED"])],
        "change" => &[("changed", &["CHANGED"])],
        _ => &[("removed", &["REMOVED"]), ("removedWhenTerminated", &["REMOVED_WHEN_TERMINATED"])],
    };
    let mut by_state = BTreeMap::new();
    for touch in touches {
        *by_state.entry(touch.effective).or_insert(0) += 1;
    }
    let orders: Vec<Value> = touches
        .iter()
        .map(|touch| {
            json!({
                "orderId": touch.order.order_id,
                "workflowId": {
                    "path": touch.order.workflow.0,
                    "versionId": touch.order.workflow.1,
                },
                "state": touch.effective,
                "effect": touch.effect,
            })
        })
        .collect();
    let mut preview = json!({
        "total": touches.len(),
        "byState": by_state,
        "orders": orders,
    });
    for (count, effects) in counts {
        preview[*count] = json!(with(effects));
    }
    if request.whole_cycles && matches!(request.call, "cancel" | "suspend" | "resume" | "change") {
        let of_cycle = |touch: &&ModelTouch| {
            touch.via_parent.is_none() && !request.order_ids.contains(&touch.order.order_id)
        };
        let by_id = !request.order_ids.is_empty();
        let of_cycles = if by_id { touches.iter().filter(of_cycle).count() } else { 0 };
        preview["byCycle"] = json!(of_cycles);
    }
    if let Some(from) = window.from {
        preview["dateFrom"] = json!(iso(&from));
    }
    if let Some(to) = window.to {
        preview["dateTo"] = json!(iso(&to));
    }
    preview
}
