//! One line of an export. Whatever database it comes from, the same order makes the same line.

use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::model::json::Json;
use crate::model::window::iso;
use crate::store::{Item, NewOrder};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    controller_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<WorkflowLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<OrderLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkflowLine<'a> {
    path: &'a str,
    version_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_date: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderLine<'a> {
    order_id: &'a str,
    workflow_id: WorkflowLine<'a>,
    state: StateLine<'a>,
    /// Always there: so the state is the stored one.
    suspended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marked: Option<StateLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    arguments: Map<String, Value>,
    priority: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kill_requested: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sigkill_at: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    remove_when_terminated: bool,
}

#[derive(Serialize)]
struct StateLine<'a> {
    #[serde(rename = "_text")]
    text: &'static str,
    #[serde(rename = "_reason", skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// The line of an item, without its end.
pub(super) fn line(item: &Item) -> serde_json::Result<String> {
    let workflow = WorkflowLine {
        path: &item.workflow_path,
        version_id: &item.workflow_version_id,
        version_date: item.version_date.as_ref().map(iso),
    };
    let (workflow, order) = match &item.order {
        None => (Some(workflow), None),
        Some(order) => (None, Some(order_line(order, workflow)?)),
    };
    serde_json::to_string(&Line { controller_id: &item.controller_id, workflow, order })
}

fn order_line<'a>(
    order: &'a NewOrder,
    workflow_id: WorkflowLine<'a>,
) -> serde_json::Result<OrderLine<'a>> {
    let life = order.life;
    let Json(arguments) = serde_json::from_str(&order.arguments)?;
    let position = order.position.as_deref().map(serde_json::from_str::<Json>).transpose()?;
    Ok(OrderLine {
        order_id: &order.order_id,
        workflow_id,
        state: StateLine { text: order.state.as_str(), reason: order.reason.as_deref() },
        suspended: order.suspended,
        marked: order.mark.map(|mark| StateLine { text: mark.as_str(), reason: None }),
        position: position.map(|Json(position)| position),
        arguments: match written_out(arguments) {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        },
        priority: order.priority,
        scheduled_for: order.scheduled_for.as_ref().map(iso),
        start_time: life.started.as_ref().map(iso),
        state_since: life.state_since.as_ref().map(iso),
        created: life.created.as_ref().map(iso),
        kill_requested: life.kill_requested.as_ref().map(iso),
        sigkill_at: life.sigkill_at.as_ref().map(iso),
        remove_when_terminated: life.remove_when_terminated == Some(true),
    })
}

/// A value whose numbers have no exponent.
fn written_out(value: Value) -> Value {
    match value {
        Value::Number(number) => plain(&number).map_or(Value::Number(number), Value::Number),
        Value::Array(items) => items.into_iter().map(written_out).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, written_out(value))).collect()
        }
        other => other,
    }
}

/// A number as PostgreSQL writes it: without an exponent, and without a sign if it is 0. `None` if it
/// is too long, or as it was.
fn plain(number: &Number) -> Option<Number> {
    /// More than an order may have.
    const MAX: i64 = 2000;
    let text = number.as_str();
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent: i64 = exponent.parse().ok().filter(|exponent: &i64| exponent.abs() <= MAX)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    // Where the point is among the digits.
    let point = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let before = usize::try_from(-point.min(0)).ok()?;
    let place = usize::try_from(point.max(0)).ok()?;
    let digits = format!("{}{digits}", "0".repeat(before));
    let after = place.saturating_sub(digits.len());
    let digits = format!("{digits}{}", "0".repeat(after));
    let (whole, fraction) = digits.split_at_checked(place)?;
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let is_zero = digits.bytes().all(|digit| digit == b'0');
    let sign = if is_zero { "" } else { sign };
    let point = if fraction.is_empty() { "" } else { "." };
    let plain = format!("{sign}{whole}{point}{fraction}");
    if plain == text { None } else { plain.parse().ok() }
}

#[cfg(test)]
mod tests;
