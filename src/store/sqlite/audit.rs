//! The audit trail on SQLite.

use async_trait::async_trait;

use super::SqliteStore;
use crate::model::audit::{AuditEntry, Outcome};
use crate::model::window::iso;
use crate::store::{Audit, Result};

#[async_trait]
impl Audit for SqliteStore {
    async fn record(&self, entry: &AuditEntry, outcome: Outcome) -> Result<()> {
        let created = iso(&entry.created);
        let (category, outcome) = (entry.category.as_str(), outcome.as_str());
        sqlx::query!(
            "INSERT INTO audit_logs (controller_id, account, request, parameters, category,
                 comment, time_spent, ticket_link, outcome, request_id, client_address, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            entry.controller_id,
            entry.account,
            entry.request,
            entry.parameters,
            category,
            entry.comment,
            entry.time_spent,
            entry.ticket_link,
            outcome,
            entry.request_id,
            entry.client_address,
            created,
        )
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}
