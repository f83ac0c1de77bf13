//! `joc-orders import`: imports workflows and orders of a JOC, all or nothing.
//! A blocking thread reads and checks the input ([`read`], [`parse`]); the items come here in
//! batches through a short queue, so that memory does not grow with the input.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use self::hashed::{Hashed, InputDigest};
pub use self::read::InputFormat;
use self::read::ReaderMessage;
pub use self::report::ImportReport;
use super::stop::{self, Signals};
use crate::cli::error::CliError;
use crate::cli::exit::help_end;
use crate::config::DatabaseArgs;
use crate::model::checks::check_stored_controller_id;
use crate::model::counted::counted;
use crate::store::{self, Access, Import, Imported, Item, Store};

mod hashed;
mod parse;
mod read;
mod report;

/// Maximum batches that wait for the database.
const QUEUED: usize = 2;

/// Maximum controllers to name in the audit trail.
const MAX_CONTROLLERS: usize = 100;

/// JOC's default `limit` of `/orders`, which truncates silently.
const JOC_LIMIT: u64 = 10_000;

/// Import workflows and orders, all or nothing
#[derive(Debug, clap::Args)]
#[command(after_help = help_end("\
  joc-orders import orders.jsonl
  joc-orders import orders.json --controller-id prod
  joc-orders orders list --limit -1 --output json | joc-orders import --controller-id prod"))]
pub struct ImportArgs {
    /// File of JSON lines or, with --controller-id, a JOC /orders response; `-` is standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Read one JOC /orders response; its orders belong to this controller
    #[arg(long, value_name = "ID", value_parser = controller_id)]
    pub controller_id: Option<String>,
    /// Update existing orders, unless they are finished or cancelled
    #[arg(long)]
    pub replace: bool,
    /// Where to.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

fn controller_id(text: &str) -> Result<String, String> {
    check_stored_controller_id(text).map_err(|invalid| invalid.problem)?;
    Ok(text.to_owned())
}

/// Runs the command.
///
/// # Errors
///
/// If file or database cannot be opened, the input is bad, the database refuses it, or a signal
/// stops it. Nothing is imported then.
pub async fn run(args: ImportArgs) -> anyhow::Result<()> {
    let stop = Signals::stop()?;
    let (input, progress) = open(&args.file)?;
    let store = store::open(&args.database.url, args.database.connections, Access::Create);
    let store = tokio::select! {
        store = store => store?,
        () = stop.next() => return Err(CliError::Undone("imported").into()),
    };
    let format = match args.controller_id {
        Some(controller_id) => InputFormat::Response { controller_id },
        None => InputFormat::Lines,
    };
    let is_response = matches!(format, InputFormat::Response { .. });
    let gathered = tokio::select! {
        gathered = gather(&*store, input, format, args.replace) => gathered,
        () = stop.next() => {
            progress.finish_and_clear();
            stop::abandon(&*store).await;
            return Err(CliError::Undone("imported").into());
        }
    };
    // From here on signals are ignored: the outcome would be unknown.
    let name = args.file.to_string_lossy();
    let result = match gathered {
        Ok(gathered) => gathered.commit(Some(&name)).await,
        Err(error) => Err(error),
    };
    store.close().await;
    progress.finish_and_clear();

    let (imported, report) = result?;
    warn(&report, is_response);
    let Imported { inserted, updated, skipped } = imported;
    // The import is committed, even if nobody reads this line.
    let _ =
        writeln!(io::stdout(), "imported: {inserted} new, {updated} replaced, {skipped} skipped");
    Ok(())
}

/// Imports the whole input or nothing.
///
/// # Errors
///
/// Bad input, or what the database refuses.
pub async fn import(
    store: &dyn Store,
    input: impl Read + Send + 'static,
    format: InputFormat,
    replace: bool,
) -> anyhow::Result<(Imported, ImportReport)> {
    gather(store, input, format, replace).await?.commit(None).await
}

/// An import before its commit.
struct Gathered {
    import: Option<Box<dyn Import>>,
    imported: Imported,
    report: ImportReport,
    replace: bool,
    digest: InputDigest,
    /// The controllers of its items, or some of them if they are many.
    controllers: BTreeSet<String>,
}

impl Gathered {
    /// Commits it, and records from where it comes.
    async fn commit(mut self, file: Option<&str>) -> anyhow::Result<(Imported, ImportReport)> {
        if let Some(import) = self.import.take() {
            let only = self.controllers.first().filter(|_| self.controllers.len() == 1);
            let committed = import.commit(only.map(String::as_str), self.parameters(file)).await;
            committed.context("nothing was imported")?;
        }
        Ok((self.imported, self.report))
    }

