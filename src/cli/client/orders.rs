//! `joc-orders orders`: list orders, living ones and ended ones, add them, and change them.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::add::{self, AddArgs};
use super::change::{ChangeArgs, ChangeRun};
use super::connection::ConnectionArgs;
use super::history::{self, HistoryArgs};
use super::listing::ORDERS;
use super::selectors::{ControllerArgs, SelectorArgs, date};
use super::show::{self, ShowArgs};
use super::wait::{self, WaitArgs};
use super::watch::watch;
use crate::cli::exit::help_end;
use crate::cli::export::archive::{self, ArchiveArgs};
use crate::cli::export::{self, ExportArgs};
use crate::cli::output::OutputArgs;
use crate::model::changing::{CANCEL, RESUME, SUSPEND, UNDO};
use crate::model::undo::Overdue;

/// List, add, cancel, suspend and resume orders, over HTTP
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders list --state blocked --folder /sos
  joc-orders orders cancel --state blocked --folder /sos --dry-run"))]
pub struct OrdersArgs {
    #[command(subcommand)]
    command: OrdersCommand,
}

impl OrdersArgs {
    /// Whether it writes to the audit trail itself, and not over HTTP.
    pub(in crate::cli) fn may_record(&self) -> bool {
        matches!(self.command, OrdersCommand::Archive(_))
    }
}

#[derive(Debug, Subcommand)]
enum OrdersCommand {
    List(ListArgs),
    Show(ShowArgs),
    History(HistoryArgs),
    Wait(WaitArgs),
    Add(AddArgs),
    Cancel(CancelArgs),
    Suspend(SuspendArgs),
    Resume(ResumeArgs),
    Undo(UndoArgs),
    Export(ExportArgs),
    Archive(ArchiveArgs),
}

/// List orders
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders list --state failed --folder /sos
  joc-orders orders list --date-from -1d --date-to 0 --output csv > orders.csv
  joc-orders orders list --folder /sos --watch
  joc-orders orders list --limit -1 --output json | jq -r '.orders[].orderId'"))]
struct ListArgs {
    #[command(flatten)]
    selectors: SelectorArgs,
    /// Select orders whose workflow and id, such as /sos/eod/#2026-11-23#P1, match this regular
    /// expression
    #[arg(long)]
    regex: Option<String>,
    /// Select orders that entered their state on or after this date
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, value_parser = date)]
    state_date_from: Option<String>,
    /// Select orders in their state since before this date
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, value_parser = date)]
    state_date_to: Option<String>,
    /// Maximum number of orders, -1 for all [default: 10000]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<i64>,
    /// Show the orders and then their changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Seconds between two requests of --watch
    #[arg(long, value_name = "SECONDS", default_value_t = 5, requires = "watch", value_parser = clap::value_parser!(u32).range(1..=3600))]
    interval: u32,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    controller: ControllerArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Cancel orders
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders cancel --folder /sos/billing --state blocked --dry-run
  joc-orders orders cancel --workflow /mft/in --date-to -2h --comment 'too late'
  joc-orders orders cancel --order-id '#2026-11-23#P1-eod' --kill --yes"))]
struct CancelArgs {
    #[command(flatten)]
    selectors: SelectorArgs,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Suspend orders
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders suspend --folder /sos/billing --comment maintenance
  joc-orders orders suspend --workflow /mft/in --state running --kill --reset --yes"))]
struct SuspendArgs {
    #[command(flatten)]
    selectors: SelectorArgs,
    #[command(flatten)]
    how: How,
    /// Restart the current instruction
    #[arg(long, help_heading = "Effect")]
    reset: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Resume suspended or failed orders
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders resume --folder /sos/billing --state suspended
  joc-orders orders resume --order-id '#2026-11-23#P1-eod' --yes"))]
struct ResumeArgs {
    #[command(flatten)]
    selectors: SelectorArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Undo a cancel: restore its orders that had not started
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders undo 4711 --dry-run
  joc-orders orders undo 4711 --comment 'wrong folder'"))]
struct UndoArgs {
    /// The audit log id that the cancel has shown
    audit_log_id: u64,
    /// What becomes of orders whose date has passed
    #[arg(long, value_enum, default_value_t, help_heading = "Effect")]
    overdue: Overdue,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Options of cancelling and suspending.
#[derive(Debug, Args)]
#[command(next_help_heading = "Effect")]
struct How {
    /// Kill the jobs of running orders
    #[arg(long)]
    kill: bool,
    /// Include the child orders of each order
    #[arg(long)]
    deep: bool,
    /// Skip orders that have started
    #[arg(long)]
    fresh_only: bool,
}

/// Runs the subcommand.
///
/// # Errors
///
/// A [`CliError`](crate::cli::error::CliError) if scripts may need to distinguish it.
pub async fn run(args: OrdersArgs) -> anyhow::Result<()> {
    match args.command {
        OrdersCommand::List(args) => args.run().await,
        OrdersCommand::Show(args) => show::run(args).await,
        OrdersCommand::History(args) => history::run(args).await,
        OrdersCommand::Wait(args) => wait::run(args).await,
        OrdersCommand::Add(args) => add::run(args).await,
        OrdersCommand::Cancel(args) => {
            let mut change = ChangeRun::new(&CANCEL, &args.selectors, args.change)?;
            args.how.put_into(&mut change);
            change.run().await
        }
        OrdersCommand::Suspend(args) => {
            let mut change = ChangeRun::new(&SUSPEND, &args.selectors, args.change)?;
            args.how.put_into(&mut change);
            change.body.put("reset", args.reset);
            change.run().await
        }
        OrdersCommand::Resume(args) => {
            ChangeRun::new(&RESUME, &args.selectors, args.change)?.run().await
        }
        OrdersCommand::Undo(args) => {
            let mut change = ChangeRun::of(&UNDO, args.change)?;
            change.body.put("auditLogId", args.audit_log_id);
            change.body.put("overdue", <&str>::from(args.overdue));
            change.run().await
        }
        OrdersCommand::Export(args) => export::run(args).await,
        OrdersCommand::Archive(args) => archive::run(args).await,
    }
}

impl How {
    fn put_into(&self, change: &mut ChangeRun) {
        change.body.put("kill", self.kill);
        change.body.put("deep", self.deep);
        change.body.put("orderType", self.fresh_only.then_some("FreshOnly"));
    }
}

impl ListArgs {
    fn body(&self) -> anyhow::Result<Value> {
        let mut body = self.controller.body(&self.connection)?;
        self.selectors.put_into_list(&mut body);
        body.put("regex", self.regex.as_deref());
        body.put("stateDateFrom", self.state_date_from.as_deref());
        body.put("stateDateTo", self.state_date_to.as_deref());
        body.put("limit", self.limit);
        Ok(body.into())
    }

    async fn run(self) -> anyhow::Result<()> {
        let body = self.body()?;
        if self.watch {
            let interval = Duration::from_secs(self.interval.into());
            return watch(&self.connection, self.output.format, &body, interval).await;
        }
        ORDERS.show(self.connection, self.output.format, body).await
    }
}
