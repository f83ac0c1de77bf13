//! `/orders/cancel`, `/orders/suspend` and the others that change the orders that a request
//! selects, each with its preview: [`CALLS`] says what they have that is their own.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::context::audit::AuditLog;
use crate::http::context::body::{self, Object, Whole, inner};
use crate::http::context::call::Call;
use crate::http::context::lists::{List, Names, ORDER_IDS, Words};
use crate::http::context::response::{self, Done};
use crate::http::context::service::Service;
use crate::http::error::ApiError;
use crate::http::openapi::{self, Schemas};
use crate::model::action::Action;
use crate::model::arguments::{Arguments, Position, check_arguments, check_position};
use crate::model::counted::counted;
use crate::model::folders::Folder;
use crate::model::invalid::Invalid;
use crate::model::json::{Json, JsonObject};
use crate::model::order::EffectiveState;
use crate::model::permission::{
    CANCEL_ORDERS, CONFIRM_ORDERS, MODIFY_ORDERS, Permission, RESUME_FAILED_ORDERS,
    SUSPEND_RESUME_ORDERS,
};
use crate::model::selection::{MAX_PREVIEWED, Reach, Selection, Selectors, Sight};
use crate::model::texts;
use crate::model::workflow_id::WorkflowId;
use crate::store::{Change, Changed};

mod describe;
mod preview;

pub use self::describe::endpoints;
use self::preview::Previewed;

/// How many orders a preview lists unless asked for more or fewer.
const PREVIEWED: u32 = 1000;
/// The fields that one of JOC's calls takes and its clients send along to the others.
const SENT_ALONG: &[&str] = &[
    "orders",
    "reset",
    "force",
    "fromCurrentBlock",
    "position",
    "priority",
    "variables",
    "cycleEndTime",
];

/// One of JOC's calls that change orders.
struct ChangeCall {
    path: &'static str,
    /// What it does, in a line.
    summary: &'static str,
    /// Fields of its own that JOC's other calls do not have.
    fields: &'static [&'static str],
    /// The schema of the fields that are its own, and an example of them.
    own: fn(&mut Schemas) -> (Schema, Value),
    /// What it does, by the fields that are its own.
    action: fn(&[u8], &ModifyOrders) -> Result<Action, ApiError>,
    /// The permissions for orders in these states; none: in any.
    permissions: &'static [(Permission, &'static [EffectiveState])],
    /// What its previews count.
    counts: &'static [&'static str],
    /// Whether it takes child orders along if it is asked to.
    goes_deep: bool,
}

static CALLS: &[ChangeCall] = &[
    ChangeCall {
        path: "/orders/cancel",
        summary: "Cancel orders",
        fields: &[],
        own: nothing,
        action: |_, body| Ok(Action::Cancel { kill: body.kill.unwrap_or_default() }),
        permissions: &[(CANCEL_ORDERS, &[])],
        counts: &["cancelled", "marked", "killed"],
        goes_deep: true,
    },
    ChangeCall {
        path: "/orders/suspend",
        summary: "Suspend orders until they are resumed",
        fields: &[],
        own: |schemas| (schemas.closed_body::<Suspend>(), json!({})),
        action: suspend,
        permissions: &[(SUSPEND_RESUME_ORDERS, &[])],
        counts: &["suspended", "marked", "killed"],
        goes_deep: true,
    },
    ChangeCall {
        path: "/orders/resume",
        summary: "Let suspended and failed orders go on",
        fields: &["arguments"],
        own: |schemas| (schemas.closed_body::<Resume>(), json!({ "variables": { "run": "full" } })),
        action: resume,
        permissions: &[
            (SUSPEND_RESUME_ORDERS, {
                use EffectiveState::*;
                &[Pending, Scheduled, Blocked, Suspended, InProgress, Running, Waiting, Prompting]
            }),
            (RESUME_FAILED_ORDERS, &[EffectiveState::Failed]),
        ],
        counts: &["resumed"],
        goes_deep: false,
    },
    ChangeCall {
        path: "/orders/confirm",
        summary: "Let prompting orders go on",
        fields: &[],
        own: nothing,
        action: |_, _| Ok(Action::Confirm),
        permissions: &[(CONFIRM_ORDERS, &[])],
        counts: &["confirmed"],
        goes_deep: false,
    },
    ChangeCall {
        path: "/orders/continue",
        summary: "Let orders go on that wait for time to pass",
        fields: &[],
        own: nothing,
        action: |_, _| Ok(Action::Continue),
        permissions: &[(MODIFY_ORDERS, &[])],
        counts: &["continued"],
        goes_deep: false,
    },
    ChangeCall {
        path: "/orders/change",
        summary: "Set the priority of orders",
        fields: &[],
        own: |schemas| (schemas.closed_body::<Prioritize>(), json!({ "priority": 20000 })),
        action: prioritize,
        permissions: &[(MODIFY_ORDERS, &[])],
        counts: &["changed"],
        goes_deep: false,
    },
    ChangeCall {
        path: "/orders/remove_when_terminated",
        summary: "Put orders out of sight once they are terminal",
        fields: &[],
        own: nothing,
        action: |_, _| Ok(Action::RemoveWhenTerminated),
        permissions: &[(MODIFY_ORDERS, &[])],
        counts: &["removed", "removedWhenTerminated"],
        goes_deep: false,
    },
];

