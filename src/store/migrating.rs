//! Applies migrations, or takes them back, without letting others wait for long.

use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};

use super::error::is_busy;
use super::migrations::{checked, expect_known, lacking, missing, refusal};
use super::recorded::{Recorded, Step};
use super::{Error, Result};

/// For how long a migration waits for locks that others hold.
#[derive(Debug, Clone, Copy)]
pub struct LockPatience {
    /// At a time: meanwhile everybody else queues behind it. It pauses for as long before it
    /// tries again.
    pub at_a_time: Duration,
    /// Until it is given up.
    pub in_all: Duration,
}

impl Default for LockPatience {
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

/// Brings the database to the goal. If every migration is there, [`Goal::Newest`] only reads.
pub(super) async fn migrate<C: Recorded>(
    migrator: &Migrator,
    connection: &mut C,
    goal: Goal,
    patience: LockPatience,
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
    patience: LockPatience,
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
    patience: LockPatience,
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
        code => is_busy(code),
    }
}
