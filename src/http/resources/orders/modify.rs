//! `/orders/cancel`, `/orders/suspend` and the other changes of selected orders, each with its
//! preview. [`changing`] has what the command line needs, too.

use actix_web::HttpResponse;
use actix_web::web::{Json, post};
use schemars::Schema;
use serde_json::{Value, json};

use crate::http::context::audit::AuditLog;
use crate::http::context::body::{Object, Whole, inner};
use crate::http::context::request::{Context, Request};
use crate::http::context::response::{Acknowledged, Dated};
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, add_property, with_examples};
use crate::model::action::Action;
use crate::model::changing::{self, ChangeKind, NOT_EXIST};
use crate::model::counted::counted;
use crate::model::cycle::Cycles;
use crate::model::invalid::Invalid;
use crate::model::order::EffectiveState;
use crate::model::permission::{
    CANCEL_ORDERS, CONFIRM_ORDERS, MODIFY_ORDERS, Permission, RESUME_FAILED_ORDERS,
    SUSPEND_RESUME_ORDERS,
};
use crate::model::selection::{MAX_PREVIEWED, Reach, Selection, Selectors, Sight};
use crate::store::{Change, Changed};

pub(super) mod body;
pub(super) mod preview;

use self::body::{
    ChangeBody, ModifyOrders, OrderType, PREVIEWED, PrioritizeOrders, ResumeOrders, SENT_ALONG,
    SuspendOrders,
};
use self::preview::Previewed;

/// An endpoint that changes orders, with its body `B`.
struct ChangeEndpoint<B: 'static> {
    kind: &'static ChangeKind,
    summary: &'static str,
    /// Makes the action from the body's own fields.
    action: fn(&mut B) -> Result<Action, Invalid>,
    /// The permissions, each for orders in these states; an empty list means any state.
    permissions: &'static [(Permission, &'static [EffectiveState])],
    /// Whether it can include child orders.
    goes_deep: bool,
    /// Whether in JOC an id stands for the fresh orders of its cycle, too.
    takes_cycles: bool,
}

/// The endpoints and their previews.
pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    use EffectiveState::*;
    let endpoints = [
        pair(
            schemas,
            &ChangeEndpoint {
                kind: &changing::CANCEL,
                summary: "Cancel orders",
                action: |body: &mut ModifyOrders| {
                    Ok(Action::Cancel { kill: body.kill.unwrap_or_default() })
                },
                permissions: &[(CANCEL_ORDERS, &[])],
                goes_deep: true,
                takes_cycles: true,
            },
        ),
        pair(
            schemas,
            &ChangeEndpoint {
                kind: &changing::SUSPEND,
                summary: "Suspend orders until they are resumed",
                action: SuspendOrders::action,
                permissions: &[(SUSPEND_RESUME_ORDERS, &[])],
                goes_deep: true,
                takes_cycles: true,
            },
        ),
        pair(
            schemas,
            &ChangeEndpoint {
                kind: &changing::RESUME,
                summary: "Resume suspended and failed orders",
                action: ResumeOrders::action,
                permissions: &[
                    (
                        SUSPEND_RESUME_ORDERS,
                        &[
                            Pending, Scheduled, Blocked, Suspended, InProgress, Running, Waiting,
                            Prompting,
                        ],
                    ),
                    (RESUME_FAILED_ORDERS, &[Failed]),
                ],
                goes_deep: false,
                takes_cycles: true,
            },
        ),
        pair(
            schemas,
            &ChangeEndpoint {
                kind: &changing::CONFIRM,
                summary: "Confirm prompting orders, which then continue",
                action: |_: &mut ModifyOrders| Ok(Action::Confirm),
                permissions: &[(CONFIRM_ORDERS, &[])],
                goes_deep: false,
                takes_cycles: false,
            },
        ),
        pair(
            schemas,
            &ChangeEndpoint {
                kind: &changing::CONTINUE,
                summary: "Continue orders that wait for time to pass",
                action: |_: &mut ModifyOrders| Ok(Action::Continue),
                permissions: &[(MODIFY_ORDERS, &[])],
                goes_deep: false,
                takes_cycles: false,
            },
        ),
        pair(
            schemas,
            &ChangeEndpoint {
                kind: &changing::CHANGE,
                summary: "Set the priority of orders",
                action: PrioritizeOrders::action,
                permissions: &[(MODIFY_ORDERS, &[])],
                goes_deep: false,
                takes_cycles: true,
            },
        ),
        pair(
            schemas,
            &ChangeEndpoint {
                kind: &changing::REMOVE_WHEN_TERMINATED,
                summary: "Hide orders once they are terminal",
                action: |_: &mut ModifyOrders| Ok(Action::RemoveWhenTerminated),
                permissions: &[(MODIFY_ORDERS, &[])],
                goes_deep: false,
                takes_cycles: false,
            },
        ),
    ];
    with_examples(endpoints.into_iter().flatten().collect(), include_str!("modify.json"))
}

