//! Flags that several commands share, and the request fields they become.

use chrono::NaiveDate;
use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use serde_json::{Value, json};
use strum::VariantArray;

use super::body::Body;
use super::connection::ConnectionArgs;
use crate::cli::error::CliError;
use crate::model::order::EffectiveState;

/// A date before any order, which the service takes in every time zone.
const EARLIEST: &str = "0001-01-02T00:00:00";

/// A non-empty text: a script whose variable is empty does not mean everything.
pub(super) fn some_text() -> NonEmptyStringValueParser {
    NonEmptyStringValueParser::new()
}

/// A date for the service, which rejects a day without a time.
pub(super) fn date(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("expected a date such as 2026-11-23T08:00:00, or -2h".into());
    }
    match day(text) {
        Some(day) => Err(format!("a date needs a time, such as {day}T00:00:00")),
        None => Ok(text.into()),
    }
}

/// The start of an order for the service; see [`date`].
pub(super) fn start(text: &str) -> Result<String, String> {
    match day(text) {
        Some(day) => Err(format!("a date needs a time, such as '{day} 08:00:00'")),
        None => Ok(text.into()),
    }
}

fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok()
}

/// The controller.
#[derive(Debug, Args)]
pub(super) struct ControllerArgs {
    /// Controller of the orders [default: that of the context]
    #[arg(
        long,
        env = "JOC_ORDERS_CONTROLLER_ID",
        value_name = "ID",
        value_parser = some_text(),
        help_heading = "Connection"
    )]
    controller_id: Option<String>,
}

/// Which orders.
#[derive(Debug, Args)]
pub(super) struct SelectorArgs {
    /// Select this order; overrides workflow, folder and state. Repeatable, as are the next five
    #[arg(long = "order-id", value_name = "ID", value_parser = some_text())]
    order_ids: Vec<String>,
    /// Select orders of this workflow, in any version: a path, or a name without /
    #[arg(long = "workflow", value_name = "PATH", value_parser = some_text())]
    workflows: Vec<String>,
    /// Select orders of one version of a workflow
    #[arg(
        long = "workflow-version",
        num_args = 2,
        value_names = ["PATH", "VERSION"],
        value_parser = some_text()
    )]
    workflow_versions: Vec<String>,
    #[command(flatten)]
    folders: FolderArgs,
    /// Select orders in this state, or in one of several: failed,suspended. FINISHED and CANCELLED
    /// ones can only be listed
    #[arg(
        long = "state",
        value_name = "STATE",
        value_delimiter = ',',
        ignore_case = true,
        value_parser = PossibleValuesParser::new(EffectiveState::VARIANTS.iter().copied().map(EffectiveState::as_str))
    )]
    states: Vec<String>,
    #[command(flatten)]
    dates: DateArgs,
}

/// In which folders.
#[derive(Debug, Args)]
pub(super) struct FolderArgs {
    /// Select workflows in this folder and those below it
    #[arg(long = "folder", value_name = "PATH", value_parser = some_text())]
    recursive: Vec<String>,
    /// Select workflows in this folder, but not below it
    #[arg(long = "folder-only", value_name = "PATH", value_parser = some_text())]
    only: Vec<String>,
}

/// When.
#[derive(Debug, Args)]
pub(super) struct DateArgs {
    /// From this date on: 2026-11-23T08:00:00, or relative, such as -2h or 1d
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, value_parser = date)]
    date_from: Option<String>,
    /// Before this date
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, value_parser = date)]
    date_to: Option<String>,
    /// Time zone of the dates, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true, value_parser = some_text())]
    time_zone: Option<String>,
}

/// Why, for the audit log.
#[derive(Debug, Args)]
#[command(next_help_heading = "Audit log")]
pub(super) struct ReasonArgs {
    /// Reason
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Ticket
    #[arg(long, value_name = "URL")]
    ticket_link: Option<String>,
    /// Minutes spent
    #[arg(long, value_name = "MINUTES")]
    time_spent: Option<u32>,
}

impl ControllerArgs {
    /// The body of a request about it.
    ///
    /// # Errors
    ///
    /// If neither the flags nor the context name a controller.
    pub(super) fn body(&self, connection: &ConnectionArgs) -> anyhow::Result<Body> {
        let mut controller_id = self.controller_id.clone();
        if controller_id.is_none() {
            controller_id = connection.controller_id()?;
        }
        let problem = "give --controller-id, or log in with `joc-orders login --controller-id ID`";
        let controller_id = controller_id.ok_or_else(|| CliError::Usage(problem.into()))?;
        let mut body = Body::default();
        body.put("controllerId", controller_id);
        Ok(body)
    }
}

/// Fails unless a selector is given.
pub(super) fn expect_any(is_given: bool) -> Result<(), CliError> {
    if is_given {
        return Ok(());
    }
    let problem = "select orders: with --order-id, --workflow, --folder, --state, --date-from or \
                   --date-to (--folder / selects all)";
    Err(CliError::Usage(problem.into()))
}

impl SelectorArgs {
    pub(super) fn order_ids(&self) -> &[String] {
        &self.order_ids
    }

    pub(super) fn states(&self) -> impl Iterator<Item = &str> {
        self.states.iter().map(String::as_str)
    }

    /// Whether any selector is given.
    pub(super) fn select_any(&self) -> bool {
        let Self { order_ids, workflows, workflow_versions, folders, states, dates } = self;
        let lists = [order_ids, workflows, workflow_versions, states];
        lists.iter().any(|list| !list.is_empty())
            || !(folders.recursive.is_empty() && folders.only.is_empty())
            || dates.date_from.is_some()
            || dates.date_to.is_some()
    }

    /// Like [`Self::put_into`]. A list reads `dateTo` alone as a horizon; here it shall show what a
    /// change with the same flags selects.
    pub(super) fn put_into_list(&self, body: &mut Body) {
        self.put_into(body);
        if self.dates.date_from.is_none() && self.dates.date_to.is_some() {
            body.put("dateFrom", EARLIEST);
        }
    }

    pub(super) fn put_into(&self, body: &mut Body) {
        let any_version = self.workflows.iter().map(|path| json!({ "path": path }));
        let versions = self.workflow_versions.chunks_exact(2);
        let versions = versions.map(|pair| json!({ "path": pair[0], "versionId": pair[1] }));
        let states = self.states.iter().map(|state| state.to_uppercase());
        body.put("orderIds", self.order_ids.as_slice());
        body.put("workflowIds", any_version.chain(versions).collect::<Value>());
        self.folders.put_into(body);
        body.put("states", states.collect::<Value>());
        self.dates.put_into(body);
    }
}

impl FolderArgs {
    pub(super) fn put_into(&self, body: &mut Body) {
        let folder = |recursive| move |path| json!({ "folder": path, "recursive": recursive });
        let recursive = self.recursive.iter().map(folder(true));
        body.put(
            "folders",
            recursive.chain(self.only.iter().map(folder(false))).collect::<Value>(),
        );
    }
}

impl DateArgs {
    pub(super) fn put_into(&self, body: &mut Body) {
        body.put("dateFrom", self.date_from.as_deref());
        body.put("dateTo", self.date_to.as_deref());
        body.put("timeZone", self.time_zone.as_deref());
    }
}

impl ReasonArgs {
    pub(super) fn put_into(&self, body: &mut Body) {
        let mut log = Body::default();
        log.put("comment", self.comment.as_deref());
        log.put("ticketLink", self.ticket_link.as_deref());
        log.put("timeSpent", self.time_spent);
        body.put("auditLog", log);
    }
}
