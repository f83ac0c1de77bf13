//! Orders as histories show them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::http::date::Instant;
use crate::http::resources::orders::item::{StateItem, position_string, stored_json};
use crate::model::arguments::Arguments;
use crate::model::order::EffectiveState;
use crate::store;
use crate::store::list::PastOrder;

/// JOC's `OrderHistoryItem`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryItem {
    controller_id: String,
    order_id: String,
    /// The number of its history: unique, and the same for ever.
    #[schemars(range(min = 1, max = MAX_HISTORY_ID))]
    history_id: i64,
    /// The workflow's path.
    workflow: String,
    /// When it was scheduled, or started if it never was.
    planned_time: Instant,
    start_time: Instant,
    /// When it became terminal; absent: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Instant>,
    survey_date: Instant,
    /// Where it is or ended, in one word: `2/then:0`.
    position: String,
    /// Always 0: JOC numbers the orders of a fork.
    sequence: u32,
    state: PastState,
    order_state: StateItem,
    #[schemars(with = "Arguments")]
    arguments: Value,
}

/// Whether and how an order ended.
#[derive(Debug, Serialize, JsonSchema)]
struct PastState {
    #[serde(rename = "_text")]
    #[schemars(extend("enum" = [SUCCESSFUL, FAILED, INCOMPLETE]))]
    text: &'static str,
    /// The number by which JOC's GUI colours the order's state.
    severity: u8,
}

const SUCCESSFUL: &str = "SUCCESSFUL";
const FAILED: &str = "FAILED";
const INCOMPLETE: &str = "INCOMPLETE";

/// The highest history id: JavaScript reads numbers up to here exactly.
pub const MAX_HISTORY_ID: i64 = (1 << 53) - 1;

pub fn item(order: PastOrder) -> store::Result<HistoryItem> {
    let state = order.effective_state;
    let text = match state {
        EffectiveState::Finished => SUCCESSFUL,
        EffectiveState::Cancelled => FAILED,
        _ => INCOMPLETE,
    };
    let position = order.position.as_deref().map(stored_json).transpose()?;
    Ok(HistoryItem {
        controller_id: order.controller_id,
        order_id: order.order_id,
        history_id: order.history_id,
        workflow: order.workflow_path,
        planned_time: Instant(order.scheduled_for.unwrap_or(order.started).0),
        start_time: Instant(order.started.0),
        end_time: state.is_terminal().then_some(Instant(order.state_since.0)),
        survey_date: Instant(order.modified.0),
        position: position.as_ref().map(position_string).unwrap_or_default(),
        sequence: 0,
        // Coloured as the order's state is, as JOC's history does.
        state: PastState { text, severity: state.severity() },
        order_state: state.into(),
        arguments: stored_json(&order.arguments)?,
    })
}
