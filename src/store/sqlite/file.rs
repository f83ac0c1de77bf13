//! Opens the file for reading or writing.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};

use super::watch;
use crate::store::{Access, Error, Result, url};

/// How long a request waits for a connection, and for another process's lock on the file.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// At what length the write-ahead log is truncated. SQLite does so itself only during a change, and
/// only if nobody is reading.
pub(super) const LOG: u64 = 32 << 20;

/// The row id that the service inserts last, into a temporary table, before it changes orders. (The
/// tables that it writes between have no row ids.) The triggers of capture know the service by it.
pub(super) const MARK: i64 = 5_354_829_106_217_364_581;

/// Makes the connection's next changes of orders the program's own, which capture does not record.
pub(super) fn own() -> String {
    format!(
        "CREATE TEMP TABLE IF NOT EXISTS mark (id INTEGER PRIMARY KEY);
         REPLACE INTO temp.mark VALUES ({MARK})"
    )
}

/// Primary result codes of SQLite.
const SQLITE_READONLY: u32 = 8;
const SQLITE_CANTOPEN: u32 = 14;

/// How to connect to the file that a URL names.
pub(super) fn options(url: &str, access: Access) -> Result<SqliteConnectOptions> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(Error::Url("in-memory databases are not supported".into()));
    }
    let invalid = |error: sqlx::Error| url::invalid(url, error.to_string());
    let (file_url, synchronous) = split_synchronous(url);
    let options = SqliteConnectOptions::from_str(&file_url).map_err(invalid)?;
    url::expect_file(options.get_filename(), url)?;
    let options = options
        .create_if_missing(access == Access::Create)
        .foreign_keys(true)
        .busy_timeout(TIMEOUT)
        // A change may affect more orders than fit into memory.
        .pragma("temp_store", "FILE");
    let file = options.get_filename();
    if access != Access::Create && !file.exists() {
        return Err(Error::NoFile(url::file_shown(&file.to_string_lossy())));
    }
    if access == Access::Read {
        return Ok(options.read_only(true));
    }
    let synchronous = synchronous.parse().map_err(invalid)?;
    // Takes effect with the next change while nobody reads; otherwise `keeper` truncates the log.
    let options = options.pragma("journal_size_limit", LOG.to_string());
    Ok(options.journal_mode(SqliteJournalMode::Wal).synchronous(synchronous))
}

/// Connects, unless this program cannot use the file.
pub(super) async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection> {
    let mut connection = SqliteConnection::connect_with(options).await?;
    // In UTF-16, the paths in a folder are no range of bytes.
    let encoding: String = sqlx::query_scalar("PRAGMA encoding").fetch_one(&mut connection).await?;
    if encoding != "UTF-8" {
        connection.close().await?;
        return Err(Error::Unusable(format!(
            "the file is in {encoding}; it must be in UTF-8: make a new one (`.dump` of the sqlite3 \
             shell into an empty file)"
        )));
    }
    Ok(connection)
}

/// The URL without its parameter `synchronous`, and the value of that, `full` by default.
fn split_synchronous(url: &str) -> (String, &str) {
    let (file, parameters) = url.split_once('?').unwrap_or((url, ""));
    let mut synchronous = "full";
    let others = parameters.split('&').filter(|parameter| {
        let value = parameter.strip_prefix("synchronous=");
        synchronous = value.unwrap_or(synchronous);
        value.is_none() && !parameter.is_empty()
    });
    let others = others.collect::<Vec<_>>().join("&");
    (if others.is_empty() { file.into() } else { format!("{file}?{others}") }, synchronous)
}

/// A file that is read without being changed.
#[derive(Debug)]
pub(super) struct ReadOnlyFile {
    /// How to connect to it.
    pub options: SqliteConnectOptions,
    /// Whether nothing was beside the file, so that no one else had it open.
    is_alone: bool,
}

impl ReadOnlyFile {
    /// Determines how the file can be read.
    ///
    /// To read a file in WAL mode, SQLite needs a `-wal` and a `-shm` beside it. If it must not create
    /// them and there are none, no one is writing to the file, and it can be read without.
    pub(super) async fn of(url: &str) -> Result<Self> {
        let mut reading = Self { options: options(url, Access::Read)?, is_alone: false };
        let beside = ["-wal", "-shm", "-journal"].map(|end| reading.beside(end));
        reading.is_alone = !beside.iter().any(|file| file.exists());
        match look(&reading.options).await {
            Err(error) if reading.is_alone && is_of_place(&error) => {
                reading.options = reading.options.immutable(true);
                look(&reading.options).await?;
            }
            looked => looked?,
        }
        Ok(reading)
    }

    fn beside(&self, end: &str) -> PathBuf {
        watch::beside(self.options.get_filename(), end)
    }

    /// Removes the files that reading created beside it, once every connection is closed. SQLite
    /// does so when the last connection that may write is closed, unless others use the file.
    pub(super) async fn end(&self) {
        let is_empty = self.beside("-wal").metadata().is_ok_and(|wal| wal.len() == 0);
        if self.is_alone && is_empty {
            let ended = look(&self.options.clone().read_only(false)).await;
            if let Err(error) = ended {
                tracing::debug!(%error, "cannot remove the -wal and -shm files");
            }
        }
    }
}

/// Whether SQLite could not create a file beside the one that it reads.
fn is_of_place(error: &Error) -> bool {
    let (Error::Unavailable(error) | Error::ReadOnly(error) | Error::Database(error)) = error
    else {
        return false;
    };
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    // The last byte is the primary code.
    code.is_some_and(|code| matches!(code & 0xff, SQLITE_READONLY | SQLITE_CANTOPEN))
}

/// Tests whether the schema can be read.
async fn look(options: &SqliteConnectOptions) -> Result<()> {
    let mut connection = SqliteConnection::connect_with(options).await?;
    sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Whether a connection is read-only: SQLite opens a file read-only if it cannot write to it then.
pub(super) async fn reads_only(connection: &mut SqliteConnection) -> bool {
    let tried = change_nothing(connection).await;
    matches!(tried, Err(Error::ReadOnly(_)))
}

/// Fails if nothing can be written; changes nothing.
pub(super) async fn change_nothing(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::query("DELETE FROM sessions WHERE false").execute(connection).await?;
    Ok(())
}

/// Updates stale statistics, without which SQLite picks unsuitable indexes. It samples each table and
/// takes milliseconds.
pub(super) async fn optimize(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::query("PRAGMA optimize = 0x10002").execute(connection).await?;
    Ok(())
}
