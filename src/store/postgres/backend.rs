//! The store over PostgreSQL: its connections.

use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, Postgres};
use sqlx::query::Query;
use sqlx::{Connection, PgConnection, Transaction};

use super::audit;
use super::citus::Citus;
use super::connection::{ACQUIRE_TIMEOUT, Doubt, Purpose};
use super::gatherer::Gatherer;
use super::lease::Leases;
use super::steps::MIGRATOR;
use super::usable;
use crate::model::audit::{AuditEntry, Outcome};
use crate::store::migrating::{self, Goal, LockPatience};
use crate::store::rows::Gate;
use crate::store::{Access, Deadlines, Error, RETRIES, Result, migrations, url};

/// How often a transaction is attempted that conflicts with others.
const ATTEMPTS: u32 = 20;

/// A store over PostgreSQL.
#[derive(Debug)]
pub(super) struct PgStore {
    /// The connections for everything but changes of orders.
    pub(super) pool: PgPool,
    /// The connections for changes of orders.
    pub(super) changes: Leases,
    /// Changes of single orders that are written together.
    pub(super) gatherer: Gatherer,
    /// The sealer's own connection.
    pub(super) sealer: PgPool,
    /// A connection to compare a replica with its primary, opened if there is a replica.
    pub(super) positions: PgPool,
    /// Limits how many connections of the pool read long results.
    pub(super) gate: Gate,
    /// Whether the tables are spread over several servers.
    pub(super) citus: Citus,
}

/// The names under which the files in `both/` know this database.
pub(super) type Backend = PgStore;
pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;
pub(super) type DbConnection = PgConnection;

/// An instant as a parameter of a statement.
pub(super) fn instant(at: DateTime<Utc>) -> DateTime<Utc> {
    at
}

impl PgStore {
    /// Connects, and migrates or checks the schema. Only a service has deadlines.
    pub(super) async fn open(
        url: &str,
        connections: u32,
        access: Access,
        deadlines: Option<Deadlines>,
    ) -> Result<Self> {
        let options = options(url)?;
        let mut connection = connect_with(&options, access).await?;
        match access {
            Access::Create => {
                let patience = LockPatience::default();
                migrating::migrate(&MIGRATOR, &mut connection, Goal::Newest, patience).await?;
            }
            Access::Write | Access::Read => {
                migrations::expect_all(&MIGRATOR, &mut connection).await?;
            }
        }
        let citus = Citus::of(&mut connection).await?;
        connection.close().await?;
        let (changes, others) = match access {
            Access::Read => (1, connections),
            Access::Create | Access::Write => (connections.div_ceil(2), (connections / 2).max(1)),
        };
        let purpose = Purpose { access, deadlines, changes: false };
        let doubt = Doubt::default();
        let opener = Purpose { changes: true, ..purpose }.pool(changes, &doubt);
        let opener = opener.connect_lazy_with(options.clone());
        let changes = Leases::of(changes, opener, access, deadlines, doubt.clone())?;
        let pool = purpose.pool(others, &doubt).connect_with(options.clone()).await?;
        let sealer = purpose.pool(1, &doubt).connect_lazy_with(options.clone());
        let positions = purpose.pool(1, &doubt).connect_lazy_with(options);
        let silence = deadlines.map(|deadlines| deadlines.silence);
        let gate = Gate::new(others, ACQUIRE_TIMEOUT, silence);
        let gatherer = Gatherer::default();
        Ok(Self { pool, changes, gatherer, sealer, positions, gate, citus })
    }

    /// The connections for reading.
    pub(super) fn readers(&self) -> Result<&PgPool> {
        Ok(&self.pool)
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>> {
        Ok(self.pool.begin().await?)
    }

    /// Runs a statement that writes and returns how many rows it affected.
    pub(super) async fn write(&self, statement: Statement<'_>) -> Result<u64> {
        Ok(statement.execute(&self.pool).await?.rows_affected())
    }
}

impl PgStore {
    /// Writes an entry about no orders.
    pub(super) async fn insert_entry(&self, entry: &AuditEntry, outcome: Outcome) -> Result<()> {
        audit::insert(&mut *self.pool.acquire().await?, entry, outcome, 0).await?;
        Ok(())
    }
}

/// The application of every connection of this program. Capture takes changes by others for plain
/// SQL. Poolers such as PgBouncer keep it with each client, unlike other settings.
pub(super) const APPLICATION: &str = "joc-orders";

/// How to connect to the database of a URL.
pub(super) fn options(url: &str) -> Result<PgConnectOptions> {
    let options =
        PgConnectOptions::from_str(url).map_err(|error| url::invalid(url, error.to_string()))?;
    // PgBouncer rejects startup parameters that it does not know, such as extra_float_digits; the
    // schema has no floats.
    Ok(options.application_name(APPLICATION).extra_float_digits(None))
}

/// Opens a connection for a command.
pub(super) async fn connect(url: &str, access: Access) -> Result<PgConnection> {
    connect_with(&options(url)?, access).await
}

async fn connect_with(options: &PgConnectOptions, access: Access) -> Result<PgConnection> {
    let mut connection = usable::connect(options).await?;
    Purpose { access, deadlines: None, changes: false }.prepare(&mut connection).await?;
    Ok(connection)
}

/// Retries a transaction after a deadlock or a serialization failure, which others cause, and once
/// if the server is read-only: after a switchover, a new connection may lead to the new primary.
pub(super) async fn retrying<T, F>(mut work: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut attempt = 1;
    loop {
        match work().await {
            Err(Error::ReadOnly(error)) if attempt == 1 => {
                tracing::debug!(%error, "trying another connection");
                attempt += 1;
            }
            Err(Error::Database(sqlx::Error::Database(error)))
                if attempt < ATTEMPTS
                    && matches!(error.code().as_deref(), Some("40001" | "40P01")) =>
            {
                tracing::debug!(attempt, %error, "retrying a transaction");
                metrics::counter!(RETRIES).increment(1);
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
