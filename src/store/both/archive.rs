//! Archives the audit trail: reads what is sealed, and removes it behind a cut.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::backend::{DbConnection, instant};
use super::sealing::DbLedger;
use super::triggers::{begin_alone, expect_owner, guard, open, unguard};
use super::{audit, partitions};
use crate::model::archive::{ArchiveLine, ArchivedSeal, Counts, Cut, hash_of, last_cut};
use crate::model::audit::{Category, Outcome};
use crate::model::seal::{Content, NO_HASH, Seal};
use crate::model::window::iso;
use crate::store::administrator::administrator;
use crate::store::archive::{ARCHIVED, ArchiveSink, NAMED, PURPOSE, Removal, Stretch, total};
use crate::store::seals::{Ledger, Range};
use crate::store::{Access, Error, Result, StoredInstant};

/// Entries per page, about.
const ENTRIES: i64 = 5000;

/// See [`crate::store::read_archivable`].
pub(in crate::store) async fn read(
    url: &str,
    before: DateTime<Utc>,
    to: ArchiveSink<'_>,
) -> Result<Vec<Stretch>> {
    let mut connection = open(url, Access::Write).await?;
    expect_owner(&mut connection, &ARCHIVED, PURPOSE).await?;
    let cuts = DbLedger::reading(&mut connection).cuts().await?;
    let mut stretches = Vec::new();
    for controller_id in DbLedger::reading(&mut connection).chains().await? {
        let cut = last_cut(&cuts, &controller_id);
        let Some(last) = last_seal(&mut connection, &controller_id, cut, before).await? else {
            continue;
        };
        let stretch = Stretch {
            controller_id,
            last_seal: last.0,
            seal_hash: last.2,
            after: cut.map_or(0, |cut| cut.last_id),
            last_id: last.1,
            cuts: cut.map_or(0, |cut| cut.number),
            ..Stretch::default()
        };
        let mut reading = Reading { stretch, to: &mut *to, is_wanted: true };
        let read = reading.read(&mut DbLedger::reading(&mut connection), cut).await;
        if read.is_err() && DbLedger::reading(&mut connection).cuts().await? != cuts {
            return Err(overtaken());
        }
        stretches.push(reading.stretch);
        if !read? {
            break;
        }
    }
    Ok(stretches)
}

/// The number, the last entry and the hash of the last seal of which no entry, nor any entry
/// before, is younger than an instant.
async fn last_seal(
    connection: &mut DbConnection,
    controller_id: &str,
    cut: Option<&Cut>,
    before: DateTime<Utc>,
) -> Result<Option<(i64, i64, String)>> {
    let (number, last_id) = cut.map_or((0, 0), |cut| (cut.last_seal, cut.last_id));
    let young: Option<(i64,)> = sqlx::query_as(
        "SELECT id FROM audit_logs WHERE controller_id = $1 AND id > $2 AND created >= $3
         ORDER BY id LIMIT 1",
    )
    .bind(controller_id.to_owned())
    .bind(last_id)
    .bind(instant(before))
    .fetch_optional(&mut *connection)
    .await?;
    let seal = sqlx::query_as(
        "SELECT number, last_id, hash FROM audit_seals
         WHERE controller_id = $1 AND number > $2 AND last_id < $3 ORDER BY number DESC LIMIT 1",
    )
    .bind(controller_id.to_owned())
    .bind(number)
    .bind(young.map_or(i64::MAX, |(id,)| id));
    Ok(seal.fetch_optional(connection).await?)
}

/// A stretch that is being read.
struct Reading<'a> {
    stretch: Stretch,
    to: &'a mut (dyn FnMut(ArchiveLine) -> bool + Send),
    is_wanted: bool,
}

