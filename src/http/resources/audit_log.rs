//! `/audit_log` and `/audit_log/details`: who did what, when, why and to which orders.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::VariantArray;

use crate::http::context::audit::AuditLog;
use crate::http::context::body::{Limit, Object, RequestBody, Whole, check_limit, given, inner};
use crate::http::context::lists::{Names, Words};
use crate::http::context::request::{Context, Request};
use crate::http::context::response::WorkflowItem;
use crate::http::date::Instant;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::model::audit::{AuditFilter, Category, Outcome};
use crate::model::checks::{NO_CONTROLLER, check_controller_id, check_name};
use crate::model::folders::{Folder, Folders};
use crate::model::identities::Identities;
use crate::model::invalid::Invalid;
use crate::model::permission::{Extent, VIEW_AUDIT_LOG};
use crate::model::texts::{self, OptionalControllerId};
use crate::model::window::Fields;
use crate::store::{Detail, Entry};
use actix_web::HttpResponse;
use actix_web::web::post;

pub mod overview;

/// The default number of entries, as in JOC.
const LIMIT: u64 = 10_000;

/// Selects the entries that match every field. Absent, `null` and empty mean the same.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntriesOf {
    /// Entries of this controller; without it of every one that the account may see.
    #[schemars(with = "Option<OptionalControllerId>")]
    controller_id: Option<String>,
    /// The entry with this `id`. Not in JOC.
    #[schemars(range(min = 0), example = 42)]
    audit_log_id: Option<Whole<i64>>,
    /// The request, as the response shows it. Not in JOC.
    #[schemars(with = "Option<texts::Wildcards>", example = "./orders/cancel")]
    request: Option<String>,
    /// The `X-Request-Id` of the request. Not in JOC.
    #[schemars(with = "Option<texts::OptionalName>")]
    request_id: Option<String>,
    /// Who sent the request.
    #[schemars(with = "Option<texts::Wildcards>")]
    account: Option<String>,
    /// The comment.
    #[schemars(with = "Option<texts::Wildcards>")]
    comment: Option<String>,
    /// The ticket that asked for it.
    #[schemars(with = "Option<texts::Wildcards>")]
    ticket_link: Option<String>,
    /// `CONTROLLER` are requests about orders, `IDENTITY` logins, accounts and roles, `IMPORT`
    /// imports and copies, `OTHERS` migrations.
    categories: Option<Words<Category>>,
    /// Requests that touched an order of a workflow in one of these folders.
    folders: Option<Names<Object<Folder>>>,
    /// Requests that touched an order with this id, or one whose workflow has this path or name.
    #[schemars(with = "Option<texts::Wildcards>")]
    object_name: Option<String>,
    /// `ORDER` omits requests that touched no order; other types match nothing.
    object_types: Option<Words<ObjectType>>,
    /// Sent at this instant or later; a relative date without a sign is in the past.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_from: Option<String>,
    /// Sent before this instant.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_to: Option<String>,
    /// Time zone of the dates, which overrides their offsets; UTC by default.
    #[schemars(with = "Option<texts::TimeZone>")]
    time_zone: Option<String>,
    /// Maximum number of entries, newest first; -1 for all.
    #[schemars(with = "Option<Limit>", extend("default" = LIMIT))]
    limit: Option<Whole<i64>>,
}

/// The types of objects in JOC's audit trail; here only orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum ObjectType {
    Folder,
    Workflow,
    Job,
    JobClass,
    JobResource,
    JobTemplate,
    Lock,
    FileOrderSource,
    NoticeBoard,
    WorkingDaysCalendar,
    NonWorkingDaysCalendar,
    Schedule,
    Script,
    IncludeScript,
    Documentation,
    Report,
    Order,
}

/// Selects an entry.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DetailsOf {
    /// The `id` of an entry, as in `X-Audit-Log-Id`.
    #[schemars(range(min = 0), example = 42)]
    audit_log_id: Whole<i64>,
    #[schemars(with = "Option<OptionalControllerId>")]
    controller_id: Option<String>,
    /// Only what it did to this order. Not in JOC.
    #[schemars(with = "Option<texts::OptionalName>")]
    order_id: Option<String>,
}

