//! Verifies archives of the audit trail: by themselves, against the cuts in the database, and against
//! seals that were kept elsewhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use flate2::bufread::GzDecoder;

use crate::cli::error::CliError;
use crate::cli::import::hashed::Hashed;
use crate::model::archive::{ArchiveReader, Counts, Cut, ReadSeal, last_cut};
use crate::model::finding::Finding;
use crate::model::seal::{NO_HASH, SealLine};

/// The longest line, in bytes.
const MAX_LINE: u64 = 1 << 28;

/// What an archive holds.
pub(super) struct ReadArchive {
    /// How much.
    pub(super) counts: Counts,
    /// The chains, in their order.
    pub(super) chains: Vec<ReadChain>,
    /// Whether all rows are as they were sealed, and each seal follows the one before it.
    pub(super) is_intact: bool,
    /// The SHA-256 of the file in hexadecimal.
    pub(super) sha256: String,
    /// The length of the file.
    pub(super) bytes: u64,
}

/// What an archive holds of a chain.
pub(super) struct ReadChain {
    /// The number of the first seal.
    first: i64,
    /// The hash that the first seal follows.
    previous_hash: String,
    /// The last seal.
    pub(super) last: SealLine,
}

/// Reads an archive, and passes each seal to `visit` with what is wrong with it.
pub(super) fn read(
    file: impl Read,
    visit: &mut dyn FnMut((ReadSeal, Option<&'static str>)),
) -> anyhow::Result<ReadArchive> {
    let mut lines = BufReader::new(GzDecoder::new(BufReader::new(Hashed::over(file))));
    let mut reader = ArchiveReader::default();
    let (mut chains, mut is_intact) = (Vec::<ReadChain>::new(), true);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if (&mut lines).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let at = || format!("line {number}");
        let parsed = serde_json::from_slice(&line).with_context(at)?;
        let read = reader.take(parsed).map_err(|problem| anyhow!(problem)).with_context(at)?;
        if let Some(read) = read {
            let problem = problem(&read, chains.last());
            is_intact &= problem.is_none();
            let line = &read.seal.line;
            match chains.last_mut().filter(|c| c.last.controller_id == line.controller_id) {
                Some(chain) => chain.last = line.clone(),
                None => chains.push(ReadChain {
                    first: line.number,
                    previous_hash: read.seal.previous_hash.clone(),
                    last: line.clone(),
                }),
            }
            visit((read, problem));
        }
    }
    let counts = reader.finish().map_err(|problem| anyhow!(problem))?;
    let mut rest = lines.into_inner().into_inner();
    if io::copy(&mut rest, &mut io::sink())? > 0 {
        bail!("there is more after the end");
    }
    let digest = rest.into_inner().finish();
    Ok(ReadArchive { counts, chains, is_intact, sha256: digest.sha256, bytes: digest.bytes })
}

fn problem(read: &ReadSeal, before: Option<&ReadChain>) -> Option<&'static str> {
    let line = &read.seal.line;
    let before = before.map(|chain| &chain.last);
    let before = before.filter(|last| last.controller_id == line.controller_id);
    if !read.is_intact {
        return Some("the rows are not as they were sealed");
    }
    let follows =
        |last: &SealLine| last.number + 1 == line.number && last.hash == read.seal.previous_hash;
    (!before.is_none_or(follows)).then_some("the seal does not follow the one before it")
}

/// The archives that should be given.
pub(super) struct Archives<'a> {
    cuts: &'a [Cut],
    /// Kept seals that only an archive has, by controller and number.
    kept: BTreeMap<(String, i64), SealLine>,
}

impl<'a> Archives<'a> {
    /// Those of these cuts.
    pub(super) fn of(cuts: &'a [Cut]) -> Self {
        Self { cuts, kept: BTreeMap::new() }
    }

    /// Whether only an archive can have a seal that was kept; it is compared later then.
    pub(super) fn expect(&mut self, kept: &SealLine) -> bool {
        let cut = last_cut(self.cuts, &kept.controller_id);
        let is_archived = cut.is_some_and(|cut| kept.number < cut.last_seal);
        if is_archived {
            self.kept.insert((kept.controller_id.clone(), kept.number), kept.clone());
        }
        is_archived
    }

