//! Applies migrations, or takes them back, without letting others wait for long.

use std::fmt;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};

use super::migrations::{Recorded, checked, expect_known, lacking, missing, refusal};
use super::{Error, Result};

/// For how long a migration waits for locks that others hold.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// At a time: meanwhile everybody else queues behind it. It pauses for as long before it
    /// tries again.
    pub at_a_time: Duration,
    /// Until it is given up.
    pub in_all: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { at_a_time: Duration::from_secs(3), in_all: Duration::from_secs(60) }
    }
}

/// What the database is to have in the end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// Every migration.
    Newest,
    /// The migrations up to this one, and none after it.
    Exactly(i64),
    /// The records of the migrations up to this one, whose statements somebody else has run.
    Recorded(i64),
}

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

/// Brings the database to the goal. If every migration is there, [`Goal::Newest`] only reads.
pub(super) async fn migrate<C: Recorded>(
    migrator: &Migrator,
    connection: &mut C,
    goal: Goal,
    patience: Patience,
) -> Result<()> {
    match goal {
        Goal::Newest if missing(migrator, connection).await?.is_empty() => return Ok(()),
        Goal::Newest => {}
        Goal::Exactly(target) | Goal::Recorded(target) => expect_known(migrator, target)?,
    }
    connection.limit_waits(patience.at_a_time).await?;
    let table = &*migrator.table_name;
    patiently(connection, table, Step::Lock, patience).await.map_err(failure(&[]))?;
    let done = locked(migrator, connection, goal, patience).await;
    // If this fails the connection is lost, and the lock with it.
    let _ = connection.unlock().await;
    done
}

/// [`migrate`] while nobody else does.
async fn locked<C: Recorded>(
    migrator: &Migrator,
    connection: &mut C,
    goal: Goal,
    patience: Patience,
) -> Result<()> {
    let target = match goal {
        Goal::Newest => i64::MAX,
        Goal::Exactly(target) | Goal::Recorded(target) => target,
    };
    let has = checked(migrator, connection, target).await?;
    let versions: Vec<_> = lacking(migrator, &has, target).map(|m| m.version).collect();
    let up = lacking(migrator, &has, target).map(|migration| match goal {
        Goal::Recorded(_) => Step::Record(migration),
        Goal::Newest | Goal::Exactly(_) => Step::Apply(migration),
    });
    let down = migrator.iter().rev().filter(|migration| {
        matches!(goal, Goal::Exactly(_))
            && migration.migration_type.is_down_migration()
            && migration.version > target
            && has.iter().any(|applied| applied.version == migration.version)
    });
    let steps = std::iter::once(Step::Table).chain(down.map(Step::Revert)).chain(up);
    for step in steps {
        let done = patiently(connection, &migrator.table_name, step, patience).await;
        done.map_err(failure(&versions))?;
    }
    Ok(())
}

/// Why a step was not done.
enum Failed {
    /// Others were in the way for too long.
    Blocked(String),
    /// Anything else.
    Otherwise(MigrateError),
}

/// The failure of a step as that of the whole, which wanted these migrations.
fn failure(wanted: &[i64]) -> impl Fn(Failed) -> Error {
    move |failed| match failed {
        Failed::Blocked(problem) => Error::Blocked(problem),
        Failed::Otherwise(error) => refusal(wanted.to_vec(), error),
    }
}

/// Takes a step, again and again as long as others are in its way.
async fn patiently<C: Recorded>(
    connection: &mut C,
    table: &str,
    step: Step<'_>,
    patience: Patience,
) -> Result<(), Failed> {
    let began = Instant::now();
    let mut attempts = 1;
    loop {
        let error = match connection.step(table, step, patience.at_a_time).await {
            Ok(()) => return Ok(()),
            Err(error) if !is_blocked(&error) => return Err(Failed::Otherwise(error)),
            Err(error) => error,
        };
        let holders = match connection.holders(step, patience.at_a_time).await {
            Ok(holders) if !holders.is_empty() => holders.join("; "),
            _ => "unknown".into(),
        };
        let waited = began.elapsed();
        if waited >= patience.in_all {
            return Err(Failed::Blocked(format!(
                "{step}: others held the locks it needs for {:.0?} ({attempts} attempts); nothing \
                 of it was done. In the way: {holders}. Try again when they have ended, or with \
                 `joc-orders migrate --wait SECONDS` (the database: {})",
                waited,
                cause(&error)
            )));
        }
        tracing::warn!(%step, attempts, in_the_way = holders, "no lock yet; trying again");
        // So that those who queued behind it come through; behind this lock nobody does.
        if !matches!(step, Step::Lock) {
            tokio::time::sleep(patience.at_a_time).await;
        }
        attempts += 1;
    }
}

/// What the database said.
fn cause(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            error.to_string()
        }
        error => error.to_string(),
    }
}

/// Whether others were in the way of a step: of its locks, or in a deadlock.
fn is_blocked(error: &MigrateError) -> bool {
    let (MigrateError::Execute(sqlx::Error::Database(database))
    | MigrateError::ExecuteMigration(sqlx::Error::Database(database), _)) = error
    else {
        return false;
    };
    let code = database.code().unwrap_or_default();
    match &*code {
        "55P03" | "40P01" | "40001" => true,
        // Only the statement that takes the locks has a limit of time.
        "57014" => matches!(error, MigrateError::Execute(_)),
        code => super::error::is_busy(code),
    }
}
