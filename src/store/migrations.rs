//! The migrations that a database has and lacks.

use sqlx::migrate::{AppliedMigration, MigrateError, Migrator};
use sqlx::{Database, Executor, FromRow, IntoArguments};

use super::recorded::Recorded;
use super::{Error, Result};

/// The access that a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Write. A missing SQLite file is created, and the schema is migrated.
    Create,
    /// Write. File and schema must exist.
    Write,
    /// Read. File and schema must exist, and not a byte is changed.
    Read,
}

/// One migration and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// Its description.
    pub description: String,
    /// Whether it is applied.
    pub applied: bool,
}

/// The migrations that the database has. Unlike sqlx's `Migrator` this only reads, so it needs no
/// privilege to create tables.
async fn applied<C: Recorded>(
    migrator: &Migrator,
    connection: &mut C,
) -> Result<Vec<AppliedMigration>> {
    if !connection.is_recorded().await? {
        return Ok(Vec::new());
    }
    Ok(connection.list_applied_migrations(&migrator.table_name).await?)
}

/// Every migration that this program knows, and whether the database has it.
pub(super) async fn list<C: Recorded>(
    migrator: &Migrator,
    connection: &mut C,
) -> Result<Vec<Migration>> {
    let applied = applied(migrator, connection).await?;
    let known = migrator.iter().filter(|m| m.migration_type.is_up_migration());
    let migration = |m: &sqlx::migrate::Migration| Migration {
        version: m.version,
        description: m.description.to_string(),
        applied: applied.iter().any(|applied| applied.version == m.version),
    };
    Ok(known.map(migration).collect())
}

/// The migrations that the database has. Fails if one is unknown to this program, or if one up to
/// `target` differs from this program's.
pub(super) async fn checked<C: Recorded>(
    migrator: &Migrator,
    connection: &mut C,
    target: i64,
) -> Result<Vec<AppliedMigration>> {
    let applied = applied(migrator, connection).await?;
    if !applied.is_empty()
        && let Some(version) = connection.dirty_version(&migrator.table_name).await?
    {
        return Err(MigrateError::Dirty(version).into());
    }
    for applied in &applied {
        let of_version = |known: &&sqlx::migrate::Migration| {
            known.version == applied.version && known.migration_type.is_up_migration()
        };
        match migrator.iter().find(of_version) {
            None => return Err(MigrateError::VersionMissing(applied.version).into()),
            Some(known) if known.version <= target && known.checksum != applied.checksum => {
                return Err(MigrateError::VersionMismatch(known.version).into());
            }
            Some(_) => {}
        }
    }
    Ok(applied)
}

/// The migrations up to `target` that have not been applied.
pub(super) fn lacking<'m>(
    migrator: &'m Migrator,
    applied: &[AppliedMigration],
    target: i64,
) -> impl Iterator<Item = &'m sqlx::migrate::Migration> {
    migrator.iter().filter(move |known| {
        known.migration_type.is_up_migration()
            && known.version <= target
            && !applied.iter().any(|applied| applied.version == known.version)
    })
}

/// The migrations that the database lacks. Fails as [`checked`].
pub(super) async fn missing<C: Recorded>(
    migrator: &Migrator,
    connection: &mut C,
) -> Result<Vec<i64>> {
    let applied = checked(migrator, connection, i64::MAX).await?;
    Ok(lacking(migrator, &applied, i64::MAX).map(|migration| migration.version).collect())
}

/// Fails unless the database has exactly this program's migrations.
pub(super) async fn expect_all<C: Recorded>(migrator: &Migrator, connection: &mut C) -> Result<()> {
    match missing(migrator, connection).await? {
        missing if missing.is_empty() => Ok(()),
        missing => Err(Error::Older(missing)),
    }
}

/// The error for a failed migration; `missing` are the migrations that the database lacks.
pub(super) fn refusal(missing: Vec<i64>, error: MigrateError) -> Error {
    match code(&error).as_deref() {
        // The role lacks the privilege, or session or server is read-only.
        Some("42501" | "25006") => Error::MayNotMigrate(missing, error),
        _ => error.into(),
    }
}

