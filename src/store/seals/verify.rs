//! Verifies seals.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;

use super::cuts::{behind, report_cuts};
use super::ledger::{FindingSink, HashedRow, Ledger, Range, walk};
use super::strays::{BrokenChains, report_strays};
use crate::model::archive::last_cut;
use crate::model::finding::Finding;
use crate::model::seal::matching::{self, Difference, Matching};
use crate::model::seal::{Content, NO_HASH, Seal};
use crate::store::{Error, Result};

/// At how many bytes of digests a page of seals ends.
const DIGESTS: usize = 1 << 20;

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
    /// How many entries are not sealed yet.
    pub unsealed: u64,
}

/// When an entry must have been sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// How long it may be unsealed.
    pub within: TimeDelta,
    /// The present instant.
    pub now: DateTime<Utc>,
    /// Whether the database is in use, so that ages are relative to `now`. Otherwise it may be a
    /// backup, and ages are relative to the newest entry.
    pub live: bool,
}

/// Verifies every chain. [`Error::Conflict`] if entries are archived meanwhile.
pub(in crate::store) async fn verify(
    ledger: &mut dyn Ledger,
    due: Due,
    report: FindingSink<'_>,
) -> Result<Vec<Verified>> {
    let mut chains = Vec::new();
    report_strays(ledger, report).await?;
    let cuts = ledger.cuts().await?;
    report_cuts(ledger, &cuts, report).await?;
    let mut controllers = ledger.chains().await?;
    controllers.extend(cuts.iter().map(|cut| cut.controller_id.clone()));
    controllers.sort_unstable();
    controllers.dedup();
    for controller_id in controllers {
        let mut verified = Verified { controller_id: controller_id.clone(), ..Verified::default() };
        let mut last = Last::default();
        if let Some(cut) = last_cut(&cuts, &controller_id) {
            let seal = behind(ledger, cut, report).await?;
            verified.seals += u64::from(seal.is_some());
            let hash = seal.map_or_else(|| cut.seal_hash.clone(), |seal| seal.line.hash);
            let hashes = [cut.seal_hash.clone(), hash];
            last = Last { number: cut.last_seal, last_id: cut.last_id, hashes };
        }
        let drawn = i64::MAX;
        let mut chain = Chain { verified, last, drawn, report: &mut *report };
        loop {
            let seals = some_seals(ledger, &controller_id, chain.last.number).await?;
            let Some(upto) = seals.iter().map(|seal| seal.line.last_id).max() else { break };
            // Read after the seals, so that every id that they legitimately cover has been drawn.
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
        // Earlier entries may have been written before the clock was set back.
        let newest = match due.live || verified.seals == 0 {
            true => None,
            false => ledger.newest(last_id).await?,
        };
        let mut broken = BrokenChains { ledger: &mut *ledger, report: &mut *report };
        let before = newest.unwrap_or(due.now) - due.within;
        broken.find(&controller_id, last_id, before).await?;
        chains.push(verified);
    }
    if ledger.cuts().await? != cuts {
        return Err(Error::Conflict(
            "entries were archived in the meantime, so what was found may be wrong: verify again"
                .into(),
        ));
    }
    Ok(chains)
}

/// The next seals, limited by the size of their digests.
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

/// The previous seal.
struct Last {
    number: i64,
    /// The last entry that has been covered.
    last_id: i64,
    /// Its hash, as stored and as computed.
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
    /// Whether preceding seals are missing, so that nothing covers the rows before this one's.
    alone: bool,
    /// If it covers an entry whose id was never drawn: the last entry before that one. Entries
    /// written since have ids in between and no seal.
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

    fn visit(&mut self, row: HashedRow) {
        let (HashedRow::Entry(id, _) | HashedRow::Detail(id, ..)) = row;
        while self.open.as_ref().is_some_and(|open| open.seal.line.last_id < id) {
            self.close();
            self.open();
        }
        let Some(open) = &mut self.open else { return };
        if open.alone && id < open.seal.line.first_id {
            return;
        }
        if open.forged_after.is_some_and(|last| id > last && id <= self.chain.drawn) {
            self.chain.verified.unsealed += u64::from(matches!(row, HashedRow::Entry(..)));
            return;
        }
        match row {
            HashedRow::Entry(id, digest) => {
                open.content.entry(id, &digest);
                open.matching.entry(id, &digest);
                self.chain.verified.entries += 1;
            }
            HashedRow::Detail(id, order_id, digest) => {
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
