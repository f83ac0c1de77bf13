//! Distributes the tables over the servers of Citus, by controller.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::audit;
use super::backend::connect;
use super::capture::{expect_owner, guard, unguard};
use super::citus::{Citus, distribution};
use super::one_by_one::SEQUENTIAL;
use super::steps::MIGRATOR;
use crate::model::audit::{Category, Outcome};
use crate::store::administrator::administrator;
use crate::store::capture::Capture;
use crate::store::migrating::LockPatience;
use crate::store::{Access, Error, Result, migrations};

/// The tables that are distributed, each after those that it refers to. Accounts, roles and sessions
/// stay where every request begins, or one dead server would stop every login.
const TABLES: [&str; 9] = [
    "controllers",
    "workflows",
    "orders",
    "order_runs",
    "audit_logs",
    "audit_log_details",
    "audit_seals",
    "audit_cuts",
    "idempotency_keys",
];

/// A table that every server gets a copy of, since `check` joins it to the orders. Its key is its id
/// alone, and nothing writes to it while the orders are distributed.
const COPIED: &str = "orders_changes";

/// Tables that refuse to be emptied.
const GUARDED: [&str; 5] = ["audit_logs", "audit_log_details", "audit_seals", "audit_cuts", COPIED];

/// What the functions of the schema need.
const SETTINGS: [&str; 2] = [
    // The trigger of a seal looks at its entries, which are on the same server.
    "ALTER FUNCTION expect_next_seal() SET citus.allow_nested_distributed_execution = on",
    // The triggers of a new partition look at rows of their own server only.
    "ALTER FUNCTION make_audit_partition(bigint) SET citus.enable_unsafe_triggers = on",
];

/// See [`super::super::distribute`].
pub(super) async fn distribute(
    url: &str,
    capture: Capture,
    patience: LockPatience,
) -> Result<bool> {
    let mut connection = connect(url, Access::Write).await?;
    migrations::expect_all(&MIGRATOR, &mut connection).await?;
    if !Citus::of(&mut connection).await?.is_there {
        return Err(Error::Unusable(
            "this database has no Citus: load its library (shared_preload_libraries = 'citus'), and \
             run `CREATE EXTENSION citus` in it as a superuser"
                .into(),
        ));
    }
    if distribution(&mut connection).await?.is_some() {
        return Ok(false);
    }
    expect_owner(&mut connection, &TABLES, "distributing").await?;
    if capture != Capture::Off {
        return Err(Error::Unusable(
            "plain SQL is captured, which needs all orders on one server: run `joc-orders capture \
             off` first"
                .into(),
        ));
    }
    lock_and_distribute(&mut connection, patience).await?;
    if let Err(error) = empty(&mut connection).await {
        tracing::warn!(
            %error,
            "the rows that are on other servers now are still in the tables of this one, where \
             nothing reads them: run SELECT truncate_local_data_after_distributing_table('controllers') \
             as a superuser with SET session_replication_role = replica"
        );
    }
    connection.close().await?;
    Ok(true)
}

/// Distributes every table, in one transaction.
async fn lock_and_distribute(connection: &mut PgConnection, patience: LockPatience) -> Result<()> {
    let mut transaction = connection.begin().await?;
    let tables = format!("{}, {COPIED}", TABLES.join(", "));
    let wait = patience.in_all.as_millis();
    let lock = format!(
        "{SEQUENTIAL}; SET LOCAL lock_timeout = {wait}; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"
    );
    match sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *transaction).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => {
            return Err(Error::Blocked(format!(
                "other sessions have held locks on the tables for {:.0?}; nothing has changed: try \
                 again",
                patience.in_all
            )));
        }
        locked => {
            locked?;
        }
    }
    for table in TABLES {
        let with = if table == TABLES[0] { "default" } else { TABLES[0] };
        sqlx::query(
            "SELECT create_distributed_table($1, 'controller_id', colocate_with => $2)::text",
        )
        .bind(table)
        .bind(with)
        .execute(&mut *transaction)
        .await?;
    }
    sqlx::query("SELECT create_reference_table($1)::text")
        .bind(COPIED)
        .execute(&mut *transaction)
        .await?;
    for setting in SETTINGS {
        sqlx::raw_sql(setting).execute(&mut *transaction).await?;
    }
    if let Some(by) = administrator() {
        let entry = by.entry(Category::Others, None, json!({ "distributed": TABLES }));
        audit::insert(&mut transaction, &entry, Outcome::Done, 0).await?;
    }
    Ok(transaction.commit().await?)
}

/// Removes the rows that have been copied to shards. Citus empties only what it may.
async fn empty(connection: &mut PgConnection) -> Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(SEQUENTIAL).execute(&mut *transaction).await?;
    // One at a time: Citus sends workers the whole text.
    for table in GUARDED {
        sqlx::raw_sql(AssertSqlSafe(unguard(table))).execute(&mut *transaction).await?;
    }
    for table in
        ["controllers", "audit_logs", "audit_seals", "audit_cuts", "idempotency_keys", COPIED]
    {
        sqlx::query("SELECT truncate_local_data_after_distributing_table($1::regclass)::text")
            .bind(table)
            .execute(&mut *transaction)
            .await?;
    }
    for table in GUARDED {
        sqlx::raw_sql(AssertSqlSafe(guard(table))).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}
