//! Workflows, their folders and their counts of orders.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::backend::Backend;
use super::checked::query_scalar;
use crate::model::permission::Visible;
use crate::model::window::Window;
use crate::store::sql::workflows;
use crate::store::workflows::order_counts;
use crate::store::{OrderCounts, Result, Workflow, WorkflowFilter, Workflows};

#[async_trait]
impl Workflows for Backend {
    async fn controllers(&self) -> Result<Vec<String>> {
        let ids =
            query_scalar!("SELECT c.controller_id FROM controllers c ORDER BY c.controller_id");
        Ok(ids.fetch_all(self.readers()?).await?)
    }

    async fn workflows(&self, filter: &WorkflowFilter) -> Result<Vec<Workflow>> {
        self.all(workflows::workflows(filter), false).await
    }

    async fn order_counts(
        &self,
        filter: &WorkflowFilter,
        now: DateTime<Utc>,
        window: Window,
        horizon: Option<DateTime<Utc>>,
    ) -> Result<OrderCounts> {
        let sql = workflows::order_counts(filter, now, &window, horizon);
        Ok(order_counts(self.all(sql, false).await?))
    }

    async fn workflow_folders(
        &self,
        controller_id: &str,
        visible: &Visible,
    ) -> Result<Vec<String>> {
        let folders = self.all(workflows::folders(controller_id, visible), false).await?;
        Ok(folders.into_iter().map(|(folder,)| folder).collect())
    }
}
