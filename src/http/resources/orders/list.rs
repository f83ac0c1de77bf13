//! `/orders`, `/order` and `/orders/overview/snapshot`: lists and counts of orders.

use futures_util::{StreamExt, TryStreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::context::body::{Limit, Object, RequestBody, Whole, check_limit, inner};
use crate::http::context::lists::{List, Names, ORDER_IDS, Words};
use crate::http::context::regex;
use crate::http::context::request::{Context, Request};
use crate::http::context::response::Dated;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::http::resources::orders::cycles::collapsed;
use crate::http::resources::orders::item::{
    Items, LISTED, OrderItem, limit_to_visible, unknown_order,
};
use crate::http::resources::summary::{CountsByState, Summary};
use crate::model::checks::{check_controller_id, check_name};
use crate::model::cycle::Cycles;
use crate::model::folders::Folder;
use crate::model::invalid::Invalid;
use crate::model::order::StateWord;
use crate::model::permission::VIEW_ORDERS;
use crate::model::selection::{Reach, Selection, Selectors, Subject, Unfiltered};
use crate::model::texts;
use crate::model::window::{self, Fields};
use crate::model::workflow_id::WorkflowId;
use crate::store::list::{ListedOrder, Wanted};
use actix_web::HttpResponse;
use actix_web::web::{Json, post};

pub mod overview;

/// Selects the orders that match every field. Absent, `null` and an empty list mean the same.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilterOrders {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    /// These orders; `workflowIds`, `folders`, `states` and the default of `limit` are then
    /// ignored.
    #[schemars(with = "Option<List<texts::OrderId, ORDER_IDS>>", extend("uniqueItems" = true))]
    order_ids: Option<List<String, ORDER_IDS>>,
    /// Orders of these workflows; `folders` is then ignored.
    workflow_ids: Option<Names<Object<WorkflowId>>>,
    /// Orders of the workflows in these folders.
    folders: Option<Names<Object<Folder>>>,
    /// Orders in one of these states. Terminal orders are listed only if their states or their
    /// ids are given.
    states: Option<Words<StateWord>>,
    /// Regular expression to search in the path of the order's workflow, a slash and the order's
    /// id: `/sos/eod/#2026-11-23#P1-eod`. It ignores case; `%` is any text.
    #[schemars(with = "Option<regex::Expression>")]
    regex: Option<String>,
    /// Scheduled at this instant or later.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_from: Option<String>,
    /// With `dateFrom`: scheduled before this instant. Without, it only limits orders that are
    /// `SCHEDULED`, and not with `orderIds`; it is then never earlier than now, and of a whole day,
    /// week, month or year it means the beginning.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_to: Option<String>,
    /// In its state since this instant or later; a relative date without a sign is in the past.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    state_date_from: Option<String>,
    /// In its state since before this instant; a relative date without a sign is in the past.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    state_date_to: Option<String>,
    /// Time zone of the dates, which overrides their offsets; UTC by default.
    #[schemars(with = "Option<texts::TimeZone>")]
    time_zone: Option<String>,
    /// Maximum number of orders, sorted by id; -1 for all.
    #[schemars(with = "Option<Limit>", extend("default" = LISTED))]
    limit: Option<Whole<i64>>,
    /// No effect: in JOC it omits `historicOutcome`, which this service does not have.
    #[serde(rename = "compact")]
    _compact: Option<bool>,
}

/// Selects the orders that match every field. Absent, `null` and an empty list mean the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountOrders {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    /// Orders of these workflows; `folders` is then ignored.
    workflow_ids: Option<Names<Object<WorkflowId>>>,
    /// Orders of the workflows in these folders.
    folders: Option<Names<Object<Folder>>>,
    /// Scheduled at this instant or later.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_from: Option<String>,
    /// As for `/orders`.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_to: Option<String>,
    /// Time zone of the dates, which overrides their offsets; UTC by default.
    #[schemars(with = "Option<texts::TimeZone>")]
    time_zone: Option<String>,
}

/// Selects an order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OneOrder {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    #[schemars(with = "texts::OrderId")]
    order_id: String,
}

impl RequestBody for FilterOrders {
    const UNSUPPORTED: &'static [&'static str] = &["orderTags", "workflowTags", "scheduledNever"];
}

impl RequestBody for CountOrders {
    const UNSUPPORTED: &'static [&'static str] = &[
        "orderIds",
        "regex",
        "states",
        "stateDateFrom",
        "stateDateTo",
        "orderTags",
        "workflowTags",
        "scheduledNever",
    ];
}

impl RequestBody for OneOrder {}

