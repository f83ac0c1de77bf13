//! Seals over the audit trail: making them and verifying them, for both databases. Rows are
//! hashed as they come, so that memory does not grow with them, but for 8 bytes each that a seal
//! keeps of them.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

use self::strays::{BrokenChains, Stray};
use super::Result;
use crate::model::finding::Finding;
use crate::model::seal::matching::{self, Difference, Matching};
use crate::model::seal::{Content, DetailRow, Digest, EntryRow, NO_HASH, Seal, SealLine};
use crate::model::window::iso;

pub(super) mod strays;

/// How many entries a seal covers at the most.
const ENTRIES: i64 = 1000;
/// At how many orders that its entries affected a seal ends, if there is more.
const AFFECTED: i64 = 100_000;
/// How many seals are verified at a time, and at how many bytes of digests there are no more.
pub(super) const PAGE: i64 = 100;
const DIGESTS: usize = 1 << 20;

/// Who is told what a checker finds, as it finds it.
pub type Report<'a> = &'a mut (dyn FnMut(Finding) + Send);

/// What has been verified of a chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// The controller.
    pub controller_id: String,
    /// How many seals there are.
    pub seals: u64,
    /// How many entries they cover.
    pub entries: u64,
    /// How many rows of details they cover.
    pub details: u64,
    /// How many entries no seal covers yet.
    pub unsealed: u64,
}

/// By when an entry must have a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// For how long it may have none.
    pub within: TimeDelta,
    /// The present instant.
    pub now: DateTime<Utc>,
    /// Whether entries count as old compared with `now`: the database is in use. Otherwise it may
    /// be a backup, and they count as old compared with the newest entry.
    pub live: bool,
}

/// How far sealing has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unsealed {
    /// How many entries no seal covers, counted up to 100,000 of a controller.
    pub entries: i64,
    /// The first of them.
    pub lowest: Option<i64>,
    /// The last entry that there is.
    pub highest: Option<i64>,
    /// When the last seal was made, in seconds since 1970.
    pub last_seal: Option<i64>,
}

