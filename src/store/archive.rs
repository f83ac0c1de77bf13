//! Archives of the audit trail: what can be archived, and the cut behind which it is removed.

use chrono::{DateTime, Utc};

use super::import::Item;
use crate::model::archive::{ArchiveLine, Counts};

/// The tables that archiving deletes from, details before their entries.
pub(super) const ARCHIVED: [&str; 3] = ["audit_log_details", "audit_logs", "audit_seals"];

/// What owning the tables is needed for.
pub(super) const PURPOSE: &str = "archiving";

/// An audit entry names at most so many controllers.
pub(super) const NAMED: usize = 100;

/// Takes the lines of an archive as they are read; `false` stops.
pub type ArchiveSink<'a> = &'a mut (dyn FnMut(ArchiveLine) -> bool + Send);

/// The beginning of a controller's trail that is archived at once: whole seals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stretch {
    /// The controller.
    pub controller_id: String,
    /// The last seal.
    pub last_seal: i64,
    /// Its hash.
    pub seal_hash: String,
    /// The last entry before the stretch, or 0.
    pub after: i64,
    /// The last entry.
    pub last_id: i64,
    /// When the latest entry was written, as the API writes instants.
    pub last_created: String,
    /// How much it is.
    pub counts: Counts,
    /// How many cuts the controller had before.
    pub cuts: i64,
}

/// How much some stretches are together.
pub fn total(stretches: &[Stretch]) -> Counts {
    let add = |a: Counts, stretch: &Stretch| Counts {
        seals: a.seals + stretch.counts.seals,
        entries: a.entries + stretch.counts.entries,
        details: a.details + stretch.counts.details,
    };
    stretches.iter().fold(Counts::default(), add)
}

/// What to remove, now that a file has it.
#[derive(Debug)]
pub struct Removal {
    /// Entries before this instant were to be archived.
    pub before: DateTime<Utc>,
    /// What the file has.
    pub stretches: Vec<Stretch>,
    /// The name of the file.
    pub file: String,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// A file that is on disk under its name, and was read back.
#[derive(Debug)]
pub struct KeptFile {
    /// Its name.
    pub name: String,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// Takes the orders that are archived.
pub trait OrdersFile: Send {
    /// Takes an order; `false` stops.
    fn write(&mut self, order: &Item) -> bool;
    /// Makes the file last; `None` stops.
    fn keep(&mut self) -> Option<KeptFile>;
}
