//! The one writer of a file. SQLite runs one write transaction at a time, and each commit waits for
//! the disk. So jobs that wait together share a transaction, each in a savepoint of its own, and
//! report success only after the commit. A job that waits alone can be one text with its transaction.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Formatter};
use std::io::{self, ErrorKind};
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool};
use sqlx::{Connection, Executor, Transaction};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::file::TIMEOUT;
use super::watch::Watch;
use crate::store::shares::{self, Share, Shares};
use crate::store::{Error, PoolUse, Result, health};

/// The maximum number of jobs in a transaction, which limits how long the first waits for the others.
const BATCH: usize = 64;

/// Serializes writes.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    /// A pool of one connection.
    pool: SqlitePool,
    watch: Option<Arc<Watch>>,
    /// Limits the waiting jobs of one account to a transaction's worth.
    shares: Shares,
    queue: Arc<Mutex<Queue>>,
}

/// The waiting jobs.
#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Whether a task is writing; it checks the queue again before it ends.
    is_writing: bool,
    /// The connection between two transactions. Returning it to the pool and acquiring it again would
    /// cost as much as a statement.
    kept: Option<PoolConnection<Sqlite>>,
    /// How many tasks wait for exclusive use of the connection.
    asking: usize,
}

/// A unit of work that reports its result once the outcome of the transaction is known.
struct Job {
    /// Whether it is one text, which can hold the beginning and the end of what it runs in.
    is_text: bool,
    work: Box<Work>,
}

/// Gets an error instead of a connection if no transaction could begin.
type Work = dyn for<'c> FnOnce(
        Result<(&'c mut SqliteConnection, Around), CommitFailure>,
    ) -> BoxFuture<'c, Option<FinishedJob>>
    + Send;

/// What the text of a job begins and ends with. Handing a text to SQLite's thread and waiting for it
/// takes about as long as a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub begin: &'static str,
    pub end: &'static str,
}

impl Around {
    /// For a job that waits alone.
    const TRANSACTION: Self = Self { begin: "BEGIN IMMEDIATE;\n", end: "COMMIT" };
    /// For one of several.
    const SAVEPOINT: Self = Self { begin: "SAVEPOINT job;\n", end: "RELEASE job" };
    /// Where these have texts of their own.
    pub(super) const NOTHING: Self = Self { begin: "", end: "" };
}

/// Why a transaction was not committed.
type CommitFailure = (ErrorKind, String);

/// Whether the transaction was committed.
type Committed = Result<(), CommitFailure>;

/// A job that has run and must report its result.
struct FinishedJob {
    succeeded: bool,
    tell: Box<dyn FnOnce(Committed) + Send>,
}

impl Debug for Job {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

impl Writer {
    /// A writer over a pool of one connection.
    pub(super) fn over(pool: SqlitePool, watch: Option<Arc<Watch>>) -> Self {
        Self { pool, watch, shares: Shares::of(BATCH, TIMEOUT), queue: Arc::default() }
    }

    /// Fails if the file is no longer the one that was opened.
    fn check(&self) -> Result<()> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.check())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acquires the connection for exclusive use.
    pub(super) async fn connection(&self) -> Result<PoolConnection<Sqlite>> {
        self.check()?;
        let _asking = Asking::at(self);
        Ok(self.pool.acquire().await?)
    }

    /// Begins an exclusive transaction, which holds the file's write lock from the start.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        self.check()?;
        let _asking = Asking::at(self);
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// The use of the connection.
    pub(super) fn pool_use(&self) -> PoolUse {
        let kept = u32::from(self.queue().kept.is_some());
        let PoolUse { name, used, idle, max } = health::pool_use("write", &self.pool);
        PoolUse { name, used: used.saturating_sub(kept), idle: idle + kept, max }
    }

    /// Closes the connection once it is returned.
    pub(super) async fn close(&self) {
        let _asking = Asking::at(self);
        self.pool.close().await;
    }

