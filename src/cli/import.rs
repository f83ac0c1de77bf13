//! `joc-orders import`: imports workflows and orders of a JOC, all or nothing.
//! A blocking thread reads and checks the input ([`read`], [`parse`]): first all of it, so that bad
//! input is refused before the database is asked for anything; then the items come here in batches
//! through a short queue, so that memory does not grow with the input.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tempfile::TempPath;
use tokio::sync::{mpsc, oneshot};

use self::format::Reading;
pub use self::format::{InputFormat, Mapping};
use self::hashed::{Hashed, InputDigest};
use self::input::Input;
use self::rejects::{Rejects, rejected};
pub use self::report::ImportReport;
use self::report::summary;
use self::sink::ReaderMessage;
use super::stop::{self, Signals};
use crate::cli::error::CliError;
use crate::cli::exit::help_end;
use crate::config::DatabaseArgs;
use crate::model::checks::check_stored_controller_id;
use crate::model::counted::counted;
use crate::store::{self, Access, Import, Imported, Item, Store};

mod format;
pub(super) mod hashed;
mod input;
mod parse;
mod read;
mod rejects;
mod report;
mod sink;
mod table;

/// Maximum batches that wait for the database.
const QUEUED: usize = 2;

/// Maximum controllers to name in the audit trail.
const MAX_CONTROLLERS: usize = 100;

const UNREAD: &str = "nothing was imported: reading the input failed";

/// JOC's default `limit` of `/orders`, which truncates silently.
const JOC_LIMIT: u64 = 10_000;

/// Import workflows and orders, all or nothing
#[derive(Debug, clap::Args)]
#[command(after_help = help_end("\
  joc-orders import orders.jsonl
  joc-orders import orders.json --controller-id prod --dry-run
  joc-orders import jobs.csv --controller-id prod --map order_id=JOBNAME --default state=SCHEDULED
  joc-orders orders list --limit -1 --output json | joc-orders import --controller-id prod"))]
pub struct ImportArgs {
    /// File of JSON lines, a JOC /orders response (with --controller-id) or a table (CSV); `-` is
    /// standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Controller of the orders, which neither a JOC /orders response nor most tables name
    #[arg(long, value_name = "ID", value_parser = controller_id)]
    pub controller_id: Option<String>,
    /// Update existing orders that differ, unless they are finished or cancelled
    #[arg(long)]
    pub replace: bool,
    /// Check everything and tell what would be imported, then roll back
    #[arg(long, conflicts_with = "rejects")]
    dry_run: bool,
    /// Import the good lines and write the bad ones to this new file
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Drop this unknown field, or this column; repeatable
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// Format of the input [default: csv for a file that ends with .csv, otherwise json]
    #[arg(long)]
    format: Option<FormatName>,
    #[command(flatten)]
    table: TableArgs,
    /// Where to.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Names of formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FormatName {
    /// JSON lines or, with --controller-id, a JOC /orders response
    Json,
    /// A table with a row of names
    Csv,
}

/// Options of tables.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Tables (CSV)")]
struct TableArgs {
    /// Take this field, such as order_id or arguments.NAME, from this column; repeatable
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = field_of)]
    map: Vec<(String, String)>,
    /// Give this field this value where there is no column or the cell is empty; repeatable
    #[arg(long, value_name = "FIELD=VALUE", value_parser = field_of)]
    default: Vec<(String, String)>,
    /// What separates cells, such as ; or \t [default: ,]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
}

fn field_of(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("is not of the form FIELD=…")?;
    if !table::knows(field) {
        return Err(format!("there is no field '{field}'"));
    }
    Ok((field.to_owned(), value.to_owned()))
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => Ok(*one),
        _ => Err("is not one ASCII character".into()),
    }
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
    let reading = args.reading()?;
    let (input, progress) = Input::open(&args.file)?;
    let rejects = args.rejects.as_deref().map(Rejects::create).transpose()?;
    // Removes the file, unless lines are left out.
    let unkept = args.rejects.as_ref().map(TempPath::try_from_path).transpose()?;
    let checked = tokio::select! {
        checked = check(input, &reading, rejects, &progress) => checked,
        () = stop.next() => {
            progress.finish_and_clear();
            return Err(CliError::Undone("imported").into());
        }
    };
    let checked = checked.inspect_err(|_| progress.finish_and_clear())?;
    // A dry run does not make a database.
    let access = if args.dry_run { Access::Write } else { Access::Create };
    let store = store::open(&args.database.url, args.database.connections, access);
    let store = tokio::select! {
        store = store => store?,
        () = stop.next() => return Err(CliError::Undone("imported").into()),
    };
    let gathered = tokio::select! {
        gathered = gather(&*store, checked, reading.clone(), &progress) => gathered,
        () = stop.next() => {
            progress.finish_and_clear();
            stop::abandon(&*store).await;
            return Err(CliError::Undone("imported").into());
        }
    };
    // From here on signals are ignored: the outcome would be unknown.
    let name = args.file.to_string_lossy();
    let result = match gathered {
        Ok(gathered) if args.dry_run => Ok(gathered.roll_back()),
        Ok(gathered) => gathered.commit(Some(&name)).await,
        Err(error) => Err(error),
    };
    store.close().await;
    progress.finish_and_clear();

    let (imported, report) = result?;
    warn(&report, matches!(reading.format, InputFormat::Response { .. }));
    let done = if args.dry_run { "would be imported" } else { "imported" };
    // The import is committed, even if nobody reads this line.
    let _ = writeln!(io::stdout(), "{done}: {}", summary(imported, args.replace));
    match args.rejects.zip(unkept) {
        Some((path, unkept)) if report.bad_count > 0 => {
            unkept.keep()?;
            Err(rejected(report.bad_count, &path, &report.problems()).into())
        }
        _ => Ok(()),
    }
}

