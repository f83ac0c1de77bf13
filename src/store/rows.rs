//! Results that may take long. Their rows come as a stream, so that the service never holds all of
//! them. A statement ends once nobody waits for its result.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::database::HasStatementCache;
use sqlx::pool::PoolConnection;
use sqlx::{Executor, FromRow, IntoArguments, Pool};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::{OwnedRwLockReadGuard, OwnedSemaphorePermit, RwLock, Semaphore};
use tracing::Instrument;

use super::list::Wanted;
use super::shares::{self, Share, Shares};
use super::sql::{Dialect, Sql};
use super::{Error, Result};

/// How many rows a batch has.
const BATCH: usize = 32;
/// How many batches may wait for the reader.
const QUEUED: usize = 2;
/// How long a batch waits for its reader before the connection is taken away: a reader that has
/// stopped must not hold a connection or a snapshot. (Responses are read ahead of their clients, so
/// slow clients do not count.)
const PATIENCE: Duration = Duration::from_secs(30);

/// Limits long results to half of a pool's connections, so that short work, such as a session or a
/// change, finds one. One account can have all connections but one, and all of those for long
/// results but one.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    free: Arc<Semaphore>,
    patience: Duration,
    /// How long the next rows may take: a lost connection may never report an error.
    silence: Option<Duration>,
    /// Shared by the results that are being read from the database.
    reading: Arc<RwLock<()>>,
    /// Limits an account's share of all connections.
    shares: Shares,
    /// Limits an account's share of the connections for long results.
    streams: Shares,
}

impl Gate {
    /// A gate for a pool. `patience` is how long to wait for a connection, `silence` how long the
    /// next rows may take.
    pub(super) fn new(connections: u32, patience: Duration, silence: Option<Duration>) -> Self {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        let streams = (connections / 2).max(1);
        Self {
            free: Arc::new(Semaphore::new(streams)),
            patience,
            silence,
            reading: Arc::default(),
            shares: Shares::of(connections.saturating_sub(1), patience),
            streams: Shares::of(streams.saturating_sub(1), patience),
        }
    }

    /// Waits for a place, which a result keeps until its reader is done, since rows read ahead use
    /// memory, too. Waiting behind one's own account does not block other accounts.
    async fn enter(&self, account: Option<Arc<str>>) -> Result<(Share, OwnedSemaphorePermit)> {
        let stream = self.streams.take(account).await?;
        Ok((stream, shares::acquire(self.free.clone(), self.patience).await?))
    }

    /// Waits while the gate is shut.
    async fn read(&self) -> OwnedRwLockReadGuard<()> {
        self.reading.clone().read_owned().await
    }

    /// Waits until no long result is being read; none can start while the guard lives.
    #[cfg(feature = "sqlite")]
    pub(super) async fn shut(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        self.reading.clone().write_owned().await
    }
}

/// A connection that runs a statement. Dropping it early closes it: the database then aborts the
/// statement, and the rest of the result need not be read.
struct Working<DB: Dialect> {
    connection: Option<PoolConnection<DB>>,
    is_abandoned: Arc<AtomicBool>,
}

impl<DB: Dialect> Working<DB> {
    async fn on(pool: &Pool<DB>) -> Result<Self> {
        let mut connection = pool.acquire().await?;
        let is_abandoned = Arc::<AtomicBool>::default();
        DB::end_once(&mut connection, is_abandoned.clone()).await?;
        Ok(Self { connection: Some(connection), is_abandoned })
    }

    fn connection(&mut self) -> Result<&mut DB::Connection> {
        Ok(self.connection.as_deref_mut().ok_or(sqlx::Error::PoolClosed)?)
    }

    /// The statement has ended.
    fn end(mut self) {
        self.connection = None;
    }
}

impl<DB: Dialect> Drop for Working<DB> {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            self.is_abandoned.store(true, Ordering::Relaxed);
            connection.close_on_drop();
        }
    }
}

/// All rows of a query that may take long; `is_kept` says whether one plan fits it whatever its
/// values.
pub(super) async fn all<DB, T>(
    gate: &Gate,
    pool: &Pool<DB>,
    mut sql: Sql<DB>,
    is_kept: bool,
) -> Result<Vec<T>>
where
    DB: Dialect + HasStatementCache,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    T: for<'r> FromRow<'r, DB::Row> + Send + Unpin,
{
    // Dropped after the connection.
    let _share = gate.shares.take(shares::account()).await?;
    let mut working = Working::on(pool).await?;
    let query = sql.builder().build_query_as::<T>().persistent(is_kept || DB::PLANS_ANEW);
    let rows = query.fetch_all(working.connection()?).await;
    working.end();
    Ok(rows?)
}

/// What the task sends: a result that ends without [`Handover::End`] is incomplete.
enum Handover<T> {
    Rows(Vec<T>),
    End,
}

