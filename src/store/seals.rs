//! Seals over the audit trail: making them and verifying them, for both databases.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::Result;
use crate::model::archive::Cut;
use crate::model::seal::SealLine;

mod cuts;
mod ledger;
mod seal;
mod strays;
mod verify;

pub use self::ledger::FindingSink;
pub(super) use self::ledger::{Ledger, LedgerBase, PAGE, Range, SealRow, Stray};
pub(super) use self::seal::seal;
pub(super) use self::verify::verify;
pub use self::verify::{Due, Verified};

/// How far sealing has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unsealed {
    /// How many entries have no seal, counted up to 100,000 per controller.
    pub entries: i64,
    /// The first of them.
    pub lowest: Option<i64>,
    /// The last entry that there is.
    pub highest: Option<i64>,
    /// When the last seal was made, in seconds since 1970.
    pub last_seal: Option<i64>,
}

/// Seals the audit trail.
#[async_trait]
pub trait SealMaker {
    /// Seals all entries before which no new one can appear, and returns how many seals it made.
    /// Replicas may do so at the same time: of two seals with the same number, the first counts.
    async fn seal(&self, now: DateTime<Utc>) -> Result<u64>;
    /// How far sealing has come.
    async fn unsealed(&self) -> Result<Unsealed>;
    /// Makes the partitions of entries to come, if the database has any, and returns of how many ranges.
    async fn make_partitions(&self) -> Result<u32> {
        Ok(0)
    }
}

/// The seals over the audit trail.
#[async_trait]
pub trait Seals {
    /// Verifies every chain against the rows that it covers, and that entries are sealed in time.
    async fn verify(&self, due: Due, report: FindingSink<'_>) -> Result<Vec<Verified>>;
    /// Passes every seal to `to`, by controller and number, until it returns `false`.
    async fn export_seals(&self, to: &mut (dyn FnMut(SealLine) -> bool + Send)) -> Result<()>;
    /// Every cut, by controller and number.
    async fn cuts(&self) -> Result<Vec<Cut>>;
    /// One seal.
    async fn find_seal(&self, controller_id: &str, number: i64) -> Result<Option<SealLine>>;
}
