//! The steps of a migration, and what they need of a connection to a database.

use std::fmt;
use std::time::Duration;

use super::Error;
use crate::model::audit::AuditEntry;
use futures_util::future::BoxFuture;
use sqlx::migrate::{Migrate, MigrateError, Migration};

/// An atomic step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'m> {
    /// Takes the lock that excludes other migrating programs.
    Lock,
    /// Creates the table of migrations.
    Table,
    /// Applies a migration.
    Apply(&'m Migration),
    /// Reverts a migration.
    Revert(&'m Migration),
    /// Records a migration as applied.
    Record(&'m Migration),
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock => f.write_str("the migration lock"),
            Self::Table => f.write_str("the table of migrations"),
            Self::Apply(migration) | Self::Record(migration) => {
                write!(f, "migration {}", migration.version)
            }
            Self::Revert(migration) => write!(f, "undoing migration {}", migration.version),
        }
    }
}

impl Step<'_> {
    /// Runs it on a connection to either database.
    pub(super) async fn run<C: Migrate>(
        self,
        connection: &mut C,
        table: &str,
    ) -> Result<(), MigrateError> {
        match self {
            Self::Lock => connection.lock().await,
            Self::Table => connection.ensure_migrations_table(table).await,
            Self::Apply(migration) => connection.apply(table, migration).await.map(drop),
            Self::Revert(migration) => connection.revert(table, migration).await.map(drop),
            Self::Record(migration) => connection.skip(table, migration).await,
        }
    }
}

/// A connection to a database that may have a table of migrations.
pub(super) trait Recorded: Migrate + Send {
    /// Whether the table exists.
    fn is_recorded(&mut self) -> BoxFuture<'_, sqlx::Result<bool>>;
    /// Sets the lock timeout of the connection and removes its other limits.
    fn limit_waits(&mut self, wait: Duration) -> BoxFuture<'_, sqlx::Result<()>>;
    /// Runs a step, which waits at most `wait` for all its locks together.
    fn step<'a>(
        &'a mut self,
        table: &'a str,
        step: Step<'a>,
        wait: Duration,
    ) -> BoxFuture<'a, Result<(), MigrateError>>;
    /// Writes an audit entry, unless the database has no data yet.
    fn record<'a>(&'a mut self, entry: &'a AuditEntry) -> BoxFuture<'a, Result<(), Error>>;
    /// The sessions that probably blocked a step that has waited for so long, as far as the database
    /// tells.
    fn holders(
        &mut self,
        step: Step<'_>,
        waited: Duration,
    ) -> BoxFuture<'_, sqlx::Result<Vec<String>>>;
}
