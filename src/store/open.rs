//! The functions that take a database URL: opening, migrating, and reading the schema.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::archive::{ArchiveSink, OrdersFile, Removal, Stretch};
use super::migrating::Goal;
#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;
use super::{
    Access, Capture, CaptureStatus, Deadlines, Error, LockPatience, Loss, Migration, Result,
    SchemaPart, Store, url,
};

/// Calls a function of the module for the database of a URL.
macro_rules! in_database {
    ($url:expr, $($call:tt)+) => {
        match url::scheme($url)? {
            #[cfg(feature = "sqlite")]
            "sqlite" => sqlite::$($call)+,
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => postgres::$($call)+,
            _ => {
                let why = "this program was built without support for that database";
                return Err(url::invalid($url, why.into()));
            }
        }
    };
}

/// Opens the database that a URL names.
///
/// # Errors
///
/// [`Error::Url`], [`Error::NoFile`], [`Error::Unavailable`], [`Error::Older`], [`Error::Newer`],
/// [`Error::MayNotMigrate`], [`Error::Blocked`], [`Error::Unusable`] or [`Error::Migrate`].
pub async fn open(url: &str, connections: u32, access: Access) -> Result<Arc<dyn Store>> {
    open_within(url, connections, access, None).await
}

/// As [`open`] with [`Access::Create`], for a service.
///
/// # Errors
///
/// As [`open`].
pub async fn open_to_serve(
    url: &str,
    connections: u32,
    deadlines: Deadlines,
) -> Result<Arc<dyn Store>> {
    open_within(url, connections, Access::Create, Some(deadlines)).await
}

pub(super) async fn open_within(
    url: &str,
    connections: u32,
    access: Access,
    deadlines: Option<Deadlines>,
) -> Result<Arc<dyn Store>> {
    let opened: Result<Arc<dyn Store>> =
        in_database!(url, open(url, connections, access, deadlines).await);
    opened.map_err(|error| located(error, url))
}

/// The location of a database without user and password: `sqlite:FILE`, or
/// `postgres://HOST:PORT/DATABASE` as the URL and PostgreSQL's variables give it.
///
/// # Errors
///
/// [`Error::Url`].
pub fn place(url: &str) -> Result<String> {
    in_database!(url, place(url))
}

/// The data that [`migrate`] to this target would drop; nothing if there is no file yet.
///
/// # Errors
///
/// As [`open`].
pub async fn losses(url: &str, target: i64) -> Result<Vec<Loss>> {
    let losses = in_database!(url, losses(url, target).await);
    match losses {
        Err(Error::NoFile(_)) => Ok(Vec::new()),
        losses => losses.map_err(|error| located(error, url)),
    }
}

/// Adds the database's place to an error, unless it names that already or concerns the schema.
fn located(error: Error, url: &str) -> Error {
    match error {
        Error::Url(_) | Error::NoFile(_) | Error::Conflict(_) | Error::At { .. } => error,
        error if error.is_of_schema() => error,
        error => match place(url) {
            Ok(place) => Error::At { place, error: Box::new(error) },
            Err(_) => error,
        },
    }
}

/// Applies migrations up to `target` and reverts those after it; without one, applies all.
///
/// # Errors
///
/// As [`open`].
pub async fn migrate(url: &str, target: Option<i64>) -> Result<()> {
    migrate_patiently(url, target, LockPatience::default()).await
}

/// As [`migrate`], with limits on waiting for locks.
///
/// # Errors
///
/// As [`open`].
pub async fn migrate_patiently(
    url: &str,
    target: Option<i64>,
    patience: LockPatience,
) -> Result<()> {
    let goal = target.map_or(Goal::Newest, Goal::Exactly);
    let done: Result<()> = in_database!(url, migrate(url, goal, patience).await);
    done.map_err(|error| located(error, url))
}

/// Records as applied the migrations that match the schema, for a database that `psql` or `sqlite3`
/// created from the files. Returns how the schema differs from the next one.
///
/// # Errors
///
/// As [`open`].
pub async fn record_migrations(url: &str) -> Result<Vec<String>> {
    let done: Result<Vec<String>> = in_database!(url, record_migrations(url).await);
    done.map_err(|error| located(error, url))
}

