//! `/orders/overview/folders`, `/orders/overview/schedule` and `/orders/overview/cancelling`: what a
//! page for operators shows of the orders. JOC has none of them.

use std::collections::BTreeMap;

use actix_web::web::{Json, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CountOrders, FilterOrders, select};
use crate::http::context::body::{Object, RequestBody, Whole};
use crate::http::context::lists::Names;
use crate::http::context::request::Request;
use crate::http::context::response::{Dated, WorkflowItem};
use crate::http::date::Instant;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::http::resources::buckets::{Bucket, buckets};
use crate::http::resources::orders::modify::body::PREVIEWED;
use crate::http::resources::orders::modify::listed;
use crate::http::resources::summary::{CountsByState, LivingSummary, sum_of};
use crate::model::folders::Folder;
use crate::model::order::EffectiveState;
use crate::model::permission::{VIEW_AUDIT_LOG, VIEW_ORDERS};
use crate::model::selection::MAX_PREVIEWED;
use crate::model::texts;
use crate::model::window::Fields;
use crate::model::window::buckets::{MAX_BUCKETS, Unit};
use crate::model::workflow_id::{WorkflowId, folder_of};

/// Selects the orders that match every field, and says how to cut the window. Absent, `null` and an
/// empty list mean the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleOf {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    /// Orders of these workflows; `folders` is then ignored.
    workflow_ids: Option<Names<Object<WorkflowId>>>,
    /// Orders of the workflows in these folders.
    folders: Option<Names<Object<Folder>>>,
    /// Where the first bucket begins.
    #[schemars(with = "texts::DateOrPeriod")]
    date_from: String,
    /// Where the last bucket ends.
    #[schemars(with = "texts::DateOrPeriod")]
    date_to: String,
    /// Time zone of the dates, which overrides their offsets, and of the buckets; without it these are
    /// cut by the offset of `dateFrom`, or in UTC.
    #[schemars(with = "Option<texts::TimeZone>")]
    time_zone: Option<String>,
    unit: Unit,
}

/// Selects the orders to show. Absent, `null` and an empty list mean the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancellingOf {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    /// Orders of the workflows in these folders.
    folders: Option<Names<Object<Folder>>>,
    /// Maximum number of orders to list; all are counted.
    #[schemars(extend("default" = PREVIEWED, "maximum" = MAX_PREVIEWED))]
    limit: Option<Whole<u32>>,
}

impl RequestBody for ScheduleOf {}

impl RequestBody for CancellingOf {}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::post("/orders/overview/folders", post().to(folders), "Count orders by folder")
            .describe(
                "Folders that directly contain orders which are not terminal, by path. Not in JOC",
            )
            .needs(&[VIEW_ORDERS])
            .takes::<CountOrders>(schemas)
            .returns::<Dated<OrdersByFolder>>(schemas),
        Endpoint::post(
            "/orders/overview/schedule",
            post().to(schedule),
            "Count fresh orders by when they are scheduled",
        )
        .describe(&format!(
            "Suspended orders are left out. The window is cut at full hours or at the beginning of \
             each day, into at most {MAX_BUCKETS} buckets. Not in JOC"
        ))
        .needs(&[VIEW_ORDERS])
        .takes::<ScheduleOf>(schemas)
        .returns::<Dated<ScheduledOrders>>(schemas),
        Endpoint::post(
            "/orders/overview/cancelling",
            post().to(cancelling),
            "List orders that an executor is to cancel",
        )
        .describe("Orders with the mark `CANCELLING`, the longest marked first. Not in JOC")
        .needs(&[VIEW_ORDERS])
        .takes::<CancellingOf>(schemas)
        .returns::<Dated<CancellingOrders>>(schemas),
    ];
    with_examples(endpoints, include_str!("overview.json"))
}

/// Numbers of orders by folder.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OrdersByFolder {
    folders: Vec<FolderItem>,
}

/// The orders directly in a folder.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OrdersOfFolder")]
struct FolderItem {
    folder: String,
    orders: LivingSummary,
}