impl Reading<'_> {
    /// Reads all of it; `false` if it is no longer wanted.
    async fn read(&mut self, ledger: &mut dyn Ledger, cut: Option<&Cut>) -> Result<bool> {
        let controller_id = self.stretch.controller_id.clone();
        let (mut number, mut hash) = match cut {
            Some(cut) => (cut.last_seal, cut.seal_hash.clone()),
            None => (0, NO_HASH.to_owned()),
        };
        let mut after = self.stretch.after;
        while number < self.stretch.last_seal && self.is_wanted {
            let mut rows = ledger.page(&controller_id, number);
            let (mut seals, mut length) = (Vec::<Seal>::new(), 0);
            while length < ENTRIES
                && let Some(row) = rows.try_next().await?
                && row.number <= self.stretch.last_seal
            {
                length += row.entries;
                seals.push(row.into());
            }
            drop(rows);
            let Some(last) = seals.last().map(|seal| seal.line.clone()) else {
                return Err(self.broken(number + 1));
            };
            let range = Range { controller_id: &controller_id, after, upto: last.last_id };
            for seal in &seals {
                if seal.line.number != number + 1 || seal.previous_hash != hash {
                    return Err(self.broken(seal.line.number));
                }
                (number, hash) = (seal.line.number, seal.line.hash.clone());
            }
            self.page(ledger, range, seals).await?;
            after = last.last_id;
        }
        Ok(self.is_wanted)
    }

    /// Hands over some seals with their rows.
    async fn page(
        &mut self,
        ledger: &mut dyn Ledger,
        range: Range<'_>,
        seals: Vec<Seal>,
    ) -> Result<()> {
        let entries: Vec<_> = ledger.entries(range, i64::MAX).try_collect().await?;
        let mut entries = entries.into_iter().peekable();
        let mut details = ledger.details(range);
        let mut detail = details.try_next().await?;
        for seal in seals {
            let upto = seal.line.last_id;
            let mut content = Content::default();
            let Seal { line, previous_hash, .. } = seal.clone();
            self.stretch.counts.seals += 1;
            self.hand(ArchiveLine::Seal(ArchivedSeal { line, previous_hash }));
            while let Some(entry) = entries.next_if(|entry| entry.id <= upto) {
                let id = entry.id;
                content.entry(id, &entry.digest());
                self.stretch.counts.entries += 1;
                if entry.created > self.stretch.last_created {
                    self.stretch.last_created.clone_from(&entry.created);
                }
                self.hand(ArchiveLine::Entry(entry));
                while let Some(row) = detail.take_if(|row| row.audit_log_id <= id) {
                    content.detail(row.audit_log_id, &row.digest());
                    self.stretch.counts.details += 1;
                    self.hand(ArchiveLine::Detail(row));
                    detail = details.try_next().await?;
                }
            }
            if !self.is_wanted {
                return Ok(());
            }
            if seal.hash_over(content) != seal.line.hash {
                return Err(self.broken(seal.line.number));
            }
        }
        if detail.is_some() {
            return Err(self.broken(self.stretch.last_seal));
        }
        Ok(())
    }

    fn hand(&mut self, line: ArchiveLine) {
        self.is_wanted = self.is_wanted && (self.to)(line);
    }

    fn broken(&self, seal: i64) -> Error {
        let Stretch { controller_id, .. } = &self.stretch;
        Error::Data(format!(
            "{controller_id}, seal {seal}: the audit trail is not as it was sealed, so nothing was \
             archived; `joc-orders audit verify` says what differs"
        ))
    }
}

/// See [`crate::store::remove_archived`].
pub(in crate::store) async fn remove(url: &str, removal: &Removal) -> Result<()> {
    let Some(by) = administrator() else {
        return Err(Error::Unusable("archiving is recorded, and nobody is known to do it".into()));
    };
    let mut connection = open(url, Access::Write).await?;
    // In the order in which requests lock them.
    let tables = ["audit_logs", "audit_log_details", "audit_seals", "audit_cuts"];
    expect_owner(&mut connection, &tables, PURPOSE).await?;
    let mut transaction = begin_alone(&mut connection, &tables).await?;
    let mut cuts = DbLedger::reading(&mut transaction).cuts().await?;
    for stretch in &removal.stretches {
        let before = last_cut(&cuts, &stretch.controller_id);
        if before.map_or(0, |cut| cut.number) != stretch.cuts {
            return Err(overtaken());
        }
    }
    for table in ARCHIVED {
        sqlx::query(AssertSqlSafe(unguard(table))).execute(&mut *transaction).await?;
    }
    for left in partitions::drop_archived(&mut transaction, &removal.stretches).await? {
        delete(&mut transaction, &left).await?;
    }
    for table in ARCHIVED {
        sqlx::query(AssertSqlSafe(guard(table))).execute(&mut *transaction).await?;
    }
    let new: Vec<_> = removal.stretches.iter().map(|s| cut(&cuts, s, removal, by.now)).collect();
    cuts.extend(new.iter().cloned());
    cuts.sort_by(|a, b| (&a.controller_id, a.number).cmp(&(&b.controller_id, b.number)));
    let entry = by.entry(Category::Others, None, parameters(removal, &cuts));
    let audit_log_id = audit::insert(&mut transaction, &entry, Outcome::Done, 0).await?;
    for cut in new {
        insert(&mut transaction, Cut { audit_log_id, ..cut }).await?;
    }
    // The file may be the only copy now.
    transaction.commit().await.map_err(|_| Error::Unsettled)
}

fn overtaken() -> Error {
    Error::Conflict("somebody else has archived at the same time".into())
}

fn parameters(removal: &Removal, cuts: &[Cut]) -> serde_json::Value {
    let Counts { seals, entries, details } = total(&removal.stretches);
    let named = |s: &Stretch| json!({"controllerId": s.controller_id, "lastSeal": s.last_seal, "lastId": s.last_id});
    json!({
        "before": iso(&removal.before),
        "file": removal.file,
        "sha256": removal.sha256,
        "bytes": removal.bytes,
        "seals": seals,
        "entries": entries,
        "details": details,
        "controllers": removal.stretches.iter().take(NAMED).map(named).collect::<Vec<_>>(),
        "cuts": hash_of(cuts),
    })
}

