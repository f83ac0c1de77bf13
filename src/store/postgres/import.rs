//! Imports into PostgreSQL: a batch is a few statements over arrays.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgPool;
use sqlx::{Postgres, Transaction};

use crate::model::order::Mark;
use crate::store::import::versions;
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
        let workflows = versions(items);
        let controllers: Vec<_> = workflows.iter().map(|v| v.controller_id.to_owned()).collect();
        let paths: Vec<_> = workflows.iter().map(|v| v.path.to_owned()).collect();
        let versions: Vec<_> = workflows.iter().map(|v| v.version_id.to_owned()).collect();
        let dates: Vec<_> = workflows.iter().map(|v| v.date).collect();
        sqlx::query!(
            "INSERT INTO controllers (controller_id) SELECT DISTINCT unnest($1::text[])
             ON CONFLICT DO NOTHING",
            &controllers,
        )
        .execute(&mut *self.transaction)
        .await?;
        // A version without a date is a millisecond newer than the one before it.
        sqlx::query!(
            "INSERT INTO workflows (controller_id, path, version_id, created)
             SELECT n.controller_id, n.path, n.version_id, coalesce(n.date,
                 least('9999-12-31T23:59:59.999Z', greatest(now(),
                     (SELECT max(w.created) FROM workflows w
                      WHERE w.controller_id = n.controller_id AND w.path = n.path))
                 + row_number() OVER (PARTITION BY n.controller_id, n.path ORDER BY n.place)
                     * interval '1 millisecond'))
             FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
                 WITH ORDINALITY n (controller_id, path, version_id, date, place)
             WHERE NOT EXISTS (SELECT 1 FROM workflows w WHERE w.controller_id = n.controller_id
                               AND w.path = n.path AND w.version_id = n.version_id)
             ON CONFLICT DO NOTHING",
            &controllers,
            &paths,
            &versions,
            &dates as &[Option<DateTime<Utc>>],
        )
        .execute(&mut *self.transaction)
        .await?;
        if dates.iter().any(Option::is_some) {
            sqlx::query!(
                "UPDATE workflows w SET created = n.date
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
                     n (controller_id, path, version_id, date)
                 WHERE w.controller_id = n.controller_id AND w.path = n.path
                     AND w.version_id = n.version_id AND w.created <> n.date",
                &controllers,
                &paths,
                &versions,
                &dates as &[Option<DateTime<Utc>>],
            )
            .execute(&mut *self.transaction)
            .await?;
        }

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
        let reasons: Vec<_> = rows.iter().map(|(_, order)| order.reason.clone()).collect();
        let priorities: Vec<i32> = rows.iter().map(|(_, order)| order.priority).collect();
        let arguments = column(|(_, order)| order.arguments.clone());
        let positions: Vec<_> = rows.iter().map(|(_, order)| order.position.clone()).collect();
        let mut imported = Imported::default();
        if self.replace {
            imported.updated = sqlx::query!(
                "UPDATE orders o SET workflow_path = n.path, workflow_version_id = n.version_id,
                     state = n.state, suspended = n.suspended, mark = n.mark,
                     scheduled_for = n.scheduled_for, reason = n.reason, priority = n.priority,
                     arguments = n.arguments::jsonb, position = n.position::jsonb,
                     kill_requested = NULL, sigkill_at = NULL,
                     state_since = CASE WHEN o.state <> n.state OR o.suspended <> n.suspended
                         THEN greatest(o.created, now()) ELSE o.state_since END,
                     modified = greatest(o.created, now())
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                     $6::boolean[], $7::text[], $8::timestamptz[], $9::text[], $10::integer[],
                     $11::text[], $12::text[])
                     n (controller_id, order_id, path, version_id, state, suspended, mark,
                        scheduled_for, reason, priority, arguments, position)
                 WHERE o.controller_id = n.controller_id AND o.order_id = n.order_id
                     AND o.state NOT IN ('FINISHED', 'CANCELLED')
                     AND (n.state <> 'FRESH' OR o.state = 'FRESH')",
                &controllers,
                &ids,
                &paths,
                &versions,
                &states,
                &suspended,
                &marks as &[Option<String>],
                &scheduled as &[Option<DateTime<Utc>>],
                &reasons as &[Option<String>],
                &priorities,
                &arguments,
                &positions as &[Option<String>],
            )
            .execute(&mut *self.transaction)
            .await?
            .rows_affected();
        }
        imported.inserted = sqlx::query!(
            "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id,
                 state, suspended, mark, scheduled_for, reason, priority, arguments, position)
             SELECT n.controller_id, n.order_id, n.path, n.version_id, n.state, n.suspended,
                 n.mark, n.scheduled_for, n.reason, n.priority, n.arguments::jsonb,
                 n.position::jsonb
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                 $6::boolean[], $7::text[], $8::timestamptz[], $9::text[], $10::integer[],
                 $11::text[], $12::text[])
                 n (controller_id, order_id, path, version_id, state, suspended, mark,
                    scheduled_for, reason, priority, arguments, position)
             ON CONFLICT DO NOTHING",
            &controllers,
            &ids,
            &paths,
            &versions,
            &states,
            &suspended,
            &marks as &[Option<String>],
            &scheduled as &[Option<DateTime<Utc>>],
            &reasons as &[Option<String>],
            &priorities,
            &arguments,
            &positions as &[Option<String>],
        )
        .execute(&mut *self.transaction)
        .await?
        .rows_affected();
        imported.skipped = rows.len() as u64 - imported.inserted - imported.updated;
        Ok(imported)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let mut transaction = self.transaction;
        // Until there are statistics, the planner takes the tables for small ones.
        sqlx::query("ANALYZE controllers, workflows, orders").execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }
}
