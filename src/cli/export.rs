//! `joc-orders orders export`: writes everything that `import` takes, as JSON lines.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use tokio::sync::mpsc::{self, Receiver};

use self::line::line;
use super::new_file::NewFile;
use super::stop::{self, Signals};
use super::terminal::tell;
use crate::cli::error::CliError;
use crate::cli::exit::help_end;
use crate::config::DatabaseArgs;
use crate::model::counted::counted;
use crate::store::{self, Access, Item};

pub mod archive;
mod line;

/// Maximum batches that wait to be written.
const QUEUED: usize = 2;

/// Export workflows and orders as JSON lines for import, from the database and not over HTTP
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders export > orders.jsonl
  joc-orders orders export --controller-id prod --to prod.jsonl"))]
pub struct ExportArgs {
    /// Export only this controller
    #[arg(long, value_name = "ID")]
    controller_id: Option<String>,
    /// Write to this new file instead of standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Where from.
    #[command(flatten)]
    database: DatabaseArgs,
}

/// What was written.
#[derive(Debug, Default)]
struct Written {
    workflows: u64,
    orders: u64,
}

/// Runs the command.
///
/// # Errors
///
/// If the database cannot be opened or read, nothing is there to export, the file exists or cannot
/// be written, or a signal stops it. There is no file then.
pub async fn run(args: ExportArgs) -> anyhow::Result<()> {
    let stop = Signals::stop()?;
    let store = store::open(&args.database.url, args.database.connections, Access::Read);
    let store = tokio::select! {
        store = store => store?,
        () = stop.next() => return Err(CliError::Undone("exported").into()),
    };
    let (sender, batches) = mpsc::channel(QUEUED);
    let to = args.to.clone();
    let writing = tokio::task::spawn_blocking(move || write(batches, to.as_deref()));
    let exporting = async {
        let exported = store.export(args.controller_id.as_deref(), sender).await;
        (exported, writing.await)
    };
    let (exported, written) = tokio::select! {
        done = exporting => done,
        () = stop.next() => {
            // The writer ends with its file removed once the export is dropped.
            stop::abandon(&*store).await;
            return Err(CliError::Undone("exported").into());
        }
    };
    store.close().await;
    let output = written.context("nothing was exported")??;
    exported.context("nothing was exported")?;
    let Written { workflows, orders } = output.counts;
    if workflows + orders == 0 {
        let whose = args.controller_id.map(|id| format!(" of the controller '{id}'"));
        let whose = whose.unwrap_or_default();
        return Err(CliError::Nothing(format!("there is no workflow and no order{whose}")).into());
    }
    output.keep()?;
    let workflows = counted(workflows, "version");
    tell(&format!("exported: {workflows} of workflows, {}\n", counted(orders, "order")));
    Ok(())
}

/// An output that is complete but not kept yet.
struct Output {
    counts: Written,
    file: Option<NewFile>,
}

impl Output {
    fn keep(self) -> anyhow::Result<()> {
        self.file.map_or(Ok(()), NewFile::keep)
    }
}

fn write(batches: Receiver<Vec<Item>>, to: Option<&Path>) -> anyhow::Result<Output> {
    let Some(path) = to else {
        let counts = match write_into(batches, io::stdout().lock()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Err(CliError::OutputClosed.into());
            }
            counts => counts.context("standard output")?,
        };
        return Ok(Output { counts, file: None });
    };
    let file = NewFile::create(path)?;
    let counts = write_into(batches, file.open()?).with_context(|| path.display().to_string())?;
    Ok(Output { counts, file: Some(file) })
}

fn write_into(mut batches: Receiver<Vec<Item>>, to: impl Write) -> io::Result<Written> {
    let mut to = BufWriter::with_capacity(1 << 16, to);
    let mut written = Written::default();
    while let Some(batch) = batches.blocking_recv() {
        for item in batch {
            match item.order {
                Some(_) => written.orders += 1,
                None => written.workflows += 1,
            }
            to.write_all(line(&item)?.as_bytes())?;
            to.write_all(b"\n")?;
        }
    }
    to.flush()?;
    Ok(written)
}
