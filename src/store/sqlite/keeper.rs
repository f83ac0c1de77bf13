//! Looks after the open file: keeps the write-ahead log short, and closes a database whose file was
//! removed or replaced.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::file::{LOG, TIMEOUT, optimize};
use super::watch::Watch;
use super::writer::Writer;
use crate::store::Result;
use crate::store::rows::Gate;

/// How often it checks.
const EVERY: Duration = Duration::from_millis(250);
/// How long truncation waits for readers, while nobody can write.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits for long results to end, while none can start.
const GATE: Duration = Duration::from_millis(500);
/// How long to wait after a failed truncation.
const AGAIN: Duration = Duration::from_secs(5);

/// The connections to a file.
#[derive(Debug)]
pub(super) struct Connections {
    pub readers: SqlitePool,
    /// The sealer's own connection for reading.
    pub sealer: SqlitePool,
    pub writer: Writer,
    /// The connection of a change of many orders, which is closed afterwards.
    pub long: SqlitePool,
    /// Limits how many readers read long results.
    pub gate: Gate,
    /// `None` for a file that is only read.
    pub watch: Option<Arc<Watch>>,
    /// Kept open because closing the last connection removes the files beside the database.
    pub anchor: Mutex<Option<SqliteConnection>>,
}

/// Runs until the file is lost.
pub(super) async fn keep(connections: Arc<Connections>, watch: Arc<Watch>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_failed = false;
    loop {
        ticks.tick().await;
        if watch.check().is_err() && watch.is_lost() {
            return connections.let_go(&watch).await;
        }
        if watch.log_length() <= LOG {
            has_failed = false;
            continue;
        }
        let problem = match connections.cut().await {
            Ok(true) => continue,
            Ok(false) => "it is being read".to_owned(),
            Err(error) => error.to_string(),
        };
        if !mem::replace(&mut has_failed, true) {
            tracing::warn!(problem, "the -wal file cannot be truncated");
        }
        sleep(AGAIN).await;
    }
}

impl Connections {
    /// Fails if the file is no longer the one that was opened.
    pub(super) fn check(&self) -> Result<()> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.check())
    }

    /// Checkpoints and truncates the log, unless long results are being read.
    async fn cut(&self) -> Result<bool> {
        // The writer first: lists continue while a long change holds it.
        let mut connection = self.writer.connection().await?;
        let Ok(_nobody_reads) = timeout(GATE, self.gate.shut()).await else { return Ok(false) };
        wait_for_others(&mut connection, PATIENCE).await?;
        let is_cut = checkpoint(&mut connection).await;
        wait_for_others(&mut connection, TIMEOUT).await?;
        is_cut
    }

    /// Closes every connection to a lost file, after a checkpoint into that file, wherever it is
    /// now: SQLite would take a log in the old place for that of the new file. If there is another
    /// log already, the connections stay open until the process ends, since closing the last one
    /// would remove that log.
    async fn let_go(&self, watch: &Watch) {
        if watch.is_off_limits() {
            mem::forget((self.readers.clone(), self.sealer.clone()));
            mem::forget((self.writer.clone(), self.long.clone()));
            mem::forget(self.anchor.lock().await.take());
            return;
        }
        self.end_pools().await;
        let mut anchor = self.anchor.lock().await;
        // Taken out only afterwards: `keep` may be aborted before, and then `close` does this.
        if let Some(open) = anchor.as_mut() {
            match checkpoint(open).await {
                Ok(true) => {}
                Ok(false) => tracing::error!("others use the file that is lost, and its -wal file"),
                Err(error) => tracing::error!(%error, "the lost database's -wal file is left"),
            }
        }
        end(&mut anchor).await;
    }

    /// Updates the statistics and closes every connection.
    pub(super) async fn close(&self) {
        if let Some(watch) = &self.watch
            && watch.is_lost()
        {
            return self.let_go(watch).await;
        }
        if self.watch.is_some()
            && let Ok(mut connection) = self.writer.connection().await
            && let Err(error) = optimize(&mut connection).await
        {
            tracing::warn!(%error, "cannot update the statistics");
        }
        self.end_pools().await;
        end(&mut *self.anchor.lock().await).await;
    }

    async fn end_pools(&self) {
        self.sealer.close().await;
        self.readers.close().await;
        self.long.close().await;
        self.writer.close().await;
    }
}

async fn end(anchor: &mut Option<SqliteConnection>) {
    if let Some(anchor) = anchor.take()
        && let Err(error) = anchor.close().await
    {
        tracing::warn!(%error, "cannot close the database");
    }
}

/// Checkpoints and truncates the log. `false` if readers prevent it.
async fn checkpoint(connection: &mut SqliteConnection) -> Result<bool> {
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    let (is_busy, ..): (bool, i64, i64) = sqlx::query_as(sql).fetch_one(connection).await?;
    Ok(!is_busy)
}

/// Sets how long the connection waits for locks.
async fn wait_for_others(connection: &mut SqliteConnection, patience: Duration) -> Result<()> {
    let sql = format!("PRAGMA busy_timeout = {}", patience.as_millis());
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