/// The cut behind a stretch, without the id of the entry.
fn cut(cuts: &[Cut], stretch: &Stretch, removal: &Removal, now: DateTime<Utc>) -> Cut {
    let before = last_cut(cuts, &stretch.controller_id);
    let mut cut = Cut {
        controller_id: stretch.controller_id.clone(),
        number: stretch.cuts + 1,
        last_seal: stretch.last_seal,
        last_id: stretch.last_id,
        seal_hash: stretch.seal_hash.clone(),
        seals: stretch.counts.seals.cast_signed(),
        entries: stretch.counts.entries.cast_signed(),
        details: stretch.counts.details.cast_signed(),
        last_created: stretch.last_created.clone(),
        file: removal.file.clone(),
        file_sha256: removal.sha256.clone(),
        previous_hash: before.map_or(NO_HASH, |cut| &cut.hash).to_owned(),
        created: iso(&now),
        ..Cut::default()
    };
    cut.hash = cut.computed();
    cut
}

/// Deletes what is archived. The last seal stays, so that the next one continues from it.
async fn delete(connection: &mut DbConnection, stretch: &Stretch) -> Result<()> {
    let expected = [stretch.counts.details, stretch.counts.entries];
    let ids = [
        "DELETE FROM audit_log_details
         WHERE controller_id = $1 AND audit_log_id > $2 AND audit_log_id <= $3",
        "DELETE FROM audit_logs WHERE controller_id = $1 AND id > $2 AND id <= $3",
    ];
    for (sql, expected) in ids.into_iter().zip(expected) {
        let deleted = sqlx::query(sql)
            .bind(stretch.controller_id.clone())
            .bind(stretch.after)
            .bind(stretch.last_id)
            .execute(&mut *connection)
            .await?
            .rows_affected();
        if deleted != expected {
            return Err(Error::Data(format!(
                "{}: the audit trail has changed since it was archived; nothing was removed",
                stretch.controller_id
            )));
        }
    }
    sqlx::query("DELETE FROM audit_seals WHERE controller_id = $1 AND number < $2")
        .bind(stretch.controller_id.clone())
        .bind(stretch.last_seal)
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert(connection: &mut DbConnection, cut: Cut) -> Result<()> {
    let at = |text: &str| text.parse::<DateTime<Utc>>().map(instant);
    let invalid = |_| Error::Data(format!("{}: an instant is invalid", cut.controller_id));
    let last_created = at(&cut.last_created).map_err(invalid)?;
    let created = at(&cut.created).map_err(invalid)?;
    sqlx::query(
        "INSERT INTO audit_cuts (controller_id, number, last_seal, last_id, seal_hash, seals,
             entries, details, last_created, file, file_sha256, previous_hash, hash, audit_log_id,
             created)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(cut.controller_id)
    .bind(cut.number)
    .bind(cut.last_seal)
    .bind(cut.last_id)
    .bind(cut.seal_hash)
    .bind(cut.seals)
    .bind(cut.entries)
    .bind(cut.details)
    .bind(last_created)
    .bind(cut.file)
    .bind(cut.file_sha256)
    .bind(cut.previous_hash)
    .bind(cut.hash)
    .bind(cut.audit_log_id)
    .bind(created)
    .execute(connection)
    .await?;
    Ok(())
}

/// Every cut, by controller and number.
pub(super) async fn cuts(connection: &mut DbConnection) -> Result<Vec<Cut>> {
    let rows: Vec<CutRow> = sqlx::query_as(
        "SELECT controller_id, number, last_seal, last_id, seal_hash, seals, entries, details,
             last_created, file, file_sha256, previous_hash, hash, audit_log_id, created
         FROM audit_cuts ORDER BY controller_id, number",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

#[derive(sqlx::FromRow)]
struct CutRow {
    controller_id: String,
    number: i64,
    last_seal: i64,
    last_id: i64,
    seal_hash: String,
    seals: i64,
    entries: i64,
    details: i64,
    last_created: StoredInstant,
    file: String,
    file_sha256: String,
    previous_hash: String,
    hash: String,
    audit_log_id: i64,
    created: StoredInstant,
}

impl From<CutRow> for Cut {
    fn from(row: CutRow) -> Self {
        Self {
            controller_id: row.controller_id,
            number: row.number,
            last_seal: row.last_seal,
            last_id: row.last_id,
            seal_hash: row.seal_hash,
            seals: row.seals,
            entries: row.entries,
            details: row.details,
            last_created: iso(&row.last_created),
            file: row.file,
            file_sha256: row.file_sha256,
            previous_hash: row.previous_hash,
            hash: row.hash,
            audit_log_id: row.audit_log_id,
            created: iso(&row.created),
        }
    }
}

/// Rows that are there although a cut says that they are archived: how many.
pub(super) async fn returned(connection: &mut DbConnection, cut: &Cut) -> Result<[i64; 3]> {
    let counts: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM audit_logs WHERE controller_id = $1 AND id BETWEEN 1 AND $2),
             (SELECT count(*) FROM audit_log_details
              WHERE controller_id = $1 AND audit_log_id BETWEEN 1 AND $2),
             (SELECT count(*) FROM audit_seals WHERE controller_id = $1 AND number < $3)",
    )
    .bind(cut.controller_id.clone())
    .bind(cut.last_id)
    .bind(cut.last_seal)
    .fetch_one(connection)
    .await?;
    Ok(counts.into())
}
