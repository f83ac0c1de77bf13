//! `/orders/add` and its preview.

use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::context::audit::AuditLog;
use crate::http::context::body::{Object, RequestBody, Unsupported, Whole, given};
use crate::http::context::lists::{ADDED, List};
use crate::http::context::request::{Context, Request};
use crate::http::context::response::{Dated, Delivered, WorkflowItem};
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::model::arguments::{Arguments, Position, check_arguments, check_position};
use crate::model::audit::{AuditEntry, Outcome};
use crate::model::checks::check_workflow_path;
use crate::model::invalid::{Invalid, displayable};
use crate::model::json::{Json, JsonObject};
use crate::model::order_name::{check_order_name, order_name_of};
use crate::model::permission::{CREATE_ORDERS, Visible};
use crate::model::texts;
use crate::model::window::scheduled::{LocalZone, Schedule, ScheduleError};
use crate::model::workflow_id::folder_of;
use crate::store::add::{AddedOrder, Addition};
use actix_web::HttpResponse;
use actix_web::web::{self, post};

/// The orders to add.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddOrders {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    /// Either all are added or none.
    #[schemars(length(min = 1))]
    orders: List<Object<AddOrder>, ADDED>,
    /// The reason.
    audit_log: Option<Object<AuditLog>>,
}

/// One order. Absent and `null` are the same, and of texts the empty one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
struct AddOrder {
    /// Path or name of the workflow, whose current version is used. A name must be unambiguous.
    #[schemars(with = "texts::WorkflowPath")]
    workflow_path: String,
    /// The last part of the id; by default, made from the account's name.
    #[schemars(with = "Option<texts::OptionalOrderName>")]
    order_name: Option<String>,
    /// When the order is due; now by default.
    #[schemars(with = "Option<texts::ScheduledFor>")]
    scheduled_for: Option<String>,
    /// Time zone of `scheduledFor`; UTC by default.
    #[schemars(with = "Option<texts::TimeZone>")]
    time_zone: Option<String>,
    #[schemars(with = "Option<Arguments>")]
    arguments: Option<JsonObject>,
    /// In JOC's GUI 20000 is high and -20000 low.
    #[schemars(extend("default" = 0))]
    priority: Option<Whole<i32>>,
    /// Where the order starts.
    #[schemars(with = "Option<Position>")]
    start_position: Option<Json>,
    /// Not supported: must be empty.
    #[serde(rename = "endPositions")]
    _end_positions: Option<Unsupported>,
    /// Not supported: must be empty.
    #[serde(rename = "blockPosition")]
    _block_position: Option<Unsupported>,
    /// Ignored, like the next fields: they concern job admission, tags and daily plans.
    #[serde(rename = "forceJobAdmission")]
    _force_job_admission: Option<Json>,
    /// Ignored.
    #[serde(rename = "tags")]
    _tags: Option<Json>,
    /// Ignored.
    #[serde(rename = "planId")]
    _plan_id: Option<Json>,
    /// Ignored.
    #[serde(rename = "openClosedPlan")]
    _open_closed_plan: Option<Json>,
}

/// The orders that were added.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Added")]
pub struct AddedOrders {
    /// In the order of the request.
    #[schemars(example = ["#2026-11-23#T26487268900-nightly"])]
    order_ids: Vec<String>,
}

/// The orders that would be added.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WouldAdd {
    total: usize,
    orders: Vec<WouldAddOrder>,
}

/// An order that would be added. It has no id yet.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WouldAddOrder {
    order_name: String,
    workflow_id: WorkflowItem,
    #[schemars(with = "Arguments")]
    arguments: Value,
    priority: i32,
    /// Milliseconds since 1970; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_for: Option<i64>,
}

impl RequestBody for AddOrders {
    const IGNORED: Option<&'static [&'static str]> = Some(&[]);
}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::post("/orders/add", post().to(add), "Add orders")
            .needs(&[CREATE_ORDERS])
            .takes::<AddOrders>(schemas)
            .returns::<Delivered<AddedOrders>>(schemas)
            .with_headers(&["X-Audit-Log-Id", "X-Orders-Affected"]),
        Endpoint::post("/orders/add/preview", post().to(preview), "Preview what /orders/add adds")
            .needs(&[CREATE_ORDERS])
            .takes::<AddOrders>(schemas)
            .returns::<Dated<WouldAdd>>(schemas),
    ];
    with_examples(endpoints, include_str!("add.json"))
}

/// `POST /orders/add`
async fn add(Request { context, body }: Request<AddOrders>) -> Result<HttpResponse, ApiError> {
    let asked = asked(&context, body).await?;
    let audit = context.audit_entry(&asked.controller_id, &asked.audit_log)?;
    // A workflow may be gone since, or its name be ambiguous.
    let added = match context.store().added_before(&audit).await? {
        Some(added) => added,
        None => {
            let addition = Addition { orders: asked.resolve(&context, Some(&audit)).await?, audit };
            context.progress.no_way_back();
            let added = context.store().add_orders(&addition).await;
            context.has_changed();
            added?
        }
    };
    let (audit_log_id, affected) = (added.audit_log_id, added.order_ids.len() as u64);
    let body = context.delivered(AddedOrders { order_ids: added.order_ids });
    Ok(context.changed("add", audit_log_id, affected, body))
}

