//! `joc-orders capture`: records changes of orders that the service did not make.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};

use crate::cli::error::CliError;
use crate::cli::exit::{examples, help_end};
use crate::cli::terminal::{tell, write};
use crate::config::DatabaseArgs;
use crate::model::counted::counted;
use crate::model::window::iso;
use crate::store::{self, Capture};

/// Capture plain SQL: record changes of orders that the service did not make
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders capture on
  joc-orders capture status
  joc-orders capture prune --before 2026-11-01"))]
pub struct CaptureArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    command: CaptureCommand,
}

#[derive(Debug, Subcommand)]
enum CaptureCommand {
    /// Create the triggers that record; needs the owner of the tables
    #[command(after_help = examples("joc-orders capture on --executors"))]
    On {
        /// Record the reports of executors, too, which are many
        #[arg(long)]
        executors: bool,
    },
    /// Remove the triggers; what they have recorded stays
    #[command(after_help = examples("joc-orders capture off"))]
    Off,
    /// Show whether it is on, and how much is recorded
    #[command(after_help = examples("joc-orders capture status"))]
    Status,
    /// Delete old recorded changes; needs the owner of the tables
    #[command(after_help = examples("joc-orders capture prune --before 2026-11-01"))]
    Prune {
        /// Delete what was recorded before this: a day, which begins at midnight UTC, or an instant
        /// such as 2026-11-23T08:00:00Z
        #[arg(long, value_name = "DATE", value_parser = instant)]
        before: DateTime<Utc>,
    },
}

/// Reads a day or an instant.
pub(super) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    let instant = text.parse().ok().or_else(day);
    let years = |instant: &DateTime<Utc>| ("0001".."9999").contains(&&*iso(instant));
    instant
        .filter(years)
        .ok_or_else(|| "expected a date such as 2026-11-23 or 2026-11-23T08:00:00Z".into())
}

/// Runs the command.
///
/// # Errors
///
/// If the database cannot be opened, or the role does not own its tables. [`CliError::Found`] if
/// the triggers are not those that they should be.
pub async fn run(args: CaptureArgs) -> anyhow::Result<()> {
    let url = &args.database.url;
    match args.command {
        CaptureCommand::On { executors } => switch(url, Capture::On { executors }).await,
        CaptureCommand::Off => switch(url, Capture::Off).await,
        CaptureCommand::Status => status(url).await,
        CaptureCommand::Prune { before } => {
            let pruned = store::prune_changes(url, before).await?;
            write(format!("deleted: {}\n", counted(pruned, "captured change")).as_bytes())
        }
    }
}

/// The one place where capture is switched; `orders_changes` records that itself.
async fn switch(url: &str, capture: Capture) -> anyhow::Result<()> {
    let is_new = store::set_capture(url, capture).await?;
    let already = if is_new { "" } else { " already" };
    write(format!("capture is{already} {}\n", shown(capture)).as_bytes())
}

async fn status(url: &str) -> anyhow::Result<()> {
    let status = store::capture_status(url).await?;
    let since = status.since.map(|since| format!(", since {}", iso(&since))).unwrap_or_default();
    let mut text = format!("capture is {}{since}\n", shown(status.capture));
    for (source, count, first, last) in &status.recorded {
        let (first, last) = (iso(first), iso(last));
        text += &format!("{source}: {} from {first} to {last}\n", counted(*count, "change"));
    }
    write(text.as_bytes())?;
    for problem in &status.problems {
        tell(&format!("{problem}; `joc-orders capture on` creates it again\n"));
    }
    match status.problems.len() {
        0 => Ok(()),
        problems => Err(CliError::Found(problems as u64).into()),
    }
}

/// Whether it is on, in words.
pub(super) fn shown(capture: Capture) -> &'static str {
    match capture {
        Capture::Off => "off",
        Capture::On { executors: false } => "on, without executors' reports",
        Capture::On { executors: true } => "on, with executors' reports",
    }
}
