//! Makes seals.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;

use super::ledger::{HashedRow, Ledger, Range, walk};
use crate::model::seal::{Content, Digest};
use crate::model::window::iso;
use crate::store::Result;

/// The maximum number of entries in a seal.
const ENTRIES: i64 = 1000;
/// A seal ends once its entries affected this many orders.
const AFFECTED: i64 = 100_000;
/// Seals the entries up to this id, below which no new one can appear.
pub(in crate::store) async fn seal(
    ledger: &mut dyn Ledger,
    upto: i64,
    now: DateTime<Utc>,
) -> Result<u64> {
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
                HashedRow::Entry(id, digest) => content.entry(id, &digest),
                HashedRow::Detail(id, _, digest) => content.detail(id, &digest),
            })
            .await?;
            let Some(seal) = content.seal(&controller_id, previous.as_ref(), iso(&now)) else {
                break;
            };
            previous = Some(seal.line.clone());
            if !ledger.add(seal).await? {
                // Another replica is sealing and will finish.
                return Ok(made);
            }
            made += 1;
        }
    }
    Ok(made)
}

/// The entries of the next seal.
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
