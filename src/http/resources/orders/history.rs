//! `/orders/history` and `/order/history`: orders that have started.

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use self::item::{HistoryItem, MAX_HISTORY_ID, item};
use self::runs::RunItem;
use crate::http::context::audit::AuditLog;
use crate::http::context::body::{Limit, Object, RequestBody, Whole, check_limit, given, inner};
use crate::http::context::lists::{Names, Words};
use crate::http::context::request::{Context, Request};
use crate::http::context::response::Dated;
use crate::http::date::Instant;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::http::resources::orders::item::{LISTED, StateItem, limit_to_visible, unknown_order};
use crate::model::checks::{NO_CONTROLLER, check_controller_id, check_name, check_workflow_path};
use crate::model::folders::Folder;
use crate::model::invalid::Invalid;
use crate::model::order::{EffectiveState, State};
use crate::model::permission::VIEW_ORDERS;
use crate::model::selection::{Reach, Selection, Selectors, Subject, Unfiltered};
use crate::model::texts;
use crate::model::window::Fields;
use crate::store;
use crate::store::list::{Family, HistoryFilter, PastOrder};
use actix_web::HttpResponse;
use actix_web::web::{Json, post};

mod item;
pub mod overview;
mod runs;

/// Selects the orders that have started, or ended without, and match every field. Absent and `null`
/// mean the same.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilterHistory {
    /// Only this controller; by default every controller for which the account has the permission.
    #[schemars(with = "Option<texts::OptionalControllerId>")]
    controller_id: Option<String>,
    /// These orders; fields that name orders, workflows or folders are then ignored.
    orders: Option<Names<Object<OrderPath>>>,
    #[schemars(with = "Option<texts::Wildcards>")]
    order_id: Option<String>,
    #[schemars(with = "Option<texts::Wildcards>")]
    workflow_path: Option<String>,
    #[schemars(with = "Option<texts::Wildcards>")]
    workflow_name: Option<String>,
    /// Not the orders of these workflows.
    #[schemars(with = "Option<Names<texts::WorkflowPath>>")]
    exclude_workflows: Option<Names<String>>,
    /// Orders of the workflows in these folders.
    folders: Option<Names<Object<Folder>>>,
    /// Whether and how the orders ended; by default all.
    history_states: Option<Words<HistoryState>>,
    /// Not supported; the list must be empty. `/order/history` takes one.
    #[schemars(length(max = 0))]
    history_ids: Option<Vec<i64>>,
    /// Started at this instant or later; a relative date without a sign is in the past.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_from: Option<String>,
    /// Started before this instant.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_to: Option<String>,
    /// Ended at this instant or later.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    completed_date_from: Option<String>,
    /// Ended before this instant.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    completed_date_to: Option<String>,
    /// Time zone of the dates, which overrides their offsets; UTC by default.
    #[schemars(with = "Option<texts::TimeZone>")]
    time_zone: Option<String>,
    /// Maximum number of orders, newest first; -1 for all.
    #[schemars(with = "Option<Limit>", extend("default" = LISTED))]
    limit: Option<Whole<i64>>,
}

/// The orders of a workflow, or one of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OrderPath {
    #[schemars(with = "texts::WorkflowPath")]
    workflow_path: String,
    #[schemars(with = "Option<texts::OrderId>")]
    order_id: Option<String>,
}

/// Whether and how an order ended, in JOC's terms: `SUCCESSFUL` means finished, `FAILED` cancelled,
/// and `INCOMPLETE` started and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum HistoryState {
    Successful,
    Failed,
    Incomplete,
}

/// The maximum number of controllers in one history: each takes up to two of the 500 parts that
/// SQLite lets a statement have.
const CONTROLLERS: usize = 200;

/// The history of one order.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderHistory {
    /// The number of its history.
    history_id: i64,
    /// Always false: jobs are not known here.
    has_tasks: bool,
    has_orders: bool,
    /// The child orders that have started.
    children: Vec<Child>,
    /// The states that requests led to, and the last one.
    states: Vec<StateSince>,
    /// The runs of its job by `joc-orders agent`.
    runs: Vec<RunItem>,
}

/// A child order.
#[derive(Debug, Serialize, JsonSchema)]
struct Child {
    order: HistoryItem,
}

/// A state and since when it was.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StateSince {
    state: StateItem,
    state_time: Instant,
}

/// Selects an order, by `historyId` or, without it, by `orderId`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("anyOf" = [
    {"required": ["historyId"], "properties": {"historyId": {"type": "integer"}}},
    {"required": ["controllerId", "orderId"],
     "properties": {"controllerId": {"type": "string", "minLength": 1}, "orderId": {"type": "string"}}},
]))]
pub struct PastOrderId {
    /// Required with `orderId`; a `historyId` is unique among all controllers.
    #[schemars(with = "Option<texts::OptionalControllerId>")]
    controller_id: Option<String>,
    #[schemars(with = "Option<texts::OrderId>")]
    order_id: Option<String>,
    /// From `/orders/history`.
    #[schemars(with = "Option<i64>", range(min = 1, max = MAX_HISTORY_ID))]
    history_id: Option<Whole<i64>>,
}