    /// Runs jobs until none is waiting.
    async fn write(self) {
        let ends = Ends(&self);
        loop {
            let (batch, kept) = {
                let mut queue = self.queue();
                if queue.jobs.is_empty() {
                    queue.is_writing = false;
                    return mem::forget(ends);
                }
                let size = queue.jobs.len().min(BATCH);
                (queue.jobs.drain(..size).collect(), queue.kept.take())
            };
            if self.check().is_err() {
                // Dropping the jobs tells those who wait that they did not start.
                continue;
            }
            // A panic ends the batch but not the writer.
            let written = AssertUnwindSafe(write(&self.pool, kept, batch)).catch_unwind().await;
            let connection = written.unwrap_or_else(|_| {
                tracing::error!("a transaction panicked");
                None
            });
            let mut queue = self.queue();
            queue.kept = connection.filter(|_| queue.asking == 0);
        }
    }

    /// Runs work in a transaction, alone or with other jobs, and returns its result after the commit.
    /// If the work fails, its changes are rolled back.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        self.enqueue(false, move |connection, _| work(connection)).await
    }

    /// As [`Writer::run`], for work that runs a single text, and puts what is [`Around`] it into it.
    pub(super) async fn run_text<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection, Around) -> BoxFuture<'c, Result<T>>
            + Send
            + 'static,
    {
        self.enqueue(true, work).await
    }

    /// A part of what the current account may use of the writer at a time.
    pub(super) async fn share(&self) -> Result<Share> {
        self.shares.take(shares::account()).await
    }

    async fn enqueue<T, F>(&self, is_text: bool, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection, Around) -> BoxFuture<'c, Result<T>>
            + Send
            + 'static,
    {
        self.check()?;
        let _share = self.share().await?;
        let (begins, mut begun) = oneshot::channel();
        let (sender, result) = oneshot::channel();
        let span = Span::current();
        let work: Box<Work> = Box::new(move |connection| {
            let work = async move {
                // The caller no longer waits.
                begins.send(()).ok()?;
                let result = match connection {
                    Ok((connection, around)) => work(connection, around).await,
                    Err(refused) => Err(refusal(refused)),
                };
                Some(FinishedJob {
                    succeeded: result.is_ok(),
                    tell: Box::new(move |committed| {
                        let result =
                            result.and_then(|value| committed.map(|()| value).map_err(refusal));
                        let _gone = sender.send(result);
                    }),
                })
            };
            Box::pin(work.instrument(span))
        });
        let crashed = |_| Error::from(sqlx::Error::WorkerCrashed);
        let is_writing = {
            let mut queue = self.queue();
            queue.jobs.push_back(Job { is_text, work });
            mem::replace(&mut queue.is_writing, true)
        };
        if !is_writing {
            // On the caller's thread, which then need not be woken by another one.
            tokio::spawn(self.clone().write());
        }
        if !has_begun(&mut begun, TIMEOUT).await {
            return Err(sqlx::Error::PoolTimedOut.into());
        }
        result.await.map_err(crashed)?
    }
}

/// A task waiting for exclusive use of the connection.
struct Asking<'w>(&'w Writer);

impl<'w> Asking<'w> {
    fn at(writer: &'w Writer) -> Self {
        let mut queue = writer.queue();
        queue.asking += 1;
        queue.kept = None;
        Self(writer)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.queue().asking -= 1;
    }
}

/// Lets another task write if this one is dropped with its runtime.
struct Ends<'w>(&'w Writer);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.queue().is_writing = false;
    }
}

/// Whether work begins in time; if not, it never will. Work that gets no transaction counts as begun:
/// its result is an error.
async fn has_begun(begun: &mut oneshot::Receiver<()>, patience: Duration) -> bool {
    if tokio::time::timeout(patience, &mut *begun).await.is_ok() {
        return true;
    }
    begun.close();
    begun.try_recv().is_ok()
}

