//! Adding orders on SQLite.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{SqliteStore, audit, text_at};
use crate::model::audit::Outcome;
use crate::model::permission::Visible;
use crate::model::window::iso;
use crate::store::add::{
    Added, Addition, Additions, CurrentWorkflow, NO_STATE, ids_are_taken, newest,
};
use crate::store::sql::push_current_workflows;
use crate::store::{Result, rows};

#[async_trait]
impl Additions for SqliteStore {
    async fn current_workflows(
        &self,
        controller_id: &str,
        visible: &Visible,
        asked: &[&str],
    ) -> Result<Vec<CurrentWorkflow>> {
        let mut sql = QueryBuilder::<Sqlite>::new("");
        push_current_workflows(&mut sql, controller_id, visible, asked);
        Ok(newest(rows::all(&self.connections.gate, self.readers()?, sql, false).await?))
    }

    async fn add_orders(&self, addition: &Addition) -> Result<Added> {
        let mut attempt = 0;
        loop {
            let addition = addition.clone();
            let work =
                self.writer.run(move |connection| Box::pin(add(connection, addition, attempt)));
            match work.await {
                Err(error) if ids_are_taken(&error, attempt) => attempt += 1,
                result => return result,
            }
        }
    }
}

async fn add(connection: &mut SqliteConnection, addition: Addition, attempt: u32) -> Result<Added> {
    let Addition { orders, audit } = &addition;
    text_at(audit.created).build().execute(&mut *connection).await?;
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
    let (rows, created) = (addition.rows(&order_ids), iso(&audit.created));
    sqlx::query!(
        "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id,
             scheduled_for, priority, arguments, position, created, modified)
         SELECT ?1, value ->> 'order_id', value ->> 'workflow_path',
             value ->> 'workflow_version_id', value ->> 'scheduled_for', value ->> 'priority',
             value -> 'arguments', value -> 'position', ?3, ?3
         FROM json_each(?2)",
        audit.controller_id,
        rows,
        created,
    )
    .execute(&mut *connection)
    .await?;
    let affected = order_ids.len() as u64;
    let audit_log_id = audit::insert(connection, audit, Outcome::Done, affected).await?;
    let ids = super::json(&order_ids);
    // orders_effective is the connection's own, which checked statements do not know.
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
        .bind(created)
        .execute(&mut *connection)
        .await?;
    Ok(Added { audit_log_id, order_ids })
}
