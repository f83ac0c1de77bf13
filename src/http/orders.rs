//! `/orders/…`: calls that act on the orders that a request selects.

use std::collections::BTreeMap;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::http::body::{self, Object};
use crate::http::error::ApiError;
use crate::http::{Call, Service};
use crate::model::audit::Outcome;
use crate::model::order::{Action, Effect, EffectiveState};
use crate::model::permission::{CANCEL_ORDERS, Permission};
use crate::model::selection::{Folder, Invalid, Selection, Selectors, WorkflowId};
use crate::model::window::iso;
use crate::store::{Change, Changed, Preview};

/// The longest `auditLog.comment`, in characters.
const MAX_COMMENT: usize = 2000;
/// The longest `auditLog.ticketLink`, in characters.
const MAX_TICKET_LINK: usize = 255;
/// How many orders a preview lists unless asked for more or fewer.
const PREVIEWED: u32 = 1000;

/// The body of JOC's calls that change orders. Absent and `null` are the same.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ModifyOrders {
    controller_id: String,
    order_ids: Option<Vec<String>>,
    workflow_ids: Option<Vec<Object<WorkflowId>>>,
    folders: Option<Vec<Object<Folder>>>,
    states: Option<Vec<EffectiveState>>,
    date_from: Option<String>,
    date_to: Option<String>,
    time_zone: Option<String>,
    kill: Option<bool>,
    deep: Option<bool>,
    order_type: Option<OrderType>,
    max_orders: Option<u64>,
    audit_log: Option<Object<AuditLog>>,
    /// Of previews only.
    limit: Option<u32>,
    // What JOC's other order calls take and its clients send along; it means nothing here.
    #[serde(rename = "orders")]
    _orders: Option<IgnoredAny>,
    #[serde(rename = "reset")]
    _reset: Option<IgnoredAny>,
    #[serde(rename = "force")]
    _force: Option<IgnoredAny>,
    #[serde(rename = "fromCurrentBlock")]
    _from_current_block: Option<IgnoredAny>,
    #[serde(rename = "position")]
    _position: Option<IgnoredAny>,
    #[serde(rename = "priority")]
    _priority: Option<IgnoredAny>,
    #[serde(rename = "variables")]
    _variables: Option<IgnoredAny>,
    #[serde(rename = "cycleEndTime")]
    _cycle_end_time: Option<IgnoredAny>,
}

/// `orderType`: how far along an order may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum OrderType {
    FreshOnly,
    FreshOrStarted,
}

/// `auditLog`: why a call is made.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AuditLog {
    comment: Option<String>,
    time_spent: Option<u32>,
    ticket_link: Option<String>,
}

/// `POST /orders/cancel`
pub(super) async fn cancel(
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let call = service.begin(&request, payload).await?;
    let body: ModifyOrders = body::parse(&call.body)?;
    if body.limit.is_some() {
        return Err(Invalid::new("limit", "is for previews; to be refused, use maxOrders").into());
    }
    let action = Action::Cancel { kill: body.kill.unwrap_or_default() };
    change(&service, &call, body, action, CANCEL_ORDERS).await
}

/// `POST /orders/cancel/preview`: what [`cancel`] would do.
pub(super) async fn preview_cancel(
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let call = service.begin(&request, payload).await?;
    let body: ModifyOrders = body::parse(&call.body)?;
    let action = Action::Cancel { kill: body.kill.unwrap_or_default() };
    let limit = body.limit.unwrap_or(PREVIEWED);
    let (selection, _) = select(&service, &call, body, CANCEL_ORDERS).await?;
    let preview = service.store.preview(&selection, action, limit).await?;
    Ok(HttpResponse::Ok().json(previewed(&service, &selection, preview)))
}

/// What every call that changes orders does, after it has read its body.
async fn change(
    service: &Service,
    call: &Call,
    body: ModifyOrders,
    action: Action,
    permission: Permission,
) -> Result<HttpResponse, ApiError> {
    let max_orders = body.max_orders;
    let (selection, audit_log) = select(service, call, body, permission).await?;
    let change = Change {
        audit: audit_log.entry(call, &selection.controller_id)?,
        selection,
        action,
        max_orders,
        sigkill_after: service.settings.sigkill_after(),
    };
    match service.store.change_orders(&change).await? {
        Changed::Done { audit_log_id, affected } => {
            tracing::info!(audit_log_id, affected, request = call.name, "orders changed");
            Ok(HttpResponse::Ok()
                .insert_header(("X-Audit-Log-Id", audit_log_id.to_string()))
                .insert_header(("X-Orders-Affected", affected.to_string()))
                .json(json!({
                    "deliveryDate": iso(&service.clock.now()),
                    "surveyDate": iso(&call.now),
                    "ok": true,
                })))
        }
        Changed::NoOrders => Err(ApiError::BadRequest("No orders found.".into())),
        Changed::TooMany { affected } => {
            let max = max_orders.unwrap_or_default();
            let problem = format!("{affected} orders would be affected, at most {max} are allowed");
            Err(Invalid::new("maxOrders", problem).into())
        }
    }
}

