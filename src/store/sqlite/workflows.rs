//! Workflows on SQLite.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite};

use super::{SqliteStore, text_at};
use crate::model::permission::Visible;
use crate::store::sql::workflows::{push_order_counts, push_workflow_folders, push_workflows};
use crate::store::workflows::order_counts;
use crate::store::{OrderCounts, Result, Workflow, WorkflowFilter, Workflows, rows};

#[async_trait]
impl Workflows for SqliteStore {
    async fn controllers(&self) -> Result<Vec<String>> {
        let ids =
            sqlx::query_scalar!("SELECT controller_id FROM controllers ORDER BY controller_id");
        Ok(ids.fetch_all(self.readers()?).await?)
    }

    async fn workflows(&self, filter: &WorkflowFilter) -> Result<Vec<Workflow>> {
        let mut sql = QueryBuilder::<Sqlite>::new("");
        push_workflows(&mut sql, filter);
        rows::all(&self.connections.gate, self.readers()?, sql, false).await
    }

    async fn order_counts(
        &self,
        filter: &WorkflowFilter,
        now: DateTime<Utc>,
        until: Option<DateTime<Utc>>,
    ) -> Result<OrderCounts> {
        let mut sql = text_at(now);
        push_order_counts(&mut sql, filter, now, until);
        Ok(order_counts(rows::all(&self.connections.gate, self.readers()?, sql, false).await?))
    }

    async fn workflow_folders(
        &self,
        controller_id: &str,
        visible: &Visible,
    ) -> Result<Vec<String>> {
        let mut sql = QueryBuilder::<Sqlite>::new("");
        push_workflow_folders(&mut sql, controller_id, visible);
        let folders = rows::all(&self.connections.gate, self.readers()?, sql, false).await?;
        Ok(folders.into_iter().map(|(folder,)| folder).collect())
    }
}