/// The seals over the audit trail.
#[async_trait]
pub trait Seals {
    /// Seals what can no longer have anything before it; gives how many seals were made. Whoever
    /// does so at the same time is no matter: the first one to make a seal counts.
    async fn seal(&self, now: DateTime<Utc>) -> Result<u64>;
    /// How far sealing has come.
    async fn unsealed(&self) -> Result<Unsealed>;
    /// Compares every chain with the rows that it covers, and sees that it covers them in time.
    async fn verify(&self, due: Due, report: Report<'_>) -> Result<Vec<Verified>>;
    /// Hands over every seal, by controller and number, until one is refused.
    async fn export_seals(&self, to: &mut (dyn FnMut(SealLine) -> bool + Send)) -> Result<()>;
    /// One seal.
    async fn find_seal(&self, controller_id: &str, number: i64) -> Result<Option<SealLine>>;
}

/// The rows that the chains are about, on a connection of their own.
#[async_trait]
pub(super) trait Ledger: Send {
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
    /// Writes a seal, unless there is one with its number: then it gives `false`.
    async fn add(&mut self, seal: Seal) -> Result<bool>;
    /// The highest id of an entry that has been drawn, if the database tells.
    async fn drawn(&mut self) -> Result<Option<i64>>;
    /// Entries that the service cannot have written, by their ids and controllers.
    async fn strays(&mut self) -> Result<Vec<Stray>>;
    /// When the newest of all entries after this one was written.
    async fn newest(&mut self, after: i64) -> Result<Option<DateTime<Utc>>>;
    /// Entries after this one that were written before an instant: how many, and the first.
    async fn overdue(
        &mut self,
        controller_id: &str,
        after: i64,
        due: DateTime<Utc>,
    ) -> Result<(i64, Option<i64>)>;
    /// Details after this entry, or before all entries, that have no entry: its id, and how many.
    async fn orphans(&mut self, controller_id: &str, after: i64) -> Result<Vec<(i64, i64)>>;
}

/// A row of `audit_seals`.
pub(super) struct SealRow {
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
pub(super) struct Range<'a> {
    pub controller_id: &'a str,
    pub after: i64,
    pub upto: i64,
}

/// A row of the audit trail, hashed.
enum Row {
    Entry(i64, Digest),
    Detail(i64, String, Digest),
}

/// Seals the entries up to this id, which are all that there will ever be.
pub(super) async fn seal(ledger: &mut dyn Ledger, upto: i64, now: DateTime<Utc>) -> Result<u64> {
    let mut made = 0;
    for controller_id in ledger.unsealed().await? {
        let mut previous = ledger.last(&controller_id).await?;
        loop {
            let after = previous.as_ref().map_or(0, |seal| seal.last_id);
            let mut range = Range { controller_id: &controller_id, after, upto };
            let entries = some_entries(ledger, range).await?;
            let Some((last_id, _)) = entries.last() else { break };
            range.upto = *last_id;
            let mut content = Content::default();
            walk(ledger, range, entries, &mut |row| match row {
                Row::Entry(id, digest) => content.entry(id, &digest),
                Row::Detail(id, _, digest) => content.detail(id, &digest),
            })
            .await?;
            let Some(seal) = content.seal(&controller_id, previous.as_ref(), iso(&now)) else {
                break;
            };
            previous = Some(seal.line.clone());
            if !ledger.add(seal).await? {
                // Another one seals just now: the rest is theirs.
                return Ok(made);
            }
            made += 1;
        }
    }
    Ok(made)
}

/// As many of the entries as go into one seal.
async fn some_entries(ledger: &mut dyn Ledger, range: Range<'_>) -> Result<Vec<(i64, Digest)>> {
    let mut rows = ledger.entries(range, ENTRIES);
    let (mut entries, mut affected) = (Vec::new(), 0_i64);
    while affected < AFFECTED
        && let Some(row) = rows.try_next().await?
    {
        affected = affected.saturating_add(row.affected);
        entries.push((row.id, row.digest()));
    }
    Ok(entries)
}

/// Visits these entries of a range and the details in it, in the order of a seal.
async fn walk(
    ledger: &mut dyn Ledger,
    range: Range<'_>,
    entries: Vec<(i64, Digest)>,
    visit: &mut (dyn FnMut(Row) + Send),
) -> Result<()> {
    let mut entries = entries.into_iter().peekable();
    let mut details = ledger.details(range);
    while let Some(row) = details.try_next().await? {
        while let Some((id, digest)) = entries.next_if(|(id, _)| *id <= row.audit_log_id) {
            visit(Row::Entry(id, digest));
        }
        let digest = row.digest();
        visit(Row::Detail(row.audit_log_id, row.order_id, digest));
    }
    for (id, digest) in entries {
        visit(Row::Entry(id, digest));
    }
    Ok(())
}

/// Verifies every chain.
pub(super) async fn verify(
    ledger: &mut dyn Ledger,
    due: Due,
    report: Report<'_>,
) -> Result<Vec<Verified>> {
    let mut chains = Vec::new();
    strays::report_strays(ledger, report).await?;
    for controller_id in ledger.chains().await? {
        let verified = Verified { controller_id: controller_id.clone(), ..Verified::default() };
        let drawn = i64::MAX;
        let mut chain = Chain { verified, last: Last::default(), drawn, report: &mut *report };
        loop {
            let seals = some_seals(ledger, &controller_id, chain.last.number).await?;
            let Some(upto) = seals.iter().map(|seal| seal.line.last_id).max() else { break };
            // After the seals, so that what they rightly cover has been drawn.
            chain.drawn = ledger.drawn().await?.unwrap_or(i64::MAX);
            let range = Range { controller_id: &controller_id, after: chain.last.last_id, upto };
            let entries = ledger.entries(range, i64::MAX).map_ok(|row| (row.id, row.digest()));
            let entries = entries.try_collect().await?;
            let mut page = Page { chain: &mut chain, seals: seals.iter(), open: None };
            page.open();
            walk(ledger, range, entries, &mut |row| page.visit(row)).await?;
            while page.open.is_some() {
                page.close();
                page.open();
            }
        }
        let last_id = chain.last.last_id;
        let mut verified = chain.verified;
        verified.unsealed += ledger.count(&controller_id, last_id).await?.unsigned_abs();
        // Those before may have been written by a clock that has been set back since.
        let newest = match due.live || verified.seals == 0 {
            true => None,
            false => ledger.newest(last_id).await?,
        };
        let mut broken = BrokenChains { ledger: &mut *ledger, report: &mut *report };
        let before = newest.unwrap_or(due.now) - due.within;
        broken.find(&controller_id, last_id, before).await?;
        chains.push(verified);
    }
    Ok(chains)
}

/// The next seals, of which the digests are not too long to hold.
async fn some_seals(ledger: &mut dyn Ledger, controller_id: &str, after: i64) -> Result<Vec<Seal>> {
    let mut rows = ledger.page(controller_id, after);
    let (mut seals, mut length) = (Vec::new(), 0);
    while length < DIGESTS
        && let Some(seal) = rows.try_next().await?
    {
        length += seal.digests.len();
        seals.push(seal.into());
    }
    Ok(seals)
}

/// A chain that is being verified.
struct Chain<'a> {
    verified: Verified,
    last: Last,
    /// The highest id of an entry that has been drawn.
    drawn: i64,
    report: &'a mut (dyn FnMut(Finding) + Send),
}