impl RequestBody for EntriesOf {}

impl RequestBody for DetailsOf {}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::post("/audit_log", post().to(entries), "List audit entries")
            .describe("The newest entry first")
            .needs(&[VIEW_AUDIT_LOG])
            .takes::<EntriesOf>(schemas)
            .returns_schema(&schemas.list::<EntryItem>("auditLog")),
        Endpoint::post(
            "/audit_log/details",
            post().to(details),
            "What a request did to each order",
        )
        .needs(&[VIEW_AUDIT_LOG])
        .takes::<DetailsOf>(schemas)
        .returns_schema(&schemas.list::<DetailItem>("auditLogDetails")),
    ];
    with_examples(endpoints, include_str!("audit_log.json"))
}

/// `POST /audit_log`
async fn entries(Request { context, body }: Request<EntriesOf>) -> Result<HttpResponse, ApiError> {
    let limit = check_limit(body.limit)?.unwrap_or(Some(LIMIT));
    let controller_id = named(body.controller_id.clone())?;
    let about_orders = body.may_be_about_orders();
    let resolve = body.resolve(context.now)?;
    let filter = resolve(extent(&context, controller_id).await?);
    // Entries about other objects do not exist.
    let limit = if about_orders { limit } else { Some(0) };
    let account = context.principal.account.clone();
    let account = [Identities::in_use().pseudonym(&account), Some(account)];
    let item = move |entry| EntryItem::shown_to(&account, entry);
    let entries = context.read_rows(|store| store.entries(&filter, limit)).await.map_ok(item);
    context.list("auditLog", entries.boxed()).await
}

/// `POST /audit_log/details`
async fn details(Request { context, body }: Request<DetailsOf>) -> Result<HttpResponse, ApiError> {
    let id = entry_id(body.audit_log_id)?;
    let order_id = text("orderId", body.order_id)?;
    let extent = extent(&context, named(body.controller_id)?).await?;
    let details = context.read_rows(|store| store.details(id, &extent, order_id.as_deref())).await;
    let details = details.map_ok(DetailItem::from);
    context.list("auditLogDetails", details.boxed()).await
}

fn entry_id(Whole(id): Whole<i64>) -> Result<i64, Invalid> {
    if id < 0 { Err(Invalid::new("auditLogId", "is negative")) } else { Ok(id) }
}

/// A text that a request may leave empty.
fn text(field: &str, text: Option<String>) -> Result<Option<String>, Invalid> {
    let text = given(text);
    text.as_deref().map_or(Ok(()), |text| check_name(field, text))?;
    Ok(text)
}

/// A controller that a request names.
fn named(controller_id: Option<String>) -> Result<Option<String>, Invalid> {
    let controller_id = given(controller_id);
    controller_id.as_deref().map_or(Ok(()), check_controller_id)?;
    Ok(controller_id)
}

/// Where the account may read the audit log: on the controller that is named, or anywhere.
async fn extent(context: &Context, controller_id: Option<String>) -> Result<Extent, ApiError> {
    if let Some(controller_id) = controller_id {
        let visible = context.permit_reading(VIEW_AUDIT_LOG, &controller_id).await?;
        return Ok(Extent::only(controller_id, visible));
    }
    match context.principal.extent(VIEW_AUDIT_LOG) {
        Some(extent) => {
            context.progress.allowed();
            Ok(extent)
        }
        None => {
            let why = AuditLog::default();
            Err(context.deny(VIEW_AUDIT_LOG, NO_CONTROLLER, &why).await?)
        }
    }
}

impl EntriesOf {
    fn may_be_about_orders(&self) -> bool {
        let types = self.object_types.as_deref().unwrap_or_default();
        types.is_empty() || types.contains(&ObjectType::Order)
    }

