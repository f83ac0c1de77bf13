//! Imports into PostgreSQL: a batch is a few statements over arrays.

use async_trait::async_trait;
use sqlx::postgres::PgPool;
use sqlx::{Postgres, Transaction};

use crate::model::order::Mark;
use crate::store::{Import, Imported, Item, NewOrder, Result};

/// An import under way.
pub(super) struct PgImport {
    transaction: Transaction<'static, Postgres>,
    replace: bool,
}

impl PgImport {
    /// Starts an import.
    pub(super) async fn begin(pool: &PgPool, replace: bool) -> Result<Self> {
        Ok(Self { transaction: pool.begin().await?, replace })
    }
}

#[async_trait]
impl Import for PgImport {
    async fn add(&mut self, items: &[Item]) -> Result<Imported> {
        let text =
            |of: fn(&Item) -> &str| items.iter().map(|i| of(i).to_owned()).collect::<Vec<_>>();
        let controllers = text(|item| &item.controller_id);
        let paths = text(|item| &item.workflow_path);
        let versions = text(|item| &item.workflow_version_id);
        sqlx::query!(
            "INSERT INTO controllers (controller_id) SELECT DISTINCT unnest($1::text[])
             ON CONFLICT DO NOTHING",
            &controllers,
        )
        .execute(&mut *self.transaction)
        .await?;
        sqlx::query!(
            "INSERT INTO workflows (controller_id, path, version_id)
             SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[])
             ON CONFLICT DO NOTHING",
            &controllers,
            &paths,
            &versions,
        )
        .execute(&mut *self.transaction)
        .await?;

        let rows: Vec<(&Item, &NewOrder)> =
            items.iter().filter_map(|item| Some((item, item.order.as_ref()?))).collect();
        let column =
            |of: fn(&(&Item, &NewOrder)) -> String| rows.iter().map(of).collect::<Vec<_>>();
        let controllers = column(|(item, _)| item.controller_id.clone());
        let ids = column(|(_, order)| order.order_id.clone());
        let paths = column(|(item, _)| item.workflow_path.clone());
        let versions = column(|(item, _)| item.workflow_version_id.clone());
        let states = column(|(_, order)| order.state.as_str().to_owned());
        let suspended: Vec<bool> = rows.iter().map(|(_, order)| order.suspended).collect();
        let marks: Vec<Option<String>> =
            rows.iter().map(|(_, order)| order.mark.map(Mark::as_str).map(Into::into)).collect();
        let scheduled: Vec<_> = rows.iter().map(|(_, order)| order.scheduled_for).collect();
        let mut imported = Imported::default();
        if self.replace {
            imported.updated = sqlx::query!(
                "UPDATE orders o SET workflow_path = n.path, workflow_version_id = n.version_id,
                     state = n.state, suspended = n.suspended, mark = n.mark,
                     scheduled_for = n.scheduled_for, kill_requested = NULL, sigkill_at = NULL,
                     modified = now()
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                     $6::boolean[], $7::text[], $8::timestamptz[])
                     n (controller_id, order_id, path, version_id, state, suspended, mark,
                        scheduled_for)
                 WHERE o.controller_id = n.controller_id AND o.order_id = n.order_id
                     AND o.state NOT IN ('FINISHED', 'CANCELLED')",
                &controllers,
                &ids,
                &paths,
                &versions,
                &states,
                &suspended,
                &marks as &[Option<String>],
                &scheduled as &[Option<chrono::DateTime<chrono::Utc>>],
            )
            .execute(&mut *self.transaction)
            .await?
            .rows_affected();
        }
        imported.inserted = sqlx::query!(
            "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id,
                 state, suspended, mark, scheduled_for)
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                 $6::boolean[], $7::text[], $8::timestamptz[])
             ON CONFLICT DO NOTHING",
            &controllers,
            &ids,
            &paths,
            &versions,
            &states,
            &suspended,
            &marks as &[Option<String>],
            &scheduled as &[Option<chrono::DateTime<chrono::Utc>>],
        )
        .execute(&mut *self.transaction)
        .await?
        .rows_affected();
        imported.skipped = rows.len() as u64 - imported.inserted - imported.updated;
        Ok(imported)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        Ok(self.transaction.commit().await?)
    }
}
