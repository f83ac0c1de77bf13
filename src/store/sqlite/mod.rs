//! The store over an SQLite file, and its SQL dialect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Connection, QueryBuilder};

use self::backend::SqliteStore;
use self::file::{MARK, ReadOnlyFile, change_nothing, connect, options};
use self::keeper::Connections;
use self::steps::MIGRATOR;
use crate::model::finding::Finding;
use crate::model::window::iso;
use crate::store::capture::{Capture, CaptureStatus, QUERY};
use crate::store::check::{self, Checks, RowCounts};
use crate::store::copy::is_copied;
use crate::store::migrating::{self, Goal, LockPatience};
use crate::store::migrations::{self};
use crate::store::rows::Sieve;
use crate::store::schema::{Differences, SchemaPart, proved};
use crate::store::sql::check::of_rows;
use crate::store::sql::{Dialect, Sql, search};
use crate::store::tables::{ColumnType, list};
use crate::store::{
    Access, Deadlines, Error, Health, Import, Loss, Migration, PoolUse, Result, Store, health, url,
};

mod add;
mod audit;
mod backend;
#[path = "../both/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "the same source for each database")]
pub(super) mod both;
mod built;
mod capture;
mod checked;
mod copy;
mod file;
mod import;
mod keeper;
mod long;
mod orders;
mod partitions;
mod runs;
mod schema;
mod sealing;
mod sessions;
mod steps;
mod watch;
mod writer;

/// How long a probe waits for other writers.
const PROBE: Duration = Duration::from_secs(1);
/// How many instructions of SQLite's virtual machine run between checks whether anyone still waits for
/// the result.
const STEPS: i32 = 10_000;

#[async_trait]
impl Checks for SqliteStore {
    async fn check_schema(&self, strict: bool) -> Result<Differences> {
        let stages = schema::stages().await?;
        let expected = stages.last().map(|(_, parts)| &**parts).unwrap_or_default();
        both::capture::compared(&mut *self.readers()?.acquire().await?, expected, strict).await
    }

    async fn looked_at(&self) -> Result<RowCounts> {
        check::looked_at(self.readers()?).await
    }

    fn check(&self, strict: bool) -> BoxStream<'static, Result<Finding>> {
        let Connections { gate, readers, .. } = &*self.connections;
        let queries = check::queries::<Sqlite>(strict);
        let found = check::find(queries, gate.clone(), readers.clone());
        check::with_captured(found, strict, || self.rows_of(Sql::of(QUERY), Sieve::default()))
    }

    fn check_rows(&self) -> BoxStream<'static, Result<Finding>> {
        let Connections { gate, readers, .. } = &*self.connections;
        check::find(of_rows::<Sqlite>(is_copied), gate.clone(), readers.clone())
    }
}

#[async_trait]
impl Health for SqliteStore {
    async fn ready(&self) -> Result<()> {
        let change = self.writer.run(|connection| Box::pin(change_nothing(connection)));
        // Other writers are no failure.
        if let Ok(Err(error @ Error::ReadOnly(_))) = tokio::time::timeout(PROBE, change).await {
            return Err(error);
        }
        migrations::expect_all(&MIGRATOR, &mut *self.readers()?.acquire().await?).await
    }

    fn pools(&self) -> Vec<PoolUse> {
        vec![health::pool_use("read", &self.connections.readers), self.writer.pool_use()]
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn begin_import(&self, replace: bool) -> Result<Box<dyn Import>> {
        self.start_import(replace).await
    }

    async fn close(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
        self.connections.close().await;
        if let Some(reading) = &self.reading {
            reading.end().await;
        }
    }
}

/// The beginning of a text after which `orders_effective` uses this instant, on the connection that
/// runs it. Put further statements into the same text: handing one to SQLite's thread and waiting
/// for it takes about as long as the statement.
fn text_at(at: DateTime<Utc>) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("UPDATE temp.clock SET now = ");
    sql.push_bind(iso(&at)).push(";\n");
    sql
}

/// As [`text_at`], for statements that change orders: their capture takes them for the service's.
fn change_at(at: DateTime<Utc>) -> QueryBuilder<Sqlite> {
    change_after("", at)
}

