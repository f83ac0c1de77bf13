//! `joc-orders migrate`: migrates the schema, up or down.

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::cli::error::CliError;
use crate::cli::exit::help_end;
use crate::cli::terminal::{ask, tell, waiting, write};
use crate::config::DatabaseArgs;
use crate::model::counted::counted;
use crate::store::{self, LockPatience, Loss, Migration};

/// Bring the database's schema up to date, or to one migration
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders migrate
  joc-orders migrate --status
  DATABASE_URL=postgres://joc@db.example.com/joc joc-orders migrate"))]
pub struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Migrate up or down to this migration; 0 undoes all and loses all data
    #[arg(long, value_name = "N")]
    to: Option<i64>,
    /// Do not ask before data is lost
    #[arg(short, long, requires = "to")]
    yes: bool,
    /// Migrate down even if the audit trail or its seals are lost
    #[arg(long, requires = "to")]
    drop_audit_trail: bool,
    /// Seconds to wait for locks per attempt; others queue behind the migration meanwhile
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    lock_timeout: u32,
    /// Seconds to keep trying for the locks of a migration
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    wait: u32,
    /// Only list the migrations
    #[arg(long, conflicts_with = "to")]
    status: bool,
    /// Only record the migrations that the schema proves, after psql or sqlite3 ran the files
    #[arg(long, conflicts_with_all = ["to", "status"])]
    record: bool,
    /// Distribute the tables over the servers of Citus, by controller; see docs/scaling.md
    #[arg(long, conflicts_with_all = ["to", "status", "record"])]
    distribute: bool,
}

/// Migrates, and lists the migrations.
///
/// # Errors
///
/// If the database cannot be opened or is newer than this program, or if losing data is not
/// confirmed; [`store::Error::Older`] if the schema does not prove every migration.
pub async fn run(args: MigrateArgs) -> anyhow::Result<()> {
    let url = &args.database.url;
    let mut problems = Vec::new();
    if args.record {
        problems = store::record_migrations(url).await?;
    } else if !args.status {
        if let Some(target) = args.to {
            agree(&store::losses(url, target).await?, &args).await?;
        }
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let patience =
            LockPatience { at_a_time: seconds(args.lock_timeout), in_all: seconds(args.wait) };
        let _waiting = waiting("migrating");
        if args.distribute {
            store::distribute(url, patience).await?;
        } else {
            store::migrate_patiently(url, args.to, patience).await?;
        }
    }
    let migrations = store::migrations(url).await?;
    for migration in &migrations {
        let applied = if migration.applied { "applied" } else { "pending" };
        let Migration { version, description, .. } = migration;
        write(format!("{version:04} {description:<10} {applied}\n").as_bytes())?;
    }
    if let Some(servers) = store::distribution(url).await? {
        let servers = counted(servers.into(), "server");
        write(format!("distributed by controller over {servers}\n").as_bytes())?;
    }
    for problem in problems {
        tell(&format!("not recorded: {problem}\n"));
    }
    let pending = migrations.iter().filter(|migration| !migration.applied);
    let pending: Vec<_> = pending.map(|migration| migration.version).collect();
    if args.record && !pending.is_empty() {
        let error = store::Error::Older(pending);
        return Err(error).context("not every migration was recorded");
    }
    Ok(())
}

/// Shows what would be lost, and fails unless that is confirmed.
async fn agree(losses: &[Loss], args: &MigrateArgs) -> anyhow::Result<()> {
    if losses.is_empty() {
        return Ok(());
    }
    let lost = |loss: &Loss| {
        let counted = counted(loss.count, loss.noun);
        loss.part.map_or_else(|| counted.clone(), |part| format!("{part} {counted}"))
    };
    for loss in losses {
        tell(&format!("undoing migration {} loses {}\n", loss.version, lost(loss)));
    }
    let trail: Vec<_> = losses.iter().filter(|loss| loss.is_trail).map(lost).collect();
    if !args.drop_audit_trail && !trail.is_empty() {
        let trail = trail.join(", ");
        let problem = format!("{trail} would be lost; give --drop-audit-trail to lose them");
        return Err(CliError::Usage(problem).into());
    }
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let problem = "standard input is not a terminal: give --yes; nothing was changed";
        return Err(CliError::Usage(problem.into()).into());
    }
    Ok(ask("Undo the migrations and lose these data?").await?)
}
