//! Migrations on SQLite.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::audit;
use super::file::own;
use crate::model::audit::{AuditEntry, Outcome};
use crate::store::Error;
use crate::store::copy::HAS_DATA;
use crate::store::recorded::{Recorded, Step};

/// The migrations of SQLite.
pub(super) static MIGRATOR: Migrator = sqlx::migrate!("migrations/sqlite");

impl Recorded for SqliteConnection {
    fn is_recorded(&mut self) -> BoxFuture<'_, sqlx::Result<bool>> {
        let is_there = sqlx::query_scalar!(
            r#"SELECT count(*) > 0 AS "is_there!: bool" FROM sqlite_schema
               WHERE name = '_sqlx_migrations'"#
        );
        Box::pin(is_there.fetch_one(self))
    }

    fn limit_waits(&mut self, wait: Duration) -> BoxFuture<'_, sqlx::Result<()>> {
        let pragma = format!("PRAGMA busy_timeout = {}", wait.as_millis());
        Box::pin(async move { sqlx::raw_sql(AssertSqlSafe(pragma)).execute(self).await.map(drop) })
    }

    fn step<'a>(
        &'a mut self,
        table: &'a str,
        step: Step<'a>,
        _wait: Duration,
    ) -> BoxFuture<'a, Result<(), MigrateError>> {
        Box::pin(async move {
            let (migration, is_there) = match step {
                Step::Lock | Step::Table => return step.run(self, table).await,
                Step::Apply(migration) | Step::Record(migration) => (migration, true),
                Step::Revert(migration) => (migration, false),
            };
            // Only the write lock excludes other migrating programs, so the step may be done by
            // now.
            let mut transaction = self.begin_with("BEGIN IMMEDIATE").await?;
            let applied = transaction.list_applied_migrations(table).await?;
            if applied.iter().any(|m| m.version == migration.version) != is_there {
                // What a migration changes is no plain SQL, which capture would record.
                sqlx::raw_sql(AssertSqlSafe(own())).execute(&mut *transaction).await?;
                step.run(&mut *transaction, table).await?;
            }
            Ok(transaction.commit().await?)
        })
    }

    fn record<'a>(&'a mut self, entry: &'a AuditEntry) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if sqlx::query_scalar(HAS_DATA).fetch_one(&mut *self).await? {
                audit::insert(self, entry, Outcome::Done, 0).await?;
            }
            Ok(())
        })
    }

    fn holders(
        &mut self,
        _step: Step<'_>,
        _waited: Duration,
    ) -> BoxFuture<'_, sqlx::Result<Vec<String>>> {
        Box::pin(async { Ok(vec!["another program that writes to the file".into()]) })
    }
}