/// `POST /orders/overview/folders`
async fn folders(
    Request { context, body }: Request<CountOrders>,
) -> Result<Json<Dated<OrdersByFolder>>, ApiError> {
    let selection = select(&context, body.into()).await?;
    let counts = context.read(|store| store.counts_by_workflow(&selection)).await?;
    let mut folders = BTreeMap::<&str, Vec<&CountsByState>>::new();
    for (path, counts) in &counts {
        folders.entry(folder_of(path).unwrap_or("/")).or_default().push(counts);
    }
    let folders = folders.into_iter().map(|(folder, counts)| FolderItem {
        folder: folder.into(),
        orders: LivingSummary::of(&sum_of(counts)),
    });
    Ok(context.dated(OrdersByFolder { folders: folders.collect() }))
}

/// When orders are scheduled.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScheduledOrders {
    /// How many are `BLOCKED`, whatever the window.
    overdue: u64,
    /// How many are `PENDING`.
    never: u64,
    /// Without a gap, from the first to the last.
    buckets: Vec<Bucket<Scheduled>>,
}

/// Those that are scheduled in it, `BLOCKED` ones too.
#[derive(Debug, Serialize, JsonSchema)]
struct Scheduled {
    orders: u64,
}

/// `POST /orders/overview/schedule`
async fn schedule(
    Request { context, body }: Request<ScheduleOf>,
) -> Result<Json<Dated<ScheduledOrders>>, ApiError> {
    let window = [&*body.date_from, &*body.date_to];
    let bounds =
        Fields::DATES.buckets(window, body.time_zone.as_deref(), body.unit, context.now)?;
    let of = FilterOrders {
        controller_id: body.controller_id,
        workflow_ids: body.workflow_ids,
        folders: body.folders,
        ..FilterOrders::default()
    };
    let selection = select(&context, of).await?;
    let schedule = context.read(|store| store.schedule(&selection, &bounds)).await?;
    let counted = schedule.buckets.into_iter().map(|orders| Scheduled { orders });
    Ok(context.dated(ScheduledOrders {
        overdue: schedule.overdue,
        never: schedule.never,
        buckets: buckets(&bounds, counted),
    }))
}

/// Orders with the mark `CANCELLING`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CancellingOrders {
    /// How many there are.
    total: u64,
    /// The longest marked first.
    orders: Vec<CancellingItem>,
}

/// An order, and since when and by whom it is being cancelled.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CancellingOrder")]
struct CancellingItem {
    order_id: String,
    workflow_id: WorkflowItem,
    /// The effective state.
    #[schemars(with = "EffectiveState")]
    state: &'static str,
    /// Whether its job is to be killed.
    kill: bool,
    /// When the mark was set. If no request set it, as after an import: when the order was last
    /// written.
    since: Instant,
    /// The `id` of the audit entry of the request that set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_log_id: Option<i64>,
    /// Who sent that request; only for those who may read the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

/// `POST /orders/overview/cancelling`
async fn cancelling(
    Request { context, body }: Request<CancellingOf>,
) -> Result<Json<Dated<CancellingOrders>>, ApiError> {
    let limit = listed(body.limit)?;
    let of = FilterOrders {
        controller_id: body.controller_id,
        folders: body.folders,
        ..FilterOrders::default()
    };
    let selection = select(&context, of).await?;
    let audit_log = context.principal.may(VIEW_AUDIT_LOG, &selection.controller_id);
    let (total, orders) = context.read(|store| store.cancelling(&selection, limit)).await?;
    let items = orders.into_iter().map(|order| {
        let folder = folder_of(&order.workflow_path).unwrap_or("/");
        let is_told = audit_log.as_ref().is_some_and(|visible| visible.shows(folder));
        CancellingItem {
            order_id: order.order_id,
            state: order.effective_state.as_str(),
            kill: order.kill,
            since: Instant(order.since.0),
            audit_log_id: order.audit_log_id,
            account: order.account.filter(|_| is_told),
            workflow_id: WorkflowItem {
                path: order.workflow_path,
                version_id: order.workflow_version_id,
            },
        }
    });
    Ok(context.dated(CancellingOrders { total, orders: items.collect() }))
}
