//! The seals and the rows that they cover, as the database hands them out. Rows are hashed as they
//! arrive, so memory does not grow with them, except for the 8 bytes of each that a seal keeps.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

use crate::model::archive::Cut;
use crate::model::finding::Finding;
use crate::model::seal::{DetailRow, Digest, EntryRow, Seal, SealLine};
use crate::store::Result;

/// At most how many seals a page of them has.
pub(in crate::store) const PAGE: i64 = 100;

/// Receives findings as they are made.
pub type FindingSink<'a> = &'a mut (dyn FnMut(Finding) + Send);

/// The rows of the chains, read on one connection.
#[async_trait]
pub(in crate::store) trait Ledger: LedgerBase {
    /// The controllers that have entries after their last seal.
    async fn unsealed(&mut self) -> Result<Vec<String>>;
    /// The controllers that have entries or seals.
    async fn chains(&mut self) -> Result<Vec<String>>;
    /// The last seal of a chain.
    async fn last(&mut self, controller_id: &str) -> Result<Option<SealLine>>;
    /// At most [`PAGE`] seals after this one.
    fn page<'a>(
        &'a mut self,
        controller_id: &'a str,
        after: i64,
    ) -> BoxStream<'a, sqlx::Result<SealRow>>;
    /// How many entries there are after this one.
    async fn count(&mut self, controller_id: &str, after: i64) -> Result<i64>;
    /// Entries by id, at most `limit` of them.
    fn entries<'a>(
        &'a mut self,
        range: Range<'a>,
        limit: i64,
    ) -> BoxStream<'a, sqlx::Result<EntryRow>>;
    /// The details of entries, by the entry's id and the order's.
    fn details<'a>(&'a mut self, range: Range<'a>) -> BoxStream<'a, sqlx::Result<DetailRow>>;
    /// Entries after this one that were written before an instant: how many, and the first.
    async fn overdue(
        &mut self,
        controller_id: &str,
        after: i64,
        due: DateTime<Utc>,
    ) -> Result<(i64, Option<i64>)>;
    /// Every cut, by controller and number.
    async fn cuts(&mut self) -> Result<Vec<Cut>>;
    /// How many entries, details and seals are there although a cut says that they are archived.
    async fn returned(&mut self, cut: &Cut) -> Result<[i64; 3]>;
    /// Details without an entry, after this entry or before all: the entry's id and their number.
    async fn orphans(&mut self, controller_id: &str, after: i64) -> Result<Vec<(i64, i64)>>;
}

/// A row of `audit_seals`.
pub(in crate::store) struct SealRow {
    pub controller_id: String,
    pub number: i64,
    pub first_id: i64,
    pub last_id: i64,
    pub entries: i64,
    pub details: i64,
    pub previous_hash: String,
    pub hash: String,
    pub created: String,
    pub digests: Vec<u8>,
}

impl From<SealRow> for Seal {
    fn from(row: SealRow) -> Self {
        let line = SealLine {
            controller_id: row.controller_id,
            number: row.number,
            first_id: row.first_id,
            last_id: row.last_id,
            entries: row.entries,
            details: row.details,
            hash: row.hash,
            created: row.created,
        };
        Self { line, previous_hash: row.previous_hash, digests: row.digests }
    }
}

/// Entries of a controller after one id up to another.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Range<'a> {
    pub controller_id: &'a str,
    pub after: i64,
    pub upto: i64,
}

/// The part of a [`Ledger`] that depends on how a database draws ids.
#[async_trait]
pub(in crate::store) trait LedgerBase: Send {
    /// Writes a seal; `false` if its number is taken.
    async fn add(&mut self, seal: Seal) -> Result<bool>;
    /// [`Ledger::unsealed`] where the tables are spread over servers, where its own statement would
    /// not do.
    async fn spread_unsealed(&mut self) -> Result<Option<Vec<String>>> {
        Ok(None)
    }
    /// Likewise [`Ledger::chains`].
    async fn spread_chains(&mut self) -> Result<Option<Vec<String>>> {
        Ok(None)
    }
    /// The highest entry id that has been drawn, if the database knows.
    async fn drawn(&mut self) -> Result<Option<i64>>;
    /// Entries that the service cannot have written, by id and controller.
    async fn strays(&mut self) -> Result<Vec<Stray>>;
    /// When the newest entry after this one was written, of all controllers.
    async fn newest(&mut self, after: i64) -> Result<Option<DateTime<Utc>>>;
}

/// An entry that the service cannot have written.
pub(in crate::store) struct Stray {
    pub controller_id: String,
    pub id: i64,
}

/// A row of the audit trail, hashed.
pub(super) enum HashedRow {
    Entry(i64, Digest),
    Detail(i64, String, Digest),
}

/// Visits the entries and details of a range in the order of a seal.
pub(super) async fn walk(
    ledger: &mut dyn Ledger,
    range: Range<'_>,
    entries: Vec<(i64, Digest)>,
    visit: &mut (dyn FnMut(HashedRow) + Send),
) -> Result<()> {
    let mut entries = entries.into_iter().peekable();
    let mut details = ledger.details(range);
    while let Some(row) = details.try_next().await? {
        while let Some((id, digest)) = entries.next_if(|(id, _)| *id <= row.audit_log_id) {
            visit(HashedRow::Entry(id, digest));
        }
        let digest = row.digest();
        visit(HashedRow::Detail(row.audit_log_id, row.order_id, digest));
    }
    for (id, digest) in entries {
        visit(HashedRow::Entry(id, digest));
    }
    Ok(())
}
