//! Adding orders on PostgreSQL.

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, Postgres, QueryBuilder};

use super::settle::Lock;
use super::{PgStore, audit, retrying};
use crate::model::audit::Outcome;
use crate::model::permission::Visible;
use crate::store::add::{
    Added, Addition, Additions, CurrentWorkflow, NO_STATE, ids_are_taken, newest,
};
use crate::store::sql::push_current_workflows;
use crate::store::{Result, rows};

#[async_trait]
impl Additions for PgStore {
    async fn current_workflows(
        &self,
        controller_id: &str,
        visible: &Visible,
        asked: &[&str],
    ) -> Result<Vec<CurrentWorkflow>> {
        let mut sql = QueryBuilder::<Postgres>::new("");
        push_current_workflows(&mut sql, controller_id, visible, asked);
        Ok(newest(rows::all(&self.gate, &self.pool, sql, false).await?))
    }

    async fn add_orders(&self, addition: &Addition) -> Result<Added> {
        let mut attempt = 0;
        loop {
            match retrying(|| add(self, addition, attempt)).await {
                Err(error) if ids_are_taken(&error, attempt) => attempt += 1,
                result => return result,
            }
        }
    }
}

async fn add(store: &PgStore, addition: &Addition, attempt: u32) -> Result<Added> {
    let lock = Lock::of_a_call();
    let mut lease = store.changes.get().await?;
    let process = lease.process();
    let mut to_commit = None;
    let work = insert(lease.connection()?, addition, attempt, lock, &mut to_commit);
    let inserted = store.changes.change(process, work).await;
    lease.end(inserted.is_ok()).await;
    match (inserted, to_commit) {
        (Ok(added), _) => Ok(added),
        (Err(error), None) => Err(error),
        (Err(error), Some(added)) => {
            store.settle(lock, &addition.audit, error).await?;
            Ok(added)
        }
    }
}

/// Adds in one transaction. Sets `to_commit` just before the commit: after an error without it,
/// nothing was added.
async fn insert(
    connection: &mut PgConnection,
    addition: &Addition,
    attempt: u32,
    lock: Lock,
    to_commit: &mut Option<Added>,
) -> Result<Added> {
    let Addition { orders, audit } = addition;
    let mut transaction = connection.begin().await?;
    sqlx::query!(r#"SELECT pg_advisory_xact_lock_shared($1) AS "shared!: ()""#, lock.0)
        .execute(&mut *transaction)
        .await?;
    let last = sqlx::query_scalar!(
        "UPDATE controllers
         SET last_order_number = greatest(last_order_number, $2::bigint - 1) + $3::bigint
         WHERE controller_id = $1 RETURNING last_order_number",
        audit.controller_id,
        addition.first_number(attempt),
        orders.len() as i64,
    )
    .fetch_one(&mut *transaction)
    .await?;
    let order_ids = addition.ids(last);
    let rows = addition.rows(&order_ids);
    // Executors go by the database's clock: for it, no order is made in the future.
    sqlx::query!(
        "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id,
             scheduled_for, priority, arguments, position, created, modified)
         SELECT $1, n.order_id, n.workflow_path, n.workflow_version_id, n.scheduled_for,
             n.priority, n.arguments, n.position, least($3, now()), least($3, now())
         FROM jsonb_to_recordset($2::text::jsonb) AS n (order_id text, workflow_path text,
             workflow_version_id text, scheduled_for timestamptz, priority integer,
             arguments jsonb, position jsonb)",
        audit.controller_id,
        rows,
        audit.created,
    )
    .execute(&mut *transaction)
    .await?;
    let affected = order_ids.len() as u64;
    let audit_log_id = audit::insert(&mut transaction, audit, Outcome::Done, affected).await?;
    sqlx::query!(
        "INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
             workflow_version_id, folder, previous_state, new_state, created)
         SELECT o.controller_id, $3, o.order_id, o.workflow_path, o.workflow_version_id,
             o.folder, $4, effective_state(o.state, o.suspended, o.scheduled_for, $5), $5
         FROM orders o WHERE o.controller_id = $1 AND o.order_id = ANY ($2)",
        audit.controller_id,
        &order_ids,
        audit_log_id,
        NO_STATE,
        audit.created,
    )
    .execute(&mut *transaction)
    .await?;
    let added = Added { audit_log_id, order_ids };
    *to_commit = Some(added.clone());
    transaction.commit().await?;
    Ok(added)
}
