//! `joc-orders migrate`: brings the schema up to date, or back.

use clap::Args;

use crate::config::Database;
use crate::store;

/// Bring the database's schema up to date, or to one migration
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    database: Database,
    /// Go up or back to this migration; 0 takes back all, and with them all data
    #[arg(long)]
    to: Option<i64>,
    /// Only list the migrations
    #[arg(long, conflicts_with = "to")]
    status: bool,
    /// Only record all migrations as applied: psql or sqlite3 has run their files
    #[arg(long, conflicts_with_all = ["to", "status"])]
    record: bool,
}

/// Migrates, and lists the migrations.
///
/// # Errors
///
/// If the database cannot be had or is newer than this binary.
pub async fn run(args: MigrateArgs) -> anyhow::Result<()> {
    if args.record {
        store::record_migrations(&args.database.url).await?;
    } else if !args.status {
        store::migrate(&args.database.url, args.to).await?;
    }
    for migration in store::migrations(&args.database.url).await? {
        let applied = if migration.applied { "applied" } else { "pending" };
        println!("{:04} {:<10} {applied}", migration.version, migration.description);
    }
    Ok(())
}
