//! `/workflows`, `/workflow` and `/workflows/order_count`: the workflows that are known, and how
//! many orders they have.

use actix_web::web::{self, Json, post};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::http::context::body::{Limit, Object, RequestBody, Whole, check_limit, inner};
use crate::http::context::lists::{Names, Words};
use crate::http::context::regex;
use crate::http::context::request::{Context, Request};
use crate::http::context::response::Dated;
use crate::http::date::Instant;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::http::resources::summary::Summary;
use crate::model::folders::{Folder, Folders};
use crate::model::invalid::{Invalid, displayable};
use crate::model::permission::{VIEW_WORKFLOWS, Visible};
use crate::model::texts;
use crate::model::window::{self, Window};
use crate::model::workflow_id::WorkflowId;
use crate::store::{OrderCounts, Workflow, WorkflowFilter};

/// Selects workflows. Absent and `null` mean the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowsBody {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    /// These workflows, by default in their current version; `folders` and `regex` are then
    /// ignored.
    #[schemars(with = "Option<Names<Versioned>>")]
    workflow_ids: Option<Names<Object<WorkflowId>>>,
    /// Workflows in these folders.
    folders: Option<Names<Object<Folder>>>,
    /// Every workflow here is `IN_SYNC`: other states select none.
    states: Option<Words<SyncState>>,
    /// Regular expression to search in the name without its folder. It ignores case; `%` is any
    /// text.
    #[schemars(with = "Option<regex::Expression>")]
    regex: Option<String>,
    /// Maximum number of workflows, newest first; -1, the default, for all.
    #[schemars(with = "Option<Limit>")]
    limit: Option<Whole<i64>>,
    /// Omits `numOfOrders`.
    #[schemars(extend("default" = false))]
    compact: Option<bool>,
}

/// Selects a workflow.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowBody {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    #[schemars(with = "Versioned")]
    workflow_id: Object<WorkflowId>,
    /// Omits `numOfOrders`.
    #[schemars(extend("default" = false))]
    compact: Option<bool>,
}

/// A workflow, by path or by name.
// The schema of a `WorkflowId` where an empty version is none.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", inline, transform = |schema: &mut Schema| texts::alias(schema, "versionId", "version"))]
#[expect(dead_code, reason = "only its schema is wanted")]
struct Versioned {
    path: texts::WorkflowPath,
    /// The version.
    version_id: Option<texts::OptionalName>,
}

/// Whose orders to count.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderCountBody {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    #[schemars(length(min = 1), with = "Names<Versioned>")]
    workflow_ids: Names<Object<WorkflowId>>,
    /// Orders count that are scheduled at this instant or later.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_from: Option<String>,
    /// With `dateFrom`: orders count that are scheduled before this instant. Without, it only limits
    /// those that are `SCHEDULED`; it is then never earlier than now, and of a whole day, week,
    /// month or year it means the beginning.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_to: Option<String>,
    /// Time zone of the dates, which overrides their offsets; UTC by default.
    #[schemars(with = "Option<texts::TimeZone>")]
    time_zone: Option<String>,
}

/// A workflow, as JOC shows it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WorkflowV {
    path: String,
    version_id: String,
    /// Whether it is the newest version.
    is_current_version: bool,
    /// Since when the version is known.
    version_date: Instant,
    state: SyncStateItem,
    /// Always false.
    suspended: bool,
    /// Always 0.
    num_of_skipped_instructions: u32,
    /// Always 0.
    num_of_stopped_instructions: u32,
    /// Always empty, since the service does not know them; JOC's schema requires the list.
    instructions: [(); 0],
    /// The orders of this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    num_of_orders: Option<Summary>,
}

/// Always `IN_SYNC`.
#[derive(Debug, Serialize, JsonSchema)]
struct SyncStateItem {
    #[serde(rename = "_text")]
    text: &'static str,
    severity: u8,
}

/// Workflows, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Workflows")]
pub struct WorkflowList {
    workflows: Vec<WorkflowV>,
}

