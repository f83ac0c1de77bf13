//! Orders on SQLite. A change holds the write lock from its beginning, so that nothing can
//! come between selecting, changing and auditing.

use async_trait::async_trait;
use sqlx::{Sqlite, SqliteConnection};

use super::backend::SqliteStore;
use super::both::once;
use super::both::preview::push_query;
use super::both::undo::undone_by;
use super::change_after;
use super::writer::Around;
use crate::model::action::Action;
use crate::model::selection::Selection;
use crate::store::sql::Sql;
use crate::store::sql::change::{push_affected, push_assignments, push_details, push_entry};
use crate::store::sql::selection::push_chosen;
use crate::store::{Change, Changed, Orders, Preview, Result};

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
        if let Some(key) = &change.audit.key {
            // So that the repetition of a long change does not collect its orders again.
            let mut reader = self.readers()?.acquire().await?;
            if let Some(changed) = once::find(&mut reader, &change.audit, key).await? {
                return Ok(changed);
            }
        }
        let change = change.clone();
        if self.may_be_long(&change).await? {
            return self.change_long(change).await;
        }
        // Whether there are too many, or it was undone, or its key was used, is known only before the
        // second of two texts.
        let audit = &change.audit;
        if change.max_orders.is_some() || audit.undoes.is_some() || audit.key.is_some() {
            let alone = Around::NOTHING;
            return self
                .writer
                .run(move |connection| Box::pin(apply(connection, change, alone)))
                .await;
        }
        self.writer
            .run_text(move |connection, around| Box::pin(apply(connection, change, around)))
            .await
    }

    async fn preview(&self, selection: &Selection, action: &Action, limit: u32) -> Result<Preview> {
        self.show_preview(selection, action, limit).await
    }

    async fn plan(&self, selection: &Selection, action: &Action) -> Result<Vec<String>> {
        let mut sql = push_query(Sql::of("EXPLAIN QUERY PLAN "), selection, action, 0);
        let steps: Vec<(i64, i64, i64, String)> =
            sql.builder().build_query_as().fetch_all(self.readers()?).await?;
        Ok(steps.into_iter().map(|(_, _, _, step)| step).collect())
    }
}

/// Changes and audits what is selected, unless the request's key says that this has happened.
async fn apply(
    connection: &mut SqliteConnection,
    change: Change,
    around: Around,
) -> Result<Changed> {
    if let Some(changed) = once::claim(&mut *connection, &change.audit).await? {
        return Ok(changed);
    }
    let changed = apply_first(&mut *connection, &change, around).await?;
    once::keep(connection, &change.audit, &changed).await?;
    Ok(changed)
}

async fn apply_first(
    connection: &mut SqliteConnection,
    change: &Change,
    around: Around,
) -> Result<Changed> {
    let Change { selection, action, max_orders, audit, .. } = change;
    if let Some(by) = undone_by(&mut *connection, audit).await? {
        return Ok(Changed::Undone { by });
    }
    let mut sql = Sql::<Sqlite>::over(change_after(around.begin, selection.now));
    sql.push("DELETE FROM temp.affected").end().push("INSERT INTO temp.affected\n");
    push_chosen(&mut sql, selection, action);
    push_judged(&mut sql, selection, action);
    if let Some(max) = max_orders {
        let affected = count(&mut *connection, sql).await?;
        if affected > *max {
            return Ok(Changed::TooMany { affected });
        }
        sql = Sql::new();
    }
    push_changes(&mut sql, change);
    sql.push(around.end);
    changed(connection, sql).await
}

/// Adds the end of an insert into the table of the affected orders.
pub(super) fn push_judged(sql: &mut Sql<Sqlite>, selection: &Selection, action: &Action) {
    push_affected(sql, selection, action);
    sql.push(
        "\nSELECT order_id, workflow_path, workflow_version_id, folder, effective_state,\n    \
             via_parent, effect, before\n\
         FROM affected",
    );
    sql.end();
}

/// Runs a text that collects the affected orders, and counts them.
pub(super) async fn count(connection: &mut SqliteConnection, mut sql: Sql<Sqlite>) -> Result<u64> {
    sql.push("SELECT count(*) FROM temp.affected");
    let affected: i64 = sql.builder().build_query_scalar().fetch_one(connection).await?;
    Ok(affected.unsigned_abs())
}

/// Adds the statements that change and audit the affected orders.
pub(super) fn push_changes(sql: &mut Sql<Sqlite>, change: &Change) {
    let Change { selection, action, sigkill_after, audit, .. } = change;
    let controller_id = selection.controller_id.as_str();
    sql.push("UPDATE orders AS o\nSET ");
    push_assignments(sql, action, selection.now, selection.now + *sigkill_after);
    sql.push("\nFROM temp.affected a\nWHERE o.order_id = a.order_id AND o.controller_id = ");
    sql.key(controller_id).end();
    push_entry(sql, audit, selection);
    sql.push("\nFROM (SELECT count(*) AS affected FROM temp.affected) g\nRETURNING id, affected");
    sql.end();
    // An entry's id is the table's rowid, and the last one is the greatest.
    let push_key = |sql: &mut Sql<Sqlite>| {
        sql.key(controller_id).push(", (SELECT max(id) FROM audit_logs)");
    };
    push_details(sql, action, controller_id, selection.now, push_key, |sql| {
        sql.push("affected a");
    });
    sql.end();
}

/// Runs a text with these statements.
pub(super) async fn changed(
    connection: &mut SqliteConnection,
    mut sql: Sql<Sqlite>,
) -> Result<Changed> {
    // Fetch all rows: the statements after the one that returns the entry must run, too.
    let entries: Vec<(i64, i64)> = sql.builder().build_query_as().fetch_all(connection).await?;
    Ok(match entries.first() {
        Some((audit_log_id, affected)) if *affected > 0 => {
            Changed::Done { audit_log_id: *audit_log_id, affected: affected.unsigned_abs() }
        }
        _ => Changed::NoOrders,
    })
}
