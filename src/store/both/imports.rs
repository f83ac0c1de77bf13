//! Imports: a batch is a few statements, each with few parameters.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::Transaction;

use super::administration::record;
use super::backend::Backend;
use super::built::{Db, renew_statistics};
use super::import::add_versions;
use crate::model::audit::Category;
use crate::store::administrator::administrator;
use crate::store::import::{incoming, versions};
use crate::store::sql::incoming::{insert, replace, unchanged};
use crate::store::{Import, Imported, Item, Result};

/// An import in progress.
struct RunningImport {
    transaction: Transaction<'static, Db>,
    replace: bool,
}

impl Backend {
    /// See [`crate::store::Store::begin_import`].
    pub(in super::super) async fn start_import(&self, replace: bool) -> Result<Box<dyn Import>> {
        let transaction = self.begin().await?;
        Ok(Box::new(RunningImport { transaction, replace }))
    }
}

#[async_trait]
impl Import for RunningImport {
    async fn add(&mut self, items: &[Item]) -> Result<Imported> {
        add_versions(&mut self.transaction, &versions(items)).await?;
        let orders = incoming(items);
        let mut imported = Imported::default();
        if self.replace {
            let mut sql = unchanged::<Db>(&orders);
            let unchanged = sql.builder().build_query_scalar::<i64>();
            let unchanged = unchanged.fetch_one(&mut *self.transaction).await?;
            imported.unchanged = unchanged.unsigned_abs();
            let mut sql = replace::<Db>(&orders);
            let updated = sql.builder().build().execute(&mut *self.transaction).await?;
            imported.updated = updated.rows_affected();
        }
        let mut sql = insert::<Db>(&orders);
        let inserted = sql.builder().build().execute(&mut *self.transaction).await?;
        imported.inserted = inserted.rows_affected();
        let done = imported.inserted + imported.updated + imported.unchanged;
        imported.skipped = (orders.len() as u64).saturating_sub(done);
        Ok(imported)
    }

    async fn commit(
        mut self: Box<Self>,
        controller_id: Option<&str>,
        parameters: Value,
    ) -> Result<()> {
        let by = administrator();
        let import = Category::Import;
        record(&mut self.transaction, by, import, controller_id, parameters).await?;
        renew_statistics(&mut self.transaction, "controllers, workflows, orders").await?;
        Ok(self.transaction.commit().await?)
    }
}
