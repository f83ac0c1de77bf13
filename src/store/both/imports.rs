//! Imports: a batch is a few statements, each with few parameters.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Transaction};

use super::administration::record;
use super::backend::Backend;
use super::built::{Db, Statistics};
use super::import::add_versions;
use crate::model::audit::Category;
use crate::store::administrator::administrator;
use crate::store::import::{incoming, versions};
use crate::store::sql::Dialect;
use crate::store::sql::incoming::{insert, replace, unchanged};
use crate::store::{Import, Imported, Item, Result, StoredInstant};

/// An import in progress.
struct RunningImport {
    transaction: Transaction<'static, Db>,
    statistics: Statistics,
    replace: bool,
}

impl Backend {
    /// See [`crate::store::Store::begin_import`].
    pub(in super::super) async fn start_import(&self, replace: bool) -> Result<Box<dyn Import>> {
        let transaction = self.begin().await?;
        Ok(Box::new(RunningImport { transaction, statistics: self.statistics(), replace }))
    }
}

#[async_trait]
impl Import for RunningImport {
    async fn add(&mut self, items: &[Item]) -> Result<Imported> {
        let now = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {}", Db::NOW)));
        let StoredInstant(now) = now.fetch_one(&mut *self.transaction).await?;
        add_versions(&mut self.transaction, &versions(items), now).await?;
        let orders = incoming(items);
        let mut imported = Imported::default();
        if self.replace {
            let mut sql = unchanged::<Db>(&orders, now);
            let unchanged = sql.builder().build_query_scalar::<i64>();
            let unchanged = unchanged.fetch_one(&mut *self.transaction).await?;
            imported.unchanged = unchanged.unsigned_abs();
            let mut sql = replace::<Db>(&orders, now);
            let updated = sql.builder().build().execute(&mut *self.transaction).await?;
            imported.updated = updated.rows_affected();
        }
        let mut sql = insert::<Db>(&orders, now);
        // With ON CONFLICT, Citus counts what was offered.
        let inserted = sql.builder().build().fetch_all(&mut *self.transaction).await?;
        imported.inserted = inserted.len() as u64;
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
        self.statistics.renew_with(self.transaction, "controllers, workflows, orders").await
    }
}
