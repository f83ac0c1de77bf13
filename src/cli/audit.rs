//! `joc-orders audit`: the audit log over HTTP, and, on the database itself, the seals over it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::TimeDelta;
use clap::{Args, Subcommand};

use self::archive::ArchiveArgs;
use self::archived::Archives;
use super::client::audit;
use super::findings::{Findings, Shown};
use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::exit::help_end;
use crate::cli::terminal::write;
use crate::clock::Clock;
use crate::config::DatabaseArgs;
use crate::model::counted::counted;
use crate::model::finding::Finding;
use crate::model::identities::Identities;
use crate::model::seal::SealLine;
use crate::store::seals::Due;
use crate::store::{self, Access, Store};

mod archive;
mod archived;

/// Show the audit log: who did what and why, over HTTP; or verify it, on the database
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = help_end("\
  joc-orders audit --date-from -1d --account root
  joc-orders audit --details 42
  joc-orders audit verify"))]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    #[command(flatten)]
    shown: audit::EntriesArgs,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Verify(VerifyArgs),
    Seals(SealsArgs),
    Archive(ArchiveArgs),
    Identity(IdentityOf),
}

/// 100 years.
const MAX_MINUTES: i64 = 100 * 366 * 24 * 60;

/// Compare the audit trail with its seals, on the database itself
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders audit verify
  joc-orders audit verify --seals seals-2026-11-23.jsonl
  joc-orders audit verify --archive audit-*.jsonl.gz"))]
struct VerifyArgs {
    /// Also compare with seals written earlier by `audit seals`; `-` is standard input
    #[arg(long, value_name = "FILE")]
    seals: Option<PathBuf>,
    /// Also verify these files of `audit archive`: all of them, in any order
    #[arg(long, value_name = "FILE", num_args = 1..)]
    archive: Vec<PathBuf>,
    /// Report entries unsealed for this many minutes; by default, those an hour older than the
    /// newest entry, so that old backups pass
    #[arg(
        long,
        value_name = "MINUTES",
        value_parser = clap::value_parser!(u32).range(..=MAX_MINUTES)
    )]
    unsealed: Option<u32>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Write the seals of the audit trail to keep elsewhere, one JSON object per line
#[derive(Debug, Args)]
#[command(after_help = help_end("  joc-orders audit seals > seals-$(date +%F).jsonl"))]
struct SealsArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Show the keyed hash of an account or address, for searches in the audit trail
#[derive(Debug, Args)]
#[command(after_help = help_end("  joc-orders audit identity anna"))]
struct IdentityOf {
    /// The account, such as anna or os:anna, or the address
    name: String,
}

impl AuditArgs {
    /// Whether it writes to the audit trail or shows a pseudonym.
    pub(super) fn may_record(&self) -> bool {
        matches!(self.command, Some(AuditCommand::Archive(_) | AuditCommand::Identity(_)))
    }
}

/// Runs the command.
///
/// # Errors
///
/// A [`CliError`] if scripts may need to distinguish it.
pub async fn run(args: AuditArgs) -> anyhow::Result<()> {
    match args.command {
        None => audit::run(args.shown).await,
        Some(AuditCommand::Verify(args)) => verify(args).await,
        Some(AuditCommand::Seals(args)) => export(args).await,
        Some(AuditCommand::Archive(args)) => archive::run(args).await,
        Some(AuditCommand::Identity(args)) => identity(&args),
    }
}

async fn verify(args: VerifyArgs) -> anyhow::Result<()> {
    let kept = args.seals.as_deref().map(open).transpose()?;
    let store = store::open(&args.database.url, args.database.connections, Access::Read).await?;
    let mut findings = Findings::new(args.shown, "verifying");
    let within = TimeDelta::minutes(args.unsealed.unwrap_or(60).into());
    let due = Due { within, now: Clock::system().now(), live: args.unsealed.is_some() };
    let verified = async {
        let chains = store.verify(due, &mut |finding| findings.show(&finding)).await?;
        let cuts = store.cuts().await?;
        let mut archives = Archives::of(&cuts);
        let kept = match kept {
            Some(kept) => Some(compare(&*store, kept, &mut archives, &mut findings).await?),
            None => None,
        };
        let mut show = |finding: Finding| findings.show(&finding);
        let archived = archives.verify(&args.archive, &mut show)?;
        anyhow::Ok((chains, kept, archived))
    };
    let verified = verified.await;
    store.close().await;
    let (chains, kept, archived) = verified?;
    let (mut entries, mut details, mut seals) = (0, 0, 0);
    for chain in chains {
        findings.tell(&format!(
            "{}: {} over {} and {}; {} {} not sealed\n",
            visible(&chain.controller_id),
            counted(chain.seals, "seal"),
            counted(chain.entries, "entry"),
            counted(chain.details, "detail"),
            counted(chain.unsealed, "entry"),
            if chain.unsealed == 1 { "is" } else { "are" },
        ));
        entries += chain.entries + chain.unsealed;
        details += chain.details;
        seals += chain.seals;
    }
    let mut checked = vec![(entries, "entry"), (details, "detail"), (seals, "seal")];
    checked.extend(kept.map(|kept| (kept, "kept seal")));
    if !args.archive.is_empty() {
        checked.push((archived.entries, "archived entry"));
        checked.push((archived.details, "archived detail"));
        checked.push((archived.seals, "archived seal"));
    }
    findings.finish(Ok(checked))
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let unreadable = |error| CliError::Usage(format!("--seals: {}: {error}", path.display()));
    Ok(Box::new(BufReader::new(File::open(path).map_err(unreadable)?)))
}

/// Looks up each kept seal in the database, and returns their number. A file without seals is an
/// error: otherwise a failed export would pass.
async fn compare(
    store: &dyn Store,
    kept: Box<dyn BufRead>,
    archives: &mut Archives<'_>,
    findings: &mut Findings,
) -> anyhow::Result<u64> {
    let mut count = 0;
    for (number, line) in (1..).zip(kept.lines()) {
        let line = line.with_context(|| format!("--seals: line {number}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let kept: SealLine =
            serde_json::from_str(&line).with_context(|| format!("--seals: line {number}"))?;
        count += 1;
        if archives.expect(&kept) {
            continue;
        }
        let problem = match store.find_seal(&kept.controller_id, kept.number).await? {
            Some(found) if found == kept => continue,
            Some(_) => "the seal is not the one that was kept: it was replaced",
            None => "the seal that was kept is not there: it was removed",
        };
        findings.show(&Finding {
            controller_id: Some(kept.controller_id),
            seal: Some(kept.number),
            audit_log_id: None,
            order_id: None,
            problem: problem.into(),
        });
    }
    if count == 0 {
        return Err(CliError::Usage("--seals: the file has no seals".into()).into());
    }
    Ok(count)
}

async fn export(args: SealsArgs) -> anyhow::Result<()> {
    let store = store::open(&args.database.url, args.database.connections, Access::Read).await?;
    let mut written = Ok(());
    let mut show = |seal: SealLine| {
        written = serde_json::to_string(&seal)
            .map_err(Into::into)
            .and_then(|line| write(format!("{line}\n").as_bytes()));
        written.is_ok()
    };
    let exported = store.export_seals(&mut show).await;
    store.close().await;
    exported?;
    written
}

fn identity(args: &IdentityOf) -> anyhow::Result<()> {
    let missing = || CliError::Usage("JOC_ORDERS_AUDIT_KEY_FILE: the key is missing".into());
    let pseudonym = Identities::in_use().pseudonym(&args.name).ok_or_else(missing)?;
    write(format!("{pseudonym}\n").as_bytes())
}
