//! Orders on SQLite. A change holds the write lock from its beginning, so that nothing can
//! come between selecting, changing and auditing.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite};

use super::{SqliteStore, set_clock};
use crate::model::audit::Outcome;
use crate::model::order::Action;
use crate::model::selection::Selection;
use crate::model::window::iso;
use crate::store::sql::{
    Dialect, push_affected, push_assignments, push_chosen, push_details, push_preview,
};
use crate::store::{Change, Changed, Orders, Preview, Result, preview};

#[async_trait]
impl Orders for SqliteStore {
    async fn knows_controller(&self, controller_id: &str) -> Result<bool> {
        let known = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM controllers WHERE controller_id = ?1) AS "known!: bool""#,
            controller_id
        );
        Ok(known.fetch_one(&self.readers).await?)
    }

    async fn change_orders(&self, change: &Change) -> Result<Changed> {
        let Change { selection, action, max_orders, sigkill_after, audit } = change;
        let controller_id = selection.controller_id.as_str();
        let mut transaction = self.begin_writing().await?;
        set_clock(&mut transaction, selection.now).await?;

        sqlx::query("DELETE FROM temp.affected").execute(&mut *transaction).await?;
        let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO temp.affected WITH ");
        push_chosen(&mut sql, selection);
        push_affected(&mut sql, selection, *action);
        sql.push(
            " SELECT order_id, workflow_path, workflow_version_id, folder, effective_state, \
             via_parent, effect FROM affected",
        );
        let affected = sql.build().execute(&mut *transaction).await?.rows_affected();
        if max_orders.is_some_and(|max| affected > max) {
            return Ok(Changed::TooMany { affected });
        }

        if affected > 0 {
            let mut sql = QueryBuilder::<Sqlite>::new("UPDATE orders AS o SET ");
            push_assignments(&mut sql, selection.now, selection.now + *sigkill_after);
            sql.push(" FROM temp.affected a WHERE o.order_id = a.order_id AND o.controller_id = ");
            Sqlite::push_text(&mut sql, controller_id);
            sql.build().execute(&mut *transaction).await?;
        }
        let outcome = if affected > 0 { Outcome::Done } else { Outcome::NoOrders }.as_str();
        let (category, count) = (audit.category.as_str(), affected.cast_signed());
        let created = iso(&audit.created);
        let audit_log_id = sqlx::query_scalar!(
            "INSERT INTO audit_logs (controller_id, account, request, parameters, category,
                 comment, time_spent, ticket_link, outcome, affected, request_id, client_address,
                 created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) RETURNING id",
            audit.controller_id,
            audit.account,
            audit.request,
            audit.parameters,
            category,
            audit.comment,
            audit.time_spent,
            audit.ticket_link,
            outcome,
            count,
            audit.request_id,
            audit.client_address,
            created,
        )
        .fetch_one(&mut *transaction)
        .await?;
        if affected > 0 {
            let mut sql = QueryBuilder::<Sqlite>::new("");
            let id = |sql: &mut QueryBuilder<Sqlite>| {
                sql.push_bind(audit_log_id);
            };
            push_details(&mut sql, controller_id, selection.now, id, "");
            sql.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(if affected > 0 { Changed::Done { audit_log_id, affected } } else { Changed::NoOrders })
    }

    async fn preview(&self, selection: &Selection, action: Action, limit: u32) -> Result<Preview> {
        let mut connection = self.readers.acquire().await?;
        set_clock(&mut connection, selection.now).await?;
        let mut sql = QueryBuilder::<Sqlite>::new("WITH ");
        push_chosen(&mut sql, selection);
        push_affected(&mut sql, selection, action);
        push_preview(&mut sql, limit);
        preview(sql.build_query_as().fetch_all(&mut *connection).await?)
    }
}
