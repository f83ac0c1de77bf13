//! New entries of the audit trail on PostgreSQL.

use sqlx::PgConnection;

use crate::model::audit::{AuditEntry, Outcome};
use crate::store::Result;

/// Writes an entry about `affected` orders and gives its id.
pub(super) async fn insert(
    connection: &mut PgConnection,
    entry: &AuditEntry,
    outcome: Outcome,
    affected: u64,
) -> Result<i64> {
    let id = sqlx::query_scalar!(
        "INSERT INTO audit_logs (controller_id, account, request, parameters, category,
             comment, time_spent, ticket_link, outcome, affected, request_id, client_address,
             created)
         VALUES ($1, $2, $3, $4::text::json, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         RETURNING id",
        entry.controller_id,
        entry.account,
        entry.request,
        &*entry.parameters.kept(outcome),
        entry.category.as_str(),
        entry.comment,
        entry.time_spent,
        entry.ticket_link,
        outcome.as_str(),
        affected.cast_signed(),
        entry.request_id,
        entry.client_address,
        entry.created,
    );
    Ok(id.fetch_one(connection).await?)
}
