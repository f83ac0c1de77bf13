//! Migrations on PostgreSQL: the locks that they take, and the sessions that hold them.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::audit;
use super::citus::distribution;
use super::one_by_one::one_by_one;
use crate::model::audit::{AuditEntry, Outcome};
use crate::store::Error;
use crate::store::copy::HAS_DATA;
use crate::store::recorded::{Recorded, Step};

/// The migrations of PostgreSQL.
pub(super) static MIGRATOR: Migrator = sqlx::migrate!("migrations/postgres");

/// The tables that a migration locks, and the lock mode. They are locked together at its start:
/// otherwise it might block everyone during its work and then fail on the last table.
const LOCKS: &[(i64, &str, &str)] = &[
    (4, "controllers, orders, audit_logs", ALONE),
    (
        6,
        "controllers, workflows, orders, accounts, roles, role_permissions, role_folders, sessions",
        "SHARE ROW EXCLUSIVE",
    ),
    (7, "audit_logs, audit_log_details, audit_seals", ALONE),
    (8, "orders", ALONE),
    (9, "audit_logs", ALONE),
    (10, "audit_logs, audit_log_details", "SHARE"),
    (13, "joc_audit_log, joc_audit_log_details, audit_logs, audit_log_details", ALONE),
];

/// The lock that dropping parts of a table takes, and thus every reverted migration.
const ALONE: &str = "ACCESS EXCLUSIVE";

impl Recorded for PgConnection {
    fn is_recorded(&mut self) -> BoxFuture<'_, sqlx::Result<bool>> {
        let is_there = sqlx::query_scalar!(
            r#"SELECT to_regclass('_sqlx_migrations') IS NOT NULL AS "is_there!""#
        );
        Box::pin(is_there.fetch_one(self))
    }

    fn limit_waits(&mut self, wait: Duration) -> BoxFuture<'_, sqlx::Result<()>> {
        Box::pin(async move {
            sqlx::query!(
                "SELECT set_config('lock_timeout', $1, false) AS a,
                        set_config('statement_timeout', '0', false) AS b,
                        set_config('idle_in_transaction_session_timeout', '0', false) AS c",
                wait.as_millis().to_string()
            )
            .fetch_one(self)
            .await
            .map(drop)
        })
    }

    fn step<'a>(
        &'a mut self,
        table: &'a str,
        step: Step<'a>,
        wait: Duration,
    ) -> BoxFuture<'a, Result<(), MigrateError>> {
        Box::pin(async move {
            let (Step::Apply(migration) | Step::Revert(migration)) = step else {
                return step.run(self, table).await;
            };
            if distribution(self).await.is_ok_and(|servers| servers.is_some()) {
                return one_by_one(self, table, step, wait).await;
            }
            let locks = LOCKS.iter().find(|(of, ..)| *of == migration.version);
            let Some((_, tables, mode)) = locks else {
                return step.run(self, table).await;
            };
            let mode = if matches!(step, Step::Revert(_)) { ALONE } else { mode };
            let mut transaction = self.begin().await?;
            // lock_timeout applies to each table, this to all of them.
            let lock = format!(
                "SET LOCAL statement_timeout = {}; LOCK TABLE {tables} IN {mode} MODE",
                wait.as_millis()
            );
            sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *transaction).await?;
            sqlx::raw_sql("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
            step.run(&mut *transaction, table).await?;
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
        step: Step<'_>,
        waited: Duration,
    ) -> BoxFuture<'_, sqlx::Result<Vec<String>>> {
        let locks = if matches!(step, Step::Lock) { "advisory" } else { "relation" };
        Box::pin(async move {
            // The blocking session began earlier. Its start may be hidden from other roles.
            sqlx::query_scalar!(
                r#"SELECT coalesce(
                       'process ' || a.pid || ' of role ' || a.usename
                           || coalesce(' (' || nullif(a.application_name, '') || ')', '')
                           || coalesce(' at ' || host(a.client_addr), '')
                           || coalesce(', ' || a.state, '')
                           || coalesce(' for ' || date_trunc('second', now()
                               - coalesce(a.xact_start, a.state_change)), ''),
                       'a prepared transaction') AS "holder!"
                   FROM (
                       SELECT DISTINCT pid FROM pg_locks
                       WHERE granted AND locktype = $1 AND pid IS DISTINCT FROM pg_backend_pid()
                           AND database = (SELECT oid FROM pg_database
                               WHERE datname = current_database())
                           -- No catalogs.
                           AND (relation IS NULL OR relation >= 16384)
                   ) l LEFT JOIN pg_stat_activity a USING (pid)
                   WHERE coalesce(a.xact_start, a.state_change, '-infinity')
                       <= now() - make_interval(secs => $2)
                   ORDER BY coalesce(a.xact_start, a.state_change)
                   LIMIT 3"#,
                locks,
                waited.as_secs_f64()
            )
            .fetch_all(self)
            .await
        })
    }
}
