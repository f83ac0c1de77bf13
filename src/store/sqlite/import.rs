//! Imports into SQLite: a batch is a few statements over one JSON text.

use async_trait::async_trait;
use serde_json::json;
use sqlx::{Sqlite, Transaction};

use super::SqliteStore;
use crate::model::order::Mark;
use crate::model::window::iso;
use crate::store::{Import, Imported, Item, Result};

/// An import under way.
pub(super) struct SqliteImport {
    transaction: Transaction<'static, Sqlite>,
    replace: bool,
}

impl SqliteImport {
    /// Starts an import, which keeps other writers out until it ends.
    pub(super) async fn begin(store: &SqliteStore, replace: bool) -> Result<Self> {
        Ok(Self { transaction: store.begin_writing().await?, replace })
    }
}

#[async_trait]
impl Import for SqliteImport {
    async fn add(&mut self, items: &[Item]) -> Result<Imported> {
        let workflows: Vec<_> = items
            .iter()
            .map(|item| json!([item.controller_id, item.workflow_path, item.workflow_version_id]))
            .collect();
        let workflows = super::json(&workflows);
        sqlx::query!(
            "INSERT INTO controllers (controller_id)
             SELECT DISTINCT value ->> 0 FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING",
            workflows,
        )
        .execute(&mut *self.transaction)
        .await?;
        sqlx::query!(
            "INSERT INTO workflows (controller_id, path, version_id)
             SELECT DISTINCT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)
             WHERE true ON CONFLICT DO NOTHING",
            workflows,
        )
        .execute(&mut *self.transaction)
        .await?;

        let orders: Vec<_> = items
            .iter()
            .filter_map(|item| Some((item, item.order.as_ref()?)))
            .map(|(item, order)| {
                json!([
                    item.controller_id,
                    order.order_id,
                    item.workflow_path,
                    item.workflow_version_id,
                    order.state.as_str(),
                    order.suspended,
                    order.mark.map(Mark::as_str),
                    order.scheduled_for.as_ref().map(iso),
                ])
            })
            .collect();
        let rows = super::json(&orders);
        let mut imported = Imported::default();
        if self.replace {
            imported.updated = sqlx::query!(
                "UPDATE orders AS o SET workflow_path = n.value ->> 2,
                     workflow_version_id = n.value ->> 3, state = n.value ->> 4,
                     suspended = n.value ->> 5, mark = n.value ->> 6,
                     scheduled_for = n.value ->> 7, kill_requested = NULL, sigkill_at = NULL,
                     modified = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                 FROM json_each(?1) n
                 WHERE o.controller_id = n.value ->> 0 AND o.order_id = n.value ->> 1
                     AND o.state NOT IN ('FINISHED', 'CANCELLED')",
                rows,
            )
            .execute(&mut *self.transaction)
            .await?
            .rows_affected();
        }
        imported.inserted = sqlx::query!(
            "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id,
                 state, suspended, mark, scheduled_for)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                 value ->> 5, value ->> 6, value ->> 7
             FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING",
            rows,
        )
        .execute(&mut *self.transaction)
        .await?
        .rows_affected();
        imported.skipped = orders.len() as u64 - imported.inserted - imported.updated;
        Ok(imported)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        Ok(self.transaction.commit().await?)
    }
}
