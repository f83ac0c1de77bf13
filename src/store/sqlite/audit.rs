//! New entries of the audit trail on SQLite.

use sqlx::SqliteConnection;

use crate::model::audit::{AuditEntry, Outcome};
use crate::store::Result;
use crate::store::sql::audit;

/// Writes an entry about `affected` orders and gives its id.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    entry: &AuditEntry,
    outcome: Outcome,
    affected: u64,
) -> Result<i64> {
    let mut sql = audit::insert(entry, outcome, affected);
    Ok(sql.builder().build_query_scalar().fetch_one(connection).await?)
}
