//! The store over an SQLite file: one connection that writes, several that read, and its
//! dialect.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteRow,
};
use sqlx::{AssertSqlSafe, Connection, FromRow, QueryBuilder};
use tokio::task::JoinHandle;
use tracing::Instrument;

use self::file::{Reading, connect, options};
use self::keeper::{Connections, keep};
use self::watch::Watch;
use self::writer::Writer;
use crate::model::finding::Finding;
use crate::model::window::iso;
use crate::store::check::{self, Checks, Counts};
use crate::store::copy::is_copied;
use crate::store::migrating::{self, Goal, Patience};
use crate::store::migrations::{self};
use crate::store::rows::{self, Gate, Sieve};
use crate::store::schema::{Differences, Part, compare, proved};
use crate::store::sql::check::of_rows;
use crate::store::sql::{Dialect, search};
use crate::store::{
    Access, Error, Health, Import, Loss, Migration, PoolUse, Result, Store, health, url,
};

mod accounts;
mod add;
mod audit;
mod copy;
mod file;
mod import;
mod keeper;
mod list;
mod orders;
mod schema;
mod seals;
mod sessions;
mod steps;
mod watch;
mod workflows;
mod writer;

static MIGRATOR: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a call waits for a connection, and for another process's lock on the file.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a probe waits for others who write.
const PROBE: Duration = Duration::from_secs(1);
/// How many steps of SQLite's machine, some microseconds each, go by before it looks whether
/// anybody waits for the result.
const STEPS: i32 = 10_000;

/// A store over an SQLite file.
#[derive(Debug)]
pub(super) struct SqliteStore {
    connections: Arc<Connections>,
    writer: Writer,
    /// What is left to be done at the end, if the file is only read.
    reading: Option<Reading>,
    /// What looks after the file, if it is not only read.
    keeper: Option<JoinHandle<()>>,
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

impl SqliteStore {
    /// Opens the file and sees to its schema.
    pub(super) async fn open(url: &str, connections: u32, access: Access) -> Result<Self> {
        if access == Access::Read {
            let reading = Reading::of(url).await?;
            let opened = Self::over(&reading.options, connections, access).await;
            if opened.is_err() {
                reading.end().await;
            }
            let mut store = opened?;
            store.reading = Some(reading);
            return Ok(store);
        }
        Self::over(&options(url, access)?, connections, access).await
    }

