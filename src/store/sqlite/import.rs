//! Imports into SQLite: a batch is a few statements over one JSON text.

use async_trait::async_trait;
use serde_json::json;
use sqlx::{Sqlite, Transaction};

use super::SqliteStore;
use crate::model::order::Mark;
use crate::model::window::iso;
use crate::store::import::versions;
use crate::store::{Import, Imported, Item, Result};

/// An import under way.
pub(super) struct SqliteImport {
    transaction: Transaction<'static, Sqlite>,
    replace: bool,
}

impl SqliteImport {
    /// Starts an import, which keeps other writers out until it ends.
    pub(super) async fn begin(store: &SqliteStore, replace: bool) -> Result<Self> {
        Ok(Self { transaction: store.writer.begin().await?, replace })
    }
}

#[async_trait]
impl Import for SqliteImport {
    async fn add(&mut self, items: &[Item]) -> Result<Imported> {
        let versions = versions(items);
        let workflows: Vec<_> = versions
            .iter()
            .map(|v| json!([v.controller_id, v.path, v.version_id, v.date.as_ref().map(iso)]))
            .collect();
        let workflows = super::json(&workflows);
        sqlx::query!(
            "INSERT INTO controllers (controller_id)
             SELECT DISTINCT value ->> 0 FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING",
            workflows,
        )
        .execute(&mut *self.transaction)
        .await?;
        // A version without a date is a millisecond newer than the one before it.
        sqlx::query!(
            "INSERT INTO workflows (controller_id, path, version_id, created)
             SELECT n.value ->> 0, n.value ->> 1, n.value ->> 2,
                 coalesce(n.value ->> 3, strftime('%Y-%m-%dT%H:%M:%fZ',
                     max(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
                         coalesce((SELECT max(w.created) FROM workflows w
                                   WHERE w.controller_id = n.value ->> 0
                                       AND w.path = n.value ->> 1), '')),
                     (row_number() OVER (PARTITION BY n.value ->> 0, n.value ->> 1
                                         ORDER BY n.key) / 1000.0) || ' seconds'),
                     '9999-12-31T23:59:59.999Z')
             FROM json_each(?1) n
             WHERE NOT EXISTS (SELECT 1 FROM workflows w WHERE w.controller_id = n.value ->> 0
                               AND w.path = n.value ->> 1 AND w.version_id = n.value ->> 2)",
            workflows,
        )
        .execute(&mut *self.transaction)
        .await?;
        if versions.iter().any(|version| version.date.is_some()) {
            sqlx::query!(
                "UPDATE workflows AS w SET created = n.value ->> 3 FROM json_each(?1) n
                 WHERE w.controller_id = n.value ->> 0 AND w.path = n.value ->> 1
                     AND w.version_id = n.value ->> 2 AND w.created <> n.value ->> 3",
                workflows,
            )
            .execute(&mut *self.transaction)
            .await?;
        }

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
                    order.reason,
                    order.priority,
                    order.arguments,
                    order.position,
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
                     scheduled_for = n.value ->> 7, reason = n.value ->> 8,
                     priority = n.value ->> 9, arguments = n.value ->> 10,
                     position = n.value ->> 11, kill_requested = NULL, sigkill_at = NULL,
                     state_since = CASE WHEN o.state <> n.value ->> 4
                             OR o.suspended <> n.value ->> 5
                         THEN max(o.created, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
                         ELSE o.state_since END,
                     modified = max(o.created, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
                 FROM json_each(?1) n
                 WHERE o.controller_id = n.value ->> 0 AND o.order_id = n.value ->> 1
                     AND o.state NOT IN ('FINISHED', 'CANCELLED')
                     AND (n.value ->> 4 <> 'FRESH' OR o.state = 'FRESH')",
                rows,
            )
            .execute(&mut *self.transaction)
            .await?
            .rows_affected();
        }
        imported.inserted = sqlx::query!(
            "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id,
                 state, suspended, mark, scheduled_for, reason, priority, arguments, position)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                 value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9,
                 value ->> 10, value ->> 11
             FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING",
            rows,
        )
        .execute(&mut *self.transaction)
        .await?
        .rows_affected();
        imported.skipped = orders.len() as u64 - imported.inserted - imported.updated;
        Ok(imported)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        super::file::optimize(&mut self.transaction).await?;
        Ok(self.transaction.commit().await?)
    }
}
