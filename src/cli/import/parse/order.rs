//! An order of the input, whose fields are still to be checked.

use serde::Deserialize;

use crate::model::json::Json;

/// The fields of an order that are imported.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub(super) struct Order {
    pub(super) order_id: Option<Json>,
    pub(super) workflow_id: Option<Json>,
    pub(super) state: Option<Json>,
    pub(super) suspended: Option<Json>,
    pub(super) marked: Option<Json>,
    pub(super) position: Option<Json>,
    pub(super) arguments: Option<Json>,
    pub(super) priority: Option<Json>,
    pub(super) scheduled_for: Option<Json>,
    pub(super) scheduled_never: Option<Json>,
    pub(super) start_time: Option<Json>,
    pub(super) end_time: Option<Json>,
    pub(super) state_since: Option<Json>,
    pub(super) created: Option<Json>,
    pub(super) kill_requested: Option<Json>,
    pub(super) sigkill_at: Option<Json>,
    pub(super) remove_when_terminated: Option<Json>,
    pub(super) cyclic_order: Option<Json>,
}
