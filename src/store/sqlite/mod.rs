//! The store over an SQLite file: one connection that writes, several that read, and its
//! dialect.

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection, QueryBuilder, Transaction};

use crate::model::window::iso;
use crate::store::sql::Dialect;
use crate::store::{Error, Import, Migration, Result, Store};

mod accounts;
mod audit;
mod import;
mod orders;
mod sessions;

static MIGRATOR: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a call waits for a connection, and for another process's lock on the file.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A store over an SQLite file.
#[derive(Debug)]
pub(super) struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the file, made if it is not there, and brings the schema up to date.
    pub(super) async fn open(url: &str, connections: u32) -> Result<Self> {
        migrate(url, None).await?;
        let options = options(url)?;
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(TIMEOUT)
                .after_connect(|connection, _| Box::pin(shadow_clock(connection)))
                .connect_with(options.clone())
        };
        Ok(Self { writer: pool(1).await?, readers: pool(connections).await? })
    }

    /// A transaction that writes: it holds the file's write lock from its beginning.
    async fn begin_writing(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn begin_import(&self, replace: bool) -> Result<Box<dyn Import>> {
        Ok(Box::new(import::SqliteImport::begin(self, replace).await?))
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn options(url: &str) -> Result<SqliteConnectOptions> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(Error::Url(
            "expected a file: every connection would see another memory".into(),
        ));
    }
    let options =
        SqliteConnectOptions::from_str(url).map_err(|error| Error::Url(error.to_string()))?;
    Ok(options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(TIMEOUT)
        .pragma("temp_store", "MEMORY"))
}

/// Puts a clock of the connection's own before that of the schema, and with it a copy of the
/// schema's `orders_effective`: the one rule, asked for the instant of a request. The
/// connection also gets a table for the orders that a call affects.
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
             effect TEXT) WITHOUT ROWID;"
    )))
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes `orders_effective` speak of this instant, on this connection.
async fn set_clock(connection: &mut SqliteConnection, at: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE temp.clock SET now = ?").bind(iso(&at)).execute(connection).await?;
    Ok(())
}

async fn connect(url: &str) -> Result<SqliteConnection> {
    Ok(SqliteConnection::connect_with(&options(url)?).await?)
}

/// See [`super::migrate`].
pub(super) async fn migrate(url: &str, target: Option<i64>) -> Result<()> {
    let mut connection = connect(url).await?;
    match target {
        None => MIGRATOR.run(&mut connection).await?,
        Some(target) => {
            super::expect_migration(&MIGRATOR, target)?;
            MIGRATOR.undo(&mut connection, target).await?;
            MIGRATOR.run_to(target, &mut connection).await?;
        }
    }
    connection.close().await?;
    Ok(())
}

/// See [`super::record_migrations`].
pub(super) async fn record_migrations(url: &str) -> Result<()> {
    let mut connection = connect(url).await?;
    MIGRATOR.skip(&mut connection, None).await?;
    connection.close().await?;
    Ok(())
}

/// See [`super::migrations`].
pub(super) async fn migrations(url: &str) -> Result<Vec<Migration>> {
    super::list_migrations(&MIGRATOR, &mut connect(url).await?).await
}

impl Dialect for Sqlite {
    fn push_orders(sql: &mut QueryBuilder<Self>, _at: DateTime<Utc>) {
        // The instant is that of the connection's clock.
        sql.push("orders_effective o");
    }

    fn push_text(sql: &mut QueryBuilder<Self>, text: &str) {
        sql.push_bind(text.to_owned());
    }

    fn push_instant(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>) {
        sql.push_bind(iso(&at));
    }

    fn push_texts(sql: &mut QueryBuilder<Self>, texts: Vec<&str>) {
        sql.push("(SELECT value FROM json_each(").push_bind(json(&texts)).push("))");
    }

    fn push_rows(sql: &mut QueryBuilder<Self>, rows: Vec<[Option<&str>; 3]>) {
        sql.push("(SELECT value ->> 0 AS a, value ->> 1 AS b, value ->> 2 AS c FROM json_each(");
        sql.push_bind(json(&rows)).push(")) r");
    }
}

/// Values as the JSON text that `json_each` reads: one parameter for any number of them.
fn json<T: serde::Serialize>(values: &[T]) -> String {
    serde_json::json!(values).to_string()
}
