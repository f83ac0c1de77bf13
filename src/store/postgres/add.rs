//! Adding orders on PostgreSQL.

use sqlx::{Connection, PgConnection};

use super::audit;
use super::backend::{PgStore, retrying};
use super::both::once;
use super::lock::Lock;
use crate::model::audit::Outcome;
use crate::store::Result;
use crate::store::add::{Added, Addition, NO_STATE};
use crate::store::sql::incoming;

impl PgStore {
    /// Adds the orders, unless one of their ids is taken.
    pub(super) async fn try_to_add(&self, addition: &Addition, attempt: u32) -> Result<Added> {
        retrying(|| add(self, addition, attempt)).await
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
    if let Some(added) = once::claim(&mut transaction, audit).await? {
        transaction.rollback().await?;
        return Ok(added);
    }
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
    let mut rows = incoming::add(&addition.incoming(&order_ids), audit.created);
    rows.builder().build().execute(&mut *transaction).await?;
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
    once::keep(&mut transaction, audit, &added).await?;
    *to_commit = Some(added.clone());
    transaction.commit().await?;
    Ok(added)
}