    /// Verifies files, if there are any, and that all kept seals were in them.
    pub(super) fn verify(
        mut self,
        files: &[PathBuf],
        report: &mut dyn FnMut(Finding),
    ) -> anyhow::Result<Counts> {
        let mut total = Counts::default();
        let mut given = vec![false; self.cuts.len()];
        for path in files {
            let name = path.display().to_string();
            let unreadable = |error| CliError::Usage(format!("--archive: {name}: {error}"));
            let file = File::open(path).map_err(unreadable)?;
            if file.metadata().map_err(unreadable)?.is_dir() {
                return Err(unreadable(io::ErrorKind::IsADirectory.into()).into());
            }
            let visit = &mut |(read, problem): (ReadSeal, Option<&'static str>)| {
                let line = read.seal.line;
                if let Some(problem) = problem {
                    report(of_seal(&line, format!("{name}: {problem}")));
                }
                let kept = self.kept.remove(&(line.controller_id.clone(), line.number));
                if kept.is_some_and(|kept| kept != line) {
                    let problem = "the seal is not the one that was kept: it was replaced";
                    report(of_seal(&line, format!("{name}: {problem}")));
                }
            };
            match read(file, visit) {
                Ok(read) => {
                    total.seals += read.counts.seals;
                    total.entries += read.counts.entries;
                    total.details += read.counts.details;
                    self.compare(&name, &read, &mut given, report);
                }
                Err(error) => {
                    report(Finding::of_schema(format!("{name}: it was changed: {error:#}")));
                }
            }
        }
        for (cut, _) in self.cuts.iter().zip(given).filter(|(_, given)| !files.is_empty() && !given)
        {
            let problem = format!(
                "the archive of the cut was not given: {}, SHA-256 {}",
                cut.file, cut.file_sha256
            );
            report(of_cut(cut, problem));
        }
        for kept in self.kept.values() {
            let problem = "the seal that was kept is archived, in no file that --archive names";
            report(of_seal(kept, problem.into()));
        }
        Ok(total)
    }

    /// Compares a file with the cuts.
    fn compare(
        &self,
        name: &str,
        read: &ReadArchive,
        given: &mut [bool],
        report: &mut dyn FnMut(Finding),
    ) {
        let unknown = || format!("{name}: no cut of this database names this file");
        if read.chains.is_empty() {
            report(Finding::of_schema(unknown()));
        }
        for chain in &read.chains {
            let last = &chain.last;
            let is_its = |cut: &Cut| {
                (&cut.controller_id, cut.last_seal) == (&last.controller_id, last.number)
            };
            let Some(at) = self.cuts.iter().position(is_its) else {
                report(of_seal(last, unknown()));
                continue;
            };
            given[at] = true;
            let cut = &self.cuts[at];
            let before = at.checked_sub(1).map(|at| &self.cuts[at]);
            let before = before.filter(|before| before.controller_id == cut.controller_id);
            let (number, hash) =
                before.map_or((0, NO_HASH), |cut| (cut.last_seal, &*cut.seal_hash));
            let problem = if (&last.hash, last.last_id) != (&cut.seal_hash, cut.last_id) {
                "it ends with another seal than the cut"
            } else if (chain.first, &*chain.previous_hash) != (number + 1, hash) {
                "it does not begin where the archive before it ends"
            } else if read.sha256 != cut.file_sha256 {
                "its SHA-256 is not that of the cut"
            } else {
                continue;
            };
            report(of_cut(cut, format!("{name}: it was changed: {problem}")));
        }
    }
}

fn of_seal(line: &SealLine, problem: String) -> Finding {
    Finding {
        controller_id: Some(line.controller_id.clone()),
        seal: Some(line.number),
        audit_log_id: None,
        order_id: None,
        problem,
    }
}

fn of_cut(cut: &Cut, problem: String) -> Finding {
    Finding {
        controller_id: Some(cut.controller_id.clone()),
        seal: Some(cut.last_seal),
        audit_log_id: None,
        order_id: None,
        problem,
    }
}
