//! Workflows on PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};

use super::PgStore;
use crate::model::permission::Visible;
use crate::store::sql::workflows::{push_order_counts, push_workflow_folders, push_workflows};
use crate::store::workflows::order_counts;
use crate::store::{OrderCounts, Result, Workflow, WorkflowFilter, Workflows, rows};

#[async_trait]
impl Workflows for PgStore {
    async fn controllers(&self) -> Result<Vec<String>> {
        let ids = sqlx::query_scalar!(
            "SELECT c.controller_id FROM controllers c ORDER BY c.controller_id"
        );
        Ok(ids.fetch_all(&self.pool).await?)
    }

    async fn workflows(&self, filter: &WorkflowFilter) -> Result<Vec<Workflow>> {
        let mut sql = QueryBuilder::<Postgres>::new("");
        push_workflows(&mut sql, filter);
        rows::all(&self.gate, &self.pool, sql, false).await
    }

    async fn order_counts(
        &self,
        filter: &WorkflowFilter,
        now: DateTime<Utc>,
        until: Option<DateTime<Utc>>,
    ) -> Result<OrderCounts> {
        let mut sql = QueryBuilder::<Postgres>::new("");
        push_order_counts(&mut sql, filter, now, until);
        Ok(order_counts(rows::all(&self.gate, &self.pool, sql, false).await?))
    }

    async fn workflow_folders(
        &self,
        controller_id: &str,
        visible: &Visible,
    ) -> Result<Vec<String>> {
        let mut sql = QueryBuilder::<Postgres>::new("");
        push_workflow_folders(&mut sql, controller_id, visible);
        let folders = rows::all(&self.gate, &self.pool, sql, false).await?;
        Ok(folders.into_iter().map(|(folder,)| folder).collect())
    }
}