/// One workflow.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OneWorkflow {
    workflow: WorkflowV,
}

/// The orders of workflows.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderCount {
    /// By path and version.
    workflows: Vec<WorkflowCount>,
    /// The totals.
    num_of_all_orders: Summary,
}

/// The orders of a workflow.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WorkflowCount {
    path: String,
    version_id: String,
    num_of_orders: Summary,
}

/// Whether a workflow is deployed, as JOC has it. Here every workflow is `IN_SYNC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum SyncState {
    InSync,
    NotInSync,
    NotDeployed,
    Suspended,
    Outstanding,
    Unknown,
}

impl RequestBody for WorkflowsBody {
    // `tags` is the name that JOC had for `workflowTags` until 2.7.0.
    const UNSUPPORTED: &'static [&'static str] =
        &["tags", "workflowTags", "orderTags", "agentNames", "instructionStates"];
}

impl RequestBody for WorkflowBody {}

impl RequestBody for OrderCountBody {
    const UNSUPPORTED: &'static [&'static str] = &["orderTags"];
}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::post("/workflows", post().to(workflows), "List workflows")
            .describe(
                "The current version of each, and older ones while they have orders that \
                 are not terminal",
            )
            .needs(&[VIEW_WORKFLOWS])
            .takes::<WorkflowsBody>(schemas)
            .returns::<Dated<WorkflowList>>(schemas),
        Endpoint::post("/workflow", post().to(workflow), "Show a workflow")
            .needs(&[VIEW_WORKFLOWS])
            .takes::<WorkflowBody>(schemas)
            .returns::<Dated<OneWorkflow>>(schemas),
        Endpoint::post(
            "/workflows/order_count",
            post().to(order_count),
            "Count the orders of workflows",
        )
        .needs(&[VIEW_WORKFLOWS])
        .takes::<OrderCountBody>(schemas)
        .returns::<Dated<OrderCount>>(schemas),
    ];
    with_examples(endpoints, include_str!("workflows.json"))
}

/// `POST /workflows`
async fn workflows(
    Request { context, body }: Request<WorkflowsBody>,
) -> Result<Json<Dated<WorkflowList>>, ApiError> {
    let limit = check_limit(body.limit)?.flatten();
    let named = named(inner(body.workflow_ids))?;
    let folders = Folders::checked(inner(body.folders))?;
    let regex = body.regex.filter(|regex| !regex.is_empty()).map(|regex| regex::compile(&regex));
    // Named workflows are not filtered further.
    let regex = regex.transpose()?.filter(|_| named.is_empty());
    let mut filter = permit(&context, body.controller_id, named, folders).await?;

    let states = body.states.unwrap_or_default();
    let mut workflows = if states.is_empty() || states.contains(&SyncState::InSync) {
        context.read(|store| store.workflows(&filter)).await?
    } else {
        Vec::new()
    };
    let found = workflows.len();
    if let Some(regex) = regex {
        let matching = web::block(move || {
            workflows.retain(|workflow| regex.is_match(name(&workflow.path)));
            workflows
        });
        workflows = matching.await.map_err(|error| ApiError::Internal(error.into()))?;
    }
    if let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) {
        workflows.truncate(limit);
    }
    // Only what is shown is counted.
    if (1..found).contains(&workflows.len()) {
        filter.named = workflows.iter().map(versioned).collect();
    }
    let counts = counts(&context, &filter, body.compact).await?;
    let workflows =
        workflows.into_iter().map(|workflow| shown(workflow, counts.as_ref())).collect();
    Ok(context.dated(WorkflowList { workflows }))
}