impl From<CountOrders> for FilterOrders {
    fn from(body: CountOrders) -> Self {
        Self {
            controller_id: body.controller_id,
            workflow_ids: body.workflow_ids,
            folders: body.folders,
            date_from: body.date_from,
            date_to: body.date_to,
            time_zone: body.time_zone,
            ..Self::default()
        }
    }
}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::post("/orders", post().to(orders), "List orders")
            .describe(
                "Sorted by id. The response is streamed: if the database fails in the \
                 middle, the connection is aborted",
            )
            .needs(&[VIEW_ORDERS])
            .takes::<FilterOrders>(schemas)
            .returns_schema(&schemas.list::<OrderItem>("orders")),
        Endpoint::post("/order", post().to(order), "Show an order")
            .needs(&[VIEW_ORDERS])
            .takes::<OneOrder>(schemas)
            .returns::<Dated<OrderItem>>(schemas),
        Endpoint::post(
            "/orders/overview/snapshot",
            post().to(snapshot),
            "Count orders by effective state",
        )
        .needs(&[VIEW_ORDERS])
        .takes::<CountOrders>(schemas)
        .returns::<Dated<Snapshot>>(schemas),
    ];
    with_examples(endpoints, include_str!("list.json"))
}

/// `POST /orders`
async fn orders(
    Request { context, body }: Request<FilterOrders>,
) -> Result<HttpResponse, ApiError> {
    let regex = body.regex.as_deref().map(regex::compile).transpose()?;
    let limit = check_limit(body.limit)?;
    let by_id = body.order_ids.as_ref().is_some_and(|ids| !ids.is_empty());
    // As in JOC, a list of order ids has no default limit.
    let limit = limit.unwrap_or((!by_id).then_some(LISTED));
    let selection = select(&context, body).await?;

    let wanted = || {
        regex.clone().map(|regex| -> Wanted<ListedOrder> {
            Box::new(move |order| {
                regex.is_match(&format!("{}/{}", order.workflow_path, order.order_id))
            })
        })
    };
    let items = Items::new();
    if context.service.settings.orders_cycles == Cycles::All && !by_id {
        let shown = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let orders = context.read_rows(|store| store.orders(&selection, None, wanted())).await;
        let orders = collapsed(orders).take(shown);
        let orders = orders.map(move |order| {
            let (order, cyclic_order) = order?;
            items.item(order).map(|item| item.of_cycle(cyclic_order))
        });
        return context.list("orders", orders.boxed()).await;
    }
    let orders = context.read_rows(|store| store.orders(&selection, limit, wanted())).await;
    let orders = orders.map(move |order| items.item(order?));
    context.list("orders", orders.boxed()).await
}

/// `POST /order`
async fn order(
    Request { context, body }: Request<OneOrder>,
) -> Result<Json<Dated<OrderItem>>, ApiError> {
    let OneOrder { controller_id, order_id } = body;
    check_controller_id(&controller_id)?;
    check_name("orderId", &order_id)?;
    let one = FilterOrders {
        controller_id,
        order_ids: Some(order_id.clone().into()),
        ..FilterOrders::default()
    };
    let selection = select(&context, one).await?;
    let mut orders = context.read_rows(|store| store.orders(&selection, Some(1), None)).await;
    let order = orders.try_next().await?;
    let order = order.ok_or_else(|| unknown_order(&order_id))?;
    let item = Items::new().item(order)?;
    Ok(context.dated(item))
}

/// Numbers of orders.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Snapshot {
    orders: Summary,
}

/// `POST /orders/overview/snapshot`
async fn snapshot(
    Request { context, body }: Request<CountOrders>,
) -> Result<Json<Dated<Snapshot>>, ApiError> {
    let mut selection = select(&context, body.into()).await?;
    selection.reach = Reach::InSight;
    let counts = context.read(|store| store.snapshot(&selection)).await?;
    let counts: CountsByState = counts.into_iter().collect();
    Ok(context.dated(Snapshot { orders: Summary::of([&counts]) }))
}

/// Checks the body and the permission. Terminal orders are listed only if their ids or states are
/// given: they are kept, and would soon be most of a list.
async fn select(context: &Context, body: FilterOrders) -> Result<Selection, ApiError> {
    let state_window = Fields::STATE_DATES
        .resolve(
            body.state_date_from.as_deref(),
            body.state_date_to.as_deref(),
            body.time_zone.as_deref(),
            context.now,
        )
        .map_err(Invalid::from)?;
    let [from, to, zone] = [&body.date_from, &body.date_to, &body.time_zone].map(Option::as_deref);
    let (window, horizon) = window::of_list(from, to, zone, context.now).map_err(Invalid::from)?;
    let selectors = Selectors {
        controller_id: body.controller_id,
        order_ids: body.order_ids.unwrap_or_default().into_vec(),
        workflow_ids: inner(body.workflow_ids),
        folders: inner(body.folders),
        states: body.states.unwrap_or_default().into_vec(),
        ..Selectors::default()
    };
    let mut selection = selectors.resolve(context.now, Unfiltered::Allow, Reach::InSight)?;
    selection.state_window = state_window;
    let by_id = matches!(selection.subject, Subject::Orders(_));
    (selection.window, selection.horizon) = (window, horizon.filter(|_| !by_id));
    if !by_id && !selection.states.iter().any(|state| state.is_terminal()) {
        selection.reach = Reach::Living;
    }
    limit_to_visible(context, &mut selection).await?;
    Ok(selection)
}
