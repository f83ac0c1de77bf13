//! `joc-orders audit archive`: moves sealed entries from the database to a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::archived::{self, ReadArchive};
use crate::cli::capture::instant;
use crate::cli::error::CliError;
use crate::cli::exit::help_end;
use crate::cli::new_file::{NewFile, discarded};
use crate::cli::stop::Signals;
use crate::cli::terminal::write;
use crate::clock::Clock;
use crate::config::DatabaseArgs;
use crate::model::archive::{ArchiveLine, FORMAT, Head};
use crate::model::counted::counted;
use crate::model::window::iso;
use crate::store;
use crate::store::archive::{Removal, Stretch, total};

/// Move old sealed entries from the database to a file; needs the owner of the tables
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders audit archive --before 2026-01-01 --to audit-2025.jsonl.gz
  joc-orders audit verify --archive audit-2025.jsonl.gz"))]
pub(super) struct ArchiveArgs {
    /// Archive what was written before this: a day, which begins at midnight UTC, or an instant
    /// such as 2026-11-23T08:00:00Z
    #[arg(long, value_name = "DATE", value_parser = instant)]
    before: DateTime<Utc>,
    /// The new file: JSON lines, compressed by gzip
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Runs the command.
///
/// # Errors
///
/// [`CliError::Nothing`] if no seal is old enough. There is no file then, nor if nothing was removed
/// for another reason, unless the outcome is unknown.
pub(super) async fn run(args: ArchiveArgs) -> anyhow::Result<()> {
    let now = Clock::system().now();
    if args.before > now {
        return Err(CliError::Usage(format!("--before: it is only {}", iso(&now))).into());
    }
    let stop = Signals::stop()?;
    let file = NewFile::create(&args.to)?;
    let at = || args.to.display().to_string();
    let mut writer = Writer::over(file.open()?);
    writer.write(&ArchiveLine::Archive(Head {
        format: FORMAT,
        before: iso(&args.before),
        created: iso(&now),
    }));
    let mut take = |line: ArchiveLine| writer.write(&line);
    let stretches = tokio::select! {
        stretches = store::read_archivable(&args.database.url, args.before, &mut take) => stretches?,
        () = stop.next() => return Err(CliError::Undone("archived").into()),
    };
    let counts = total(&stretches);
    writer.write(&ArchiveLine::End(counts));
    writer.finish().with_context(at)?;
    if stretches.is_empty() {
        let before = iso(&args.before);
        return Err(CliError::Nothing(format!(
            "no seal covers only entries from before {before}: nothing was archived"
        ))
        .into());
    }
    let written = verify(file.open()?, &stretches).with_context(at)?;
    file.keep()?;
    let (file, sha256) = (at(), written.sha256);
    let text = format!(
        "archived: {}, {}, {} of {} to {}\nSHA-256: {sha256}\n",
        counted(counts.entries, "entry"),
        counted(counts.details, "detail"),
        counted(counts.seals, "seal"),
        counted(stretches.len() as u64, "chain"),
        crate::cli::escape::visible(&file),
    );
    let removal = Removal { before: args.before, stretches, file, sha256, bytes: written.bytes };
    if let Err(error) = store::remove_archived(&args.database.url, &removal).await {
        return Err(discarded(&args.to, error));
    }
    write(text.as_bytes())
}

/// Reads the file back, and compares it with what it should have.
fn verify(file: File, stretches: &[Stretch]) -> anyhow::Result<ReadArchive> {
    let read = archived::read(file, &mut |_| {})?;
    let expected = stretches.iter().map(|s| (&s.controller_id, s.last_seal, &s.seal_hash));
    let found = read.chains.iter().map(|c| (&c.last.controller_id, c.last.number, &c.last.hash));
    anyhow::ensure!(
        read.is_intact && found.eq(expected) && read.counts == total(stretches),
        "the file is not as it was written; nothing was removed"
    );
    Ok(read)
}

/// Writes lines, and keeps the first error until the end.
struct Writer {
    to: GzEncoder<BufWriter<File>>,
    result: io::Result<()>,
}

impl Writer {
    fn over(file: File) -> Self {
        let to = GzEncoder::new(BufWriter::new(file), Compression::default());
        Self { to, result: Ok(()) }
    }

    fn write(&mut self, line: &ArchiveLine) -> bool {
        if self.result.is_ok() {
            let text = serde_json::to_vec(line).map_err(io::Error::from);
            self.result = text.and_then(|mut text| {
                text.push(b'\n');
                self.to.write_all(&text)
            });
        }
        self.result.is_ok()
    }

    fn finish(self) -> io::Result<()> {
        self.result?;
        self.to.finish()?.flush()
    }
}
