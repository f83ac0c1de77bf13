//! Lists, histories and counts of orders. Long results are streams.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::packed::packed;
use super::{Result, StoredInstant};
use crate::model::order::{EffectiveState, Mark, State};
use crate::model::selection::Selection;
use crate::model::window::Window;

/// One order of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedOrder {
    /// The order's id.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// Its stored state.
    pub state: String,
    /// Its effective state.
    pub effective_state: EffectiveState,
    /// Its mark.
    pub mark: Option<Mark>,
    /// Since when a kill of its job is requested; `None`: it is not.
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

// In the order of the columns in `tables.rs`, then what the statement computes.
packed!(ListedOrder {
    order_id,
    workflow_path,
    workflow_version_id,
    state,
    mark,
    scheduled_for,
    kill_requested,
    priority,
    arguments,
    position,
    reason,
    effective_state,
    has_children,
});

/// One order of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastOrder {
    /// The controller.
    pub controller_id: String,
    /// The order's id.
    pub order_id: String,
    /// The number of its history: unique, and the same for ever.
    pub history_id: i64,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// Its effective state.
    pub effective_state: EffectiveState,
    /// When it was due; `None`: never.
    pub scheduled_for: Option<StoredInstant>,
    /// When it started; when it was created, if that is unknown or it never did.
    pub started: StoredInstant,
    /// Since when it has its state; since it was created, if it never had another.
    pub state_since: StoredInstant,
    /// When its row was last written.
    pub modified: StoredInstant,
    /// Its arguments, a JSON object.
    pub arguments: String,
    /// Where in its workflow it is or ended, a JSON array.
    pub position: Option<String>,
}

packed!(PastOrder {
    controller_id,
    order_id,
    workflow_path,
    workflow_version_id,
    scheduled_for,
    modified,
    arguments,
    position,
    history_id,
    effective_state,
    started,
    state_since,
});

/// Which orders a history includes, besides the selection, whose window limits when they started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryFilter {
    /// The stored states, none of them fresh. They limit [`Family::Heads`] only.
    pub states: Vec<State>,
    /// When they became terminal.
    pub completed: Window,
    /// Which orders, by parent and child.
    pub family: Family,
    /// The id; may contain `*` and `?`.
    pub order_id: Option<String>,
    /// The workflow's path or, without a leading `/` or `*`, its name; may contain `*` and `?`.
    pub workflow_path: Option<String>,
    /// The workflow's name; may contain `*` and `?`.
    pub workflow_name: Option<String>,
    /// Workflows to leave out, by path or name.
    pub exclude_workflows: Vec<String>,
    /// Of these workflows, by path or name, and with this id if there is one; empty: any.
    pub orders: Vec<(String, Option<String>)>,
}

/// Which orders of a history, by parent and child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Family {
    /// Orders without a parent, as in JOC's history.
    Heads,
    /// This order.
    Only(String),
    /// The order with this history id.
    Numbered(i64),
    /// The descendants of this order that have started.
    Below(String),
}

/// Filters rows by what the database cannot evaluate.
pub type Wanted<T> = Box<dyn Fn(&T) -> bool + Send>;

/// Showing orders.
#[async_trait]
pub trait Lists {
    /// The selected orders that are `wanted` (all if `None`), by id, at most `limit`.
    fn orders(
        &self,
        selection: &Selection,
        limit: Option<u64>,
        wanted: Option<Wanted<ListedOrder>>,
    ) -> BoxStream<'static, Result<ListedOrder>>;
    /// How many orders there are of each effective state. The selection's window limits only
    /// orders that are `SCHEDULED`.
    async fn snapshot(&self, selection: &Selection) -> Result<Vec<(EffectiveState, u64)>>;
    /// Orders that have started, the latest first, at most `limit` of them. `selections`, at least
    /// one, differ in the controller and in what the account can see there.
    fn history(
        &self,
        selections: &[Selection],
        filter: &HistoryFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<PastOrder>>;
    /// How many terminal orders [`Lists::history`] has without a limit, by their state.
    async fn past_counts(
        &self,
        selection: &Selection,
        filter: &HistoryFilter,
    ) -> Result<Vec<(EffectiveState, u64)>>;
}