/// Runs jobs in one transaction and then reports their results. Returns the connection if it can be
/// used again.
async fn write(
    pool: &SqlitePool,
    kept: Option<PoolConnection<Sqlite>>,
    batch: Vec<Job>,
) -> Option<PoolConnection<Sqlite>> {
    let mut done = Vec::with_capacity(batch.len());
    let mut batch = batch.into_iter();
    let (committed, connection) = match transact(pool, kept, &mut batch, &mut done).await {
        Ok(connection) => (Ok(()), connection),
        Err(error) => {
            let error = Error::from(error);
            tracing::warn!(%error, "cannot commit a transaction");
            let kind = match error {
                Error::NoRoom(_) => ErrorKind::StorageFull,
                Error::ReadOnly(_) => ErrorKind::ReadOnlyFilesystem,
                _ => ErrorKind::Other,
            };
            let refused = (kind, error.to_string());
            for Job { work, .. } in batch {
                done.extend(work(Err(refused.clone())).await);
            }
            (Err(refused), None)
        }
    };
    // If a job failed, the pool must test the connection.
    let connection = connection.filter(|_| done.iter().all(|done| done.succeeded));
    for FinishedJob { tell, .. } in done {
        tell(committed.clone());
    }
    connection
}

fn refusal((kind, text): CommitFailure) -> Error {
    sqlx::Error::Io(io::Error::new(kind, text)).into()
}

/// A connection whose transactions sqlx does not know. It is closed if it is dropped, which rolls back.
struct Unmanaged(Option<PoolConnection<Sqlite>>);

impl Unmanaged {
    fn on(connection: PoolConnection<Sqlite>) -> Self {
        Self(Some(connection))
    }

    fn connection(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Ends the use of the connection. Rolls back if the transaction has failed.
    async fn end(mut self, succeeded: bool) -> Option<PoolConnection<Sqlite>> {
        if !succeeded && let Ok(connection) = self.connection() {
            // SQLite may have rolled back by itself.
            let _ended = connection.execute("ROLLBACK").await;
        }
        self.0.take()
    }
}

impl Drop for Unmanaged {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take() {
            connection.close_on_drop();
        }
    }
}

async fn transact(
    pool: &SqlitePool,
    kept: Option<PoolConnection<Sqlite>>,
    batch: &mut std::vec::IntoIter<Job>,
    done: &mut Vec<FinishedJob>,
) -> sqlx::Result<Option<PoolConnection<Sqlite>>> {
    let mut connection = match kept {
        Some(connection) => connection,
        None => pool.acquire().await?,
    };
    let alone = batch.len() == 1;
    if alone && batch.as_slice().iter().all(|job| job.is_text) {
        let mut unmanaged = Unmanaged::on(connection);
        for Job { work, .. } in batch {
            done.extend(work(Ok((unmanaged.connection()?, Around::TRANSACTION))).await);
        }
        let succeeded = done.iter().all(|done| done.succeeded);
        return Ok(unmanaged.end(succeeded).await);
    }
    // Take the file's write lock at once.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for Job { work, is_text } in batch {
        let around = if is_text { Around::SAVEPOINT } else { Around::NOTHING };
        let in_savepoint = !alone && !is_text;
        if in_savepoint {
            transaction.execute(Around::SAVEPOINT.begin).await?;
        }
        let Some(job) = work(Ok((&mut transaction, around))).await else {
            continue;
        };
        let succeeded = job.succeeded;
        done.push(job);
        if !succeeded && alone {
            transaction.rollback().await?;
            return Ok(Some(connection));
        }
        if !succeeded {
            transaction.execute("ROLLBACK TO job; RELEASE job").await?;
        } else if in_savepoint {
            transaction.execute(Around::SAVEPOINT.end).await?;
        }
    }
    transaction.commit().await?;
    Ok(Some(connection))
}
