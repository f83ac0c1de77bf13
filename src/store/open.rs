//! Opens databases, and migrates them: the functions that begin with a URL.

use std::sync::Arc;

use super::migrating::Goal;
#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;
use super::{Access, Deadlines, Error, Loss, Migration, Part, Patience, Result, Store, url};

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

async fn open_within(
    url: &str,
    connections: u32,
    access: Access,
    deadlines: Option<Deadlines>,
) -> Result<Arc<dyn Store>> {
    let opened: Result<Arc<dyn Store>> = match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::SqliteStore::open(url, connections, access)
            .await
            .map(|store| Arc::new(store) as _),
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::PgStore::open(url, connections, access, deadlines)
            .await
            .map(|store| Arc::new(store) as _),
    };
    opened.map_err(|error| error.at(url))
}

/// Where the database of a URL is, without user and password: `sqlite:FILE`, or
/// `postgres://HOST:PORT/DATABASE` of what the URL and PostgreSQL's variables say together.
///
/// # Errors
///
/// [`Error::Url`].
pub fn place(url: &str) -> Result<String> {
    match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::place(url),
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::place(url),
    }
}

/// What [`migrate`] with this target would drop for good; nothing where there is no file yet.
///
/// # Errors
///
/// As [`open`].
pub async fn losses(url: &str, target: i64) -> Result<Vec<Loss>> {
    let losses = match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::losses(url, target).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::losses(url, target).await,
    };
    match losses {
        Err(Error::NoFile(_)) => Ok(Vec::new()),
        losses => losses.map_err(|error| error.at(url)),
    }
}

/// Applies migrations up to `target`, or takes back those after it; without one, applies all.
///
/// # Errors
///
/// As [`open`].
pub async fn migrate(url: &str, target: Option<i64>) -> Result<()> {
    migrate_patiently(url, target, Patience::default()).await
}

/// As [`migrate`], and waits for so long for locks that others hold.
///
/// # Errors
///
/// As [`open`].
pub async fn migrate_patiently(url: &str, target: Option<i64>, patience: Patience) -> Result<()> {
    let goal = target.map_or(Goal::Newest, Goal::Exactly);
    let done: Result<()> = match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::migrate(url, goal, patience).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::migrate(url, goal, patience).await,
    };
    done.map_err(|error| error.at(url))
}

/// Records the migrations that the schema proves as applied, for a database whose schema `psql` or
/// `sqlite3` made from the files. Gives what keeps the next one from being proved.
///
/// # Errors
///
/// As [`open`].
pub async fn record_migrations(url: &str) -> Result<Vec<String>> {
    let done: Result<Vec<String>> = match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::record_migrations(url).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::record_migrations(url).await,
    };
    done.map_err(|error| error.at(url))
}

/// The parts of a database's schema.
///
/// # Errors
///
/// As [`open`].
pub async fn schema(url: &str) -> Result<Vec<Part>> {
    match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::schema(url).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::schema(url).await,
    }
}

/// Every migration that this binary knows.
///
/// # Errors
///
/// As [`open`].
pub async fn migrations(url: &str) -> Result<Vec<Migration>> {
    let done: Result<Vec<Migration>> = match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::migrations(url).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::migrations(url).await,
    };
    done.map_err(|error| error.at(url))
}

enum Backend {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

impl Backend {
    fn of(url: &str) -> Result<Self> {
        match url::scheme(url)? {
            #[cfg(feature = "sqlite")]
            "sqlite" => Ok(Self::Sqlite),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Ok(Self::Postgres),
            _ => Err(url::invalid(url, "this program was built without that database".into())),
        }
    }
}
