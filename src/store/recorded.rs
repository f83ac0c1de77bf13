//! The steps of a migration, and what they need of a connection to a database.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::migrate::{Migrate, MigrateError, Migration};

/// A step, which is done as a whole or not at all.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'m> {
    /// Keeps other programs from migrating until this one has ended.
    Lock,
    /// Makes the table of migrations.
    Table,
    /// Applies a migration.
    Apply(&'m Migration),
    /// Takes a migration back.
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
    /// Does it on a connection to any database.
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
    /// Whether it has one.
    fn is_recorded(&mut self) -> BoxFuture<'_, sqlx::Result<bool>>;
    /// From now on, no statement waits longer than this for a lock, and none is ended for
    /// another reason.
    fn limit_waits(&mut self, wait: Duration) -> BoxFuture<'_, sqlx::Result<()>>;
    /// Takes a step. One that needs several locks waits for all of them together no longer than
    /// this.
    fn step<'a>(
        &'a mut self,
        table: &'a str,
        step: Step<'a>,
        wait: Duration,
    ) -> BoxFuture<'a, Result<(), MigrateError>>;
    /// Who seems to have been in the way of a step that waited for so long, as far as the
    /// database tells.
    fn holders(
        &mut self,
        step: Step<'_>,
        waited: Duration,
    ) -> BoxFuture<'_, sqlx::Result<Vec<String>>>;
}
