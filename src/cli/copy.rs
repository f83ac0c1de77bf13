//! `joc-orders copy`: everything from one database into another, all or nothing.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use crate::store::copy::Table;
use crate::store::{self, DEFAULT_CONNECTIONS};

/// How many batches may wait to be written.
const QUEUED: usize = 2;

/// Copy everything but sessions into an empty database, all or nothing
#[derive(Debug, Args)]
pub struct CopyArgs {
    /// The database to copy, sqlite:FILE or postgres://…, which must not be in use by a service
    #[arg(long, value_name = "URL")]
    from: String,
    /// The database to copy to: a new one, or one with nothing but its schema
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    to: String,
}

/// Runs the command.
///
/// # Errors
///
/// A database that cannot be opened, a target that is not empty, or rows that it refuses.
/// Nothing is copied then.
pub async fn run(args: CopyArgs) -> anyhow::Result<()> {
    ensure!(store::exists(&args.from)?, "--from: there is no such file");
    let source = store::open(&args.from, DEFAULT_CONNECTIONS).await.context("--from")?;
    let target = store::open(&args.to, DEFAULT_CONNECTIONS).await.context("--to")?;
    let size = source.size().await.context("--from")?;
    let bar = progress(size);
    let (sender, receiver) = mpsc::channel(QUEUED);
    let advance = |table: &Table, rows: usize| {
        bar.set_message(table.name);
        bar.inc(rows as u64);
    };
    let (dumped, loaded) = tokio::join!(source.dump(sender), target.load(receiver, &advance));
    bar.finish_and_clear();
    source.close().await;
    target.close().await;
    dumped.context("--from: nothing was copied")?;
    let complete = loaded.context("--to: nothing was copied")?;
    ensure!(complete, "nothing was copied");
    // It is in the database now, whoever reads this line or not.
    let _gone = writeln!(io::stdout(), "copied: {} rows", bar.position());
    Ok(())
}

fn progress(size: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(Some(size), indicatif::ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{wide_bar} {msg}: {pos} of {len} rows, {eta} left");
    ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
