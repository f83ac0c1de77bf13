//! Lists of workflows and controllers.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Result, StoredInstant};
use crate::model::folders::Folders;
use crate::model::order::EffectiveState;
use crate::model::permission::Visible;
use crate::model::window::Window;
use crate::model::workflow_id::WorkflowId;

/// Which workflows a request means.
#[derive(Debug, Clone)]
pub struct WorkflowFilter {
    /// The controller.
    pub controller_id: String,
    /// These workflows, in the current version unless one is named; `folders` is then ignored.
    pub named: Vec<WorkflowId>,
    /// Those in these folders; empty: in any. Of each, the current version, and older versions that
    /// have living orders.
    pub folders: Folders,
    /// Where the account can see workflows.
    pub visible: Visible,
}

/// One version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Workflow {
    /// Its path.
    pub path: String,
    /// Its version.
    pub version_id: String,
    /// When the version came to be known.
    pub created: StoredInstant,
    /// Whether it is the newest of its path: by `created`, then by version.
    pub is_current: bool,
}

/// Order counts by effective state, for each path and version.
pub type OrderCounts = BTreeMap<(String, String), BTreeMap<EffectiveState, u64>>;

/// Workflows, their folders, and the controllers.
#[async_trait]
pub trait Workflows {
    /// Every controller's id, sorted.
    async fn controllers(&self) -> Result<Vec<String>>;
    /// The workflows, the newest version first.
    async fn workflows(&self, filter: &WorkflowFilter) -> Result<Vec<Workflow>>;
    /// Order counts of the workflows, including workflows without orders: those scheduled in the
    /// window and, if they are `SCHEDULED`, before the horizon.
    async fn order_counts(
        &self,
        filter: &WorkflowFilter,
        now: DateTime<Utc>,
        window: Window,
        horizon: Option<DateTime<Utc>>,
    ) -> Result<OrderCounts>;
    /// The folders that directly contain workflows.
    async fn workflow_folders(&self, controller_id: &str, visible: &Visible)
    -> Result<Vec<String>>;
}

/// Puts counts together from rows of workflows, which have no state, and rows of counts.
pub(super) fn order_counts(rows: Vec<CountRow>) -> OrderCounts {
    let mut counts = OrderCounts::new();
    for CountRow { path, version_id, state, orders } in rows {
        let of_workflow = counts.entry((path, version_id)).or_default();
        if let Some(state) = state {
            of_workflow.insert(state, orders.unsigned_abs());
        }
    }
    counts
}

#[derive(sqlx::FromRow)]
pub(super) struct CountRow {
    path: String,
    version_id: String,
    state: Option<EffectiveState>,
    orders: i64,
}
