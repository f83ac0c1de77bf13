//! `joc-orders workflows` and `joc-orders controllers`: what orders belong to.

use clap::{Args, Subcommand};

use super::body::Body;
use super::connection::ConnectionArgs;
use super::listing::Listing;
use super::selectors::{ControllerArgs, FolderArgs};
use crate::cli::exit::help_end;
use crate::cli::output::OutputArgs;
use crate::cli::table::Column;

const WORKFLOWS: Listing = Listing {
    path: "/workflows",
    field: "workflows",
    columns: &[
        Column::text("path", "/path"),
        Column::version("version", "/versionId"),
        Column::wide("version_date", "/versionDate"),
        Column::new("scheduled", "/numOfOrders/scheduled"),
        Column::new("blocked", "/numOfOrders/blocked"),
        Column::new("running", "/numOfOrders/running"),
        Column::new("suspended", "/numOfOrders/suspended"),
        Column::new("failed", "/numOfOrders/failed"),
        Column::wide("pending", "/numOfOrders/pending"),
        Column::wide("in_progress", "/numOfOrders/inProgress"),
        Column::wide("waiting", "/numOfOrders/waiting"),
        Column::wide("prompting", "/numOfOrders/prompting"),
    ],
    noun: "workflow",
    word: "",
    limit: None,
};

const CONTROLLERS: Listing = Listing {
    path: "/controllers",
    field: "controllers",
    columns: &[
        Column::text("controller_id", "/controllerId"),
        Column::wide("url", "/url"),
        Column::wide("version", "/version"),
    ],
    noun: "controller",
    word: "",
    limit: None,
};

/// List workflows, over HTTP
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders workflows list --folder /sos"))]
pub struct WorkflowsArgs {
    #[command(subcommand)]
    command: WorkflowsCommand,
}

#[derive(Debug, Subcommand)]
enum WorkflowsCommand {
    List(ListWorkflows),
}

/// List workflows with the numbers of their orders
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders workflows list --folder /sos
  joc-orders workflows list --regex '^eod' -o name"))]
struct ListWorkflows {
    #[command(flatten)]
    folders: FolderArgs,
    /// Show workflows whose name, without the folder, matches this regular expression
    #[arg(long)]
    regex: Option<String>,
    /// Maximum number of workflows, the newest first [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<i64>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    controller: ControllerArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// List controllers, over HTTP
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders controllers list"))]
pub struct ControllersArgs {
    #[command(subcommand)]
    command: ControllersCommand,
}

#[derive(Debug, Subcommand)]
enum ControllersCommand {
    List(ListControllers),
}

/// List the controllers for which the account has a permission
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders controllers list -o name"))]
struct ListControllers {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs a subcommand of `workflows`.
///
/// # Errors
///
/// A [`CliError`](crate::cli::error::CliError) if scripts may need to distinguish it.
pub async fn run(args: WorkflowsArgs) -> anyhow::Result<()> {
    let WorkflowsCommand::List(args) = args.command;
    let mut body = args.controller.body(&args.connection)?;
    args.folders.put_into(&mut body);
    body.put("regex", args.regex.as_deref());
    body.put("limit", args.limit);
    WORKFLOWS.show(args.connection, args.output.format, body.into()).await
}

/// Runs a subcommand of `controllers`.
///
/// # Errors
///
/// As for [`run`].
pub async fn controllers(args: ControllersArgs) -> anyhow::Result<()> {
    let ControllersCommand::List(args) = args.command;
    CONTROLLERS.show(args.connection, args.output.format, Body::default().into()).await
}
