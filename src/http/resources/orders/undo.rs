//! `/orders/cancel/undo` and its preview, which JOC does not have.

use actix_web::HttpResponse;
use actix_web::web::{Json, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::modify::body::PREVIEWED;
use super::modify::preview::Previewed;
use super::modify::{apply, listed, undone};
use crate::http::context::audit::AuditLog;
use crate::http::context::body::{Object, RequestBody, Whole};
use crate::http::context::request::{Context, Request};
use crate::http::context::response::{Dated, WorkflowItem};
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, add_property, with_examples};
use crate::model::action::Action;
use crate::model::audit::Outcome;
use crate::model::changing::{CANCEL, NOT_EXIST, UNDO};
use crate::model::counted::counted;
use crate::model::invalid::Invalid;
use crate::model::order::EffectiveState;
use crate::model::permission::CANCEL_ORDERS;
use crate::model::selection::{MAX_PREVIEWED, Reach, Selection, Sight, Subject};
use crate::model::texts;
use crate::model::undo::{Fate, Overdue};
use crate::store::Change;
use crate::store::undo::{LeftOrder, LeftOrders};

/// Selects the entry of a cancel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndoCancel {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    /// The entry of the cancel in the audit log, as in its `X-Audit-Log-Id`.
    #[schemars(range(min = 0), example = 42)]
    audit_log_id: Whole<i64>,
    /// What becomes of orders whose date has passed, and which would start at once: they come back
    /// suspended, or run.
    #[schemars(extend("default" = Overdue::default()))]
    overdue: Option<Overdue>,
    /// Rejects the request if it would affect more orders than this.
    max_orders: Option<Whole<u64>>,
    /// The reason.
    audit_log: Option<Object<AuditLog>>,
    /// Maximum number of orders to list in `orders` and in `notRestored`; all are counted.
    #[schemars(extend("default" = PREVIEWED, "maximum" = MAX_PREVIEWED))]
    limit: Option<Whole<u32>>,
}

impl RequestBody for UndoCancel {
    const IGNORED: Option<&'static [&'static str]> = Some(&[]);
}

/// What has been undone.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Undone {
    /// Always true.
    ok: bool,
    #[serde(flatten)]
    left: NotRestored,
}

/// What an undo would do.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PreviewedUndo")]
struct UndoPreview {
    #[serde(flatten)]
    previewed: Previewed,
    #[serde(flatten)]
    left: NotRestored,
}

/// The orders that are left alone.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NotRestored {
    /// How many of the entry's orders are left alone.
    not_restored_total: u64,
    /// The first of them, by id.
    not_restored: Vec<LeftItem>,
}

/// An order that is left alone.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NotRestoredOrder")]
struct LeftItem {
    order_id: String,
    workflow_id: WorkflowItem,
    /// Its effective state; missing if it is no longer there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<EffectiveState>")]
    state: Option<String>,
    /// `STARTED`: it had started before the cancel. `KILLED`: its job was to be killed. `CHANGED`:
    /// something has changed it since. `PARENT_CONTINUED`: its parent no longer waits for it. `GONE`:
    /// it is no longer there. `UNRECORDED`: the entry is older than the record of what orders were.
    reason: String,
}

/// The endpoint and its preview.
pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let body_of_preview = schemas.body::<UndoCancel>();
    let body = body_of_preview.clone();
    let mut previewed = schemas.open_response::<Dated<UndoPreview>>();
    for (count, _) in UNDO.counts {
        let orders = json!({ "type": "integer", "minimum": 0 });
        add_property(&mut previewed, count, orders, true);
    }
    let endpoints = vec![
        Endpoint::post(UNDO.path, post().to(undo), "Undo a cancel")
            .describe(
                "Orders that the entry cancelled before they had started are scheduled again, and \
                 marks that nobody has honoured yet are removed. Not in JOC",
            )
            .needs(&[CANCEL_ORDERS])
            .takes_schema(body, true)
            .returns::<Dated<Undone>>(schemas)
            .with_headers(&["X-Audit-Log-Id", "X-Orders-Affected"]),
        Endpoint::post(
            "/orders/cancel/undo/preview",
            post().to(preview),
            "Preview what /orders/cancel/undo does",
        )
        .describe("Changes nothing and is not audited. An empty preview is not an error")
        .needs(&[CANCEL_ORDERS])
        .takes_schema(body_of_preview, true)
        .returns_schema(&previewed),
    ];
    with_examples(endpoints, include_str!("undo.json"))
}

/// A request that was checked.
struct Checked {
    selection: Selection,
    action: Action,
    audit_log_id: i64,
    limit: u32,
    audit_log: AuditLog,
    /// The entry that has undone it.
    undone_by: Option<i64>,
}

