//! Copies everything from one database to another. Rows travel as JSON arrays that both databases
//! can write and read; the statements are generated from the list of tables.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc::{Receiver, Sender};

use super::tables::{ColumnType, TABLES, Table};
use super::{Error, Result};

/// A batch is sent at this many rows or bytes.
const ROWS: usize = 1000;
const BYTES: usize = 1 << 20;

/// The columns of instants that a table has.
pub(super) fn instants(table: &str) -> Vec<&'static str> {
    if table == SESSIONS {
        return vec!["created", "expires"];
    }
    let columns = TABLES.iter().filter(|t| t.name == table).flat_map(|t| t.columns);
    columns.filter(|column| column.holds == ColumnType::Instant).map(|column| column.name).collect()
}

/// The table that is not copied.
const SESSIONS: &str = "sessions";

/// Whether a copy takes the rows of a table.
pub(super) fn is_copied(table: &str) -> bool {
    table != SESSIONS
}

/// The tables of the audit trail. It is evidence, so it is copied unchanged, even rows that break
/// the rules for new rows; `check` reports those.
pub(super) const TRAIL: [&str; 3] = ["audit_logs", "audit_log_details", "audit_seals"];

/// Whether a database has more than the migrations create: one role with one permission. Older
/// schemas have these tables, too.
pub(super) const HAS_DATA: &str = "SELECT EXISTS (SELECT 1 FROM controllers)
     OR EXISTS (SELECT 1 FROM audit_logs) OR EXISTS (SELECT 1 FROM audit_seals)
     OR EXISTS (SELECT 1 FROM accounts) OR EXISTS (SELECT 1 FROM role_folders)
     OR (SELECT count(*) FROM roles) <> 1 OR (SELECT count(*) FROM role_permissions) <> 1";

/// Rows of a table in transit; [`CopyBatch::End`] marks a complete copy.
#[derive(Debug)]
pub enum CopyBatch {
    /// Some rows, as JSON arrays.
    Rows(&'static Table, Vec<String>),
    /// The copy is complete.
    End,
}

/// Reports how many rows of a table have been written.
pub type CopyProgress<'a> = &'a (dyn Fn(&'static Table, usize) + Sync);

/// Exports everything, and loads it into another database.
#[async_trait]
pub trait Copies {
    /// How many rows [`Copies::dump`] will hand over.
    async fn size(&self) -> Result<u64>;
    /// Sends every row of one snapshot; stops if the receiver is gone.
    async fn dump(&self, to: Sender<CopyBatch>) -> Result<()>;
    /// Loads rows into an empty database, all or nothing, with an audit entry of this process's
    /// administrator that says from which place they come. Returns `false`, having loaded nothing,
    /// if [`CopyBatch::End`] is missing. [`Error::Conflict`] if the database is not empty.
    async fn load(
        &self,
        from: Receiver<CopyBatch>,
        place: &str,
        progress: CopyProgress<'_>,
    ) -> Result<bool>;
}

/// The query of how many rows there are.
pub(super) fn count() -> String {
    let counts = TABLES.iter().map(|table| format!("(SELECT count(*) FROM {})", table.name));
    format!("SELECT {}", counts.collect::<Vec<_>>().join(" + "))
}

/// Rejects a target that has data.
pub(super) fn expect_no_data(has_data: bool) -> Result<()> {
    if has_data {
        return Err(Error::Conflict("the database to copy to is not empty".into()));
    }
    Ok(())
}

/// Rows as one JSON text.
pub(super) fn json(rows: &[String]) -> String {
    format!("[{}]", rows.join(","))
}

/// Sends the rows of a table; `false` if the receiver is gone.
pub(super) async fn send(
    table: &'static Table,
    mut rows: BoxStream<'_, sqlx::Result<String>>,
    to: &Sender<CopyBatch>,
) -> Result<bool> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        bytes += row.len();
        batch.push(row);
        if batch.len() == ROWS || bytes >= BYTES {
            bytes = 0;
            if to.send(CopyBatch::Rows(table, std::mem::take(&mut batch))).await.is_err() {
                return Ok(false);
            }
        }
    }
    Ok(batch.is_empty() || to.send(CopyBatch::Rows(table, batch)).await.is_ok())
}
