//! What the undo of a cancel needs to know beforehand and tells afterwards.

use async_trait::async_trait;

use super::Result;
use crate::model::selection::{Selection, Sight};

/// An entry that is to be undone.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UndoneEntry {
    /// Its request: `./orders/cancel`.
    pub request: String,
    /// Its outcome.
    pub outcome: String,
    /// Whether the account can see one of its orders.
    pub is_seen: bool,
    /// The entry that has undone it.
    pub undone_by: Option<i64>,
}

/// An order that an undo leaves alone.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LeftOrder {
    /// The order's id.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// Its effective state; `None`: it is gone.
    pub effective_state: Option<String>,
    /// Why it is left alone: a word of [`Fate`](crate::model::undo::Fate).
    pub fate: String,
    /// How many orders the row stands for.
    orders: i64,
}

/// The orders that an undo leaves alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOrders {
    /// How many there are, by reason.
    pub counts: Vec<(String, u64)>,
    /// The first by id.
    pub orders: Vec<LeftOrder>,
}

impl LeftOrders {
    /// From rows of counts, which have no order id, and of orders.
    pub(super) fn of(rows: Vec<LeftOrder>) -> Self {
        let (counts, mut orders): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.order_id.is_empty());
        let mut counts: Vec<_> =
            counts.into_iter().map(|row| (row.fate, row.orders.unsigned_abs())).collect();
        counts.sort();
        orders.sort_by(|one, other| one.order_id.cmp(&other.order_id));
        Self { counts, orders }
    }
}

/// Looks at what a cancel did.
#[async_trait]
pub trait Undo {
    /// The entry; `None`: there is none.
    async fn find_undone(
        &self,
        controller_id: &str,
        audit_log_id: i64,
        sight: &[Sight],
    ) -> Result<Option<UndoneEntry>>;
    /// The orders that an undo of the entry leaves alone, or has left alone if it is given: at most
    /// `limit`, and counts of all. The selection is that of the undo.
    async fn left(
        &self,
        selection: &Selection,
        audit_log_id: i64,
        undone_by: Option<i64>,
        limit: u32,
    ) -> Result<LeftOrders>;
}