fn nothing(_: &mut Schemas) -> (Schema, Value) {
    (Schema::default(), json!({}))
}

impl ChangeCall {
    fn parse(&self, call: &Call) -> Result<ModifyOrders, ApiError> {
        body::parse(&call.body, |field| SENT_ALONG.contains(&field) || self.fields.contains(&field))
    }
}

/// Which orders: those that meet all that is given. Absent, `null` and an empty list are the
/// same. At least one of `orderIds`, `workflowIds`, `folders`, `states`, `dateFrom` and `dateTo`
/// is needed, unless a setting of the service allows a request without any to mean every order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ModifyOrders {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    /// These orders; `workflowIds`, `folders` and `states` do not count then.
    #[schemars(with = "Option<List<texts::OrderId, ORDER_IDS>>", extend("uniqueItems" = true))]
    order_ids: Option<List<String, ORDER_IDS>>,
    /// Orders of these workflows; `folders` do not count then.
    workflow_ids: Option<Names<Object<WorkflowId>>>,
    /// Orders of the workflows in these folders; `/` and `recursive` means every order.
    folders: Option<Names<Object<Folder>>>,
    /// Orders in one of these effective states.
    states: Option<Words<EffectiveState>>,
    /// Scheduled at this instant or later. Numbers without a sign point to the future, and to
    /// the past if that leaves no time between the dates.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_from: Option<String>,
    /// Scheduled before this instant.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_to: Option<String>,
    /// The zone of the dates; it overrides their offsets. UTC without both.
    #[schemars(with = "Option<texts::TimeZone>")]
    time_zone: Option<String>,
    /// Running jobs get SIGTERM, and SIGKILL some seconds later (15, or what is set). Of
    /// `/orders/cancel` and `/orders/suspend`.
    #[schemars(extend("default" = false))]
    kill: Option<bool>,
    /// Child orders that are not terminal are taken along. Of `/orders/cancel` and
    /// `/orders/suspend`.
    #[schemars(extend("default" = false))]
    deep: Option<bool>,
    /// `FreshOnly` leaves started orders alone.
    #[schemars(extend("default" = "FreshOrStarted"))]
    order_type: Option<OrderType>,
    /// The call is refused if more orders than this would be affected.
    max_orders: Option<Whole<u64>>,
    /// Why.
    audit_log: Option<Object<AuditLog>>,
    /// At most so many orders are listed; all are counted.
    #[schemars(extend("default" = PREVIEWED, "maximum" = MAX_PREVIEWED))]
    limit: Option<Whole<u32>>,
}

/// `orderType`: how far along an order may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum OrderType {
    FreshOnly,
    FreshOrStarted,
}

/// What `/orders/suspend` has that is its own.
#[derive(Deserialize, JsonSchema)]
struct Suspend {
    /// A waiting or prompting order begins what it waits for anew when it is resumed, unless
    /// child orders hold it.
    #[schemars(extend("default" = false))]
    reset: Option<bool>,
}

fn suspend(bytes: &[u8], body: &ModifyOrders) -> Result<Action, ApiError> {
    let fields: Suspend = body::parse_reading(bytes)?;
    let (kill, reset) = (body.kill.unwrap_or_default(), fields.reset.unwrap_or_default());
    Ok(Action::Suspend { kill, reset })
}

/// What `/orders/resume` has that is its own.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = |schema: &mut Schema| texts::alias(schema, "variables", "arguments"))]
struct Resume {
    /// Where the orders go on.
    #[schemars(with = "Option<Position>")]
    position: Option<Json>,
    /// Put into the orders' arguments.
    #[schemars(with = "Option<Arguments>")]
    variables: Option<JsonObject>,
    /// What JOC's shell client says for `variables`.
    #[schemars(skip)]
    arguments: Option<JsonObject>,
    /// Not supported: send the position of the block's first instruction.
    #[schemars(extend("enum" = [false, null]))]
    from_current_block: Option<bool>,
    /// Not supported.
    #[schemars(with = "Option<()>")]
    cycle_end_time: Option<Json>,
}

fn resume(bytes: &[u8], _: &ModifyOrders) -> Result<Action, ApiError> {
    let fields: Resume = body::parse_reading(bytes)?;
    if fields.from_current_block == Some(true) {
        let problem = "is not supported: send the position of the block's first instruction";
        return Err(Invalid::new("fromCurrentBlock", problem).into());
    }
    if fields.cycle_end_time.is_some() {
        return Err(Invalid::new("cycleEndTime", "is not supported: cycles are not known").into());
    }
    if let Some(position) = &fields.position {
        check_position("position", position)?;
    }
    let (name, variables) = match (fields.variables, fields.arguments) {
        (Some(_), Some(_)) => {
            let problem = "one of them is expected, not both";
            return Err(Invalid::new("variables, arguments", problem).into());
        }
        (None, arguments @ Some(_)) => ("arguments", arguments),
        (variables, None) => ("variables", variables),
    };
    let mut variables = variables.map(|JsonObject(members)| members).unwrap_or_default();
    variables.retain(|_, value| !value.is_null());
    check_arguments(name, &variables)?;
    Ok(Action::Resume {
        position: fields.position.map(|position| position.to_string()),
        variables: (!variables.is_empty()).then(|| Value::Object(variables).to_string()),
    })
}