/// An endpoint and its preview.
fn pair<B: ChangeBody>(
    schemas: &mut Schemas,
    endpoint: &'static ChangeEndpoint<B>,
) -> [Endpoint; 2] {
    let change = move |request: Request<B>| change(endpoint, request);
    let preview = move |request: Request<B>| preview(endpoint, request);
    let path = endpoint.kind.path;
    let permissions: Vec<Permission> =
        endpoint.permissions.iter().map(|(permission, _)| *permission).collect();
    let body_of_preview = body_schema::<B>(schemas);
    let mut body = body_of_preview.clone();
    if let Some(fields) = body.pointer_mut("/properties").and_then(Value::as_object_mut) {
        fields.remove("limit");
    }
    let mut previewed = schemas.open_response::<Dated<Previewed>>();
    for (count, _) in endpoint.kind.counts {
        let orders = json!({ "type": "integer", "minimum": 0 });
        add_property(&mut previewed, count, orders, true);
    }
    [
        Endpoint::post(path, post().to(change), endpoint.summary)
            .describe("Changes orders and audit trail in one transaction")
            .needs(&permissions)
            .takes_schema(body, true)
            .returns::<Dated<Acknowledged>>(schemas)
            .with_headers(&["X-Audit-Log-Id", "X-Orders-Affected"]),
        Endpoint::post(
            &format!("{path}/preview"),
            post().to(preview),
            &format!("Preview what {path} does"),
        )
        .describe("Changes nothing and is not audited. An empty preview is not an error")
        .needs(&permissions)
        .takes_schema(body_of_preview, true)
        .returns_schema(&previewed),
    ]
}

/// The schema of the body, with what only previews have.
fn body_schema<B: ChangeBody>(schemas: &mut Schemas) -> Schema {
    let mut body = schemas.body::<B>();
    for name in SENT_ALONG {
        if body.pointer(&format!("/properties/{name}")).is_none() {
            let ignored = json!({ "description": "Ignored: belongs to another JOC endpoint" });
            add_property(&mut body, name, ignored, false);
        }
    }
    body
}

async fn preview<B: ChangeBody>(
    endpoint: &'static ChangeEndpoint<B>,
    Request { context, mut body }: Request<B>,
) -> Result<Json<Dated<Previewed>>, ApiError> {
    let action = (endpoint.action)(&mut body)?;
    let body = body.common();
    let limit = listed(body.limit)?;
    let (selection, _) = select(endpoint, &context, body).await?;
    let preview = context.store().preview(&selection, &action, limit).await?;
    Ok(context.dated(Previewed::of(endpoint.kind.counts, &selection, preview)))
}

async fn change<B: ChangeBody>(
    endpoint: &'static ChangeEndpoint<B>,
    Request { context, mut body }: Request<B>,
) -> Result<HttpResponse, ApiError> {
    let action = (endpoint.action)(&mut body)?;
    let body = body.common();
    if body.limit.is_some() {
        let problem = "only previews take limit; use maxOrders to cap a change";
        return Err(Invalid::new("limit", problem).into());
    }
    let max_orders = body.max_orders.map(|Whole(max)| max);
    let (selection, audit_log) = select(endpoint, &context, body).await?;
    let change = Change {
        audit: context.audit_entry(&selection.controller_id, &audit_log)?,
        selection,
        action,
        max_orders,
        sigkill_after: context.service.settings.sigkill_after(),
    };
    let Some((audit_log_id, affected)) = apply(&context, &change).await? else {
        let reason = format!("{NOT_EXIST}{}", endpoint.kind.nothing_found);
        return Ok(context.unchanged(&ApiError::NotFound(reason)));
    };
    let body = context.dated(Acknowledged { ok: true });
    Ok(context.changed(endpoint.kind.name(), audit_log_id, affected, body))
}

/// Changes the orders, and returns the entry's id and their number; `None`: there are none.
pub(super) async fn apply(
    context: &Context,
    change: &Change,
) -> Result<Option<(i64, u64)>, ApiError> {
    context.progress.no_way_back();
    let done = context.store().change_orders(change).await;
    context.has_changed();
    match done? {
        Changed::Done { audit_log_id, affected } => Ok(Some((audit_log_id, affected))),
        Changed::NoOrders => Ok(None),
        Changed::TooMany { affected } => {
            let max = change.max_orders.unwrap_or_default();
            let orders = counted(affected, "order");
            let problem = format!("{orders} would be affected, at most {max} are allowed");
            Err(Invalid::new("maxOrders", problem).into())
        }
        Changed::Undone { by } => Err(undone(by)),
    }
}

/// How many orders a response lists.
pub(super) fn listed(limit: Option<Whole<u32>>) -> Result<u32, Invalid> {
    let limit = limit.map_or(PREVIEWED, |Whole(limit)| limit);
    if limit > MAX_PREVIEWED {
        let problem =
            format!("at most {MAX_PREVIEWED} orders can be listed; the counts are of all");
        return Err(Invalid::new("limit", problem));
    }
    Ok(limit)
}

/// The error if a cancel has been undone.
pub(super) fn undone(by: i64) -> ApiError {
    ApiError::NotFound(format!("auditLogId: was undone already, by the entry {by}"))
}

/// Checks the selectors, the permission and the comment, in this order.
async fn select<B>(
    endpoint: &ChangeEndpoint<B>,
    context: &Context,
    body: ModifyOrders,
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
    let reach = if endpoint.kind.reaches_terminal { Reach::NotRemoved } else { Reach::Living };
    let unfiltered = context.service.settings.orders_unfiltered;
    let mut selection = selectors.resolve(context.now, unfiltered, reach)?;
    selection.fresh_only = body.order_type == Some(OrderType::FreshOnly);
    selection.deep = endpoint.goes_deep && body.deep.unwrap_or_default();
    let cycles = context.service.settings.orders_cycles;
    selection.whole_cycles = endpoint.takes_cycles && cycles == Cycles::All;
    let controller_id = selection.controller_id.as_str();
    context.check_controller(controller_id).await?;
    for (permission, states) in endpoint.permissions {
        if let Some(visible) = context.principal.may(permission, controller_id) {
            selection.sight.push(Sight { states, visible });
        }
    }
    if selection.sight.is_empty() {
        let (permission, _) = endpoint.permissions[0];
        return Err(context.deny(permission, controller_id, &audit_log).await?);
    }
    context.progress.allowed();
    context.check_comment(&audit_log)?;
    Ok((selection, audit_log))
}