impl RequestBody for FilterHistory {
    // JOC's PowerShell module sends `regex`, which JOC's own schema does not have.
    const UNSUPPORTED: &'static [&'static str] = &["orderTags", "workflowTags", "regex"];
}

impl RequestBody for PastOrderId {}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::post(
            "/orders/history",
            post().to(orders),
            "List orders that have started or ended",
        )
        .describe("Newest first; includes removed orders, but no child orders")
        .needs(&[VIEW_ORDERS])
        .takes::<FilterHistory>(schemas)
        .returns_schema(&schemas.list::<HistoryItem>("history")),
        Endpoint::post("/order/history", post().to(order), "Show the history of an order")
            .needs(&[VIEW_ORDERS])
            .takes::<PastOrderId>(schemas)
            .returns::<Dated<OrderHistory>>(schemas),
    ];
    with_examples(endpoints, include_str!("history.json"))
}

/// `POST /orders/history`
async fn orders(
    Request { context, body }: Request<FilterHistory>,
) -> Result<HttpResponse, ApiError> {
    let limit = check_limit(body.limit)?.unwrap_or(Some(LISTED));
    let (selections, filter) = select(&context, body).await?;
    let orders = history(&context, &selections, &filter, limit).await?;
    let items = orders.map(|order| item(order?));
    context.list("history", items.boxed()).await
}

/// The orders of some controllers, but not of too many.
async fn history(
    context: &Context,
    selections: &[Selection],
    filter: &HistoryFilter,
    limit: Option<u64>,
) -> Result<BoxStream<'static, store::Result<PastOrder>>, Invalid> {
    if selections.is_empty() {
        return Ok(stream::empty().boxed());
    }
    if selections.len() > CONTROLLERS {
        let problem = format!("is required, since the account may see more than {CONTROLLERS}");
        return Err(Invalid::new("controllerId", problem));
    }
    Ok(context.read_rows(|store| store.history(selections, filter, limit)).await)
}

/// `POST /order/history`: the children of an order and the states to which requests brought it.
async fn order(
    Request { context, body }: Request<PastOrderId>,
) -> Result<Json<Dated<OrderHistory>>, ApiError> {
    let controller_id = given(body.controller_id);
    if let Some(order_id) = &body.order_id {
        check_name("orderId", order_id)?;
    }
    // As in JOC, the number comes before the id.
    let (itself, unknown) = match (body.history_id, body.order_id) {
        (Some(Whole(number)), _) if (1..=MAX_HISTORY_ID).contains(&number) => (
            Family::Numbered(number),
            ApiError::NotFound(format!("historyId: there is no order {number}")),
        ),
        (Some(_), _) => {
            let problem = format!("is not between 1 and {MAX_HISTORY_ID}");
            return Err(Invalid::new("historyId", problem).into());
        }
        (None, Some(order_id)) => {
            check_controller_id(controller_id.as_deref().unwrap_or_default())?;
            (Family::Only(order_id.clone()), unknown_order(&order_id))
        }
        (None, None) => {
            return Err(Invalid::new("orderId, historyId", "one of them is required").into());
        }
    };
    let body = FilterHistory { controller_id, ..FilterHistory::default() };
    let (mut selections, filter) = select(&context, body).await?;
    let itself = HistoryFilter { family: itself, ..filter.clone() };
    let order =
        history(&context, &selections, &itself, Some(1)).await?.try_next().await?.ok_or(unknown)?;
    let order_id = order.order_id;
    selections.retain(|selection| selection.controller_id == order.controller_id);
    let below = HistoryFilter { family: Family::Below(order_id.clone()), ..filter };
    let children: Vec<Child> = context
        .read_rows(|store| store.history(&selections, &below, Some(LISTED)))
        .await
        .map(|order| Ok::<_, store::Error>(Child { order: item(order?)? }))
        .try_collect()
        .await?;

    let touches = context.read(|store| store.trail(&order.controller_id, &order_id)).await?;
    let runs = context.read(|store| store.runs(&order.controller_id, &order_id)).await?;
    // Not every request leads to another state.
    let changed = touches.into_iter().rev().filter(|touch| touch.new_state != touch.previous_state);
    let mut states: Vec<(String, _)> =
        changed.map(|touch| (touch.new_state, touch.created.0)).collect();
    let state = order.effective_state.as_str();
    if states.last().is_none_or(|(last, _)| last != state) {
        states.push((state.into(), order.state_since.0));
    }
    let states = states.into_iter().filter_map(|(state, at)| {
        let state = StateItem::from(state.parse::<EffectiveState>().ok()?);
        Some(StateSince { state, state_time: Instant(at) })
    });
    let history = OrderHistory {
        history_id: order.history_id,
        has_tasks: false,
        has_orders: !children.is_empty(),
        children,
        states: states.collect(),
        runs: runs.into_iter().map(RunItem::from).collect(),
    };
    Ok(context.dated(history))
}

