//! Changes orders and previews changes.

use std::time::Duration;

use async_trait::async_trait;

use super::packed::{Packed, ROW, packed};
use super::{Error, Result};
use crate::model::action::Action;
use crate::model::audit::AuditEntry;
use crate::model::effect::Effect;
use crate::model::order::EffectiveState;
use crate::model::selection::Selection;

/// A change of orders.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which orders.
    pub selection: Selection,
    /// What happens to them.
    pub action: Action,
    /// The change is rejected if it would affect more orders than this.
    pub max_orders: Option<u64>,
    /// After how long a kill request turns from `SIGTERM` to `SIGKILL`.
    pub sigkill_after: Duration,
    /// The entry for the audit trail.
    pub audit: AuditEntry,
}

/// How a [`Change`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Orders and audit entry are written.
    Done {
        /// `audit_logs.id` of the change.
        audit_log_id: i64,
        /// How many orders were affected; at least one.
        affected: u64,
    },
    /// No order was affected; only an audit entry is written.
    NoOrders,
    /// Nothing is written: the entry to undo was undone meanwhile.
    Undone {
        /// The entry that undid it.
        by: i64,
    },
    /// Nothing is written.
    TooMany {
        /// How many orders would have been affected.
        affected: u64,
    },
}

/// What a [`Change`] would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// How many orders, by effective state and effect.
    pub counts: Vec<(EffectiveState, Effect, u64)>,
    /// How many of them are not named, but belong to the cycle of an order that is.
    pub by_cycle: u64,
    /// The first orders by id.
    pub orders: Vec<PreviewedOrder>,
}

/// One order of a [`Preview`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedOrder {
    /// The order's id.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// Its effective state.
    pub state: EffectiveState,
    /// What would happen to it.
    pub effect: Effect,
}

/// Reads and changes orders.
#[async_trait]
pub trait Orders {
    /// Whether the controller exists.
    async fn knows_controller(&self, controller_id: &str) -> Result<bool>;
    /// Changes the orders and writes the audit entry, atomically.
    async fn change_orders(&self, change: &Change) -> Result<Changed>;
    /// What [`Orders::change_orders`] would do: at most `limit` orders, and counts of all.
    async fn preview(&self, selection: &Selection, action: &Action, limit: u32) -> Result<Preview>;
    /// The lines of the query plan for [`Orders::preview`].
    async fn plan(&self, selection: &Selection, action: &Action) -> Result<Vec<String>>;
}

struct PreviewRow {
    order_id: Option<String>,
    workflow_path: String,
    workflow_version_id: String,
    effective_state: EffectiveState,
    effect: String,
    orders: i64,
    by_cycle: i64,
}

packed!(PreviewRow {
    order_id,
    workflow_path,
    workflow_version_id,
    effective_state,
    effect,
    orders,
    by_cycle,
});

/// Builds a preview from packed rows of counts, which have no order id, and of orders.
pub(super) fn preview(action: &Action, texts: &[(String,)]) -> Result<Preview> {
    let effects = action.effects();
    let mut preview = Preview::default();
    for row in texts.iter().flat_map(|(text,)| text.split(ROW)) {
        let row = PreviewRow::unpack(row).map_err(sqlx::Error::Decode)?;
        let effect = effects.iter().find(|effect| effect.name == row.effect).copied();
        let effect = effect.ok_or_else(|| Error::Data(format!("effect {}", row.effect)))?;
        let PreviewRow { workflow_path, workflow_version_id, effective_state: state, .. } = row;
        if let Some(order_id) = row.order_id {
            preview.orders.push(PreviewedOrder {
                order_id,
                workflow_path,
                workflow_version_id,
                state,
                effect,
            });
        } else {
            preview.by_cycle += row.by_cycle.unsigned_abs();
            preview.counts.push((state, effect, row.orders.unsigned_abs()));
        }
    }
    Ok(preview)
}
