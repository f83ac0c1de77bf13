//! Prepares connections for their use, and checks whether they can be used again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row};
use tokio::time::timeout;
use tracing::Instrument;

use crate::store::{Access, Deadlines, Position};

/// How long a request waits for a free connection.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is assumed to be alive.
pub(super) const TRUSTED: Duration = Duration::from_secs(1);
/// How long an idle connection may take to respond.
const ANSWER: Duration = Duration::from_secs(2);

/// Settings with which the server detects lost clients, in its units: it closes a silent connection
/// after 25 seconds, and checks twice a second during a statement whether the client has closed it.
const TCP: [(&str, u128); 4] = [
    ("tcp_keepalives_idle", 10),
    ("tcp_keepalives_interval", 5),
    ("tcp_keepalives_count", 3),
    ("client_connection_check_interval", 500),
];
/// How long data sent to a service may stay unacknowledged, in milliseconds. The service does not
/// read while a list waits for its reader, so this is longer than that wait.
const TCP_USER_TIMEOUT: u128 = 40_000;
/// How many seconds a client may take between two statements of a transaction.
const PAUSE: f64 = 3.0;
/// How long a service may be idle in a transaction, which holds locks.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);
/// How long a service waits for a lock.
const LOCK: Duration = Duration::from_secs(30);

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    pub access: Access,
    /// Set for a service; other commands have no limits.
    pub deadlines: Option<Deadlines>,
    /// Whether it changes orders.
    pub changes: bool,
}

impl Purpose {
    /// Configures a new connection. Not by startup parameters, which poolers such as PgBouncer
    /// reject.
    pub(super) async fn prepare(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let mut limits: Vec<_> = TCP.into();
        if let Some(deadlines) = self.deadlines {
            limits.push(("tcp_user_timeout", TCP_USER_TIMEOUT));
            let idle = IDLE_IN_TRANSACTION.as_millis();
            limits.push(("idle_in_transaction_session_timeout", idle));
            limits.push(("lock_timeout", LOCK.as_millis()));
            if self.changes {
                limits.push(("statement_timeout", deadlines.change.as_millis()));
            }
        }
        let limits: Vec<_> =
            limits.iter().map(|(name, value)| format!("('{name}', {value})")).collect();
        let read_only = if self.access == Access::Read { "on" } else { "DEFAULT" };
        // Living orders are cached, so random access costs little more than sequential access. No
        // statement runs long enough to win back the time for compiling it. A stricter limit of the
        // role or the server is kept. client_connection_check_interval needs Linux.
        let sql = format!(
            "SET random_page_cost = 1.1;
             SET jit = off;
             SET default_transaction_read_only = {read_only};
             SELECT set_config(s.name, l.value::text, false)
             FROM (VALUES {}) l (name, value) JOIN pg_settings s USING (name)
             WHERE (s.setting = '0' OR s.setting::bigint > l.value)
                 AND (s.name <> 'client_connection_check_interval' OR version() LIKE '%linux%')",
            limits.join(", ")
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
        Ok(())
    }

    /// A pool of such connections. It replaces connections that do not respond, or whose server has
    /// become read-only although they write.
    pub(super) fn pool(self, connections: u32, doubt: &Doubt) -> PgPoolOptions {
        let writes = self.access != Access::Read;
        let doubt = doubt.clone();
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| Box::pin(self.prepare(connection)))
            // A connection used a moment ago need not be tested.
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                let doubt = doubt.clone();
                Box::pin(async move { Ok(doubt.clears(connection, meta.idle_for, writes).await) })
            })
            // Otherwise sqlx would test it, without a timeout.
            .after_release(move |connection, _| {
                let asking = async move { Ok(is_usable(connection, writes).await == Some(true)) };
                // Outside of the request's span.
                Box::pin(asking.instrument(tracing::info_span!("released")))
            })
    }
}

/// Since when idle connections are suspect: if one was lost silently, for example in a firewall that
/// has dropped its state, others probably were too.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubt(Arc<Mutex<Option<Instant>>>);

impl Doubt {
    /// Makes every connection that is idle now suspect.
    pub(super) fn raise(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection that has been idle for this long can be used.
    pub(super) async fn clears(
        &self,
        connection: &mut PgConnection,
        idle_for: Duration,
        writes: bool,
    ) -> bool {
        let raised = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if raised.is_some_and(|raised| raised.elapsed() <= idle_for) {
            return false;
        }
        if idle_for < TRUSTED {
            return true;
        }
        let is_usable = is_usable(connection, writes).await;
        if is_usable.is_none() {
            self.raise();
        }
        is_usable == Some(true)
    }
}

/// Whether a connection can be used for its purpose; `None` if it does not respond in time.
async fn is_usable(connection: &mut PgConnection, writes: bool) -> Option<bool> {
    ask(connection).await.map(|reads_only| !(writes && reads_only))
}

/// Whether transactions on this connection are read-only; `None` if it does not respond in time.
pub(super) async fn ask(connection: &mut PgConnection) -> Option<bool> {
    timeout(ANSWER, is_on(connection, "SHOW transaction_read_only")).await.ok()?.ok()
}

/// Whether a setting of the server or the session is on.
pub(super) async fn is_on(connection: &mut PgConnection, show: &'static str) -> sqlx::Result<bool> {
    let row = sqlx::raw_sql(show).fetch_one(connection).await?;
    Ok(row.try_get::<&str, _>(0)? == "on")
}

/// How far the server's write-ahead log reaches.
pub(super) async fn position(connection: &mut PgConnection) -> sqlx::Result<Position> {
    let row = sqlx::raw_sql(
        "SELECT s.system_identifier || '/' || current_database(),
             coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                 ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn, 0)::bigint
         FROM pg_control_system() s",
    )
    .fetch_one(connection)
    .await?;
    Ok(Position { of: row.try_get(0)?, at: row.try_get::<i64, _>(1)?.unsigned_abs() })
}

/// The id of the server process of a connection. Not a prepared statement, which would fail first
/// behind a pooler that shares sessions.
pub(super) async fn process(connection: &mut PgConnection) -> sqlx::Result<i32> {
    let row = timeout(ANSWER, sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection)).await;
    row.unwrap_or(Err(sqlx::Error::PoolTimedOut))?.try_get(0)
}

/// Whether a server process is still working for its client, or was a moment ago.
pub(super) async fn works(options: &PgConnectOptions, process: i32) -> bool {
    let asking = async {
        use sqlx::{ConnectOptions, Connection};
        let mut connection = options.connect().await?;
        let works = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND (
                 state IS DISTINCT FROM 'idle'
                 OR clock_timestamp() < state_change + make_interval(secs => $2)))",
        )
        .bind(process)
        .bind(PAUSE)
        .persistent(false)
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok::<bool, sqlx::Error>(works)
    };
    match timeout(ACQUIRE_TIMEOUT, asking).await {
        Ok(Ok(works)) => works,
        // For example, the server has no connection left.
        Ok(Err(sqlx::Error::Database(_))) => true,
        Ok(Err(_)) | Err(_) => false,
    }
}
