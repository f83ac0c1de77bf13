//! A new database for each test: a temporary SQLite file, or a database in the shared cluster.

use std::sync::atomic::{AtomicU32, Ordering};

use joc_orders::store;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, Postgres};
use sqlx::sqlite::{Sqlite, SqlitePool};
use sqlx::{AssertSqlSafe, Column, Row};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::cluster::{Cluster, cluster};
use super::program::cryptography;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// A new database; removed when dropped.
pub struct Database {
    /// On PostgreSQL as the role `joc_service`, which owns nothing.
    pub url: String,
    /// As the owner of the tables.
    pub owner: String,
    pool: Pool,
    _folder: Option<TempDir>,
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A single connection, for statements that belong together.
pub enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Connection {
    pub async fn execute(&mut self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(connection) => drop(sql.execute(&mut **connection).await.unwrap()),
            Self::Postgres(connection) => drop(sql.execute(&mut **connection).await.unwrap()),
        }
    }
}

/// The numbers of the migrations.
pub fn versions() -> Vec<i64> {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite"));
    let names = files.unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let ups = names.filter(|name| name.ends_with(".up.sql"));
    let mut versions: Vec<i64> =
        ups.map(|name| name.split_once('_').unwrap().0.parse().unwrap()).collect();
    versions.sort_unstable();
    versions
}

/// The number of the last migration.
pub fn latest() -> i64 {
    *versions().last().unwrap()
}

impl Database {
    /// An empty database with the current schema.
    pub async fn create(kind: Kind) -> Self {
        cryptography();
        match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", folder.path().join("orders.db").display());
                store::migrate(&url, None).await.unwrap();
                let pool = Pool::Sqlite(SqlitePool::connect(&url).await.unwrap());
                Self { owner: url.clone(), url, pool, _folder: Some(folder) }
            }
            Kind::Postgres => {
                // Databases are copied from template1, which is migrated once.
                static MIGRATED: OnceCell<()> = OnceCell::const_new();
                static NUMBER: AtomicU32 = AtomicU32::new(0);
                static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
                let cluster = tokio::task::spawn_blocking(cluster).await.unwrap();
                let (server, _) = cluster.rsplit_once('/').unwrap();
                let template = format!("{server}/template1");
                MIGRATED
                    .get_or_init(|| async {
                        store::migrate(&template, None).await.unwrap();
                        set_up_roles(&template).await;
                        distribute(&template).await;
                    })
                    .await;
                let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
                {
                    let _guard = ONE_AT_A_TIME.lock().await;
                    let admin = PgPool::connect(cluster).await.unwrap();
                    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
                    sqlx::raw_sql(create).execute(&admin).await.unwrap();
                    admin.close().await;
                }
                let owner = format!("{server}/{name}");
                let pool = Pool::Postgres(PgPool::connect(&owner).await.unwrap());
                Self { url: as_service(&owner), owner, pool, _folder: None }
            }
        }
    }

    /// The only database of a cluster, which must be empty.
    pub async fn of(cluster: &Cluster) -> Self {
        cryptography();
        let owner = cluster.url.clone();
        store::migrate(&owner, None).await.unwrap();
        set_up_roles(&owner).await;
        let pool = Pool::Postgres(PgPool::connect(&owner).await.unwrap());
        Self { url: as_service(&owner), owner, pool, _folder: None }
    }

    /// A database that another made, such as a standby's copy.
    pub async fn reached(url: &str) -> Self {
        let pool = Pool::Postgres(PgPool::connect(url).await.unwrap());
        Self { url: url.into(), owner: url.into(), pool, _folder: None }
    }

    /// Another handle to the same database, which goes with the first.
    pub fn share(&self) -> Self {
        let pool = match &self.pool {
            Pool::Sqlite(pool) => Pool::Sqlite(pool.clone()),
            Pool::Postgres(pool) => Pool::Postgres(pool.clone()),
        };
        Self { url: self.url.clone(), owner: self.owner.clone(), pool, _folder: None }
    }

    /// The same database for another login of docs/roles.sql: `executor` or `auditor`. SQLite has
    /// no logins.
    pub async fn login(&self, name: &str) -> Self {
        let Pool::Postgres(_) = self.pool else { return self.share() };
        let url = self.owner.replacen("postgres@", &format!("{name}@"), 1);
        let pool = Pool::Postgres(PgPool::connect(&url).await.unwrap());
        Self { url, owner: self.owner.clone(), pool, _folder: None }
    }

    /// The same database for a test that migrates: a table that is made anew has no grants.
    pub fn into_owner(self) -> Self {
        Self { url: self.owner.clone(), ..self }
    }

    pub fn kind(&self) -> Kind {
        match self.pool {
            Pool::Sqlite(_) => Kind::Sqlite,
            Pool::Postgres(_) => Kind::Postgres,
        }
    }

    /// The current instant, as SQL.
    pub fn now(&self) -> &'static str {
        match self.kind() {
            Kind::Sqlite => "(SELECT now FROM clock)",
            Kind::Postgres => "now()",
        }
    }

    /// Runs statements that give no rows.
    pub async fn execute(&self, sql: &str) -> sqlx::Result<u64> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match &self.pool {
            Pool::Sqlite(pool) => sqlx::raw_sql(sql).execute(pool).await?.rows_affected(),
            Pool::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await?.rows_affected(),
        })
    }

    /// A connection that has run this statement.
    pub async fn lock(&self, begin: &str) -> Connection {
        let mut connection = match &self.pool {
            Pool::Sqlite(pool) => Connection::Sqlite(pool.acquire().await.unwrap()),
            Pool::Postgres(pool) => Connection::Postgres(pool.acquire().await.unwrap()),
        };
        connection.execute(begin).await;
        connection
    }

    /// The rows of a query, each value in the database's own text.
    pub async fn rows(&self, sql: &str) -> sqlx::Result<Vec<Vec<Option<String>>>> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match &self.pool {
            Pool::Sqlite(pool) => {
                let rows = sqlx::raw_sql(sql).fetch_all(pool).await?;
                let value = |row: &sqlx::sqlite::SqliteRow, i| row.get_unchecked(i);
                rows.iter().map(|row| (0..row.len()).map(|i| value(row, i)).collect()).collect()
            }
            Pool::Postgres(pool) => {
                let rows = sqlx::raw_sql(sql).fetch_all(pool).await?;
                let value = |row: &sqlx::postgres::PgRow, i| {
                    let value = row.try_get_raw(i).unwrap();
                    value.as_str().ok().map(Into::into)
                };
                rows.iter().map(|row| (0..row.len()).map(|i| value(row, i)).collect()).collect()
            }
        })
    }

    /// The names of a query's columns; it must return a row.
    pub async fn columns(&self, sql: &str) -> sqlx::Result<Vec<String>> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match &self.pool {
            Pool::Sqlite(pool) => {
                let row = sqlx::raw_sql(sql).fetch_one(pool).await?;
                row.columns().iter().map(|column| column.name().into()).collect()
            }
            Pool::Postgres(pool) => {
                let row = sqlx::raw_sql(sql).fetch_one(pool).await?;
                row.columns().iter().map(|column| column.name().into()).collect()
            }
        })
    }

    /// The value of a query that returns one number.
    pub async fn count(&self, sql: &str) -> i64 {
        let rows = self.rows(sql).await.unwrap();
        rows[0][0].as_deref().unwrap().parse().unwrap()
    }
}

