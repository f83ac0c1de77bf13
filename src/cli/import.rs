//! `joc-orders import`: workflows and orders of a JOC, into the database, all or nothing.
//! A blocking thread reads and checks the input ([`read`], [`parse`]); the items come here in
//! batches through a short queue, so that memory does not grow with the input.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task;

use self::read::Message;
pub use self::read::{Format, Report};
use crate::config::Database;
use crate::model::selection::check_controller_id;
use crate::store::{self, Import, Imported, Store};

mod parse;
mod read;

/// How many batches may wait for the database.
const QUEUED: usize = 2;

/// JOC's default `limit` of `/orders`, at which it cuts an answer without a word.
const JOC_LIMIT: u64 = 10_000;

/// Import workflows and orders, all or nothing.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// A file of JSON lines or, with --controller-id, a JOC /orders answer; `-` is standard
    /// input
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Read one whole JOC /orders answer, and take its orders for this controller's
    #[arg(long, value_name = "ID", value_parser = controller_id)]
    pub controller_id: Option<String>,
    /// Update the orders that are there already, unless they are finished or cancelled
    #[arg(long)]
    pub replace: bool,
    /// Where to.
    #[command(flatten)]
    pub database: Database,
}

fn controller_id(text: &str) -> Result<String, String> {
    check_controller_id(text).map_err(|invalid| invalid.expected)?;
    Ok(text.to_owned())
}

/// Runs the command.
///
/// # Errors
///
/// A file that cannot be opened, a database that cannot be, bad input, or what the database
/// refuses. Nothing is imported then.
pub async fn run(args: ImportArgs) -> anyhow::Result<()> {
    let (input, progress) = open(&args.file)?;
    let store = store::open(&args.database.url, args.database.connections).await?;
    let format = match args.controller_id {
        Some(controller_id) => Format::Answer { controller_id },
        None => Format::Lines,
    };
    let is_answer = matches!(format, Format::Answer { .. });
    let result = import(&*store, input, format, args.replace).await;
    store.close().await;
    progress.finish_and_clear();

    let (imported, report) = result?;
    warn(&report, is_answer);
    let Imported { inserted, updated, skipped } = imported;
    // It is in the database now: a reader of this line that went away does not change that.
    let _ =
        writeln!(io::stdout(), "imported: {inserted} new, {updated} replaced, {skipped} skipped");
    Ok(())
}

/// Imports all of the input into a store, or nothing.
///
/// # Errors
///
/// Bad input, or what the database refuses.
pub async fn import(
    store: &dyn Store,
    input: impl Read + Send + 'static,
    format: Format,
    replace: bool,
) -> anyhow::Result<(Imported, Report)> {
    let (sender, mut messages) = mpsc::channel(QUEUED);
    let reader = task::spawn_blocking(move || read::read(input, format, replace, sender));

    // Begun no sooner than there is something to write: others wait for its locks.
    let mut import: Option<Box<dyn Import>> = None;
    let mut imported = Imported::default();
    while let Some(message) = messages.recv().await {
        let Message::Batch(batch) = message else {
            // The reader goes on to find the other bad lines; `messages` must outlive it.
            import = None;
            break;
        };
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
    let report = reader.await.context("reading the input broke off")?;
    if let Some(complaint) = report.complaint() {
        return Err(anyhow!(complaint));
    }
    if let Some(import) = import {
        import.commit().await.context("nothing was imported")?;
    }
    Ok((sum(imported, report.repeated), report))
}

fn sum(a: Imported, b: Imported) -> Imported {
    Imported {
        inserted: a.inserted + b.inserted,
        updated: a.updated + b.updated,
        skipped: a.skipped + b.skipped,
    }
}

fn warn(report: &Report, is_answer: bool) {
    if report.hidden_cyclic > 0 {
        eprintln!(
            "warning: the export shows only the first of {} fresh cyclic orders; it does so \
             for {} cycle(s), and the other {} are not imported. JOC shows them if they are \
             asked for by orderIds.",
            report.cycles + report.hidden_cyclic,
            report.cycles,
            report.hidden_cyclic
        );
    }
    if is_answer && report.orders == JOC_LIMIT {
        eprintln!(
            "warning: the answer has exactly {JOC_LIMIT} orders, which is where JOC cuts it \
             unless the request says \"limit\": -1"
        );
    }
}

/// The input, and the progress that reading it shows where there is someone to see it.
fn open(path: &Path) -> anyhow::Result<(Box<dyn Read + Send>, ProgressBar)> {
    let (input, size): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let name = || path.display().to_string();
        let file = File::open(path).with_context(name)?;
        let metadata = file.metadata().with_context(name)?;
        ensure!(!metadata.is_dir(), "{} is a directory", name());
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
