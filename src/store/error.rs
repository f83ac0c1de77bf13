//! Database errors, as far as callers distinguish them.

use std::io::ErrorKind;

/// SQLite could not write, for example because the disk became read-only.
const SQLITE_IOERR_WRITE: &str = "778";
/// Primary result codes of SQLite.
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_READONLY: u32 = 8;
const SQLITE_IOERR: u32 = 10;
const SQLITE_FULL: u32 = 13;
const SQLITE_CANTOPEN: u32 = 14;

/// Why a unit of work failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached or has no free connection; a retry may help.
    #[error("the database cannot be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The connection was lost during the change, which the database applied fully or not at all.
    #[error("connection lost during the change; outcome unknown")]
    Unsettled,
    /// The database has no room left to write.
    #[error("the database has no room left: {0}")]
    NoRoom(#[source] sqlx::Error),
    /// The database is read-only: a standby, a server set to be so, or a file or its disk.
    #[error("the database is read-only: {0}")]
    ReadOnly(#[source] sqlx::Error),
    /// The database file was removed or replaced while it was open.
    #[error("{0}; restart the service once the right file is there")]
    Lost(String),
    /// The key of the request came with another request before.
    #[error("the request's key came with another request before")]
    KeyUsed,
    /// The object to create exists, or the object to change does not.
    #[error("{0}")]
    Conflict(String),
    /// `DATABASE_URL` is invalid.
    #[error("DATABASE_URL: {0}")]
    Url(String),
    /// The file does not exist, and this command must not create it.
    #[error("there is no such file: {0}")]
    NoFile(String),
    /// The database lacks migrations, and this command must not run them.
    #[error("the database schema is out of date: {}; run `joc-orders migrate`", have_not_run(.0))]
    Older(Vec<i64>),
    /// The database lacks migrations, and the role lacks the privileges to run them.
    #[error(
        "the database schema is out of date: {}; this role may not migrate: run `joc-orders \
         migrate` as the owner of the tables",
        have_not_run(.0)
    )]
    MayNotMigrate(Vec<i64>, #[source] sqlx::migrate::MigrateError),
    /// Other sessions held the locks that a migration needs. Nothing has changed; a retry may help.
    #[error("{0}")]
    Blocked(String),
    /// This program can never use the database.
    #[error("{0}")]
    Unusable(String),
    /// A newer program has migrated the database.
    #[error("the schema has migration {0}, newer than this program: run the newer release")]
    Newer(i64),
    /// The schema does not match this program and could not be migrated.
    #[error("the database's schema: {0}")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The data violates an assumption of the schema.
    #[error("the database's data: {0}")]
    Data(String),
    /// A database that could not be opened.
    #[error("{place}: {error}")]
    At {
        /// Its location, without user and password.
        place: String,
        /// Why.
        #[source]
        error: Box<Error>,
    },
    /// Any other database error.
    #[error("the database: {0}")]
    Database(#[source] sqlx::Error),
}

/// Migration numbers as part of a sentence.
fn have_not_run(versions: &[i64]) -> String {
    match versions {
        [] => "a migration has not run".into(),
        [version] => format!("migration {version} has not run"),
        versions => {
            let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
            format!("migrations {} have not run", versions.join(", "))
        }
    }
}

impl Error {
    /// Whether the schema is older or newer than this program, which an operator must resolve.
    pub fn is_of_schema(&self) -> bool {
        matches!(self, Self::Older(_) | Self::Newer(_) | Self::MayNotMigrate(..))
    }

    /// Whether a retry may help: the database cannot be reached, or locks are held.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::At { error, .. } => error.is_unavailable(),
            error => matches!(error, Self::Unavailable(_) | Self::Blocked(_)),
        }
    }

    /// Whether a different database or URL is needed.
    pub fn is_unusable(&self) -> bool {
        match self {
            Self::At { error, .. } => error.is_unusable(),
            error => matches!(error, Self::Unusable(_) | Self::Url(_) | Self::NoFile(_)),
        }
    }

    /// Whether the requested migration does not exist.
    pub fn names_no_migration(&self) -> bool {
        match self {
            Self::At { error, .. } => error.names_no_migration(),
            error => {
                matches!(error, Self::Migrate(sqlx::migrate::MigrateError::VersionNotPresent(_)))
            }
        }
    }
}

/// The primary result code of SQLite, the last byte of an extended one. PostgreSQL's codes have more
/// digits.
fn sqlite_kind(code: &str) -> Option<u32> {
    code.parse().ok().filter(|code| *code < 10_000).map(|code: u32| code & 0xff)
}

/// Whether another program has locked the SQLite file.
pub(super) fn is_busy(code: &str) -> bool {
    matches!(sqlite_kind(code), Some(SQLITE_BUSY | SQLITE_LOCKED))
}

impl From<sqlx::migrate::MigrateError> for Error {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::VersionMissing(version) => Self::Newer(version),
            error => Self::Migrate(error),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(io) if io.kind() == ErrorKind::StorageFull => Self::NoRoom(error),
            sqlx::Error::Io(io) if io.kind() == ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly(error)
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                match (&*code, sqlite_kind(&code)) {
                    ("53100", _) | (_, Some(SQLITE_FULL)) => Self::NoRoom(error),
                    ("25006" | SQLITE_IOERR_WRITE, _) | (_, Some(SQLITE_READONLY)) => {
                        Self::ReadOnly(error)
                    }
                    // 25P03, 25P04: the transaction was idle or ran too long; 55P03: lock timeout;
                    // 57014: the server canceled the statement; 57P0x: it is shutting down or
                    // starting; 53300: too many connections.
                    ("25P03" | "25P04" | "55P03" | "57014" | "53300", _)
                    | (_, Some(SQLITE_BUSY | SQLITE_LOCKED | SQLITE_IOERR | SQLITE_CANTOPEN)) => {
                        Self::Unavailable(error)
                    }
                    _ if code.starts_with("57P") || code.starts_with("08") => {
                        Self::Unavailable(error)
                    }
                    _ => Self::Database(error),
                }
            }
            _ => Self::Database(error),
        }
    }
}

/// The result of a unit of work.
pub type Result<T, E = Error> = std::result::Result<T, E>;
