//! `joc-orders orders history`: orders that have ended.

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::Value;

use super::connection::ConnectionArgs;
use super::listing::{LIMIT, Listing};
use super::selectors::{ControllerArgs, DateArgs, FolderArgs, date, some_text};
use crate::cli::exit::help_end;
use crate::cli::output::OutputArgs;
use crate::cli::table::Column;

const HISTORY: Listing = Listing {
    path: "/orders/history",
    field: "history",
    columns: &[
        Column::text("order_id", "/orderId"),
        Column::text("workflow", "/workflow"),
        Column::state("state", "/orderState/_text"),
        Column::wide("planned_time", "/plannedTime"),
        Column::new("start_time", "/startTime"),
        Column::new("end_time", "/endTime"),
        Column::wide("position", "/position"),
        Column::wide("arguments", "/arguments"),
    ],
    noun: "order",
    word: "/orderState/_text",
    limit: Some(LIMIT),
};

/// How orders end.
const ENDED: [&str; 2] = ["SUCCESSFUL", "FAILED"];

/// List orders that have ended, the latest first
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders history --folder /sos --state failed --completed-date-from -1d
  joc-orders orders history --order-id '*-eod' --limit 10"))]
pub(super) struct HistoryArgs {
    /// Show this order; * stands for any text, ? for one character
    #[arg(long, value_name = "ID", value_parser = some_text())]
    order_id: Option<String>,
    /// Show orders of this workflow; * and ? as above
    #[arg(long, value_name = "PATH", value_parser = some_text())]
    workflow: Option<String>,
    #[command(flatten)]
    folders: FolderArgs,
    /// Show orders that ended in this way: finished orders were successful, cancelled ones failed
    #[arg(
        long = "state",
        value_name = "STATE",
        value_delimiter = ',',
        ignore_case = true,
        value_parser = PossibleValuesParser::new(ENDED)
    )]
    states: Vec<String>,
    #[command(flatten)]
    started: DateArgs,
    /// Show orders that ended on or after this date
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, value_parser = date)]
    completed_date_from: Option<String>,
    /// Show orders that ended before this date
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, value_parser = date)]
    completed_date_to: Option<String>,
    /// Maximum number of orders, -1 for all [default: 10000]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<i64>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    controller: ControllerArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs the command.
pub(super) async fn run(args: HistoryArgs) -> anyhow::Result<()> {
    let mut body = args.controller.body(&args.connection)?;
    body.put("orderId", args.order_id.as_deref());
    body.put("workflowPath", args.workflow.as_deref());
    args.folders.put_into(&mut body);
    let states = if args.states.is_empty() { ENDED.map(String::from).into() } else { args.states };
    body.put("historyStates", states.iter().map(|state| state.to_uppercase()).collect::<Value>());
    args.started.put_into(&mut body);
    body.put("completedDateFrom", args.completed_date_from.as_deref());
    body.put("completedDateTo", args.completed_date_to.as_deref());
    body.put("limit", args.limit);
    HISTORY.show(args.connection, args.output.format, body.into()).await
}
