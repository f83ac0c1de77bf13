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
use tokio::sync::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock, Semaphore,
};
use tracing::Instrument;

use super::list::Wanted;
use super::shares::{self, Share, Shares};
use super::sql::{Dialect, Sql};
use super::{Error, Result};

/// How many rows are handed over at a time.
const BATCH: usize = 32;
/// How many batches may wait for the reader.
const QUEUED: usize = 2;
/// How long a batch waits for the reader before the connection is taken away: a reader that stopped
/// must not hold a connection or a snapshot. (Responses are read ahead of their clients, so slow
/// clients do not count as such.)
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets long results have half of a pool's connections, so that what is short, such as a session
/// or a change, finds one however many of them there are. One account can have all connections but
/// one, and of those for long results likewise.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    free: Arc<Semaphore>,
    patience: Duration,
    /// How long the database may take to the next rows: a lost connection may never say so.
    silence: Option<Duration>,
    /// Shared by those that are being read from the database.
    reading: Arc<RwLock<()>>,
    /// Of all connections.
    shares: Shares,
    /// Of those for long results.
    streams: Shares,
}

impl Gate {
    /// A gate before a pool; `patience` is how long the pool lets a call wait for a connection,
    /// `silence` how long the database may take to the next rows.
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

    /// Waits for a place, which a result keeps until its reader is done with it: what was read
    /// ahead takes room, too. What waits for others of its account keeps nobody else waiting.
    async fn enter(&self, account: Option<Arc<str>>) -> Result<(Share, OwnedSemaphorePermit)> {
        let stream = self.streams.take(account).await?;
        Ok((stream, shares::acquire(self.free.clone(), self.patience).await?))
    }

    /// Waits while the gate is shut.
    async fn read(&self) -> OwnedRwLockReadGuard<()> {
        self.reading.clone().read_owned().await
    }

    /// Waits until no long result is being read, and lets none begin for as long as the guard
    /// lives.
    pub(super) async fn shut(&self) -> OwnedRwLockWriteGuard<()> {
        self.reading.clone().write_owned().await
    }
}

/// A connection that runs a statement. If dropped before the end, it is closed: the database then
/// aborts the statement, and the rest of the result need not be read.
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

/// What is handed over: a result that ends without [`Handover::End`] is not complete.
enum Handover<T> {
    Rows(Vec<T>),
    End,
}

/// Which of a query's rows are handed over, if not all: those that are wanted, up to a number of
/// them. Here and not where they are read, so that the connection is free once there are enough.
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
    /// The limit is for those that are wanted; without that, the query has it.
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

/// The rows of a query on a connection of the pool, which a task of its own holds until the last
/// row is read or the stream is dropped. The place behind the gate is free once the stream is
/// dropped.
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
        // Nobody is left to hear of a reader that has gone.
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

/// Reads every row, or as many as are wanted or there is a reader for.
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
        // One plan does not fit all: PostgreSQL makes one for these very parameters. SQLite does so
        // for a statement that is kept, too.
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
