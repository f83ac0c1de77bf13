//! New entries of the audit trail on SQLite.

use sqlx::SqliteConnection;

use crate::model::audit::{AuditEntry, Outcome};
use crate::model::window::iso;
use crate::store::Result;

/// Writes an entry about `affected` orders and gives its id.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    entry: &AuditEntry,
    outcome: Outcome,
    affected: u64,
) -> Result<i64> {
    let kept = entry.parameters.kept(outcome);
    let (category, outcome) = (entry.category.as_str(), outcome.as_str());
    let (affected, created) = (affected.cast_signed(), iso(&entry.created));
    let parameters = kept.as_ref();
    let id = sqlx::query_scalar!(
        "INSERT INTO audit_logs (controller_id, account, request, parameters, category,
             comment, time_spent, ticket_link, outcome, affected, request_id, client_address,
             created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) RETURNING id",
        entry.controller_id,
        entry.account,
        entry.request,
        parameters,
        category,
        entry.comment,
        entry.time_spent,
        entry.ticket_link,
        outcome,
        affected,
        entry.request_id,
        entry.client_address,
        created,
    );
    Ok(id.fetch_one(connection).await?)
}
