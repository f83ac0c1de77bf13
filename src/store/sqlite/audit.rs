//! The audit trail on SQLite.

use async_trait::async_trait;

use super::SqliteStore;
use crate::model::audit::{AuditEntry, Outcome};
use crate::model::window::iso;
use crate::store::{Audit, Result, Touch};

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

    async fn trail(&self, controller_id: &str, order_id: &str) -> Result<Vec<Touch>> {
        let touches = sqlx::query_as!(
            Touch,
            r#"SELECT l.id AS audit_log_id, l.created AS "created: _", l.account, l.request, l.comment,
                   l.ticket_link, d.previous_state, d.new_state, d.mark, d.kill AS "kill: bool"
               FROM audit_log_details d
               JOIN audit_logs l ON l.controller_id = d.controller_id AND l.id = d.audit_log_id
               WHERE d.controller_id = ?1 AND d.order_id = ?2
               ORDER BY l.id DESC"#,
            controller_id,
            order_id,
        );
        Ok(touches.fetch_all(&self.readers).await?)
    }
}