/// Distributes the tables if the server has loaded Citus.
async fn distribute(owner: &str) {
    let admin = PgPool::connect(owner).await.unwrap();
    let libraries: String =
        sqlx::query_scalar("SHOW shared_preload_libraries").fetch_one(&admin).await.unwrap();
    if libraries.contains("citus") {
        sqlx::raw_sql("CREATE EXTENSION citus").execute(&admin).await.unwrap();
        store::distribute(owner, store::LockPatience::default()).await.unwrap();
    }
    admin.close().await;
}

/// Grants the rights of docs/roles.sql, and makes a login for each of the roles in use.
async fn set_up_roles(owner: &str) {
    let admin = PgPool::connect(owner).await.unwrap();
    for sql in [
        include_str!("../../../docs/roles.sql"),
        "CREATE ROLE orders LOGIN IN ROLE joc_service;
         CREATE ROLE executor LOGIN IN ROLE joc_executor;
         CREATE ROLE auditor LOGIN IN ROLE joc_auditor;",
    ] {
        sqlx::raw_sql(sql).execute(&admin).await.unwrap();
    }
    admin.close().await;
}

/// The URL of a database for the service's login.
fn as_service(owner: &str) -> String {
    owner.replacen("postgres@", "orders@", 1)
}

/// How many of the service's statements wait for rows that others have locked. Other locks, such as
/// that of two replicas that make partitions, do not count.
pub const WAIT_FOR_ROWS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'joc-orders'
        AND wait_event IN ('transactionid', 'tuple')";

/// A text as an SQL literal.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