/// `POST /orders/add/preview`: what [`add`] would add, without ids.
async fn preview(
    Request { context, body }: Request<AddOrders>,
) -> Result<web::Json<Dated<WouldAdd>>, ApiError> {
    let orders = asked(&context, body).await?.resolve(&context, None).await?;
    let orders = orders.into_iter().map(|order| WouldAddOrder {
        order_name: order.name,
        workflow_id: WorkflowItem {
            path: order.workflow_path,
            version_id: order.workflow_version_id,
        },
        arguments: order.arguments,
        priority: order.priority,
        scheduled_for: order.scheduled_for.map(|at| at.timestamp_millis()),
    });
    let orders: Vec<_> = orders.collect();
    Ok(context.dated(WouldAdd { total: orders.len(), orders }))
}

/// The orders that a permitted request asks for.
struct AskedOrders {
    controller_id: String,
    /// With their workflows as they were asked for.
    orders: Vec<AddedOrder>,
    visible: Visible,
    audit_log: AuditLog,
}

/// Checks the body, the permission and the comment.
async fn asked(context: &Context, body: AddOrders) -> Result<AskedOrders, ApiError> {
    let audit_log = body.audit_log.map(|Object(log)| log).unwrap_or_default();
    audit_log.check()?;
    if body.orders.is_empty() {
        return Err(Invalid::new("orders", "is empty").into());
    }
    let orders = body.orders.into_iter().enumerate();
    let orders: Vec<AddedOrder> =
        orders.map(|(i, Object(order))| order.check(i, context)).collect::<Result<_, _>>()?;
    let controller_id = body.controller_id;
    let visible = context.permit(CREATE_ORDERS, &controller_id, &audit_log).await?;
    context.check_comment(&audit_log)?;
    Ok(AskedOrders { controller_id, orders, visible, audit_log })
}

impl AskedOrders {
    /// The orders with the workflows that are meant. An audited request that names a workflow where
    /// the account may not look is recorded.
    async fn resolve(
        self,
        context: &Context,
        audit: Option<&AuditEntry>,
    ) -> Result<Vec<AddedOrder>, ApiError> {
        let Self { controller_id, mut orders, visible, .. } = self;
        let outside = orders.iter().any(|order| {
            let folder = folder_of(&order.workflow_path);
            folder.is_some_and(|folder| !visible.shows(folder))
        });
        if let Some(entry) = audit.filter(|_| outside) {
            // Whether there is such a workflow or not: the client must see no difference.
            context.store().record(entry, Outcome::Outside).await?;
        }

        let asked: HashSet<&str> =
            orders.iter().map(|order| order.workflow_path.as_str()).collect();
        let asked: Vec<&str> = asked.into_iter().collect();
        let found = context.store().current_workflows(&controller_id, &visible, &asked).await?;
        let mut meant: HashMap<&str, Vec<_>> = HashMap::new();
        for workflow in &found {
            meant.entry(&workflow.asked).or_default().push(workflow);
        }
        for (i, order) in orders.iter_mut().enumerate() {
            let field = format!("orders[{i}].workflowPath");
            let asked = displayable(&order.workflow_path);
            match meant.get(order.workflow_path.as_str()).map(Vec::as_slice) {
                Some([workflow]) => {
                    order.workflow_version_id.clone_from(&workflow.version_id);
                    order.workflow_path.clone_from(&workflow.path);
                }
                None | Some([]) => {
                    return Err(ApiError::NotFound(format!(
                        "{field}: there is no workflow '{asked}'"
                    )));
                }
                Some(several) => {
                    let problem = format!(
                        "'{asked}' is the name of {} workflows, send a path",
                        several.len()
                    );
                    return Err(Invalid::new(field, problem).into());
                }
            }
        }
        Ok(orders)
    }
}

impl AddOrder {
    /// The order, with its workflow as it was asked for.
    fn check(self, i: usize, context: &Context) -> Result<AddedOrder, Invalid> {
        let field = |name: &str| format!("orders[{i}].{name}");
        check_workflow_path(&field("workflowPath"), &self.workflow_path)?;
        let name = match given(self.order_name) {
            Some(name) => {
                check_order_name(&field("orderName"), &name)?;
                name
            }
            None => order_name_of(&context.principal.account),
        };
        let zone = match &given(self.time_zone) {
            None => LocalZone::utc(),
            Some(name) => LocalZone::named(name)
                .map_err(|unknown| Invalid::date(field("timeZone"), unknown.to_string()))?,
        };
        let text = self.scheduled_for.unwrap_or_default();
        let schedule = Schedule::read(&text, zone, context.now).map_err(|error| {
            let problem = match error {
                ScheduleError::Unreadable => {
                    "is neither empty, now, now + SECONDS, now + HH:MM[:SS], never nor a date \
                     such as 2026-11-23 18:30[:00]"
                }
                ScheduleError::LeavesYears => "leaves the years 1 to 9999",
            };
            Invalid::date(field("scheduledFor"), format!("'{}' {problem}", displayable(&text)))
        })?;
        let mut arguments = self.arguments.map(|JsonObject(members)| members).unwrap_or_default();
        // JOC takes an argument without a value as one that is not there.
        arguments.retain(|_, value| !value.is_null());
        check_arguments(&field("arguments"), &arguments)?;
        let position = self.start_position.map(|Json(position)| position);
        if let Some(position) = &position {
            check_position(&field("startPosition"), position)?;
        }
        Ok(AddedOrder {
            name,
            workflow_path: self.workflow_path,
            workflow_version_id: String::new(),
            scheduled_for: match schedule {
                Schedule::At(at) => Some(at),
                Schedule::Never => None,
            },
            priority: self.priority.map_or(0, |Whole(priority)| priority),
            arguments: Value::Object(arguments),
            position,
        })
    }
}