    /// Checks every field. The result still needs the extent of what the account can see.
    fn resolve(self, now: DateTime<Utc>) -> Result<impl FnOnce(Extent) -> AuditFilter, Invalid> {
        let id = self.audit_log_id.map(entry_id).transpose()?;
        let request = text("request", self.request)?;
        let request_id = text("requestId", self.request_id)?;
        let account = text("account", self.account)?;
        let comment = text("comment", self.comment)?;
        let ticket_link = text("ticketLink", self.ticket_link)?;
        let object_name = text("objectName", self.object_name)?;
        let folders = Folders::checked(inner(self.folders))?;
        let window = Fields::PAST_DATES.resolve(
            self.date_from.as_deref(),
            self.date_to.as_deref(),
            self.time_zone.as_deref(),
            now,
        )?;
        let typed = self.object_types.is_some_and(|types| !types.is_empty());
        Ok(move |extent| AuditFilter {
            extent,
            window,
            pseudonym: account.as_deref().and_then(|name| Identities::in_use().pseudonym(name)),
            account,
            comment,
            ticket_link,
            request,
            outcome: None,
            request_id,
            id,
            categories: self.categories.unwrap_or_default().into_vec(),
            touched_orders: typed || object_name.is_some() || !folders.is_empty(),
            folders,
            object_name,
        })
    }
}

/// An entry as in JOC, with more fields for scripts.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryItem {
    id: i64,
    created: Instant,
    /// `-` where it is about no controller.
    controller_id: String,
    account: String,
    /// As JOC writes it.
    #[schemars(example = "./orders/cancel")]
    request: String,
    #[schemars(with = "Category")]
    category: String,
    /// The body of the request as JSON, secrets masked; absent if the account is limited to
    /// folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    /// In minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_spent: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket_link: Option<String>,
    #[schemars(extend("enum" = Outcome::VARIANTS.iter().map(|outcome| outcome.as_str()).collect::<Vec<_>>()))]
    outcome: String,
    /// How many orders it changed.
    affected: i64,
    /// The `X-Request-Id` of the request.
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_address: Option<String>,
    /// The entry that it undid.
    #[serde(skip_serializing_if = "Option::is_none")]
    undoes: Option<i64>,
}

impl EntryItem {
    /// The entry as an account sees it. It does not learn from its own requests whether there are
    /// orders where it may not look.
    fn shown_to(account: &[Option<String>], mut entry: Entry) -> Self {
        if account.iter().flatten().any(|name| *name == entry.account)
            && entry.outcome == Outcome::Outside.as_str()
        {
            entry.outcome = Outcome::NoOrders.as_str().into();
        }
        Self {
            id: entry.id,
            created: Instant(entry.created.0),
            controller_id: entry.controller_id,
            account: entry.account,
            request: entry.request,
            category: entry.category,
            parameters: entry.parameters,
            comment: entry.comment,
            time_spent: entry.time_spent,
            ticket_link: entry.ticket_link,
            outcome: entry.outcome,
            affected: entry.affected,
            request_id: entry.request_id,
            client_address: entry.client_address,
            undoes: entry.undoes,
        }
    }
}

/// What a request did to an order. JOC has only `path` and `type`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DetailItem {
    /// The workflow's path, a comma and the order's id, as in JOC.
    path: String,
    /// Always `ORDER`.
    r#type: &'static str,
    order_id: String,
    workflow_id: WorkflowItem,
    /// The effective state before; `NONE` for an order that was added.
    previous_state: String,
    /// The effective state after.
    new_state: String,
    /// The mark that it got.
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<String>,
    /// Whether its job was to be killed.
    kill: bool,
    /// The selected order that it is a descendant of, if it was not selected itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    via_parent: Option<String>,
    /// The columns of the order that the request changed, with their old values; missing in entries
    /// older than this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
}

impl From<Detail> for DetailItem {
    fn from(detail: Detail) -> Self {
        Self {
            path: format!("{},{}", detail.workflow_path, detail.order_id),
            r#type: "ORDER",
            order_id: detail.order_id,
            workflow_id: WorkflowItem {
                path: detail.workflow_path,
                version_id: detail.workflow_version_id,
            },
            previous_state: detail.previous_state,
            new_state: detail.new_state,
            mark: detail.mark,
            kill: detail.kill,
            via_parent: detail.via_parent,
            before: detail.before.and_then(|before| serde_json::from_str(&before).ok()),
        }
    }
}
