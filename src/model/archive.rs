//! Archives of the audit trail: the lines of a file, and the cuts behind which entries were removed.

use serde::{Deserialize, Serialize};

use super::seal::{Content, DetailRow, EntryRow, FieldHasher, NO_HASH, Seal, SealLine};

/// The format of the files, which [`ArchiveLine::Archive`] names.
pub const FORMAT: u32 = 1;

/// A line of an archive: first [`Self::Archive`], then each seal followed by the entries that it
/// covers, each followed by its details, and at last [`Self::End`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ArchiveLine {
    /// What the file is.
    Archive(Head),
    /// A seal.
    Seal(ArchivedSeal),
    /// An entry.
    Entry(EntryRow),
    /// A detail.
    Detail(DetailRow),
    /// How much there was.
    End(Counts),
}

/// The beginning of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// [`FORMAT`].
    pub format: u32,
    /// Entries before this instant were to be archived.
    pub before: String,
    /// When the file was written.
    pub created: String,
}

/// A seal as an archive has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchivedSeal {
    /// The part that an auditor keeps.
    pub line: SealLine,
    /// The hash of the seal before, or [`NO_HASH`].
    pub previous_hash: String,
}

/// How much was archived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Seals.
    pub seals: u64,
    /// Entries.
    pub entries: u64,
    /// Rows of details.
    pub details: u64,
}

/// Verifies an archive line by line.
#[derive(Debug, Default)]
pub struct ArchiveReader {
    counts: Counts,
    open: Option<(ArchivedSeal, Content)>,
    has_begun: bool,
    has_ended: bool,
}

/// A seal that was read with all its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadSeal {
    /// The seal.
    pub seal: ArchivedSeal,
    /// Whether its rows have its hash.
    pub is_intact: bool,
}

impl ArchiveReader {
    /// Takes the next line, and returns the seal whose rows end before it.
    ///
    /// # Errors
    ///
    /// What is wrong with the order of the lines.
    pub fn take(&mut self, line: ArchiveLine) -> Result<Option<ReadSeal>, String> {
        if self.has_ended {
            return Err("there is more after the end".into());
        }
        let is_head = matches!(line, ArchiveLine::Archive(_));
        if is_head == self.has_begun {
            return Err("it does not begin as an archive of the audit trail".into());
        }
        let orphan = || "a row belongs to no seal".to_owned();
        match line {
            ArchiveLine::Archive(head) if head.format == FORMAT => self.has_begun = true,
            ArchiveLine::Archive(head) => {
                return Err(format!("its format {} is not that of this program", head.format));
            }
            ArchiveLine::Seal(seal) => {
                self.counts.seals += 1;
                let before = self.open.replace((seal, Content::default()));
                return Ok(before.map(close));
            }
            ArchiveLine::Entry(row) => {
                self.counts.entries += 1;
                self.open.as_mut().ok_or_else(orphan)?.1.entry(row.id, &row.digest());
            }
            ArchiveLine::Detail(row) => {
                self.counts.details += 1;
                let (_, content) = self.open.as_mut().ok_or_else(orphan)?;
                content.detail(row.audit_log_id, &row.digest());
            }
            ArchiveLine::End(counts) => {
                self.has_ended = true;
                if counts != self.counts {
                    return Err("its end counts other rows than there are".into());
                }
                return Ok(self.open.take().map(close));
            }
        }
        Ok(None)
    }

    /// How much there was.
    ///
    /// # Errors
    ///
    /// If the end is missing.
    pub fn finish(self) -> Result<Counts, String> {
        if self.has_ended { Ok(self.counts) } else { Err("its end is missing".into()) }
    }
}

fn close((seal, content): (ArchivedSeal, Content)) -> ReadSeal {
    let ArchivedSeal { line, previous_hash } = seal.clone();
    let hash = Seal { line, previous_hash, digests: Vec::new() }.hash_over(content);
    ReadSeal { is_intact: hash == seal.line.hash, seal }
}

/// A row of `audit_cuts`: all entries of a controller up to one are in an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns, which docs/schema.md explains")]
pub struct Cut {
    pub controller_id: String,
    pub number: i64,
    pub last_seal: i64,
    pub last_id: i64,
    pub seal_hash: String,
    pub seals: i64,
    pub entries: i64,
    pub details: i64,
    pub last_created: String,
    pub file: String,
    pub file_sha256: String,
    pub previous_hash: String,
    pub hash: String,
    pub audit_log_id: i64,
    pub created: String,
}

impl Cut {
    /// The hash that it must have. docs/audit.md documents the encoding.
    pub fn computed(&self) -> String {
        let digest = FieldHasher::of("audit_cuts")
            .text(&self.controller_id)
            .integer(self.number)
            .integer(self.last_seal)
            .integer(self.last_id)
            .text(&self.seal_hash)
            .integer(self.seals)
            .integer(self.entries)
            .integer(self.details)
            .text(&self.last_created)
            .text(&self.file)
            .text(&self.file_sha256)
            .text(&self.previous_hash)
            .text(&self.created)
            .digest();
        hex::encode(digest)
    }
}

/// The hash over all cuts, which come by controller and number.
pub fn hash_of(cuts: &[Cut]) -> String {
    let hasher = cuts.iter().fold(FieldHasher::of("audit_cuts"), |h, cut| h.text(&cut.hash));
    hex::encode(hasher.digest())
}

/// The last cut of a controller, among those of all.
pub fn last_cut<'a>(cuts: &'a [Cut], controller_id: &str) -> Option<&'a Cut> {
    cuts.iter().rfind(|cut| cut.controller_id == controller_id)
}

/// What is wrong with a controller's cuts by themselves: the number of a cut, and a problem.
pub fn broken_cuts(cuts: &[Cut]) -> Vec<(&Cut, &'static str)> {
    let mut broken = Vec::new();
    let mut before: Option<&Cut> = None;
    for cut in cuts {
        let previous = before.filter(|before| before.controller_id == cut.controller_id);
        let expected = previous.map_or((1, NO_HASH), |cut| (cut.number + 1, &cut.hash));
        if cut.computed() != cut.hash {
            broken.push((cut, "the cut was changed"));
        } else if (cut.number, &*cut.previous_hash) != expected {
            broken.push((cut, "the cut does not follow the one before it: one was removed"));
        }
        before = Some(cut);
    }
    broken
}
