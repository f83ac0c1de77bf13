//! The store over PostgreSQL: its connections, its dialect, and what is tried again.

use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, Postgres};
use sqlx::{Connection, QueryBuilder};

use crate::store::sql::Dialect;
use crate::store::{Error, Import, Migration, Result, Store};

mod accounts;
mod audit;
mod import;
mod orders;
mod sessions;

static MIGRATOR: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a call waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a unit of work is tried that another one gets in the way of.
const ATTEMPTS: u32 = 20;

/// A store over PostgreSQL.
#[derive(Debug)]
pub(super) struct PgStore {
    pool: PgPool,
}

impl PgStore {
    /// Connects, and brings the schema up to date.
    pub(super) async fn open(url: &str, connections: u32) -> Result<Self> {
        migrate(url, None).await?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Selections differ too much for one plan: see docs/schema.md on indexes.
            .connect_with(options(url)?.options([("plan_cache_mode", "force_custom_plan")]))
            .await?;
        Ok(Self { pool })
    }
}

#[async_trait]
impl Store for PgStore {
    async fn begin_import(&self, replace: bool) -> Result<Box<dyn Import>> {
        Ok(Box::new(import::PgImport::begin(&self.pool, replace).await?))
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url).map_err(|error| Error::Url(error.to_string()))?;
    Ok(options.application_name("joc-orders"))
}

async fn connect(url: &str) -> Result<PgConnection> {
    Ok(PgConnection::connect_with(&options(url)?).await?)
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

/// Does a unit of work again if another one got in its way: a deadlock or a serialization
/// failure says nothing about the work itself.
async fn retrying<T, F>(mut work: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut attempt = 1;
    loop {
        match work().await {
            Err(Error::Database(sqlx::Error::Database(error)))
                if attempt < ATTEMPTS
                    && matches!(error.code().as_deref(), Some("40001" | "40P01")) =>
            {
                tracing::debug!(attempt, %error, "tried again");
                tokio::time::sleep(Duration::from_millis(rand::random_range(
                    1..=10 * u64::from(attempt),
                )))
                .await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

impl Dialect for Postgres {
    fn push_orders(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>) {
        sql.push("(SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, ");
        Self::push_instant(sql, at);
        sql.push(") AS effective_state FROM orders o) o");
    }

    fn push_text(sql: &mut QueryBuilder<Self>, text: &str) {
        sql.push_bind(text);
    }

    fn push_instant(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>) {
        sql.push_bind(at);
    }

    fn push_texts(sql: &mut QueryBuilder<Self>, texts: Vec<&str>) {
        sql.push("(SELECT unnest(").push_bind(texts).push("))");
    }

    fn push_rows(sql: &mut QueryBuilder<Self>, rows: Vec<[Option<&str>; 3]>) {
        let column = |i: usize| rows.iter().map(|row| row[i]).collect::<Vec<_>>();
        sql.push("unnest(").push_bind(column(0));
        sql.push(", ").push_bind(column(1));
        sql.push(", ").push_bind(column(2)).push(") r (a, b, c)");
    }
}