    async fn over(
        options: &SqliteConnectOptions,
        connections: u32,
        access: Access,
    ) -> Result<Self> {
        let mut connection = connect(options).await?;
        let prepared = prepare(&mut connection, access).await;
        let (watch, anchor) = if prepared.is_err() || access == Access::Read {
            connection.close().await?;
            prepared?;
            (None, None)
        } else {
            let watch = Watch::over(options.get_filename()).map_err(sqlx::Error::Io)?;
            (Some(Arc::new(watch)), Some(connection))
        };
        // A file that is gone must not be made anew.
        let options = options.clone().create_if_missing(false);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(TIMEOUT)
                // A connection to a file does not go away.
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
                .after_connect(move |connection, _| {
                    Box::pin(async move {
                        match shadow_clock(connection).await {
                            // Without its view a schema can be read, to find out just that.
                            Err(sqlx::Error::RowNotFound) if access == Access::Read => Ok(()),
                            result => result,
                        }
                    })
                })
                // SQLite ends a transaction by itself when the disk is full, and sqlx, which
                // does not know, would begin no other one on the connection.
                .before_acquire(|connection, _| {
                    let is_free = !connection.is_in_transaction();
                    Box::pin(async move { Ok(is_free) })
                })
        };
        let readers = pool(connections).connect_with(options.clone()).await?;
        let writer = match access {
            Access::Read => pool(1).connect_lazy_with(options.clone()),
            Access::Write | Access::Create => {
                let writer = pool(1).after_release(|connection, _| {
                    let asking = async move { Ok(!reads_only(connection).await) };
                    // No request's any more.
                    Box::pin(asking.instrument(tracing::info_span!("released")))
                });
                writer.connect_with(options.clone()).await?
            }
        };
        let writer = Writer::over(writer, watch.clone());
        let connections = Arc::new(Connections {
            readers,
            sealer: SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options),
            writer: writer.clone(),
            gate: Gate::new(connections, TIMEOUT, None),
            watch: watch.clone(),
            anchor: Mutex::new(anchor),
        });
        let keeper = watch.map(|watch| tokio::spawn(keep(connections.clone(), watch)));
        Ok(Self { connections, writer, reading: None, keeper })
    }

    /// The connections that read.
    fn readers(&self) -> Result<&SqlitePool> {
        self.connections.check()?;
        Ok(&self.connections.readers)
    }

    /// The connection that reads what is sealed.
    fn sealer(&self) -> Result<&SqlitePool> {
        self.connections.check()?;
        Ok(&self.connections.sealer)
    }

    /// A long result.
    fn stream<T>(&self, sql: QueryBuilder<Sqlite>, sieve: Sieve<T>) -> BoxStream<'static, Result<T>>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin + 'static,
    {
        match self.readers() {
            Ok(readers) => rows::stream(self.connections.gate.clone(), readers.clone(), sql, sieve),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

/// Whether a connection only reads: SQLite opens a file so that it may not write to at the moment.
async fn reads_only(connection: &mut SqliteConnection) -> bool {
    let tried = change_nothing(connection).await;
    matches!(tried, Err(Error::ReadOnly(_)))
}

/// What fails where nothing can be written, and writes nothing.
async fn change_nothing(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::query("DELETE FROM sessions WHERE false").execute(connection).await?;
    Ok(())
}

/// Sees to the schema.
async fn prepare(connection: &mut SqliteConnection, access: Access) -> Result<()> {
    match access {
        Access::Read => return migrations::expect_all(&MIGRATOR, connection).await,
        Access::Write => migrations::expect_all(&MIGRATOR, connection).await?,
        Access::Create => {
            migrating::migrate(&MIGRATOR, connection, Goal::Newest, Patience::default()).await?;
        }
    }
    optimize(connection).await
}

#[async_trait]
impl Checks for SqliteStore {
    async fn check_schema(&self, strict: bool) -> Result<Differences> {
        let actual = schema::parts(&mut *self.readers()?.acquire().await?).await?;
        let stages = schema::stages().await?;
        let expected = stages.last().map(|(_, parts)| &**parts).unwrap_or_default();
        Ok(compare(expected, &actual, strict))
    }

    async fn looked_at(&self) -> Result<Counts> {
        check::looked_at(self.readers()?).await
    }

    fn check(&self, strict: bool) -> BoxStream<'static, Result<Finding>> {
        let Connections { gate, readers, .. } = &*self.connections;
        check::find(check::queries::<Sqlite>(strict), gate.clone(), readers.clone())
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
        // Others may be writing: that is no failure.
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
        Ok(Box::new(import::SqliteImport::begin(self, replace).await?))
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

/// Puts a clock of the connection's own before that of the schema, and with it a copy of the
/// schema's `orders_effective`: the one rule, asked for the instant of a request. The
/// connection also gets a table for the orders that a call affects, with statistics that say it
/// is small: else a call would look up each order of the controller in it.
async fn shadow_clock(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let view: String =
        sqlx::query_scalar("SELECT sql FROM main.sqlite_schema WHERE name = 'orders_effective'")
            .fetch_one(&mut *connection)
            .await?;
    let view = view.replacen("CREATE VIEW", "CREATE TEMP VIEW", 1);
    sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE TEMP TABLE clock (now TEXT); INSERT INTO temp.clock VALUES (NULL); {view};
         CREATE TEMP TABLE affected (order_id TEXT PRIMARY KEY, workflow_path TEXT,
             workflow_version_id TEXT, folder TEXT, effective_state TEXT, via_parent TEXT,
             effect TEXT) WITHOUT ROWID;
         INSERT INTO temp.affected (order_id) VALUES ('');
         ANALYZE temp.affected;
         DELETE FROM temp.affected;"
    )))
    .execute(connection)
    .await?;
    Ok(())
}