/// Checks the body, the permission and the comment, in this order.
async fn select(
    service: &Service,
    call: &Call,
    body: ModifyOrders,
    permission: Permission,
) -> Result<(Selection, AuditLog), ApiError> {
    let audit_log = body.audit_log.map(|Object(log)| log).unwrap_or_default();
    audit_log.check()?;
    let selectors = Selectors {
        controller_id: body.controller_id,
        order_ids: body.order_ids.unwrap_or_default(),
        workflow_ids: inner(body.workflow_ids),
        folders: inner(body.folders),
        states: body.states.unwrap_or_default(),
        date_from: body.date_from,
        date_to: body.date_to,
        time_zone: body.time_zone,
    };
    let mut selection = selectors.resolve(call.now, service.settings.orders_unfiltered)?;
    selection.fresh_only = body.order_type == Some(OrderType::FreshOnly);
    selection.deep = body.deep.unwrap_or_default();
    let controller_id = selection.controller_id.as_str();
    if !service.store.knows_controller(controller_id).await? {
        let problem = format!("there is no controller '{controller_id}'");
        return Err(Invalid::new("controllerId", problem).into());
    }
    match call.principal.may(permission, controller_id) {
        Some(visible) => selection.visible = visible,
        None => {
            let entry = audit_log.entry(call, controller_id)?;
            service.store.record(&entry, Outcome::Denied).await?;
            return Err(call.not_permitted(permission, controller_id));
        }
    }
    if service.settings.comment_required && audit_log.comment.as_deref().is_none_or(str::is_empty) {
        return Err(ApiError::MissingComment);
    }
    Ok((selection, audit_log))
}

fn inner<T>(objects: Option<Vec<Object<T>>>) -> Vec<T> {
    objects.unwrap_or_default().into_iter().map(|Object(inner)| inner).collect()
}

impl AuditLog {
    fn check(&self) -> Result<(), Invalid> {
        let texts = [
            ("auditLog.comment", &self.comment, MAX_COMMENT),
            ("auditLog.ticketLink", &self.ticket_link, MAX_TICKET_LINK),
        ];
        for (field, text, max) in texts {
            let text = text.as_deref().unwrap_or_default();
            if text.chars().nth(max).is_some() {
                return Err(Invalid::new(field, format!("is longer than {max} characters")));
            }
            if let Some(c) = text.chars().find(|c| matches!(c, '<' | '>' | '\0')) {
                return Err(Invalid::new(field, format!("{c:?} is not allowed in it")));
            }
        }
        Ok(())
    }

    fn entry(
        &self,
        call: &Call,
        controller_id: &str,
    ) -> Result<crate::model::audit::AuditEntry, ApiError> {
        let mut entry = call.audit_entry(controller_id, body::for_audit(&call.body)?);
        entry.comment.clone_from(&self.comment);
        entry.time_spent = self.time_spent.map(i64::from);
        entry.ticket_link.clone_from(&self.ticket_link);
        Ok(entry)
    }
}

fn previewed(service: &Service, selection: &Selection, preview: Preview) -> Value {
    let mut by_state = BTreeMap::<&str, u64>::new();
    for (state, _, orders) in &preview.counts {
        *by_state.entry(state).or_default() += orders;
    }
    let with = |effect: Effect| -> u64 {
        let counts = preview.counts.iter().filter(|(_, of, _)| *of == effect);
        counts.map(|(_, _, orders)| orders).sum()
    };
    let orders: Vec<Value> = preview
        .orders
        .iter()
        .map(|order| {
            json!({
                "orderId": order.order_id,
                "workflowId": {
                    "path": order.workflow_path,
                    "versionId": order.workflow_version_id,
                },
                "state": order.state,
                "effect": order.effect.as_str(),
            })
        })
        .collect();
    let mut answer = json!({
        "deliveryDate": iso(&service.clock.now()),
        "surveyDate": iso(&selection.now),
        "total": by_state.values().sum::<u64>(),
        "cancelled": with(Effect::Cancelled),
        "marked": with(Effect::Cancelling),
        "killed": with(Effect::Kill),
        "byState": by_state,
        "orders": orders,
    });
    let bounds = [("dateFrom", &selection.window.from), ("dateTo", &selection.window.to)];
    for (name, bound) in bounds {
        if let Some(bound) = bound {
            answer[name] = json!(iso(bound));
        }
    }
    answer
}
