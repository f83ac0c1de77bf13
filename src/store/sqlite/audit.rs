//! The audit trail on SQLite.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sqlx::{QueryBuilder, SqliteConnection};

use super::SqliteStore;
use crate::model::audit::{AuditEntry, AuditFilter, Outcome};
use crate::model::permission::Extent;
use crate::model::window::iso;
use crate::store::rows::{self, Sieve};
use crate::store::sql::audit::{push_details, push_entries, push_trail};
use crate::store::{Audit, Detail, Entry, Result, Touch};

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

#[async_trait]
impl Audit for SqliteStore {
    async fn record(&self, entry: &AuditEntry, outcome: Outcome) -> Result<()> {
        let entry = entry.clone();
        self.writer
            .run(move |connection| {
                Box::pin(async move { insert(connection, &entry, outcome, 0).await })
            })
            .await?;
        Ok(())
    }

    async fn trail(&self, controller_id: &str, order_id: &str) -> Result<Vec<Touch>> {
        let mut sql = QueryBuilder::new("");
        push_trail(&mut sql, controller_id, order_id);
        rows::all(&self.connections.gate, self.readers()?, sql, true).await
    }

    fn entries(
        &self,
        filter: &AuditFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<Entry>> {
        let mut sql = QueryBuilder::new("");
        push_entries(&mut sql, filter, limit);
        self.stream(sql, Sieve::default())
    }

    fn details(&self, audit_log_id: i64, extent: &Extent) -> BoxStream<'static, Result<Detail>> {
        let mut sql = QueryBuilder::new("");
        push_details(&mut sql, audit_log_id, extent);
        self.stream(sql, Sieve::default())
    }
}