/// As [`change_at`], after other text.
fn change_after(text: &str, at: DateTime<Utc>) -> QueryBuilder<Sqlite> {
    let mut sql =
        QueryBuilder::new(format!("{text}REPLACE INTO temp.clock (rowid, now) VALUES ({MARK}, "));
    sql.push_bind(iso(&at)).push(");\n");
    sql
}

/// See [`super::open`].
pub(super) async fn open(
    url: &str,
    connections: u32,
    access: Access,
    _deadlines: Option<Deadlines>,
) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(url, connections, access).await?))
}

/// See [`super::place`].
pub(super) fn place(url: &str) -> Result<String> {
    options(url, Access::Create)?;
    Ok(url::shown(url))
}

/// See [`super::migrate_patiently`].
pub(super) async fn migrate(url: &str, goal: Goal, patience: LockPatience) -> Result<()> {
    // There is nothing to revert in a new file.
    let access = if matches!(goal, Goal::Exactly(0)) { Access::Write } else { Access::Create };
    let mut connection = connect(&options(url, access)?).await?;
    migrating::migrate(&MIGRATOR, &mut connection, goal, patience).await?;
    connection.close().await?;
    Ok(())
}

/// See [`super::losses`].
pub(super) async fn losses(url: &str, target: i64) -> Result<Vec<Loss>> {
    reading(url, async |connection| migrations::losses(&MIGRATOR, connection, target).await).await
}

/// See [`super::record_migrations`].
pub(super) async fn record_migrations(url: &str) -> Result<Vec<String>> {
    let mut connection = connect(&options(url, Access::Write)?).await?;
    let actual = schema::parts(&mut connection).await?;
    let (version, problems) = proved(&schema::stages().await?, &actual);
    if version > 0 {
        let goal = Goal::Recorded(version);
        migrating::migrate(&MIGRATOR, &mut connection, goal, LockPatience::default()).await?;
    }
    connection.close().await?;
    Ok(problems)
}

/// See [`super::schema`].
pub(super) async fn schema(url: &str) -> Result<Vec<SchemaPart>> {
    reading(url, async |connection| schema::parts(connection).await).await
}

/// See [`super::migrations`].
pub(super) async fn migrations(url: &str) -> Result<Vec<Migration>> {
    reading(url, async |connection| migrations::list(&MIGRATOR, connection).await).await
}

/// Reads on a connection of its own and leaves the file unchanged.
async fn reading<T>(
    url: &str,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T>,
) -> Result<T> {
    let reading = ReadOnlyFile::of(url).await?;
    let result = async {
        let mut connection = connect(&reading.options).await?;
        let result = work(&mut connection).await;
        connection.close().await?;
        result
    };
    let result = result.await;
    reading.end().await;
    result
}

/// See [`super::distribute`].
pub(super) async fn distribute(_url: &str, _patience: LockPatience) -> Result<bool> {
    Err(Error::Unusable("SQLite cannot be distributed: that needs PostgreSQL with Citus".into()))
}

/// See [`super::distribution`].
#[allow(clippy::unused_async, reason = "PostgreSQL has to ask")]
pub(super) async fn distribution(_url: &str) -> Result<Option<u32>> {
    Ok(None)
}

/// See [`super::capture_status`].
pub(super) async fn capture_status(url: &str) -> Result<CaptureStatus> {
    reading(url, async |connection| {
        migrations::expect_all(&MIGRATOR, connection).await?;
        both::capture::status(connection).await
    })
    .await
}

/// See [`super::set_capture`].
pub(super) async fn set_capture(url: &str, capture: Capture) -> Result<bool> {
    both::capture::set(url, capture).await
}

/// See [`super::prune_changes`].
pub(super) async fn prune_changes(url: &str, before: DateTime<Utc>) -> Result<u64> {
    both::capture::prune(url, before).await
}

impl Dialect for Sqlite {
    const PLANS_ANEW: bool = true;
    const PLACE: Option<&str> = None;

    async fn end_once(
        connection: &mut SqliteConnection,
        is_abandoned: Arc<AtomicBool>,
    ) -> sqlx::Result<()> {
        let mut handle = connection.lock_handle().await?;
        handle.set_progress_handler(STEPS, move || !is_abandoned.load(Ordering::Relaxed));
        Ok(())
    }

    fn begin(at: DateTime<Utc>) -> QueryBuilder<Self> {
        text_at(at)
    }

