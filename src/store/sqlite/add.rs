//! Adding orders on SQLite.

use sqlx::SqliteConnection;

use super::backend::SqliteStore;
use super::both::once;
use super::{audit, change_at};
use crate::model::audit::Outcome;
use crate::model::window::iso;
use crate::store::Result;
use crate::store::add::{Added, Addition, NO_STATE};
use crate::store::sql::incoming;

impl SqliteStore {
    /// Adds the orders, unless one of their ids is taken.
    pub(super) async fn try_to_add(&self, addition: &Addition, attempt: u32) -> Result<Added> {
        let addition = addition.clone();
        self.writer.run(move |connection| Box::pin(add(connection, addition, attempt))).await
    }
}

async fn add(connection: &mut SqliteConnection, addition: Addition, attempt: u32) -> Result<Added> {
    let Addition { orders, audit } = &addition;
    if let Some(added) = once::claim(connection, audit).await? {
        return Ok(added);
    }
    change_at(audit.created).build().execute(&mut *connection).await?;
    let (first, count) = (addition.first_number(attempt), orders.len() as i64);
    let last = sqlx::query_scalar!(
        "UPDATE controllers SET last_order_number = max(last_order_number, ?2 - 1) + ?3
         WHERE controller_id = ?1 RETURNING last_order_number",
        audit.controller_id,
        first,
        count,
    )
    .fetch_one(&mut *connection)
    .await?;
    let order_ids = addition.ids(last);
    let mut rows = incoming::add(&addition.incoming(&order_ids), audit.created);
    rows.builder().build().execute(&mut *connection).await?;
    let affected = order_ids.len() as u64;
    let audit_log_id = audit::insert(connection, audit, Outcome::Done, affected).await?;
    let ids = super::json(&order_ids);
    // orders_effective is this connection's temporary view, which checked statements do not know.
    let details = sqlx::query(
        "INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
             workflow_version_id, folder, previous_state, new_state, created)
         SELECT o.controller_id, ?3, o.order_id, o.workflow_path, o.workflow_version_id,
             o.folder, ?4, o.effective_state, ?5
         FROM json_each(?2) n CROSS JOIN orders_effective o
         WHERE o.controller_id = ?1 AND o.order_id = n.value",
    );
    details
        .bind(&audit.controller_id)
        .bind(ids)
        .bind(audit_log_id)
        .bind(NO_STATE)
        .bind(iso(&audit.created))
        .execute(&mut *connection)
        .await?;
    let added = Added { audit_log_id, order_ids };
    once::keep(connection, audit, &added).await?;
    Ok(added)
}
