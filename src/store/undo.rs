//! What the undo of a cancel needs to know beforehand and tells afterwards.

use async_trait::async_trait;

use super::Result;
use crate::model::permission::Visible;
use crate::model::selection::Selection;

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
}

/// The orders that an undo leaves alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOrders {
    /// How many there are, by reason.
    pub counts: Vec<(String, u64)>,
    /// The first by id.
    pub orders: Vec<LeftOrder>,
}

/// Looks at what a cancel did.
#[async_trait]
pub trait Undo {
    /// The entry; `None`: there is none.
    async fn find_undone(
        &self,
        controller_id: &str,
        audit_log_id: i64,
        visible: &Visible,
    ) -> Result<Option<UndoneEntry>>;
    /// The orders that an undo of the entry leaves alone, or has left alone if it is given: at most
    /// `limit`, and counts of all. The selection is that of the undo.
    async fn left(
        &self,
        selection: &Selection,
        audit_log_id: i64,
        undone_by: Option<i64>,
        visible: &Visible,
        limit: u32,
    ) -> Result<LeftOrders>;
}
