//! Changes of many orders on SQLite. Nobody else can write while a change holds the file's write
//! lock. So a long one collects and judges its orders on a connection of its own first. Under the
//! lock it compares them with what they are then, and writes.

use futures_util::TryStreamExt;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use tracing::Instrument;

use super::backend::SqliteStore;
use super::both::once;
use super::change_at;
use super::keeper::Connections;
use super::orders::{changed, count, push_changes, push_judged};
use crate::model::selection::{Reach, Subject};
use crate::store::sql::Sql;
use crate::store::sql::selection::{changed_columns, push_chosen, push_rough_count};
use crate::store::tables::list;
use crate::store::{Change, Changed, Error, Result};

/// How many orders make a change long. Fewer are changed in about a tenth of a second.
const MANY: u32 = 5_000;

impl SqliteStore {
    /// Whether a change may concern many orders. To find out costs a small change little.
    pub(super) async fn may_be_long(&self, change: &Change) -> Result<bool> {
        let selection = &change.selection;
        match &selection.subject {
            Subject::Nothing => return Ok(false),
            Subject::Orders(ids) => return Ok(ids.len() >= MANY as usize),
            // What it collects has no place for the orders' fates.
            Subject::Entry(_) => return Ok(false),
            // No index counts others.
            _ if selection.reach != Reach::Living => return Ok(false),
            _ => {}
        }
        let mut sql = Sql::<Sqlite>::new();
        push_rough_count(&mut sql, selection, MANY);
        let found: i64 = sql.builder().build_query_scalar().fetch_one(self.readers()?).await?;
        Ok(found >= i64::from(MANY))
    }

    /// Changes the orders, also if the request is dropped meanwhile.
    pub(super) async fn change_long(&self, change: Change) -> Result<Changed> {
        let share = self.writer.share().await?;
        let connections = self.connections.clone();
        let work = async move {
            let _share = share;
            connections.change_long(&change).await
        };
        let done = tokio::spawn(work.in_current_span()).await;
        done.map_err(|_| Error::from(sqlx::Error::WorkerCrashed))?
    }
}

impl Connections {
    async fn change_long(&self, change: &Change) -> Result<Changed> {
        self.check()?;
        let mut connection = self.long.acquire().await?;
        // Closing it rolls back what has not been committed, and frees its memory and its temporary
        // file.
        connection.close_on_drop();
        let changed = self.change_by(&mut connection, change).await;
        let _closed = connection.close().await;
        changed
    }

    async fn change_by(
        &self,
        connection: &mut SqliteConnection,
        change: &Change,
    ) -> Result<Changed> {
        let too_many = |affected: u64| change.max_orders.is_some_and(|max| affected > max);
        let affected = count(connection, collected(change)).await?;
        if too_many(affected) {
            return Ok(Changed::TooMany { affected });
        }
        // Keeps other writers of this program from polling for the lock.
        let turn = self.writer.connection().await?;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        // Closing the connection rolls back a claim without a change.
        if let Some(changed) = once::claim(&mut *connection, &change.audit).await? {
            return Ok(changed);
        }
        if !are_unchanged(connection, change).await? {
            let affected = count(connection, collected(change)).await?;
            if too_many(affected) {
                return Ok(Changed::TooMany { affected });
            }
        }
        let mut sql = Sql::new();
        push_changes(&mut sql, change);
        let changed = changed(&mut *connection, sql).await?;
        once::keep(&mut *connection, &change.audit, &changed).await?;
        // One text, so that the checkpoint begins before the next commit, which would make one.
        let mut ends = sqlx::raw_sql("COMMIT; PRAGMA wal_checkpoint").execute_many(connection);
        ends.try_next().await?;
        drop(turn);
        // The change is done, whether or not there is a checkpoint.
        while let Ok(Some(_)) = ends.try_next().await {}
        Ok(changed)
    }
}

/// A text that collects the chosen orders and those of them that are affected.
fn collected(change: &Change) -> Sql<Sqlite> {
    let Change { selection, action, .. } = change;
    let mut sql = Sql::over(change_at(selection.now));
    sql.push("DELETE FROM temp.chosen").end().push("DELETE FROM temp.affected").end();
    let columns = list(changed_columns(action), |column| column.name.into());
    let columns = format!("{columns}, effective_state, via_parent");
    sql.push(format_args!("INSERT INTO temp.chosen ({columns})\n"));
    push_chosen(&mut sql, selection, action);
    sql.push(format_args!("\nSELECT {columns} FROM chosen")).end();
    // Below, `chosen` is the table.
    sql.push("INSERT INTO temp.affected\n");
    push_judged(&mut sql, selection, action);
    sql
}

/// Whether the chosen orders are still as they were collected.
async fn are_unchanged(connection: &mut SqliteConnection, change: &Change) -> Result<bool> {
    let compared = |table: &str| {
        let columns = changed_columns(&change.action);
        let changeable = columns.filter(|column| column.is_changeable());
        list(changeable, |column| format!("{table}.{}", column.name))
    };
    let mut sql = Sql::<Sqlite>::of(
        "SELECT NOT EXISTS (\n    \
             SELECT 1 FROM temp.chosen c LEFT JOIN orders o\n    \
             ON o.order_id = c.order_id AND o.controller_id = ",
    );
    sql.key(&change.selection.controller_id);
    sql.push(format_args!("\n    WHERE ({}) IS NOT ({})\n)", compared("o"), compared("c")));
    Ok(sql.builder().build_query_scalar().fetch_one(connection).await?)
}