/// Checks the fields, the permission, the comment and the entry, in this order.
async fn check(context: &Context, body: UndoCancel) -> Result<Checked, ApiError> {
    let audit_log = body.audit_log.map(|Object(log)| log).unwrap_or_default();
    audit_log.check()?;
    let Whole(audit_log_id) = body.audit_log_id;
    if audit_log_id < 0 {
        return Err(Invalid::new("auditLogId", "is negative").into());
    }
    let limit = listed(body.limit)?;
    let visible = context.permit(CANCEL_ORDERS, &body.controller_id, &audit_log).await?;
    context.check_comment(&audit_log)?;
    let sight = vec![Sight { states: &[], visible }];
    let entry = context.store().find_undone(&body.controller_id, audit_log_id, &sight).await?;
    // Of an entry whose orders the account cannot see, it learns nothing.
    let entry = entry.filter(|entry| entry.is_seen).ok_or_else(|| {
        let problem = format!("there is no entry {audit_log_id} that changed orders");
        ApiError::NotFound(format!("auditLogId: {problem}"))
    })?;
    let cancel = format!(".{}", CANCEL.path);
    if entry.request != cancel || entry.outcome != Outcome::Done.as_str() {
        let problem = format!("the entry is of {}, only {cancel} can be undone", entry.request);
        return Err(Invalid::new("auditLogId", problem).into());
    }
    let subject = Subject::Entry(audit_log_id);
    let selection =
        Selection { sight, ..Selection::of(body.controller_id, subject, Reach::Any, context.now) };
    let action = Action::Undo { overdue: body.overdue.unwrap_or_default() };
    Ok(Checked { selection, action, audit_log_id, limit, audit_log, undone_by: entry.undone_by })
}

async fn preview(
    Request { context, body }: Request<UndoCancel>,
) -> Result<Json<Dated<UndoPreview>>, ApiError> {
    let checked = check(&context, body).await?;
    if let Some(by) = checked.undone_by {
        return Err(undone(by));
    }
    let Checked { selection, action, limit, .. } = &checked;
    let preview = context.store().preview(selection, action, *limit).await?;
    let left = left(&context, &checked, None).await?;
    Ok(context.dated(UndoPreview {
        previewed: Previewed::of(UNDO.counts, selection, preview),
        left: left.into(),
    }))
}

async fn undo(Request { context, body }: Request<UndoCancel>) -> Result<HttpResponse, ApiError> {
    let max_orders = body.max_orders.as_ref().map(|Whole(max)| *max);
    let checked = check(&context, body).await?;
    let mut audit = context.audit_entry(&checked.selection.controller_id, &checked.audit_log)?;
    audit.undoes = Some(checked.audit_log_id);
    let change = Change {
        audit,
        selection: checked.selection.clone(),
        action: checked.action.clone(),
        max_orders,
        sigkill_after: context.service.settings.sigkill_after(),
    };
    let Some((audit_log_id, affected)) = apply(&context, &change).await? else {
        let reasons = reasons(&left(&context, &checked, None).await?);
        let reason = format!("{NOT_EXIST}{}{reasons}", UNDO.nothing_found);
        return Ok(context.unchanged(&ApiError::NotFound(reason)));
    };
    let left = left(&context, &checked, Some(audit_log_id)).await?;
    let body = context.dated(Undone { ok: true, left: left.into() });
    Ok(context.changed(UNDO.name(), audit_log_id, affected, body))
}

async fn left(
    context: &Context,
    checked: &Checked,
    undone_by: Option<i64>,
) -> Result<LeftOrders, ApiError> {
    let Checked { selection, audit_log_id, limit, .. } = checked;
    Ok(context.store().left(selection, *audit_log_id, undone_by, *limit).await?)
}

/// ` 2 orders had started, 1 order disappeared.`
fn reasons(left: &LeftOrders) -> String {
    let reason = |(fate, orders): &(String, u64)| {
        let because = fate.parse::<Fate>().map_or("were left alone", Fate::because);
        format!("{} {because}", counted(*orders, "order"))
    };
    let reasons: Vec<String> = left.counts.iter().map(reason).collect();
    if reasons.is_empty() { String::new() } else { format!(" {}.", reasons.join(", ")) }
}

impl From<LeftOrders> for NotRestored {
    fn from(left: LeftOrders) -> Self {
        Self {
            not_restored_total: left.counts.iter().map(|(_, orders)| orders).sum(),
            not_restored: left.orders.into_iter().map(LeftItem::from).collect(),
        }
    }
}

impl From<LeftOrder> for LeftItem {
    fn from(order: LeftOrder) -> Self {
        Self {
            order_id: order.order_id,
            workflow_id: WorkflowItem {
                path: order.workflow_path,
                version_id: order.workflow_version_id,
            },
            state: order.effective_state,
            reason: order.fate,
        }
    }
}
