//! Overviews.

use async_trait::async_trait;

use super::backend::Backend;
use crate::model::audit::AuditFilter;
use crate::model::selection::Selection;
use crate::model::window::buckets::Bounds;
use crate::store::Result;
use crate::store::overview::{
    CancellingOrder, Overviews, Requests, Schedule, WorkflowCounts, cancelling, requests,
};
use crate::store::sql::{list, overview};

#[async_trait]
impl Overviews for Backend {
    async fn counts_by_workflow(&self, selection: &Selection) -> Result<WorkflowCounts> {
        let rows = self.all(list::counts_by_workflow(selection), false).await?;
        let mut counts = WorkflowCounts::new();
        for (path, state, orders) in rows {
            let orders: i64 = orders;
            counts.entry(path).or_default().insert(state, orders.unsigned_abs());
        }
        Ok(counts)
    }

    async fn schedule(&self, selection: &Selection, bounds: &Bounds) -> Result<Schedule> {
        let rows: Vec<_> = self.all(overview::schedule(selection, bounds), false).await?;
        Ok(Schedule::of(&rows, bounds))
    }

    async fn cancelling(
        &self,
        selection: &Selection,
        limit: u32,
    ) -> Result<(u64, Vec<CancellingOrder>)> {
        Ok(cancelling(self.all(overview::cancelling(selection, limit), false).await?))
    }

    async fn requests(&self, filter: &AuditFilter, bounds: &Bounds) -> Result<Vec<Requests>> {
        let rows: Vec<_> = self.all(overview::requests(filter, bounds), false).await?;
        Ok(requests(&rows, bounds))
    }
}