/// What `/orders/change` has that is its own.
#[derive(Deserialize, JsonSchema)]
struct Prioritize {
    /// In JOC's GUI 20000 is high and -20000 low.
    #[schemars(required, with = "i32")]
    priority: Option<Whole<i32>>,
}

fn prioritize(bytes: &[u8], _: &ModifyOrders) -> Result<Action, ApiError> {
    let fields: Prioritize = body::parse_reading(bytes)?;
    let missing = || Invalid::new("priority", "is missing, a whole number is expected");
    let Whole(priority) = fields.priority.ok_or_else(missing)?;
    Ok(Action::Change { priority })
}

async fn preview_orders(
    kind: &ChangeCall,
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let call = service.begin(&request, payload).await?;
    let body = kind.parse(&call)?;
    let action = (kind.action)(&call.body, &body)?;
    let limit = body.limit.map_or(PREVIEWED, |Whole(limit)| limit);
    if limit > MAX_PREVIEWED {
        let problem =
            format!("at most {MAX_PREVIEWED} orders can be listed; the counts are of all");
        return Err(Invalid::new("limit", problem).into());
    }
    let (selection, _) = select(kind, &service, &call, body, &action).await?;
    let preview = service.store.preview(&selection, &action, limit).await?;
    let previewed = Previewed::of(kind, &selection, preview);
    Ok(HttpResponse::Ok().json(service.dated(&call, previewed)))
}

async fn change(
    kind: &ChangeCall,
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let call = service.begin(&request, payload).await?;
    let body = kind.parse(&call)?;
    if body.limit.is_some() {
        return Err(Invalid::new(
            "limit",
            "only previews take limit; use maxOrders to cap a change",
        )
        .into());
    }
    let action = (kind.action)(&call.body, &body)?;
    let max_orders = body.max_orders.map(|Whole(max)| max);
    let (selection, audit_log) = select(kind, &service, &call, body, &action).await?;
    let change = Change {
        audit: call.audit_entry(&selection.controller_id, &audit_log)?,
        selection,
        action,
        max_orders,
        sigkill_after: service.settings.sigkill_after(),
    };
    call.progress.no_way_back();
    match service.store.change_orders(&change).await? {
        Changed::Done { audit_log_id, affected } => {
            tracing::info!(audit_log_id, affected, request = call.name, "orders changed");
            let action = openapi::action(kind.path).unwrap_or(kind.path);
            let body = service.dated(&call, Done { ok: true });
            Ok(response::changed(action, audit_log_id, affected, body))
        }
        Changed::NoOrders => Err(ApiError::BadRequest(change.action.nothing_found().into())),
        Changed::TooMany { affected } => {
            let max = max_orders.unwrap_or_default();
            let orders = counted(affected, "order");
            let problem = format!("{orders} would be affected, at most {max} are allowed");
            Err(Invalid::new("maxOrders", problem).into())
        }
    }
}

/// Checks the body, the permission and the comment, in this order.
async fn select(
    kind: &ChangeCall,
    service: &Service,
    call: &Call,
    body: ModifyOrders,
    action: &Action,
) -> Result<(Selection, AuditLog), ApiError> {
    let audit_log = body.audit_log.map(|Object(log)| log).unwrap_or_default();
    audit_log.check()?;
    let selectors = Selectors {
        controller_id: body.controller_id,
        order_ids: body.order_ids.unwrap_or_default().into_vec(),
        workflow_ids: inner(body.workflow_ids),
        folders: inner(body.folders),
        states: body.states.unwrap_or_default().into_vec(),
        date_from: body.date_from,
        date_to: body.date_to,
        time_zone: body.time_zone,
    };
    let reach = if action.reaches_terminal() { Reach::NotRemoved } else { Reach::Living };
    let unfiltered = service.settings.orders_unfiltered;
    let mut selection = selectors.resolve(call.now, unfiltered, reach)?;
    selection.fresh_only = body.order_type == Some(OrderType::FreshOnly);
    selection.deep = kind.goes_deep && body.deep.unwrap_or_default();
    let controller_id = selection.controller_id.as_str();
    call.check_controller(service, controller_id).await?;
    for (permission, states) in kind.permissions {
        if let Some(visible) = call.principal.may(permission, controller_id) {
            selection.sight.push(Sight { states, visible });
        }
    }
    if selection.sight.is_empty() {
        let (permission, _) = kind.permissions[0];
        return Err(call.deny(service, permission, controller_id, &audit_log).await?);
    }
    call.progress.allowed();
    audit_log.check_comment(service)?;
    Ok((selection, audit_log))
}
