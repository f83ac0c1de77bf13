//! Which migrations a database has, and what is done about those that it lacks.

use sqlx::migrate::{AppliedMigration, MigrateError, Migrator};
use sqlx::{Database, Executor, FromRow, IntoArguments};

use super::recorded::Recorded;
use super::{Error, Result};

/// What a command wants of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To write. An SQLite file is made if it is not there, and the schema is brought up to date.
    Create,
    /// To write. File and schema must be there.
    Write,
    /// To read. File and schema must be there, and not a byte of them is changed.
    Read,
}

/// One migration and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What it is about.
    pub description: String,
    /// Whether it is applied.
    pub applied: bool,
}

/// The migrations that the database has. Only reads, unlike sqlx's `Migrator`, so that a role
/// without the right to make tables can ask.
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

/// The migrations that the database has. Fails if it has one that this program does not know,
/// or, up to `target`, another one under the same number.
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

/// The migrations up to `target` that are not among those that are applied.
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

/// Why the database was not migrated; `missing` are the migrations that it lacks.
pub(super) fn refusal(missing: Vec<i64>, error: MigrateError) -> Error {
    match code(&error).as_deref() {
        // The role may not change the schema; the session or the server only reads.
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

/// Refuses to migrate to a number that no migration has; 0 is before the first.
pub(super) fn expect_known(migrator: &Migrator, target: i64) -> Result<()> {
    if target == 0 || migrator.version_exists(target) {
        return Ok(());
    }
    Err(MigrateError::VersionNotPresent(target).into())
}

/// What goes for good when a migration is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The migration.
    pub version: i64,
    /// How many there are.
    pub count: u64,
    /// What: `order`.
    pub noun: &'static str,
    /// What of them, if not all: `priority, arguments and others of`.
    pub part: Option<&'static str>,
    /// Whether it is the audit trail, or what proves it.
    pub is_trail: bool,
}

/// Of each migration, what its way back drops, and how to count it.
type Dropped = (i64, &'static str, Option<&'static str>, bool, &'static str);
const DROPPED: &[Dropped] = &[
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

/// What there is that the way back to `target` would drop.
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