    /// What the audit trail says of it.
    fn parameters(&self, file: Option<&str>) -> Value {
        json!({
            "file": file,
            "sha256": self.digest.sha256,
            "bytes": self.digest.bytes,
            "replace": self.replace,
            "inserted": self.imported.inserted,
            "replaced": self.imported.updated,
            "skipped": self.imported.skipped,
            "controllers": self.controllers,
        })
    }
}

/// Reads and writes the whole input, up to the commit. Dropping it rolls back.
async fn gather(
    store: &dyn Store,
    input: impl Read + Send + 'static,
    format: InputFormat,
    replace: bool,
) -> anyhow::Result<Gathered> {
    let (sender, mut messages) = mpsc::channel(QUEUED);
    let (reported, report) = oneshot::channel();
    // Not a task of the runtime, whose shutdown would wait for a blocked read.
    std::thread::spawn(move || {
        let mut input = Hashed::over(input);
        let report = read::read(&mut input, format, replace, sender);
        let _ = reported.send((report, input.finish()));
    });

    // Begins with the first batch: its locks keep others waiting.
    let mut import: Option<Box<dyn Import>> = None;
    let mut imported = Imported::default();
    let mut controllers = BTreeSet::new();
    while let Some(message) = messages.recv().await {
        let ReaderMessage::Batch(batch) = message else {
            // The reader goes on to find the other bad lines; `messages` must outlive it.
            import = None;
            break;
        };
        for Item { controller_id, .. } in &batch.items {
            if controllers.len() < MAX_CONTROLLERS && !controllers.contains(controller_id) {
                controllers.insert(controller_id.clone());
            }
        }
        let import = match &mut import {
            Some(import) => import,
            None => import.insert(store.begin_import(replace).await?),
        };
        let added = import
            .add(&batch.items)
            .await
            .with_context(|| format!("nothing was imported: {} were refused", batch.places()))?;
        imported = sum(imported, added);
    }
    let (report, digest) =
        report.await.context("nothing was imported: reading the input failed")?;
    if let Some(complaint) = report.complaint() {
        return Err(CliError::Other(complaint).into());
    }
    let imported = sum(imported, report.repeated);
    Ok(Gathered { import, imported, report, replace, digest, controllers })
}

fn sum(a: Imported, b: Imported) -> Imported {
    Imported {
        inserted: a.inserted + b.inserted,
        updated: a.updated + b.updated,
        skipped: a.skipped + b.skipped,
    }
}

fn warn(report: &ImportReport, is_response: bool) {
    if report.hidden_cyclic > 0 {
        eprintln!(
            "warning: {} not in the export, which shows only the first order of each of {}. \
             To get them, ask JOC by orderIds.",
            match report.hidden_cyclic {
                1 => "1 cyclic order is".into(),
                hidden => format!("{} are", counted(hidden, "cyclic order")),
            },
            counted(report.cycles, "cycle"),
        );
    }
    if is_response && report.orders == JOC_LIMIT {
        eprintln!(
            "warning: the response has exactly {JOC_LIMIT} orders, where JOC cuts it off unless \
             the request has \"limit\": -1"
        );
    }
}

/// The input, and its progress bar on a terminal.
fn open(path: &Path) -> anyhow::Result<(Box<dyn Read + Send>, ProgressBar)> {
    let (input, size): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let unreadable = |error| CliError::Usage(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()).into());
        }
        (Box::new(file), metadata.is_file().then_some(metadata.len()))
    };
    let progress = match size {
        _ if !io::stderr().is_terminal() => ProgressBar::hidden(),
        Some(size) => ProgressBar::new(size)
            .with_style(style("{wide_bar} {bytes} of {total_bytes}, {eta} left")),
        None => {
            let spinner = ProgressBar::new_spinner().with_style(style("{spinner} {bytes} read"));
            spinner.enable_steady_tick(Duration::from_millis(200));
            spinner
        }
    };
    Ok((Box::new(progress.wrap_read(input)), progress))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