/// Checks the body and the permission. Returns a selection for each controller.
async fn select(
    context: &Context,
    body: FilterHistory,
) -> Result<(Vec<Selection>, HistoryFilter), ApiError> {
    if body.history_ids.is_some_and(|ids| !ids.is_empty()) {
        let problem = "are not supported; /order/history takes one";
        return Err(Invalid::new("historyIds", problem).into());
    }
    let [order_id, workflow_path, workflow_name] =
        [body.order_id, body.workflow_path, body.workflow_name].map(given);
    for (field, pattern) in
        [("orderId", &order_id), ("workflowPath", &workflow_path), ("workflowName", &workflow_name)]
    {
        if let Some(pattern) = pattern {
            check_name(field, pattern)?;
        }
    }
    let exclude_workflows = body.exclude_workflows.unwrap_or_default().into_vec();
    for (i, path) in exclude_workflows.iter().enumerate() {
        check_workflow_path(&format!("excludeWorkflows[{i}]"), path)?;
    }
    let orders = inner(body.orders);
    for (i, order) in orders.iter().enumerate() {
        check_workflow_path(&format!("orders[{i}].workflowPath"), &order.workflow_path)?;
        if let Some(id) = &order.order_id {
            check_name(&format!("orders[{i}].orderId"), id)?;
        }
    }
    let zone = body.time_zone.as_deref();
    let [from, to] = [body.date_from.as_deref(), body.date_to.as_deref()];
    let started = Fields::PAST_DATES.resolve(from, to, zone, context.now).map_err(Invalid::from)?;
    let [from, to] = [body.completed_date_from.as_deref(), body.completed_date_to.as_deref()];
    let completed =
        Fields::COMPLETED_DATES.resolve(from, to, zone, context.now).map_err(Invalid::from)?;
    let controller_id = given(body.controller_id);
    let selectors = Selectors {
        controller_id: controller_id.clone().unwrap_or_else(|| NO_CONTROLLER.into()),
        folders: inner(body.folders),
        ..Selectors::default()
    };
    let mut selection = selectors.resolve(context.now, Unfiltered::Allow, Reach::InSight)?;
    selection.window = started;
    let named = !orders.is_empty();
    if named {
        // As in JOC, the orders that are named come before folders.
        selection.subject = Subject::Everything;
    }
    let mut selections = Vec::new();
    for controller_id in controllers(context, controller_id).await? {
        let mut selection = Selection { controller_id, ..selection.clone() };
        limit_to_visible(context, &mut selection).await?;
        selections.push(selection);
    }

    let wanted = body.history_states.unwrap_or_default();
    let is_wanted = |state: &&State| {
        history_state(**state).is_some_and(|word| wanted.is_empty() || wanted.contains(&word))
    };
    let states = State::VARIANTS.iter().filter(is_wanted).copied().collect();
    let unless_named = |pattern: Option<String>| pattern.filter(|_| !named);
    let filter = HistoryFilter {
        states,
        completed,
        family: Family::Heads,
        order_id: unless_named(order_id),
        workflow_path: unless_named(workflow_path),
        workflow_name: unless_named(workflow_name),
        exclude_workflows: if named { Vec::new() } else { exclude_workflows },
        orders: orders.into_iter().map(|order| (order.workflow_path, order.order_id)).collect(),
    };
    Ok((selections, filter))
}

/// The controller that the request names, or all for which the account has the permission.
async fn controllers(
    context: &Context,
    controller_id: Option<String>,
) -> Result<Vec<String>, ApiError> {
    if let Some(controller_id) = controller_id {
        return Ok(vec![controller_id]);
    }
    if context.principal.extent(VIEW_ORDERS).is_none() {
        let why = AuditLog::default();
        return Err(context.deny(VIEW_ORDERS, NO_CONTROLLER, &why).await?);
    }
    context.progress.allowed();
    let mut ids = context.store().controllers().await?;
    ids.retain(|id| context.principal.may(VIEW_ORDERS, id).is_some());
    Ok(ids)
}

/// How the history names a state; `None`: an order that has not started is no part of it.
const fn history_state(state: State) -> Option<HistoryState> {
    match state {
        State::Finished => Some(HistoryState::Successful),
        State::Cancelled => Some(HistoryState::Failed),
        _ if state.may_wait() => Some(HistoryState::Incomplete),
        _ => None,
    }
}
