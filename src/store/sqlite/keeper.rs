//! Looks after the file while it is open: keeps the write-ahead log short, and lets go of a database
//! whose file somebody has taken away.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::file::{LOG, TIMEOUT, optimize};
use super::watch::Watch;
use super::writer::Writer;
use crate::store::Result;
use crate::store::rows::Gate;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(250);
/// How long cutting it waits for those who read, while nobody can write.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits for long results to end, while none begins.
const GATE: Duration = Duration::from_millis(500);
/// How long after cutting failed it is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The connections to a file.
#[derive(Debug)]
pub(super) struct Connections {
    pub readers: SqlitePool,
    /// The connection that reads what is sealed, beside those of the calls.
    pub sealer: SqlitePool,
    pub writer: Writer,
    /// Before the readers, for long results.
    pub gate: Gate,
    /// There is none over a file that is only read.
    pub watch: Option<Arc<Watch>>,
    /// While it is open, no other connection is the last one, which removes what is beside the file.
    pub anchor: Mutex<Option<SqliteConnection>>,
}

/// Works until the file is lost.
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
    /// Fails if the file is not the one that was opened any more.
    pub(super) fn check(&self) -> Result<()> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.check())
    }

    /// Writes all of the log into the file and makes it empty, if none but short work is in the way.
    async fn cut(&self) -> Result<bool> {
        // First: while a long change has the writer, lists go on.
        let mut connection = self.writer.connection().await?;
        let Ok(_nobody_reads) = timeout(GATE, self.gate.shut()).await else { return Ok(false) };
        wait_for_others(&mut connection, PATIENCE).await?;
        let is_cut = checkpoint(&mut connection).await;
        wait_for_others(&mut connection, TIMEOUT).await?;
        is_cut
    }

    /// Ends every connection to a file that is lost, and before that writes the log into the file that
    /// it belongs to, wherever that is now: a log left in its old place would be read as that of
    /// the file that has come. If another log is there already, the connections stay open up to the
    /// end of the process, since the last one to be closed would remove that log as its own.
    async fn let_go(&self, watch: &Watch) {
        if watch.is_off_limits() {
            mem::forget((self.readers.clone(), self.sealer.clone(), self.writer.clone()));
            mem::forget(self.take_anchor());
            return;
        }
        self.end_pools().await;
        if let Some(mut anchor) = self.take_anchor() {
            match checkpoint(&mut anchor).await {
                Ok(true) => {}
                Ok(false) => tracing::error!("others use the file that is lost, and its -wal file"),
                Err(error) => tracing::error!(%error, "the lost database's -wal file is left"),
            }
            end(anchor).await;
        }
    }

    /// Renews the statistics, and ends every connection.
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
            tracing::warn!(%error, "statistics were not renewed");
        }
        self.end_pools().await;
        if let Some(anchor) = self.take_anchor() {
            end(anchor).await;
        }
    }

    async fn end_pools(&self) {
        self.sealer.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }

    fn take_anchor(&self) -> Option<SqliteConnection> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn end(anchor: SqliteConnection) {
    if let Err(error) = anchor.close().await {
        tracing::warn!(%error, "the database was not closed");
    }
}

/// Whether all of the log is in the file now, and the log empty.
async fn checkpoint(connection: &mut SqliteConnection) -> Result<bool> {
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    let (is_busy, ..): (bool, i64, i64) = sqlx::query_as(sql).fetch_one(connection).await?;
    Ok(!is_busy)
}

/// Says for how long the connection waits for the locks of others.
async fn wait_for_others(connection: &mut SqliteConnection, patience: Duration) -> Result<()> {
    let sql = format!("PRAGMA busy_timeout = {}", patience.as_millis());
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