/// `POST /workflow`
async fn workflow(
    Request { context, body }: Request<WorkflowBody>,
) -> Result<Json<Dated<OneWorkflow>>, ApiError> {
    let Object(id) = body.workflow_id;
    let id = id.without_empty_version();
    id.check("workflowId")?;
    let filter = permit(&context, body.controller_id, vec![id.clone()], Folders::default()).await?;

    let mut found = context.read(|store| store.workflows(&filter)).await?;
    let path = displayable(&id.path);
    match &found[..] {
        [_] => {
            let counts = counts(&context, &filter, body.compact).await?;
            let workflow = shown(found.remove(0), counts.as_ref());
            Ok(context.dated(OneWorkflow { workflow }))
        }
        [] => {
            let version = id.version_id.as_deref().map(displayable);
            let version = version.map_or_else(String::new, |v| format!(" in version '{v}'"));
            Err(ApiError::NotFound(format!("Workflow '{path}'{version} doesn't exist")))
        }
        several => {
            let paths: Vec<&str> = several.iter().take(3).map(|w| w.path.as_str()).collect();
            let problem =
                format!("several workflows are named '{path}', such as {}", paths.join(" and "));
            Err(Invalid::new("workflowId.path", problem).into())
        }
    }
}

/// `POST /workflows/order_count`
async fn order_count(
    Request { context, body }: Request<OrderCountBody>,
) -> Result<Json<Dated<OrderCount>>, ApiError> {
    let named = named(inner(Some(body.workflow_ids)))?;
    if named.is_empty() {
        return Err(Invalid::new("workflowIds", "is empty, expected at least one").into());
    }
    let [from, to, zone] = [&body.date_from, &body.date_to, &body.time_zone].map(Option::as_deref);
    let (window, horizon) = window::of_list(from, to, zone, context.now).map_err(Invalid::from)?;
    let filter = permit(&context, body.controller_id, named, Folders::default()).await?;

    let counts =
        context.read(|store| store.order_counts(&filter, context.now, window, horizon)).await?;
    let num_of_all_orders = Summary::of(counts.values());
    let workflows = counts
        .into_iter()
        .map(|((path, version_id), counts)| WorkflowCount {
            path,
            version_id,
            num_of_orders: Summary::of([&counts]),
        })
        .collect();
    Ok(context.dated(OrderCount { workflows, num_of_all_orders }))
}

fn named(ids: Vec<WorkflowId>) -> Result<Vec<WorkflowId>, Invalid> {
    let ids: Vec<WorkflowId> = ids.into_iter().map(WorkflowId::without_empty_version).collect();
    for (i, id) in ids.iter().enumerate() {
        id.check(&format!("workflowIds[{i}]"))?;
    }
    Ok(ids)
}

async fn permit(
    context: &Context,
    controller_id: String,
    named: Vec<WorkflowId>,
    folders: Folders,
) -> Result<WorkflowFilter, ApiError> {
    let visible: Visible = context.permit_reading(VIEW_WORKFLOWS, &controller_id).await?;
    Ok(WorkflowFilter { controller_id, named, folders, visible })
}

/// What follows the last `/`.
fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn versioned(workflow: &Workflow) -> WorkflowId {
    WorkflowId { path: workflow.path.clone(), version_id: Some(workflow.version_id.clone()) }
}

fn shown(workflow: Workflow, counts: Option<&OrderCounts>) -> WorkflowV {
    let key = (workflow.path, workflow.version_id);
    let num_of_orders = counts.map(|counts| Summary::of(counts.get(&key)));
    let (path, version_id) = key;
    WorkflowV {
        path,
        version_id,
        is_current_version: workflow.is_current,
        version_date: Instant(workflow.created.0),
        state: SyncStateItem { text: "IN_SYNC", severity: 6 },
        suspended: false,
        num_of_skipped_instructions: 0,
        num_of_stopped_instructions: 0,
        instructions: [],
        num_of_orders,
    }
}

/// The orders of the workflows, unless the response is to be compact.
async fn counts(
    context: &Context,
    filter: &WorkflowFilter,
    compact: Option<bool>,
) -> Result<Option<OrderCounts>, ApiError> {
    if compact.unwrap_or_default() {
        return Ok(None);
    }
    let counts = context
        .read(|store| store.order_counts(filter, context.now, Window::UNBOUNDED, None))
        .await?;
    Ok(Some(counts))
}
