//! Orders on SQLite. A change holds the write lock from its beginning, so that nothing can
//! come between selecting, changing and auditing.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{SqliteStore, text_at};
use crate::model::action::Action;
use crate::model::audit::{AuditEntry, Outcome};
use crate::model::selection::Selection;
use crate::model::window::iso;
use crate::store::sql::change::{push_affected, push_assignments, push_details, push_preview};
use crate::store::sql::{Dialect, push_chosen};
use crate::store::{Change, Changed, Orders, Preview, Result, preview, rows};

#[async_trait]
impl Orders for SqliteStore {
    async fn knows_controller(&self, controller_id: &str) -> Result<bool> {
        let known = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM controllers WHERE controller_id = ?1) AS "known!: bool""#,
            controller_id
        );
        Ok(known.fetch_one(self.readers()?).await?)
    }

    async fn change_orders(&self, change: &Change) -> Result<Changed> {
        let change = change.clone();
        self.writer.run(move |connection| Box::pin(apply(connection, change))).await
    }

    async fn preview(&self, selection: &Selection, action: &Action, limit: u32) -> Result<Preview> {
        let mut sql = text_at(selection.now);
        sql.push("WITH ");
        push_chosen(&mut sql, selection);
        push_affected(&mut sql, selection, action);
        push_preview(&mut sql, limit);
        preview(action, rows::all(&self.connections.gate, self.readers()?, sql, true).await?)
    }

    async fn plan(&self, selection: &Selection, action: &Action) -> Result<Vec<String>> {
        let mut sql = QueryBuilder::<Sqlite>::new("EXPLAIN QUERY PLAN WITH ");
        push_chosen(&mut sql, selection);
        push_affected(&mut sql, selection, action);
        push_preview(&mut sql, 0);
        let steps: Vec<(i64, i64, i64, String)> =
            sql.build_query_as().fetch_all(self.readers()?).await?;
        Ok(steps.into_iter().map(|(_, _, _, step)| step).collect())
    }
}

/// Changes and audits what is selected.
async fn apply(connection: &mut SqliteConnection, change: Change) -> Result<Changed> {
    let Change { selection, action, max_orders, sigkill_after, audit } = &change;
    let controller_id = selection.controller_id.as_str();

    let mut sql = text_at(selection.now);
    sql.push("DELETE FROM temp.affected; INSERT INTO temp.affected WITH ");
    push_chosen(&mut sql, selection);
    push_affected(&mut sql, selection, action);
    sql.push(
        " SELECT order_id, workflow_path, workflow_version_id, folder, effective_state, \
         via_parent, effect FROM affected; ",
    );
    if let Some(max) = max_orders {
        sql.push("SELECT count(*) FROM temp.affected");
        let affected: i64 = sql.build_query_scalar().fetch_one(&mut *connection).await?;
        let affected = affected.unsigned_abs();
        if affected > *max {
            return Ok(Changed::TooMany { affected });
        }
        sql = QueryBuilder::new("");
    }

    sql.push("UPDATE orders AS o SET ");
    push_assignments(&mut sql, action, selection.now, selection.now + *sigkill_after);
    sql.push(" FROM temp.affected a WHERE o.order_id = a.order_id AND o.controller_id = ");
    Sqlite::push_key(&mut sql, controller_id);
    sql.push("; ");
    push_entry(&mut sql, audit);
    sql.push("; ");
    // An entry's id is the table's rowid, and the last one is the greatest.
    let id = |sql: &mut QueryBuilder<Sqlite>| {
        sql.push("(SELECT max(id) FROM audit_logs)");
    };
    push_details(&mut sql, action, controller_id, selection.now, id, "");
    // To its end, which is after the row of the entry.
    let entries: Vec<(i64, i64)> = sql.build_query_as().fetch_all(connection).await?;
    Ok(match entries.first() {
        Some((audit_log_id, affected)) if *affected > 0 => {
            Changed::Done { audit_log_id: *audit_log_id, affected: affected.unsigned_abs() }
        }
        _ => Changed::NoOrders,
    })
}

/// Adds the insert of the audit entry, which gives its id and how many orders are affected.
fn push_entry(sql: &mut QueryBuilder<Sqlite>, audit: &AuditEntry) {
    sql.push(
        "INSERT INTO audit_logs (controller_id, account, request, parameters, category, comment, \
         time_spent, ticket_link, request_id, client_address, created, outcome, affected) SELECT ",
    );
    let mut values = sql.separated(", ");
    values.push_bind(audit.controller_id.clone());
    values.push_bind(audit.account.clone());
    values.push_bind(audit.request.clone());
    let kept = |outcome| audit.parameters.kept(outcome).into_owned();
    values.push("iif(count(*) > 0, ").push_bind_unseparated(kept(Outcome::Done));
    values.push_unseparated(", ").push_bind_unseparated(kept(Outcome::NoOrders));
    values.push_unseparated(")");
    values.push_bind(audit.category.as_str());
    values.push_bind(audit.comment.clone());
    values.push_bind(audit.time_spent);
    values.push_bind(audit.ticket_link.clone());
    values.push_bind(audit.request_id.clone());
    values.push_bind(audit.client_address.clone());
    values.push_bind(iso(&audit.created));
    values.push("iif(count(*) > 0, 'DONE', 'NO_ORDERS')");
    values.push("count(*)");
    sql.push(" FROM temp.affected RETURNING id, affected");
}