/// The schema of a database.
///
/// # Errors
///
/// As [`open`].
pub async fn schema(url: &str) -> Result<Vec<SchemaPart>> {
    in_database!(url, schema(url).await)
}

/// Every migration of this program.
///
/// # Errors
///
/// As [`open`].
pub async fn migrations(url: &str) -> Result<Vec<Migration>> {
    let done: Result<Vec<Migration>> = in_database!(url, migrations(url).await);
    done.map_err(|error| located(error, url))
}

/// Distributes the tables over the servers of Citus, by controller, and says whether that had to be
/// done.
///
/// # Errors
///
/// As [`open`]. [`Error::Unusable`] without Citus, if the role does not own the tables, or while
/// plain SQL is captured; [`Error::Blocked`] if others hold locks on the tables.
pub async fn distribute(url: &str, patience: LockPatience) -> Result<bool> {
    let done: Result<bool> = in_database!(url, distribute(url, patience).await);
    done.map_err(|error| located(error, url))
}

/// Over how many servers the tables are distributed; `None`: not at all.
///
/// # Errors
///
/// As [`open`].
pub async fn distribution(url: &str) -> Result<Option<u32>> {
    let done: Result<Option<u32>> = in_database!(url, distribution(url).await);
    done.map_err(|error| located(error, url))
}

/// Whether changes of orders by plain SQL are captured, and how many were.
///
/// # Errors
///
/// As [`open`].
pub async fn capture_status(url: &str) -> Result<CaptureStatus> {
    let done: Result<CaptureStatus> = in_database!(url, capture_status(url).await);
    done.map_err(|error| located(error, url))
}

/// Switches the capture of plain SQL, and says whether anything had to be done.
///
/// # Errors
///
/// As [`open`]. [`Error::Unusable`] if the role does not own the tables, [`Error::Blocked`] if others
/// hold locks on them.
pub async fn set_capture(url: &str, capture: Capture) -> Result<bool> {
    let done: Result<bool> = in_database!(url, set_capture(url, capture).await);
    done.map_err(|error| located(error, url))
}

/// Deletes the captured changes before an instant, and returns their number.
///
/// # Errors
///
/// As [`set_capture`].
pub async fn prune_changes(url: &str, before: DateTime<Utc>) -> Result<u64> {
    let done: Result<u64> = in_database!(url, prune_changes(url, before).await);
    done.map_err(|error| located(error, url))
}

/// Passes the sealed entries before an instant to `to`, whole seals from each controller's beginning,
/// and returns what it was. Changes nothing.
///
/// # Errors
///
/// As [`open`]. [`Error::Unusable`] if the role does not own the tables, [`Error::Data`] if the rows
/// are not as they were sealed.
pub async fn read_archivable(
    url: &str,
    before: DateTime<Utc>,
    to: ArchiveSink<'_>,
) -> Result<Vec<Stretch>> {
    let read: Result<Vec<Stretch>> = in_database!(url, both::archive::read(url, before, to).await);
    read.map_err(|error| located(error, url))
}

/// Removes what [`read_archivable`] returned, all or nothing, and records a cut of each controller
/// and the administrator of this process.
///
/// # Errors
///
/// As [`set_capture`]. [`Error::Conflict`] if others have archived since.
pub async fn remove_archived(url: &str, removal: &Removal) -> Result<()> {
    let done: Result<()> = in_database!(url, both::archive::remove(url, removal).await);
    done.map_err(|error| located(error, url))
}

/// Moves orders that ended before an instant to a file, and returns how many; `None` if the file
/// stopped it. Families stay together, and an order with details in the audit trail stays.
///
/// # Errors
///
/// As [`set_capture`]. [`Error::Conflict`] if an order has changed in the meantime.
pub async fn archive_orders(
    url: &str,
    before: DateTime<Utc>,
    file: &mut dyn OrdersFile,
) -> Result<Option<u64>> {
    let done: Result<Option<u64>> =
        in_database!(url, both::ended::archive(url, before, file).await);
    done.map_err(|error| located(error, url))
}