/// The seal before.
struct Last {
    number: i64,
    /// The last entry that has been covered.
    last_id: i64,
    /// Its hash, and what that should be.
    hashes: [String; 2],
}

impl Default for Last {
    fn default() -> Self {
        Self { number: 0, last_id: 0, hashes: [NO_HASH.into(), NO_HASH.into()] }
    }
}

impl Chain<'_> {
    fn find(&mut self, seal: i64, problem: &str) {
        let problem = problem.to_owned();
        self.differ(seal, Difference { audit_log_id: None, order_id: None, problem });
    }

    fn differ(&mut self, seal: i64, difference: Difference) {
        let Difference { audit_log_id, order_id, problem } = difference;
        let controller_id = Some(self.verified.controller_id.clone());
        let seal = Some(seal);
        (self.report)(Finding { controller_id, seal, audit_log_id, order_id, problem });
    }
}

/// Some seals of a chain, and the one that is being compared.
struct Page<'p, 'a> {
    chain: &'p mut Chain<'a>,
    seals: std::slice::Iter<'p, Seal>,
    open: Option<Open<'p>>,
}

struct Open<'p> {
    seal: &'p Seal,
    content: Content,
    matching: Matching<'p>,
    /// Whether seals before it are missing, and so what covered the rows before its own.
    alone: bool,
    /// If it covers an entry whose id was never drawn: the last one before that. What has been
    /// written since has ids in between, and no seal.
    forged_after: Option<i64>,
}

impl Page<'_, '_> {
    fn open(&mut self) {
        let Some(seal) = self.seals.next() else { return };
        let expected = self.chain.last.number + 1;
        let alone = seal.line.number > expected;
        match seal.line.number - expected {
            0 => {}
            1 => self.chain.find(expected, "the seal was removed"),
            many => self.chain.find(expected, &format!("{many} seals were removed from here on")),
        }
        let matching = Matching::with(&seal.digests);
        let drawn = self.chain.drawn;
        let forged_after = (seal.line.last_id > drawn).then(|| {
            let ids = matching::ids(&seal.digests).filter(|id| *id <= drawn);
            ids.max().unwrap_or(self.chain.last.last_id)
        });
        let content = Content::default();
        self.open = Some(Open { seal, content, matching, alone, forged_after });
    }

    fn visit(&mut self, row: Row) {
        let (Row::Entry(id, _) | Row::Detail(id, ..)) = row;
        while self.open.as_ref().is_some_and(|open| open.seal.line.last_id < id) {
            self.close();
            self.open();
        }
        let Some(open) = &mut self.open else { return };
        if open.alone && id < open.seal.line.first_id {
            return;
        }
        if open.forged_after.is_some_and(|last| id > last && id <= self.chain.drawn) {
            self.chain.verified.unsealed += u64::from(matches!(row, Row::Entry(..)));
            return;
        }
        match row {
            Row::Entry(id, digest) => {
                open.content.entry(id, &digest);
                open.matching.entry(id, &digest);
                self.chain.verified.entries += 1;
            }
            Row::Detail(id, order_id, digest) => {
                open.content.detail(id, &digest);
                open.matching.detail(id, order_id, &digest);
                self.chain.verified.details += 1;
            }
        }
    }

    fn close(&mut self) {
        let Some(Open { seal, content, matching, alone, .. }) = self.open.take() else { return };
        let (number, hash) = (seal.line.number, seal.hash_over(content));
        let differences = matching.finish();
        if hash == seal.line.hash {
            if !alone && !self.chain.last.hashes.contains(&seal.previous_hash) {
                self.chain
                    .find(number, "the seal does not follow the one before it: one was replaced");
            }
            if !differences.is_empty() {
                self.chain.find(number, "the digests of the seal were changed");
            }
        } else if differences.is_empty() {
            self.chain.find(number, "the seal was changed");
        } else {
            differences.into_iter().for_each(|difference| self.chain.differ(number, difference));
        }
        let last_id = seal.line.last_id.max(self.chain.last.last_id);
        self.chain.last = Last { number, last_id, hashes: [seal.line.hash.clone(), hash] };
        self.chain.verified.seals += 1;
    }
}
