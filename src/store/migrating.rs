//! Applies and reverts migrations without blocking other sessions for long.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::migrate::{MigrateError, Migrator};

use super::administrator::administrator;
use super::error::is_busy;
use super::migrations::{checked, expect_known, lacking, missing, refusal};
use super::recorded::{Recorded, Step};
use super::{Error, Result};
use crate::model::audit::Category;

/// How long a migration waits for locks held by other sessions.
#[derive(Debug, Clone, Copy)]
pub struct LockPatience {
    /// Each attempt, during which other sessions queue behind it. The pause before the next attempt
    /// is as long.
    pub at_a_time: Duration,
    /// All attempts together.
    pub in_all: Duration,
}

impl Default for LockPatience {
    fn default() -> Self {
        Self { at_a_time: Duration::from_secs(3), in_all: Duration::from_secs(60) }
    }
}

/// The migration since which the trail takes entries of administration.
const ADMINISTRATION: i64 = 9;

/// What a database should have after a migration.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// Every migration.
    Newest,
    /// The migrations up to this one, and none after it.
    Exactly(i64),
    /// The migrations up to this one recorded as applied; their statements have already run.
    Recorded(i64),
}

/// Migrates to the goal. [`Goal::Newest`] only reads if nothing is missing.
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
    // If this fails, the connection is lost and with it the lock.
    let _ = connection.unlock().await;
    done
}

/// [`migrate`], under the migration lock.
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
    let from = has.iter().map(|applied| applied.version).max().unwrap_or_default();
    let to = migrator.iter().map(|known| known.version).filter(|v| *v <= target).max();
    let entry = administrator().map(|by| {
        let parameters = json!({ "from": from, "to": to.unwrap_or_default() });
        by.entry(Category::Others, None, parameters)
    });
    let mut unrecorded = entry.as_ref();
    let mut is_changed = false;
    for step in steps {
        // From here on the trail would not take the entry.
        if matches!(step, Step::Revert(migration) if migration.version == ADMINISTRATION)
            && let Some(entry) = unrecorded.take()
        {
            connection.record(entry).await?;
        }
        is_changed |= !matches!(step, Step::Table);
        let done = patiently(connection, &migrator.table_name, step, patience).await;
        done.map_err(failure(&versions))?;
    }
    if let Some(entry) = unrecorded.filter(|_| is_changed && to >= Some(ADMINISTRATION)) {
        connection.record(entry).await?;
    }
    Ok(())
}

/// Why a step was not done.
enum Failed {
    /// Other sessions held locks for too long.
    Blocked(String),
    /// Anything else.
    Otherwise(MigrateError),
}

/// The error for a failed step; `wanted` are the migrations to apply.
fn failure(wanted: &[i64]) -> impl Fn(Failed) -> Error {
    move |failed| match failed {
        Failed::Blocked(problem) => Error::Blocked(problem),
        Failed::Otherwise(error) => refusal(wanted.to_vec(), error),
    }
}

/// Runs a step, and retries it while other sessions block it.
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
        // Let the sessions that queue behind it through; none queue behind the migration lock.
        if !matches!(step, Step::Lock) {
            tokio::time::sleep(patience.at_a_time).await;
        }
        attempts += 1;
    }
}

/// The database's message.
fn cause(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            error.to_string()
        }
        error => error.to_string(),
    }
}

/// Whether other sessions blocked a step, or it met a deadlock.
fn is_blocked(error: &MigrateError) -> bool {
    let (MigrateError::Execute(sqlx::Error::Database(database))
    | MigrateError::ExecuteMigration(sqlx::Error::Database(database), _)) = error
    else {
        return false;
    };
    let code = database.code().unwrap_or_default();
    match &*code {
        "55P03" | "40P01" | "40001" => true,
        // Only the statement that takes the locks has a timeout.
        "57014" => matches!(error, MigrateError::Execute(_)),
        code => is_busy(code),
    }
}