/// Which of a query's rows to pass on: the wanted ones, up to a limit. Applied here rather than by
/// the reader, so that the connection is free once there are enough.
pub(super) struct Sieve<T> {
    wanted: Option<Wanted<T>>,
    left: Option<u64>,
}

impl<T> Default for Sieve<T> {
    fn default() -> Self {
        Self { wanted: None, left: None }
    }
}

impl<T> Sieve<T> {
    /// `limit` is for wanted rows; without `wanted`, the query itself has the limit.
    pub(super) fn of(wanted: Option<Wanted<T>>, limit: Option<u64>) -> Self {
        Self { left: limit.filter(|_| wanted.is_some()), wanted }
    }

    fn sift(&mut self, rows: &mut Vec<T>) {
        if let Some(wanted) = &self.wanted {
            rows.retain(wanted);
        }
        if let Some(left) = &mut self.left {
            rows.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= rows.len() as u64;
        }
    }

    fn is_full(&self) -> bool {
        self.left == Some(0)
    }
}

/// The rows of a query. A task holds the connection until the last row is read or the stream is
/// dropped. The place behind the gate is free only once the stream is dropped.
pub(super) fn stream<DB, T>(
    gate: Gate,
    pool: Pool<DB>,
    sql: Sql<DB>,
    sieve: Sieve<T>,
) -> BoxStream<'static, Result<T>>
where
    DB: Dialect + HasStatementCache,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    T: for<'r> FromRow<'r, DB::Row> + Send + Unpin + 'static,
{
    let (sender, receiver) = mpsc::channel(QUEUED);
    let place = Arc::new(OnceLock::new());
    let kept = place.clone();
    let silence = gate.silence.unwrap_or(Duration::MAX);
    let account = shares::account();
    let sending = async move {
        let sent = async {
            let begins = async {
                let _full = place.set(gate.enter(account.clone()).await?);
                let share = gate.shares.take(account).await?;
                Ok::<_, Error>((share, gate.read().await))
            };
            // Dropped after the connection.
            let _held = tokio::select! {
                () = sender.closed() => return Err(sqlx::Error::WorkerCrashed.into()),
                held = begins => held?,
            };
            send(pool, sql, sieve, silence, &sender).await
        };
        // If the reader has gone, there is nobody to tell.
        let _gone = match sent.await {
            Ok(()) => sender.send(Ok(Handover::End)).await,
            Err(error) => sender.send(Err(error)).await,
        };
    };
    tokio::spawn(sending.in_current_span());
    let batches = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(Handover::Rows(rows))) => Some((Ok(rows), Some(receiver))),
            Some(Ok(Handover::End)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(sqlx::Error::WorkerCrashed.into()), None)),
        }
    });
    batches
        .flat_map(|batch| match batch {
            Ok(rows) => stream::iter(rows.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        })
        .inspect(move |_| {
            let _kept = &kept;
        })
        .boxed()
}

/// Reads all rows, or until there are enough or the reader has gone.
async fn send<DB, T>(
    pool: Pool<DB>,
    mut sql: Sql<DB>,
    mut sieve: Sieve<T>,
    silence: Duration,
    sender: &Sender<Result<Handover<T>>>,
) -> Result<()>
where
    DB: Dialect + HasStatementCache,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    T: for<'r> FromRow<'r, DB::Row> + Send + Unpin,
{
    let mut working = Working::on(&pool).await?;
    let outcome = {
        // One plan does not suit all values. PostgreSQL plans an unnamed statement for its own
        // values; SQLite does so for kept statements, too.
        let query = sql.builder().build_query_as::<T>().persistent(DB::PLANS_ANEW);
        let mut rows = query.fetch(working.connection()?).ready_chunks(BATCH);
        loop {
            let batch = tokio::select! {
                () = sender.closed() => break Err(Error::Database(sqlx::Error::WorkerCrashed)),
                batch = tokio::time::timeout(silence, rows.next()) => match batch {
                    Ok(batch) => batch,
                    Err(_) => break Err(sqlx::Error::PoolTimedOut.into()),
                },
            };
            let Some(batch) = batch else { break Ok(true) };
            let mut batch = match batch.into_iter().collect::<sqlx::Result<Vec<T>>>() {
                Ok(batch) => batch,
                Err(error) => break Err(error.into()),
            };
            sieve.sift(&mut batch);
            if batch.is_empty() {
                continue;
            }
            let sent = sender.send_timeout(Ok(Handover::Rows(batch)), PATIENCE).await;
            if sent.is_err() {
                break Err(sqlx::Error::PoolTimedOut.into());
            }
            if sieve.is_full() {
                break Ok(false);
            }
        }
    };
    if matches!(outcome, Ok(true)) {
        working.end();
    }
    outcome.map(drop)
}