fn code(error: &MigrateError) -> Option<String> {
    match error {
        MigrateError::Execute(sqlx::Error::Database(error))
        | MigrateError::ExecuteMigration(sqlx::Error::Database(error), _) => {
            error.code().map(|code| code.into_owned())
        }
        _ => None,
    }
}

/// Rejects a target that is no migration; 0 is before the first.
pub(super) fn expect_known(migrator: &Migrator, target: i64) -> Result<()> {
    if target == 0 || migrator.version_exists(target) {
        return Ok(());
    }
    Err(MigrateError::VersionNotPresent(target).into())
}

/// Data that is lost when a migration is reverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The migration.
    pub version: i64,
    /// How many rows.
    pub count: u64,
    /// What they are: `order`.
    pub noun: &'static str,
    /// What is lost of them, if not all: `priority, arguments and others of`.
    pub part: Option<&'static str>,
    /// Whether it is the audit trail or its seals.
    pub is_trail: bool,
}

/// What reverting each migration drops, and how to count it.
type Dropped = (i64, &'static str, Option<&'static str>, bool, &'static str);
const DROPPED: &[Dropped] = &[
    (17, "idempotency key", None, false, "SELECT count(*) FROM idempotency_keys"),
    (16, "run", None, false, "SELECT count(*) FROM order_runs"),
    (
        15,
        "audit detail",
        Some("the old values in"),
        true,
        "SELECT count(*) FROM audit_log_details WHERE before IS NOT NULL",
    ),
    (
        15,
        "audit entry",
        Some("which entry was undone by"),
        true,
        "SELECT count(*) FROM audit_logs WHERE undoes IS NOT NULL",
    ),
    (12, "cut", None, true, "SELECT count(*) FROM audit_cuts"),
    (11, "captured change", None, false, "SELECT count(*) FROM orders_changes"),
    (8, "order", Some("the history ids of"), false, "SELECT count(*) FROM orders"),
    (5, "seal", None, true, "SELECT count(*) FROM audit_seals"),
    (
        4,
        "order",
        Some("priority, arguments, position, reason and times of"),
        false,
        "SELECT count(*) FROM orders WHERE priority <> 0 OR arguments <> '{}'
             OR position IS NOT NULL OR reason IS NOT NULL OR started IS NOT NULL
             OR state_since IS NOT NULL OR remove_when_terminated",
    ),
    (3, "account", None, false, "SELECT count(*) FROM accounts"),
    (3, "role", None, false, "SELECT count(*) FROM roles WHERE role <> 'all'"),
    (3, "session", None, false, "SELECT count(*) FROM sessions"),
    (2, "audit entry", None, true, "SELECT count(*) FROM audit_logs"),
    (2, "audit detail", None, true, "SELECT count(*) FROM audit_log_details"),
    (1, "order", None, false, "SELECT count(*) FROM orders"),
    (1, "workflow", None, false, "SELECT count(*) FROM workflows"),
    (1, "controller", None, false, "SELECT count(*) FROM controllers"),
];

/// The data that reverting to `target` would drop.
pub(super) async fn losses<C, DB>(
    migrator: &Migrator,
    connection: &mut C,
    target: i64,
) -> Result<Vec<Loss>>
where
    DB: Database,
    C: Recorded,
    for<'c> &'c mut C: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
    (i64,): for<'r> FromRow<'r, DB::Row>,
{
    expect_known(migrator, target)?;
    let applied = list(migrator, connection).await?;
    let goes =
        |version| version > target && applied.iter().any(|m| m.applied && m.version == version);
    let mut losses = Vec::new();
    for &(version, noun, part, is_trail, sql) in
        DROPPED.iter().filter(|(version, ..)| goes(*version))
    {
        let (count,): (i64,) = sqlx::query_as(sql).fetch_one(&mut *connection).await?;
        if count > 0 {
            losses.push(Loss { version, count: count.unsigned_abs(), noun, part, is_trail });
        }
    }
    Ok(losses)
}
