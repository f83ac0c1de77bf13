//! The one writer of a file. An SQLite file takes one transaction after the other, and each ends
//! with a wait for the disk; so what is waiting together is done in one transaction, each unit
//! of work in a savepoint of its own, and nobody hears of success before it is committed.

use std::io::{self, ErrorKind};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool};
use sqlx::{Connection, Executor};
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, Span};

use super::TIMEOUT;
use crate::store::{Error, Result};

/// How many units of work may share a transaction: a limit to how long the first one waits for
/// the others.
const BATCH: usize = 64;

/// Whoever may write, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::UnboundedSender<Job>,
}

/// A unit of work that tells its result once it is known whether the transaction was committed.
struct Job(Box<Work>);

type Work = dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Option<Done>> + Send;

/// Whether the transaction was committed, and if not, why.
type Committed = Result<(), (ErrorKind, String)>;

/// What is left of a unit of work that has been done.
struct Done {
    succeeded: bool,
    tell: Box<dyn FnOnce(Committed) + Send>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Writer {
    /// A writer over a pool of one connection. It ends with its last clone.
    pub(super) fn start(pool: SqlitePool) -> Self {
        let (jobs, mut waiting) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut kept = None;
            while let Some(first) = waiting.recv().await {
                let mut batch: Vec<Job> = vec![first];
                while batch.len() < BATCH
                    && let Ok(job) = waiting.try_recv()
                {
                    batch.push(job);
                }
                // A panic ends the batch and not the writer.
                let written = AssertUnwindSafe(write(&pool, kept.take(), batch)).catch_unwind();
                let connection = written.await.unwrap_or_else(|_| {
                    tracing::error!("a transaction broke off");
                    None
                });
                // To give it back and to take it again costs as much as a statement.
                kept = connection.filter(|_| !waiting.is_empty());
            }
        });
        Self { jobs }
    }

    /// Does some work in a transaction, alone or with others, and gives its result once it is
    /// committed; a failure takes back what the work has done.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let (begins, mut begun) = oneshot::channel();
        let (sender, result) = oneshot::channel();
        let span = Span::current();
        let job = Job(Box::new(move |connection| {
            let work = async move {
                // Nobody waits for it any more.
                begins.send(()).ok()?;
                let result = work(connection).await;
                Some(Done {
                    succeeded: result.is_ok(),
                    tell: Box::new(move |committed| {
                        let result = result.and_then(|value| {
                            committed.map_err(|(kind, text)| {
                                sqlx::Error::Io(io::Error::new(kind, text))
                            })?;
                            Ok(value)
                        });
                        let _gone = sender.send(result);
                    }),
                })
            };
            Box::pin(work.instrument(span))
        }));
        let crashed = |_| Error::from(sqlx::Error::WorkerCrashed);
        self.jobs.send(job).map_err(|_| Error::from(sqlx::Error::WorkerCrashed))?;
        if !has_begun(&mut begun, TIMEOUT).await {
            return Err(sqlx::Error::PoolTimedOut.into());
        }
        result.await.map_err(crashed)?
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
    let (committed, connection) = match transact(pool, kept, batch, &mut done).await {
        Ok(connection) => (Ok(()), Some(connection)),
        Err(error) => {
            let error = Error::from(error);
            tracing::warn!(%error, "a transaction was not committed");
            let full = matches!(error, Error::NoRoom(_));
            let kind = if full { ErrorKind::StorageFull } else { ErrorKind::Other };
            (Err((kind, error.to_string())), None)
        }
    };
    for Done { tell, .. } in done {
        tell(committed.clone());
    }
    connection
}

async fn transact(
    pool: &SqlitePool,
    kept: Option<PoolConnection<Sqlite>>,
    batch: Vec<Job>,
    done: &mut Vec<Done>,
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
        let Some(job) = work(&mut transaction).await else {
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
