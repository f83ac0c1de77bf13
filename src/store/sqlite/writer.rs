//! The one writer of a file. An SQLite file takes one transaction after the other, and each ends
//! with a wait for the disk; so what is waiting together is done in one transaction, each unit
//! of work in a savepoint of its own, and nobody hears of success before it is committed.

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
use crate::store::shares::{self, Shares};
use crate::store::{Error, PoolUse, Result, health};

/// How many units of work may share a transaction: a limit to how long the first one waits for
/// the others.
const BATCH: usize = 64;

/// Whoever may write, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    /// Of one connection.
    pool: SqlitePool,
    watch: Option<Arc<Watch>>,
    /// What of one account may wait to be written: as much as is written together.
    shares: Shares,
    queue: Arc<Mutex<Queue>>,
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Whether a task writes, which looks here again before it ends.
    is_writing: bool,
    /// The connection between two transactions: for the pool to have it back and to give it out
    /// again costs as much as a statement.
    kept: Option<PoolConnection<Sqlite>>,
    /// How many want the connection for themselves, and wait for it at the pool.
    asking: usize,
}

/// A unit of work that tells its result once it is known whether the transaction was committed.
struct Job(Box<Work>);

/// Gets no connection where none could be had, or no transaction begun.
type Work = dyn for<'c> FnOnce(
        Result<&'c mut SqliteConnection, CommitFailure>,
    ) -> BoxFuture<'c, Option<FinishedJob>>
    + Send;

/// Why a transaction was not committed.
type CommitFailure = (ErrorKind, String);

/// Whether the transaction was committed.
type Committed = Result<(), CommitFailure>;

/// What is left of a unit of work that has been done.
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

    /// Fails if the file is not the one that was opened any more.
    fn check(&self) -> Result<()> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.check())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, for as long as it is wanted.
    pub(super) async fn connection(&self) -> Result<PoolConnection<Sqlite>> {
        self.check()?;
        let _asking = Asking::at(self);
        Ok(self.pool.acquire().await?)
    }

    /// A transaction of its own: it holds the file's write lock from its beginning.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        self.check()?;
        let _asking = Asking::at(self);
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// How the connection is used.
    pub(super) fn pool_use(&self) -> PoolUse {
        let kept = u32::from(self.queue().kept.is_some());
        let PoolUse { name, used, idle, max } = health::pool_use("write", &self.pool);
        PoolUse { name, used: used.saturating_sub(kept), idle: idle + kept, max }
    }

    /// Closes the connection, once whoever has it gives it back.
    pub(super) async fn close(&self) {
        let _asking = Asking::at(self);
        self.pool.close().await;
    }

    /// Writes what waits, until nothing does.
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
                // Whoever waits for one of the jobs learns that it was not begun.
                continue;
            }
            // A panic ends the batch and not the writer.
            let written = AssertUnwindSafe(write(&self.pool, kept, batch)).catch_unwind().await;
            let connection = written.unwrap_or_else(|_| {
                tracing::error!("a transaction broke off");
                None
            });
            let mut queue = self.queue();
            queue.kept = connection.filter(|_| queue.asking == 0);
        }
    }

    /// Does some work in a transaction, alone or with others, and gives its result once it is
    /// committed; a failure takes back what the work has done.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        self.check()?;
        let _share = self.shares.take(shares::account()).await?;
        let (begins, mut begun) = oneshot::channel();
        let (sender, result) = oneshot::channel();
        let span = Span::current();
        let job = Job(Box::new(move |connection| {
            let work = async move {
                // Nobody waits for it any more.
                begins.send(()).ok()?;
                let result = match connection {
                    Ok(connection) => work(connection).await,
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
        }));
        let crashed = |_| Error::from(sqlx::Error::WorkerCrashed);
        let is_writing = {
            let mut queue = self.queue();
            queue.jobs.push_back(job);
            mem::replace(&mut queue.is_writing, true)
        };
        if !is_writing {
            // By the thread of the caller, who need not be woken by another one then.
            tokio::spawn(self.clone().write());
        }
        if !has_begun(&mut begun, TIMEOUT).await {
            return Err(sqlx::Error::PoolTimedOut.into());
        }
        result.await.map_err(crashed)?
    }
}

/// Somebody who wants the connection; it is kept from nobody.
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

/// Lets another task write if this one is given up, as its runtime ends.
struct Ends<'w>(&'w Writer);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.queue().is_writing = false;
    }
}

/// Whether work begins in time; if not, it never will. What could not begin at all has a result
/// nonetheless: an error.
async fn has_begun(begun: &mut oneshot::Receiver<()>, patience: Duration) -> bool {
    if tokio::time::timeout(patience, &mut *begun).await.is_ok() {
        return true;
    }
    begun.close();
    begun.try_recv().is_ok()
}

/// Does the jobs in one transaction, and tells their results after it. Gives the connection back
/// if it can be used again.
async fn write(
    pool: &SqlitePool,
    kept: Option<PoolConnection<Sqlite>>,
    batch: Vec<Job>,
) -> Option<PoolConnection<Sqlite>> {
    let mut done = Vec::with_capacity(batch.len());
    let mut batch = batch.into_iter();
    let (committed, connection) = match transact(pool, kept, &mut batch, &mut done).await {
        Ok(connection) => (Ok(()), Some(connection)),
        Err(error) => {
            let error = Error::from(error);
            tracing::warn!(%error, "a transaction was not committed");
            let kind = match error {
                Error::NoRoom(_) => ErrorKind::StorageFull,
                Error::ReadOnly(_) => ErrorKind::ReadOnlyFilesystem,
                _ => ErrorKind::Other,
            };
            let refused = (kind, error.to_string());
            for Job(work) in batch {
                done.extend(work(Err(refused.clone())).await);
            }
            (Err(refused), None)
        }
    };
    // Where work has failed, the pool looks at the connection.
    let connection = connection.filter(|_| done.iter().all(|done| done.succeeded));
    for FinishedJob { tell, .. } in done {
        tell(committed.clone());
    }
    connection
}

fn refusal((kind, text): CommitFailure) -> Error {
    sqlx::Error::Io(io::Error::new(kind, text)).into()
}

async fn transact(
    pool: &SqlitePool,
    kept: Option<PoolConnection<Sqlite>>,
    batch: &mut std::vec::IntoIter<Job>,
    done: &mut Vec<FinishedJob>,
) -> sqlx::Result<PoolConnection<Sqlite>> {
    let mut connection = match kept {
        Some(connection) => connection,
        None => pool.acquire().await?,
    };
    // The file's write lock from the beginning.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let alone = batch.len() == 1;
    let mut savepoint = "SAVEPOINT job";
    for Job(work) in batch {
        if !alone {
            transaction.execute(savepoint).await?;
            savepoint = "RELEASE job; SAVEPOINT job";
        }
        let Some(job) = work(Ok(&mut transaction)).await else {
            continue;
        };
        let succeeded = job.succeeded;
        done.push(job);
        if !succeeded && alone {
            transaction.rollback().await?;
            return Ok(connection);
        }
        if !succeeded {
            transaction.execute("ROLLBACK TO job").await?;
        }
    }
    transaction.commit().await?;
    Ok(connection)
}