impl ImportArgs {
    fn reading(&self) -> Result<Reading, CliError> {
        let by_name = match self.file.extension() {
            Some(end) if end.eq_ignore_ascii_case("csv") => FormatName::Csv,
            _ => FormatName::Json,
        };
        let TableArgs { map, default, delimiter } = &self.table;
        let format = match (self.format.unwrap_or(by_name), self.controller_id.clone()) {
            (FormatName::Csv, controller_id) => InputFormat::Table(Mapping {
                controller_id,
                columns: map.clone(),
                defaults: default.clone(),
                delimiter: delimiter.unwrap_or(b','),
            }),
            _ if !map.is_empty() || !default.is_empty() || delimiter.is_some() => {
                let problem = "--map, --default and --delimiter are for tables: --format csv";
                return Err(CliError::Usage(problem.into()));
            }
            (FormatName::Json, Some(controller_id)) => InputFormat::Response { controller_id },
            (FormatName::Json, None) => InputFormat::Lines,
        };
        Ok(Reading {
            format,
            ignored: self.ignore.clone(),
            replace: self.replace,
            is_lenient: self.rejects.is_some(),
        })
    }
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
    let reading = Reading { format, ignored: Vec::new(), replace, is_lenient: false };
    let progress = ProgressBar::hidden();
    let input = Input::Stream(Box::new(input));
    let checked = check(input, &reading, None, &progress).await?;
    gather(store, checked, reading, &progress).await?.commit(None).await
}

/// Reads and checks the whole input; returns it to be read again.
async fn check(
    input: Input,
    reading: &Reading,
    rejects: Option<Rejects>,
    progress: &ProgressBar,
) -> anyhow::Result<Input> {
    let (reported, report) = oneshot::channel();
    let (reading, progress) = (reading.clone(), progress.clone());
    // Not a task of the runtime, whose shutdown would wait for a blocked read.
    std::thread::spawn(move || {
        let mut input = input;
        let report = input
            .first(&progress)
            .and_then(|first| read::check(first, &reading, rejects))
            .and_then(|report| Ok((report, input.again()?)));
        let _ = reported.send(report);
    });
    let report = report.await.context(UNREAD)?;
    let (report, again) = report.context(UNREAD)?;
    match report.complaint() {
        Some(complaint) => Err(CliError::Other(complaint).into()),
        None => Ok(again),
    }
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
            "unchanged": self.imported.unchanged,
            "skipped": self.imported.skipped,
            "rejected": self.report.bad_count,
            "controllers": self.controllers,
        })
    }

    /// What a commit would have done.
    fn roll_back(self) -> (Imported, ImportReport) {
        (self.imported, self.report)
    }
}

/// Reads and writes the whole input, up to the commit. Dropping it rolls back.
async fn gather(
    store: &dyn Store,
    input: Input,
    reading: Reading,
    progress: &ProgressBar,
) -> anyhow::Result<Gathered> {
    let (sender, mut messages) = mpsc::channel(QUEUED);
    let (reported, report) = oneshot::channel();
    let replace = reading.replace;
    let input = input.second(progress).context(UNREAD)?;
    std::thread::spawn(move || {
        let mut input = Hashed::over(input);
        let report = read::read(&mut input, &reading, sender);
        let _ = reported.send((report, input.finish()));
    });

    // Begins with the first batch: its locks keep others waiting.
    let mut import: Option<Box<dyn Import>> = None;
    let mut imported = Imported::default();
    let mut controllers = BTreeSet::new();
    while let Some(message) = messages.recv().await {
        let ReaderMessage::Batch(batch) = message else {
            // The input has changed since it was checked. The reader goes on to find the other bad
            // lines; `messages` must outlive it.
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
    let (report, digest) = report.await.context(UNREAD)?;
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
        unchanged: a.unchanged + b.unchanged,
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

/// The item of a line.
#[cfg(test)]
pub(super) fn parse_one(line: &str) -> Result<crate::store::Item, Vec<String>> {
    parse::parse_line(line.as_bytes(), &[]).map(|parsed| parsed.item)
}
