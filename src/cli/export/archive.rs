//! `joc-orders orders archive`: moves orders that have ended from the database to a file.

use std::fs::File;
use std::future::pending;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use sha2::{Digest, Sha256};

use super::line::line;
use crate::cli::capture::instant;
use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::exit::help_end;
use crate::cli::import::hashed::Hashed;
use crate::cli::new_file::{NewFile, discarded};
use crate::cli::stop::Signals;
use crate::cli::terminal::write;
use crate::clock::Clock;
use crate::config::DatabaseArgs;
use crate::model::counted::counted;
use crate::model::window::iso;
use crate::store::archive::{KeptFile, OrdersFile};
use crate::store::{self, Item};

/// Move old terminal orders from the database to a file for import; needs the owner of the tables
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders archive --before 2026-01-01 --to orders-2025.jsonl
  joc-orders import orders-2025.jsonl"))]
pub struct ArchiveArgs {
    /// Archive what ended before this: a day, which begins at midnight UTC, or an instant such as
    /// 2026-11-23T08:00:00Z
    #[arg(long, value_name = "DATE", value_parser = instant)]
    before: DateTime<Utc>,
    /// The new file: JSON lines as `orders export` writes them
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Runs the command.
///
/// # Errors
///
/// [`CliError::Nothing`] if there is no such order. There is no file then, nor if nothing was removed
/// for another reason, unless the outcome is unknown.
pub async fn run(args: ArchiveArgs) -> anyhow::Result<()> {
    let now = Clock::system().now();
    if args.before > now {
        return Err(CliError::Usage(format!("--before: it is only {}", iso(&now))).into());
    }
    let new = NewFile::create(&args.to)?;
    let stop = Signals::stop()?;
    let to = Hashing { to: BufWriter::new(new.open()?), hash: Sha256::new() };
    let name = args.to.display().to_string();
    let removing = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&removing);
    let mut file = Lines { to, new: Some(new), name, result: Ok(()), kept: None, begun };
    let stopped = async {
        stop.next().await;
        if removing.load(Relaxed) {
            pending::<()>().await;
        }
    };
    let archived = tokio::select! {
        archived = store::archive_orders(&args.database.url, args.before, &mut file) => archived,
        () = stopped => return Err(CliError::Undone("archived").into()),
    };
    file.result?;
    match (archived, file.kept) {
        (Err(error), Some(_)) => Err(discarded(&args.to, error)),
        (Err(error), None) => Err(error.into()),
        (Ok(Some(orders)), Some(sha256)) => {
            let (orders, name) = (counted(orders, "order"), visible(&file.name));
            write(format!("archived: {orders} to {name}\nSHA-256: {sha256}\n").as_bytes())
        }
        (Ok(_), _) => {
            let before = iso(&args.before);
            Err(CliError::Nothing(format!(
                "no order ended before {before} whose family has ended, too, and has no details in \
                 the audit trail: nothing was archived"
            ))
            .into())
        }
    }
}

/// The file that is written.
struct Lines {
    to: Hashing,
    new: Option<NewFile>,
    name: String,
    result: anyhow::Result<()>,
    /// The SHA-256 of the file once it is kept.
    kept: Option<String>,
    /// Set once the orders are about to be removed.
    begun: Arc<AtomicBool>,
}

struct Hashing {
    to: BufWriter<File>,
    hash: Sha256,
}

impl Hashing {
    fn write(&mut self, order: &Item) -> io::Result<()> {
        let text = line(order)? + "\n";
        self.hash.update(&text);
        self.to.write_all(text.as_bytes())
    }
}

impl Lines {
    /// Reads the file back before it gets its name.
    fn verified(&mut self) -> anyhow::Result<KeptFile> {
        let new = self.new.take().context("the file was kept before")?;
        self.to.to.flush()?;
        let mut file = Hashed::over(new.open()?);
        io::copy(&mut file, &mut io::sink())?;
        let read = file.finish();
        let expected = hex::encode(self.to.hash.clone().finalize());
        ensure!(read.sha256 == expected, "the file is not as it was written");
        new.keep()?;
        self.begun.store(true, Relaxed);
        self.kept = Some(read.sha256.clone());
        Ok(KeptFile { name: self.name.clone(), sha256: read.sha256, bytes: read.bytes })
    }
}

impl OrdersFile for Lines {
    fn write(&mut self, order: &Item) -> bool {
        self.result = self.to.write(order).with_context(|| self.name.clone());
        self.result.is_ok()
    }

    fn keep(&mut self) -> Option<KeptFile> {
        let kept = self.verified().with_context(|| self.name.clone());
        kept.map_err(|error| self.result = Err(error)).ok()
    }
}