/// Renews the statistics that have become stale, without which SQLite takes indexes that fit
/// for ones that do not. It looks at a sample of each table and takes milliseconds.
async fn optimize(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::query("PRAGMA optimize = 0x10002").execute(connection).await?;
    Ok(())
}

/// The beginning of a text after which `orders_effective` speaks of this instant, on the connection
/// that runs it. More statements belong into the same text: to hand one to SQLite's thread, and to
/// wait for it, takes about as long as the statement.
fn text_at(at: DateTime<Utc>) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("UPDATE temp.clock SET now = ");
    sql.push_bind(iso(&at)).push("; ");
    sql
}

/// See [`super::place`].
pub(super) fn place(url: &str) -> Result<String> {
    options(url, Access::Create)?;
    Ok(url::shown(url))
}

/// See [`super::migrate_patiently`].
pub(super) async fn migrate(url: &str, goal: Goal, patience: Patience) -> Result<()> {
    // The way back needs something to go back from.
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
        migrating::migrate(&MIGRATOR, &mut connection, goal, Patience::default()).await?;
    }
    connection.close().await?;
    Ok(problems)
}

/// See [`super::schema`].
pub(super) async fn schema(url: &str) -> Result<Vec<Part>> {
    reading(url, async |connection| schema::parts(connection).await).await
}

/// See [`super::migrations`].
pub(super) async fn migrations(url: &str) -> Result<Vec<Migration>> {
    reading(url, async |connection| migrations::list(&MIGRATOR, connection).await).await
}

/// Reads something on a connection of its own, and leaves the file as it is.
async fn reading<T>(
    url: &str,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T>,
) -> Result<T> {
    let reading = Reading::of(url).await?;
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

impl Dialect for Sqlite {
    const PLANS_ANEW: bool = true;

    async fn end_once(
        connection: &mut SqliteConnection,
        is_abandoned: Arc<AtomicBool>,
    ) -> sqlx::Result<()> {
        let mut handle = connection.lock_handle().await?;
        handle.set_progress_handler(STEPS, move || !is_abandoned.load(Ordering::Relaxed));
        Ok(())
    }

    fn push_orders(sql: &mut QueryBuilder<Self>, _at: DateTime<Utc>) {
        // The instant is that of the connection's clock.
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
        // As the checks of the tables have it. With something to add, every release sees that
        // 2027-02-31 is none.
        format!(
            "({column} IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '+0 days')
              OR {column} < '0001' OR {column} GLOB '*T24*')"
        )
    }

    fn push_rows(sql: &mut QueryBuilder<Self>, rows: Vec<[Option<&str>; 3]>) {
        sql.push("(SELECT value ->> 0 AS a, value ->> 1 AS b, value ->> 2 AS c FROM json_each(");
        sql.push_bind(json(&rows)).push(")) r");
    }

    fn push_integer(sql: &mut QueryBuilder<Self>, number: i64) {
        sql.push_bind(number);
    }

    fn push_like(sql: &mut QueryBuilder<Self>, pattern: &str) {
        sql.push(" GLOB ").push_bind(search::glob(pattern));
    }

    fn push_json(sql: &mut QueryBuilder<Self>, json: &str) {
        sql.push_bind(json.to_owned());
    }

    fn push_merged(sql: &mut QueryBuilder<Self>, column: &str, json: &str) {
        sql.push("json_patch(").push(column).push(", ").push_bind(json.to_owned()).push(")");
    }

    fn push_new_state(
        sql: &mut QueryBuilder<Self>,
        controller_id: &str,
        _at: DateTime<Utc>,
        _state: &str,
        _suspended: &str,
    ) {
        // The rule is in the view alone, and the order is changed already.
        sql.push("(SELECT o.effective_state FROM orders_effective o WHERE o.controller_id = ");
        Self::push_key(sql, controller_id);
        sql.push(" AND o.order_id = a.order_id)");
    }
}

/// Values as the JSON text that `json_each` reads: one parameter for any number of them.
fn json<T: serde::Serialize>(values: &[T]) -> String {
    serde_json::json!(values).to_string()
}
