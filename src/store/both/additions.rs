//! Additions of orders.

use async_trait::async_trait;

use super::backend::Backend;
use crate::model::permission::Visible;
use crate::store::Result;
use crate::store::add::{Added, Addition, Additions, CurrentWorkflow, ids_are_taken, newest};
use crate::store::sql::workflows;

#[async_trait]
impl Additions for Backend {
    async fn current_workflows(
        &self,
        controller_id: &str,
        visible: &Visible,
        asked: &[&str],
    ) -> Result<Vec<CurrentWorkflow>> {
        let sql = workflows::current(controller_id, visible, asked);
        Ok(newest(self.all(sql, false).await?))
    }

    async fn add_orders(&self, addition: &Addition) -> Result<Added> {
        let mut attempt = 0;
        loop {
            match self.try_to_add(addition, attempt).await {
                Err(error) if ids_are_taken(&error, attempt) => attempt += 1,
                result => return result,
            }
        }
    }
}
