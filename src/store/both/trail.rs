//! The audit trail.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::backend::Backend;
use crate::model::audit::{AuditEntry, AuditFilter, Outcome};
use crate::model::permission::Extent;
use crate::store::rows::Sieve;
use crate::store::sql::audit;
use crate::store::{Audit, Detail, Entry, Result, Touch};

#[async_trait]
impl Audit for Backend {
    async fn record(&self, entry: &AuditEntry, outcome: Outcome) -> Result<()> {
        self.insert_entry(entry, outcome).await
    }

    async fn trail(&self, controller_id: &str, order_id: &str) -> Result<Vec<Touch>> {
        self.all(audit::trail(controller_id, order_id), true).await
    }

    fn entries(
        &self,
        filter: &AuditFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<Entry>> {
        self.rows_of(audit::entries(filter, limit), Sieve::default())
    }

    fn details(
        &self,
        audit_log_id: i64,
        extent: &Extent,
        order_id: Option<&str>,
    ) -> BoxStream<'static, Result<Detail>> {
        self.rows_of(audit::details(audit_log_id, extent, order_id), Sieve::default())
    }
}
