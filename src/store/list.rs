//! Showing orders: lists, histories, numbers. Long results are streams.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::{Result, StoredInstant};
use crate::model::order::{EffectiveState, Mark, State};
use crate::model::selection::Selection;
use crate::model::window::Window;

/// One order of a list.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ListedOrder {
    /// The order's id.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// Its effective state.
    pub effective_state: EffectiveState,
    /// Its mark.
    pub mark: Option<Mark>,
    /// Since when its job is to be killed; `None`: it is not.
    pub kill_requested: Option<StoredInstant>,
    /// Why it waits.
    pub reason: Option<String>,
    /// When it is due; `None`: never.
    pub scheduled_for: Option<StoredInstant>,
    /// Its priority.
    pub priority: i32,
    /// Its arguments, a JSON object.
    pub arguments: String,
    /// Where in its workflow it is, a JSON array.
    pub position: Option<String>,
    /// Whether it has child orders that are not terminal.
    pub has_children: bool,
}

/// One order of a history.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PastOrder {
    /// The controller.
    pub controller_id: String,
    /// The order's id.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// Its stored state, which is terminal.
    pub state: String,
    /// When it was due; `None`: never.
    pub scheduled_for: Option<StoredInstant>,
    /// When it started; when it was created, if it never did or nobody said.
    pub started: StoredInstant,
    /// When it became terminal.
    pub ended: StoredInstant,
    /// When its row was last written.
    pub modified: StoredInstant,
    /// Its arguments, a JSON object.
    pub arguments: String,
    /// Where in its workflow it ended, a JSON array.
    pub position: Option<String>,
}

/// Which orders a history means, beside the selection. Its window is that of their start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryFilter {
    /// The terminal states.
    pub states: Vec<State>,
    /// When they became terminal.
    pub completed: Window,
    /// Which of the orders and their children.
    pub family: Family,
    /// The id, perhaps with `*` and `?`.
    pub order_id: Option<String>,
    /// The workflow's path or, without a leading `/` or `*`, its name, perhaps with `*` and `?`.
    pub workflow_path: Option<String>,
    /// The workflow's name, perhaps with `*` and `?`.
    pub workflow_name: Option<String>,
    /// Not of these workflows: paths or names.
    pub exclude_workflows: Vec<String>,
    /// Of these workflows, by path or name, and with this id if there is one; empty: any.
    pub orders: Vec<(String, Option<String>)>,
}

/// Which orders of a history are meant as parents and children go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Family {
    /// Orders that are no one's children, as JOC's history lists them.
    Heads,
    /// This order.
    Only(String),
    /// The descendants of this order.
    Below(String),
}

/// What says which rows are wanted beyond what the database can tell.
pub type Wanted<T> = Box<dyn Fn(&T) -> bool + Send>;

/// Showing orders.
#[async_trait]
pub trait Lists {
    /// The orders that a selection means, by id, at most `limit` of those that are wanted: all,
    /// without `wanted`.
    fn orders(
        &self,
        selection: &Selection,
        limit: Option<u64>,
        wanted: Option<Wanted<ListedOrder>>,
    ) -> BoxStream<'static, Result<ListedOrder>>;
    /// How many orders there are of each effective state. The selection's window limits only
    /// orders that are `SCHEDULED`.
    async fn snapshot(&self, selection: &Selection) -> Result<Vec<(EffectiveState, u64)>>;
    /// Terminal orders, the latest first, at most `limit` of them.
    fn history(
        &self,
        selection: &Selection,
        filter: &HistoryFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<PastOrder>>;
}
