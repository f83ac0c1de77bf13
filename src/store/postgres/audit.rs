//! The audit trail on PostgreSQL.

use async_trait::async_trait;

use super::PgStore;
use crate::model::audit::{AuditEntry, Outcome};
use crate::store::{Audit, Result};

#[async_trait]
impl Audit for PgStore {
    async fn record(&self, entry: &AuditEntry, outcome: Outcome) -> Result<()> {
        sqlx::query!(
            "INSERT INTO audit_logs (controller_id, account, request, parameters, category,
                 comment, time_spent, ticket_link, outcome, request_id, client_address, created)
             VALUES ($1, $2, $3, $4::text::json, $5, $6, $7, $8, $9, $10, $11, $12)",
            entry.controller_id,
            entry.account,
            entry.request,
            entry.parameters,
            entry.category.as_str(),
            entry.comment,
            entry.time_spent,
            entry.ticket_link,
            outcome.as_str(),
            entry.request_id,
            entry.client_address,
            entry.created,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
