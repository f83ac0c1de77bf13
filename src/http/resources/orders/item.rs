//! Orders as JOC's responses show them, limited to those that the account may see.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use strum::VariantArray;

use crate::http::context::request::Context;
use crate::http::context::response::WorkflowItem;
use crate::http::error::ApiError;
use crate::http::resources::orders::cycles::CyclicOrder;
use crate::model::action::{Action, Rule, Situation};
use crate::model::arguments::{Arguments, Position};
use crate::model::invalid::quoted;
use crate::model::json::Json;
use crate::model::order::{EffectiveState, Mark};
use crate::model::permission::VIEW_ORDERS;
use crate::model::selection::{Selection, Sight};
use crate::store::list::ListedOrder;
use crate::store::{Error, Result};

/// The default number of orders in a list, as in JOC.
pub const LISTED: u64 = 10_000;

/// An order, as JOC's `OrderV`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    order_id: String,
    workflow_id: WorkflowItem,
    /// The effective state.
    state: StateItem,
    /// What the executor is asked to do with the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    marked: Option<StateItem>,
    /// Milliseconds since 1970; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_for: Option<i64>,
    /// Whether the order is `PENDING`; absent: no. Deprecated in JOC.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    scheduled_never: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Position>")]
    position: Option<Value>,
    /// The position in one word: `2/then:0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    position_string: Option<String>,
    #[schemars(with = "Arguments")]
    arguments: Box<RawValue>,
    priority: i32,
    has_child_orders: bool,
    /// The cycle that the order stands for. Absent unless it is fresh and the service is set to
    /// take whole cycles.
    #[serde(skip_serializing_if = "Option::is_none")]
    cyclic_order: Option<CyclicOrder>,
    /// Whether `/orders/suspend` affects it.
    is_suspendible: bool,
    /// Whether `/orders/resume` affects it.
    is_resumable: bool,
    /// Whether `/orders/continue` affects it.
    is_continuable: bool,
}

impl OrderItem {
    /// With the cycle for which the order stands.
    pub fn of_cycle(self, cyclic_order: Option<CyclicOrder>) -> Self {
        Self { cyclic_order, ..self }
    }
}

/// A state or a mark.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StateItem {
    #[serde(rename = "_text")]
    #[schemars(extend("enum" = words()))]
    text: &'static str,
    /// The number by which JOC's GUI colours it.
    severity: u8,
    /// Why the order waits.
    #[serde(rename = "_reason", skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Every state and every mark.
fn words() -> Vec<&'static str> {
    let states = EffectiveState::VARIANTS.iter().map(|state| state.as_str());
    states.chain(Mark::VARIANTS.iter().map(|mark| mark.as_str())).collect()
}

impl From<EffectiveState> for StateItem {
    fn from(state: EffectiveState) -> Self {
        Self { text: state.as_str(), severity: state.severity(), reason: None }
    }
}

impl From<Mark> for StateItem {
    fn from(mark: Mark) -> Self {
        Self { text: mark.as_str(), severity: mark.severity(), reason: None }
    }
}

/// Makes items. The rules of each action decide whether an item offers it.
pub struct Items {
    suspend: Vec<Rule>,
    resume: Vec<Rule>,
    continue_: Vec<Rule>,
}

impl Items {
    pub fn new() -> Self {
        Self {
            suspend: Action::Suspend { kill: false, reset: false }.rules(),
            resume: Action::Resume { position: None, variables: None }.rules(),
            continue_: Action::Continue.rules(),
        }
    }

    pub fn item(&self, order: ListedOrder) -> Result<OrderItem> {
        let state = order.effective_state;
        let situation = Situation {
            state,
            mark: order.mark,
            killed: order.kill_requested.is_some(),
            reason: order.reason.as_deref(),
        };
        let [is_suspendible, is_resumable, is_continuable] =
            [&self.suspend, &self.resume, &self.continue_]
                .map(|rules| situation.is_affected(rules));
        let marked = situation.mark.map(StateItem::from);
        let position = order.position.as_deref().map(stored_json).transpose()?;
        Ok(OrderItem {
            is_suspendible,
            is_resumable,
            is_continuable,
            marked,
            order_id: order.order_id,
            workflow_id: WorkflowItem {
                path: order.workflow_path,
                version_id: order.workflow_version_id,
            },
            state: StateItem {
                reason: order.reason.filter(|_| !state.is_terminal()),
                ..state.into()
            },
            scheduled_for: order.scheduled_for.map(|at| at.timestamp_millis()),
            scheduled_never: state == EffectiveState::Pending,
            position_string: position.as_ref().map(position_string),
            position,
            arguments: RawValue::from_string(order.arguments).map_err(unreadable)?,
            priority: order.priority,
            has_child_orders: order.has_children,
            cyclic_order: None,
        })
    }
}

/// A position as JOC writes it in one word: `[2, "then", 0]` is `2/then:0`.
pub fn position_string(position: &Value) -> String {
    let mut text = String::new();
    for step in position.as_array().into_iter().flatten() {
        match step {
            Value::String(branch) => text += &format!("/{branch}"),
            number if text.is_empty() => text += &number.to_string(),
            number => text += &format!(":{number}"),
        }
    }
    text
}

/// Parses JSON text from the database.
pub fn stored_json(text: &str) -> Result<Value> {
    let read: serde_json::Result<Json> = serde_json::from_str(text);
    read.map(|Json(value)| value).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::Data(error.to_string())
}

/// Checks the permission to see orders, and leaves of the selection what the account can see.
pub async fn limit_to_visible(
    context: &Context,
    selection: &mut Selection,
) -> Result<(), ApiError> {
    let visible = context.permit_reading(VIEW_ORDERS, &selection.controller_id).await?;
    selection.sight = vec![Sight { states: &[], visible }];
    Ok(())
}

pub fn unknown_order(order_id: &str) -> ApiError {
    ApiError::NotFound(format!("orderId: there is no order {}", quoted(order_id)))
}
