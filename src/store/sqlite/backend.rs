//! The store over an SQLite file: one connection that writes, several that read.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::query::Query;
use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions,
};
use sqlx::{AssertSqlSafe, Connection, Transaction};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::audit;
use super::file::{MARK, ReadOnlyFile, TIMEOUT, connect, optimize, options, reads_only};
use super::keeper::{Connections, keep};
use super::steps::MIGRATOR;
use super::watch::Watch;
use super::writer::Writer;
use crate::model::audit::{AuditEntry, Outcome};
use crate::model::window::iso;
use crate::store::migrating::{self, Goal, LockPatience};
use crate::store::rows::Gate;
use crate::store::tables::{Use, list, of_orders};
use crate::store::{Access, Result, migrations};

/// How many pages a writing connection keeps, in KiB. When there is no room left, a transaction writes
/// changed pages to the log, some of them many times.
const CACHE: &str = "-16384";

/// A store over an SQLite file.
#[derive(Debug)]
pub(super) struct SqliteStore {
    pub(super) connections: Arc<Connections>,
    pub(super) writer: Writer,
    /// Cleans up at the end, if the file is only read.
    pub(super) reading: Option<ReadOnlyFile>,
    /// The task that maintains the file, unless it is read-only.
    pub(super) keeper: Option<JoinHandle<()>>,
}

/// The names under which the files in `both/` know this database.
pub(super) type Backend = SqliteStore;
pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;
pub(super) type DbConnection = SqliteConnection;

/// An instant as a parameter of a statement.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    iso(&at)
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

impl SqliteStore {
    /// Opens the file, and migrates or checks its schema.
    pub(super) async fn open(url: &str, connections: u32, access: Access) -> Result<Self> {
        if access == Access::Read {
            let reading = ReadOnlyFile::of(url).await?;
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
        // A file that was removed must not be recreated.
        let options = options.clone().create_if_missing(false);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(TIMEOUT)
                // A connection to a file cannot be lost.
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
                .after_connect(move |connection, _| {
                    Box::pin(async move {
                        match shadow_clock(connection).await {
                            // `check` must be able to open a schema that lacks the view.
                            Err(sqlx::Error::RowNotFound) if access == Access::Read => Ok(()),
                            result => result,
                        }
                    })
                })
                // When the disk is full, SQLite ends a transaction by itself; sqlx does not notice
                // and cannot begin another one on the connection.
                .before_acquire(|connection, _| {
                    let is_free = !connection.is_in_transaction();
                    Box::pin(async move { Ok(is_free) })
                })
        };
        let readers = pool(connections).connect_with(options.clone()).await?;
        let writing = options.clone().pragma("cache_size", CACHE);
        let writer = match access {
            Access::Read => pool(1).connect_lazy_with(writing.clone()),
            Access::Write | Access::Create => {
                let writer = pool(1).after_release(|connection, _| {
                    let asking = async move { Ok(!reads_only(connection).await) };
                    // Outside of the request's span.
                    Box::pin(asking.instrument(tracing::info_span!("released")))
                });
                writer.connect_with(writing.clone()).await?
            }
        };
        let writer = Writer::over(writer, watch.clone());
        let connections = Arc::new(Connections {
            readers,
            sealer: SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options),
            writer: writer.clone(),
            long: pool(1).connect_lazy_with(writing.pragma("wal_autocheckpoint", "0")),
            gate: Gate::new(connections, TIMEOUT, None),
            watch: watch.clone(),
            anchor: Mutex::new(anchor),
        });
        let keeper = watch.map(|watch| tokio::spawn(keep(connections.clone(), watch)));
        Ok(Self { connections, writer, reading: None, keeper })
    }

    /// The connections that read.
    pub(super) fn readers(&self) -> Result<&SqlitePool> {
        self.connections.check()?;
        Ok(&self.connections.readers)
    }

    /// Begins a transaction that writes, which holds the file's write lock from the start.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        self.writer.begin().await
    }

    /// Runs a statement that writes and returns how many rows it affected.
    pub(super) async fn write(&self, statement: Statement<'_>) -> Result<u64> {
        let mut writer = self.writer.connection().await?;
        Ok(statement.execute(&mut *writer).await?.rows_affected())
    }

    /// The connection that reads the rows to seal.
    pub(super) fn sealer(&self) -> Result<&SqlitePool> {
        self.connections.check()?;
        Ok(&self.connections.sealer)
    }
}

impl SqliteStore {
    /// Writes an entry about no orders.
    pub(super) async fn insert_entry(&self, entry: &AuditEntry, outcome: Outcome) -> Result<()> {
        let entry = entry.clone();
        self.writer
            .run(move |connection| {
                Box::pin(async move { audit::insert(connection, &entry, outcome, 0).await })
            })
            .await?;
        Ok(())
    }
}

/// Migrates or checks the schema.
async fn prepare(connection: &mut SqliteConnection, access: Access) -> Result<()> {
    match access {
        Access::Read => return migrations::expect_all(&MIGRATOR, connection).await,
        Access::Write => migrations::expect_all(&MIGRATOR, connection).await?,
        Access::Create => {
            migrating::migrate(&MIGRATOR, connection, Goal::Newest, LockPatience::default())
                .await?;
        }
    }
    optimize(connection).await
}

/// Shadows the schema's `clock` with a temporary one, and `orders_effective` with a copy that uses
/// it, so that the view's rule applies to the instant of a request. Also creates tables for the
/// orders that a change affects, and that a long one chooses, with statistics that say they are
/// small: otherwise a change would look up every order of the controller in them.
async fn shadow_clock(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let view: String =
        sqlx::query_scalar("SELECT sql FROM main.sqlite_schema WHERE name = 'orders_effective'")
            .fetch_one(&mut *connection)
            .await?;
    let view = view.replacen("CREATE VIEW", "CREATE TEMP VIEW", 1);
    let chosen = of_orders(Use::Chosen).chain(of_orders(Use::Assigned));
    let chosen = list(chosen, |column| match column.name {
        "order_id" => "order_id PRIMARY KEY".into(),
        name => name.into(),
    });
    sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE TEMP TABLE clock (now TEXT); INSERT INTO temp.clock (rowid) VALUES ({MARK}); {view};
         CREATE TEMP TABLE affected (order_id TEXT PRIMARY KEY, workflow_path TEXT,
             workflow_version_id TEXT, folder TEXT, effective_state TEXT, via_parent TEXT,
             effect TEXT, before TEXT) WITHOUT ROWID;
         CREATE TEMP TABLE chosen ({chosen}, effective_state, via_parent) WITHOUT ROWID;
         INSERT INTO temp.affected (order_id) VALUES ('');
         INSERT INTO temp.chosen (order_id) VALUES ('');
         ANALYZE temp.affected;
         ANALYZE temp.chosen;
         DELETE FROM temp.affected;
         DELETE FROM temp.chosen;"
    )))
    .execute(connection)
    .await?;
    Ok(())
}
