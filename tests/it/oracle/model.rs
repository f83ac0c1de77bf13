//! What a cancel should do, said as plainly as possible: loops over all orders, no ranges of
//! text, no shared code but the resolution of dates, which has tests of its own.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use joc_orders::model::window::{Window, iso};
use serde_json::{Value, json};

use super::generate::{ACCOUNTS, Request, padded};
use crate::harness::Order;

/// What a request should come to.
pub enum Expected {
    /// It is no valid request.
    Refused,
    /// It does this, in the order of the ids.
    Touches { touches: Vec<Touch>, window: Window },
}

/// What should happen to an order.
pub struct Touch {
    /// As it was.
    pub order: Order,
    effective: &'static str,
    effect: &'static str,
    via_parent: Option<String>,
}

pub fn expected(orders: &[Order], request: &Request, now: DateTime<Utc>) -> Expected {
    let [from, to, zone] =
        [&request.date_from, &request.date_to, &request.time_zone].map(Option::as_deref);
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

    let mut matched: Vec<&Order> = Vec::new();
    for order in orders {
        if in_reach(order, request) && matches(order, request, &window, now) {
            matched.push(order);
        }
    }
    let mut chosen: Vec<(&Order, Option<String>)> = Vec::new();
    for order in orders {
        if matched.iter().any(|m| m.order_id == order.order_id) {
            chosen.push((order, None));
        } else if request.deep && in_reach(order, request) {
            let ancestors = matched.iter().filter(|m| is_below(&order.order_id, &m.order_id));
            if let Some(nearest) = ancestors.max_by_key(|m| m.order_id.len()) {
                chosen.push((order, Some(nearest.order_id.clone())));
            }
        }
    }

    // Descendants have longer ids: what becomes of them is known before their ancestors' turn.
    let mut longest_first = chosen;
    longest_first.sort_by_key(|(order, _)| std::cmp::Reverse(order.order_id.len()));
    let mut touches: Vec<Touch> = Vec::new();
    for (order, via_parent) in longest_first {
        let held = orders.iter().any(|child| {
            let cancelled = |touch: &Touch| {
                touch.order.order_id == child.order_id && touch.effect == "CANCELLED"
            };
            is_below(&child.order_id, &order.order_id)
                && is_living(child)
                && !touches.iter().any(cancelled)
        });
        let effective = effective(order, now);
        if let Some(effect) = effect(order, effective, request.kill, held) {
            touches.push(Touch { order: order.clone(), effective, effect, via_parent });
        }
    }
    touches.sort_by(|a, b| a.order.order_id.cmp(&b.order.order_id));
    Expected::Touches { touches, window }
}

fn effect(order: &Order, effective: &str, kill: bool, held: bool) -> Option<&'static str> {
    let kill = kill && effective == "RUNNING" && !order.killed;
    if kill {
        Some("KILL")
    } else if order.mark == Some("CANCELLING") {
        None
    } else if matches!(effective, "RUNNING" | "INPROGRESS") || (effective == "WAITING" && held) {
        Some("CANCELLING")
    } else {
        Some("CANCELLED")
    }
}

fn is_living(order: &Order) -> bool {
    order.state != "FINISHED" && order.state != "CANCELLED"
}

fn is_below(id: &str, ancestor: &str) -> bool {
    id.starts_with(&format!("{ancestor}|"))
}

fn effective(order: &Order, now: DateTime<Utc>) -> &'static str {
    if !is_living(order) {
        order.state
    } else if order.suspended {
        "SUSPENDED"
    } else if order.state == "FRESH" {
        match order.scheduled_for {
            None => "PENDING",
            Some(at) if at >= now => "SCHEDULED",
            Some(_) => "BLOCKED",
        }
    } else {
        order.state
    }
}

/// Whether the call could touch the order at all, named or as a descendant.
fn in_reach(order: &Order, request: &Request) -> bool {
    let limits = padded(ACCOUNTS[request.account], request.account);
    let visible = request.account == 0
        || limits.iter().any(|(folder, recursive)| is_in(order, folder, *recursive));
    let started = order.state != "FRESH";
    let fresh_only = request.order_type == Some("FreshOnly");
    is_living(order) && visible && !(fresh_only && started)
}

/// Whether the request's fields mean the order.
fn matches(order: &Order, request: &Request, window: &Window, now: DateTime<Utc>) -> bool {
    let by_id = !request.order_ids.is_empty();
    let named = if by_id {
        request.order_ids.contains(&order.order_id)
    } else if !request.workflow_ids.is_empty() {
        request.workflow_ids.iter().any(|(path, version)| {
            let same = path == &order.workflow.0 || path == name_of(&order.workflow.0);
            same && (version.is_none() || version.as_ref() == Some(&order.workflow.1))
        })
    } else if !request.folders.is_empty() {
        request
            .folders
            .iter()
            .any(|(folder, recursive)| is_in(order, folder, *recursive != Some(false)))
    } else {
        true
    };
    let in_state =
        by_id || request.states.is_empty() || request.states.contains(&effective(order, now));
    let after = match (window.from, order.scheduled_for) {
        (None, _) => true,
        (Some(from), Some(at)) => from <= at,
        (Some(_), None) => false,
    };
    let before = match (window.to, order.scheduled_for) {
        (None, _) => true,
        (Some(to), Some(at)) => at < to,
        (Some(_), None) => false,
    };
    named && in_state && after && before
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn folder_of(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').collect();
    let folder = segments[..segments.len() - 1].join("/");
    if folder.is_empty() { "/".into() } else { folder }
}

fn is_in(order: &Order, folder: &str, recursive: bool) -> bool {
    let of_order = folder_of(&order.workflow.0);
    if of_order == folder {
        return true;
    }
    recursive && (folder == "/" || of_order.starts_with(&format!("{folder}/")))
}

impl Touch {
    /// The order's row in `audit_log_details`.
    pub fn detail(&self) -> Vec<Option<String>> {
        let ended = self.effect == "CANCELLED";
        vec![
            Some(self.order.order_id.clone()),
            Some(self.order.workflow.0.clone()),
            Some(self.order.workflow.1.clone()),
            Some(folder_of(&self.order.workflow.0)),
            Some(self.effective.into()),
            Some(if ended { "CANCELLED" } else { self.effective }.into()),
            (!ended).then(|| "CANCELLING".into()),
            (self.effect == "KILL").then(|| "killed".into()),
            self.via_parent.clone(),
        ]
    }

    /// Changes the order as this says.
    pub fn apply(&self, order: &mut Order) {
        if self.effect == "CANCELLED" {
            order.state = "CANCELLED";
            order.suspended = false;
            order.mark = None;
            order.killed = false;
        } else {
            order.mark = Some("CANCELLING");
            order.killed |= self.effect == "KILL";
        }
    }
}

/// The preview of the touches, without the dates of the answer.
pub fn preview(touches: &[Touch], window: &Window) -> Value {
    let with = |effect: &str| touches.iter().filter(|touch| touch.effect == effect).count();
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
        "cancelled": with("CANCELLED"),
        "marked": with("CANCELLING"),
        "killed": with("KILL"),
        "byState": by_state,
        "orders": orders,
    });
    if let Some(from) = window.from {
        preview["dateFrom"] = json!(iso(&from));
    }
    if let Some(to) = window.to {
        preview["dateTo"] = json!(iso(&to));
    }
    preview
}
