//! `joc-orders check`: checks that orders and audit trail agree.

use anyhow::ensure;
use clap::Args;
use futures_util::TryStreamExt;

use super::capture::shown;
use super::findings::{Findings, Shown};
use crate::cli::exit::help_end;
use crate::config::DatabaseArgs;
use crate::model::finding::Finding;
use crate::store::{self, Access};

/// Check that orders and audit trail agree, on the database itself
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders check
  DATABASE_URL=sqlite:backup.db joc-orders check --strict --output json"))]
pub struct CheckArgs {
    /// Also report what an import or a script may have caused; wrong only if nothing but the
    /// service and executors changes orders
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Runs the command.
///
/// # Errors
///
/// [`CliError::Found`](super::error::CliError::Found) if something does not agree.
pub async fn run(args: CheckArgs) -> anyhow::Result<()> {
    let store = store::open(&args.database.url, args.database.connections, Access::Read).await?;
    let mut findings = Findings::new(args.shown, "checking");
    let mut capture = None;
    let checked = async {
        let differences = store.check_schema(args.strict).await?;
        for problem in differences.problems {
            findings.show(&Finding::of_schema(problem));
        }
        capture = Some(differences.capture);
        ensure!(differences.is_complete, "a table or column is missing");
        let mut found = store.check(args.strict);
        while let Some(finding) = found.try_next().await? {
            findings.show(&finding);
        }
        anyhow::Ok(store.looked_at().await?)
    };
    let checked = checked.await;
    store.close().await;
    if let Some(capture) = capture {
        findings.tell(&format!("capture of plain SQL: {}\n", shown(capture)));
    }
    findings.finish(checked)
}
