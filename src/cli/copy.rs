//! `joc-orders copy`: copies one database into another, all or nothing.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, ensure};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::stop::{self, Signals};
use crate::cli::error::CliError;
use crate::cli::exit::help_end;
use crate::model::counted::counted;
use crate::store::copy::CopyBatch;
use crate::store::tables::Table;
use crate::store::{self, Access, DEFAULT_CONNECTIONS, Store};

/// Maximum batches that wait to be written.
const QUEUED: usize = 2;
/// Maximum wrong rows to show.
const MAX_SHOWN: usize = 20;

/// Copy everything but sessions into an empty database, all or nothing
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders copy --from sqlite:joc-orders.db --to postgres://joc@db.example.com/joc"))]
pub struct CopyArgs {
    /// Database to copy, sqlite:FILE or postgres://…; stop its service first
    #[arg(long, value_name = "URL")]
    from: String,
    /// Database to copy to: a new one, or one that is empty but for its schema
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    to: String,
}

/// Runs the command.
///
/// # Errors
///
/// If a database cannot be opened, the target is not empty or refuses rows, or a signal stops it.
/// Nothing is copied then.
pub async fn run(args: CopyArgs) -> anyhow::Result<()> {
    let stop = Signals::stop()?;
    let open = async {
        let source = store::open(&args.from, DEFAULT_CONNECTIONS, Access::Read);
        let source = source.await.context("--from")?;
        let target = store::open(&args.to, DEFAULT_CONNECTIONS, Access::Create);
        let target = target.await.context("--to");
        if target.is_err() {
            source.close().await;
        }
        let target = target?;
        let prepared = async {
            refuse_wrong_rows(&*source).await.context("--from: nothing was copied")?;
            source.size().await.context("--from")
        };
        let prepared = prepared.await;
        if prepared.is_err() {
            source.close().await;
            target.close().await;
        }
        anyhow::Ok((source, target, prepared?))
    };
    let (source, target, size) = tokio::select! {
        opened = open => opened?,
        () = stop.next() => return Err(CliError::Undone("copied").into()),
    };
    let place = store::place(&args.from)?;
    let bar = progress(size);
    let (sender, dumped) = mpsc::channel(QUEUED);
    let (forward, receiver) = mpsc::channel(QUEUED);
    let advance = |table: &Table, rows: usize| {
        bar.set_message(table.name);
        bar.inc(rows as u64);
    };
    let copy = async { tokio::join!(source.dump(sender), target.load(receiver, &place, &advance)) };
    let copied = tokio::select! {
        copied = copy => Some(copied),
        () = until_stopped(&stop, dumped, forward) => None,
    };
    bar.finish_and_clear();
    let Some((dumped, loaded)) = copied else {
        tokio::join!(stop::abandon(&*source), stop::abandon(&*target));
        return Err(CliError::Undone("copied").into());
    };
    source.close().await;
    target.close().await;
    dumped.context("--from: nothing was copied")?;
    let complete = loaded.context("--to: nothing was copied")?;
    ensure!(complete, "nothing was copied");
    // The copy is committed, even if nobody reads this line.
    let _gone = writeln!(io::stdout(), "copied: {}", counted(bar.position(), "row"));
    Ok(())
}

/// Names the rows that the target would refuse, which stops at the first without naming it.
async fn refuse_wrong_rows(source: &dyn Store) -> anyhow::Result<()> {
    let wrong: Vec<_> = source.check_rows().take(MAX_SHOWN + 1).try_collect().await?;
    if wrong.is_empty() {
        return Ok(());
    }
    let mut text = String::from("some rows are wrong; `joc-orders check` finds them all");
    for finding in wrong.iter().take(MAX_SHOWN) {
        text += &format!("\n  {finding}");
    }
    if wrong.len() > MAX_SHOWN {
        text += "\n  and more";
    }
    anyhow::bail!(text)
}

/// Forwards batches. Returns before the last one only on a signal; without the last batch the
/// target commits nothing.
async fn until_stopped(stop: &Signals, mut from: Receiver<CopyBatch>, to: Sender<CopyBatch>) {
    loop {
        tokio::select! {
            () = stop.next() => return,
            passed = pass_on(&mut from, &to) => if !passed { break },
        }
    }
    drop((from, to));
    std::future::pending().await
}

/// Whether there was a batch, and not the last one.
async fn pass_on(from: &mut Receiver<CopyBatch>, to: &Sender<CopyBatch>) -> bool {
    // Reserve first, so that no received batch is lost on cancellation.
    let Ok(place) = to.reserve().await else { return false };
    let Some(batch) = from.recv().await else { return false };
    let goes_on = !matches!(batch, CopyBatch::End);
    place.send(batch);
    goes_on
}

fn progress(size: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(Some(size), indicatif::ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{wide_bar} {msg}: {pos} of {len} rows, {eta} left");
    ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