    fn push_orders(sql: &mut QueryBuilder<Self>, _at: DateTime<Utc>) {
        // The view uses the instant of the connection's clock.
        sql.push("orders_effective o");
    }

    fn push_text(sql: &mut QueryBuilder<Self>, text: &str) {
        sql.push_bind(text.to_owned());
    }

    fn push_key(sql: &mut QueryBuilder<Self>, text: &str) {
        sql.push("(SELECT ").push_bind(text.to_owned()).push(")");
    }

    fn push_instant(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>) {
        sql.push_bind(iso(&at));
    }

    fn push_among(sql: &mut QueryBuilder<Self>, texts: Vec<&str>) {
        sql.push(" IN (SELECT value FROM json_each(").push_bind(json(&texts)).push("))");
    }

    fn is_no_instant(column: &str) -> String {
        // As in the tables' checks. With a modifier, every release rejects 2027-02-31.
        format!(
            "({column} IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '+0 days')
              OR {column} < '0001' OR {column} GLOB '*T24*')"
        )
    }

    fn push_rows<const N: usize>(
        sql: &mut QueryBuilder<Self>,
        columns: &[(&str, ColumnType)],
        rows: Vec<[Option<&str>; N]>,
    ) {
        let columns =
            list(columns.iter().enumerate(), |(i, (name, _))| format!("value ->> {i} AS {name}"));
        sql.push("(SELECT ").push(columns).push(" FROM json_each(");
        let rows: Vec<_> = rows.iter().map(<[_; N]>::as_slice).collect();
        sql.push_bind(json(&rows)).push(")) r");
    }

    fn push_optional(sql: &mut QueryBuilder<Self>, text: Option<&str>) {
        sql.push_bind(text.map(str::to_owned));
    }

    fn push_integer(sql: &mut QueryBuilder<Self>, number: impl Into<Option<i64>>) {
        sql.push_bind(number.into());
    }

    fn push_like(sql: &mut QueryBuilder<Self>, pattern: &str) {
        sql.push(" GLOB ").push_bind(search::glob(pattern));
    }

    fn push_json_member(sql: &mut QueryBuilder<Self>, column: &str, name: &str) {
        // A name that is no path: `->` would take some for one.
        sql.push(format_args!(
            "(SELECT {column} -> v.fullkey FROM json_each({column}) v WHERE v.key = "
        ));
        sql.push_bind(name.to_owned()).push(")");
    }

    fn push_json(sql: &mut QueryBuilder<Self>, json: &str) {
        sql.push_bind(json.to_owned());
    }

    fn push_merged(sql: &mut QueryBuilder<Self>, column: &str, json: &str) {
        // json_patch would merge the members of objects, too, so those are removed first.
        sql.push("json_patch(json_patch(").push(column);
        sql.push(", (SELECT json_group_object(key, NULL) FROM json_each(")
            .push_bind(json.to_owned());
        sql.push(") WHERE type = 'object')), ").push_bind(json.to_owned()).push(")");
    }

    const AS_JSON: &str = "";

    fn iso(column: &str) -> String {
        column.into()
    }

    // As the trigger orders_history_id_is_drawn, which would write each row twice.
    const HISTORY_ID: Option<&str> = Some(
        "(SELECT max(\n    \
             coalesce((SELECT max(history_id) FROM orders), 0),\n    \
             coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'orders'), 0)\n\
         )) + row_number() OVER ()",
    );

    const SORTED: &str = "+";
    const IS_HEAD: &str = "instr(o.order_id, '|') = 0";
    const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

    const NO_LIMIT: &str = "";

    const CHARACTER: &str = "char";

    fn push_created(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>) {
        Self::push_instant(sql, at);
    }

    fn push_new_state(
        sql: &mut QueryBuilder<Self>,
        controller_id: &str,
        _at: DateTime<Utc>,
        _state: &str,
        _suspended: &str,
    ) {
        // Only the view has the rule, and the order has already been changed.
        sql.push("(SELECT o.effective_state FROM orders_effective o WHERE o.controller_id = ");
        Self::push_key(sql, controller_id);
        sql.push(" AND o.order_id = a.order_id)");
    }
}

/// Values as the JSON text that `json_each` reads: one parameter for any number of them.
fn json<T: serde::Serialize>(values: &[T]) -> String {
    // Text cannot fail to become JSON, and json_each refuses an empty text.
    serde_json::to_string(values).unwrap_or_default()
}
