//! Capture: switches it, reports on it, and prunes what it has recorded.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};

use super::backend::{DbConnection, instant};
use super::schema;
use super::triggers::{RECORD, REMOVE, begin, create, guard, open, parts, unguard};
use crate::store::capture::{Capture, CaptureStatus};
use crate::store::schema::{Differences, SchemaPart, compare};
use crate::store::{Access, Result, StoredInstant};

/// What it was switched to last, and when.
const LAST: &str = "SELECT operation = 'CAPTURE_ON',
         coalesce(CAST(new_values ->> 'executors' AS TEXT), '') IN ('true', '1'), created
     FROM orders_changes WHERE source = 'SERVICE' AND operation <> 'PRUNE'
     ORDER BY id DESC LIMIT 1";

async fn last(connection: &mut DbConnection) -> Result<(Capture, Option<StoredInstant>)> {
    let last: Option<(bool, bool, StoredInstant)> =
        sqlx::query_as(LAST).fetch_optional(connection).await?;
    Ok(match last {
        Some((true, executors, since)) => (Capture::On { executors }, Some(since)),
        Some((false, _, since)) => (Capture::Off, Some(since)),
        None => (Capture::Off, None),
    })
}

/// Whether it is on, and how the triggers in a schema differ from those that it should have.
/// Without the table it is off.
async fn seen(
    connection: &mut DbConnection,
    actual: &[SchemaPart],
) -> Result<(Capture, Option<StoredInstant>, Vec<SchemaPart>)> {
    let has = |name: &str| {
        actual
            .iter()
            .any(|part| part.kind == "column" && part.of == "orders_changes" && part.name == name)
    };
    if !["id", "operation", "source", "new_values", "created"].into_iter().all(has) {
        return Ok((Capture::Off, None, Vec::new()));
    }
    let (capture, since) = last(connection).await?;
    Ok((capture, since, parts(capture)?))
}

/// Compares the schema with the expected one and the triggers of capture.
pub(in super::super) async fn compared(
    connection: &mut DbConnection,
    expected: &[SchemaPart],
    strict: bool,
) -> Result<Differences> {
    let actual = schema::parts(connection).await?;
    let (capture, _, parts) = seen(connection, &actual).await?;
    let differences = compare(&[expected, &parts].concat(), &actual, strict);
    Ok(Differences { capture, ..differences })
}

/// See [`crate::store::capture_status`].
pub(in super::super) async fn status(connection: &mut DbConnection) -> Result<CaptureStatus> {
    let actual = schema::parts(connection).await?;
    let (capture, since, parts) = seen(connection, &actual).await?;
    let recorded: Vec<(String, i64, StoredInstant, StoredInstant)> = sqlx::query_as(
        "SELECT source, count(*), min(created), max(created) FROM orders_changes
         WHERE source <> 'SERVICE' GROUP BY source ORDER BY source",
    )
    .fetch_all(connection)
    .await?;
    let recorded = recorded.into_iter().map(|(source, n, a, b)| (source, n.unsigned_abs(), a, b));
    let problems = compare(&parts, &actual, false).problems;
    Ok(CaptureStatus { capture, since, recorded: recorded.collect(), problems })
}

async fn record(connection: &mut DbConnection, operation: &str, values: String) -> Result<()> {
    sqlx::query(RECORD).bind(operation.to_owned()).bind(values).execute(connection).await?;
    Ok(())
}

/// See [`crate::store::set_capture`].
pub(in super::super) async fn set(url: &str, capture: Capture) -> Result<bool> {
    let mut connection = open(url, Access::Write).await?;
    let mut transaction = begin(&mut connection, "orders").await?;
    let actual = schema::parts(&mut transaction).await?;
    let (before, _, expected) = seen(&mut transaction, &actual).await?;
    let is_there = |part: &SchemaPart| part.name.starts_with("orders_capture_");
    let is_right = match capture {
        Capture::Off => !actual.iter().any(is_there),
        Capture::On { .. } => compare(&expected, &actual, false).problems.is_empty(),
    };
    if before == capture && is_right {
        return Ok(false);
    }
    let create = match capture {
        Capture::Off => String::new(),
        Capture::On { executors } => create(executors),
    };
    let sql = format!("{REMOVE}\n{create}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    let executors = matches!(capture, Capture::On { executors: true });
    record(&mut transaction, capture.operation(), json!({"executors": executors}).to_string())
        .await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(true)
}

/// Creates the triggers in a database that was copied from one that has them.
pub(in super::super) async fn resume(connection: &mut DbConnection) -> Result<()> {
    if let (Capture::On { executors }, _) = last(connection).await? {
        sqlx::raw_sql(AssertSqlSafe(create(executors))).execute(connection).await?;
    }
    Ok(())
}

/// See [`crate::store::prune_changes`].
pub(in super::super) async fn prune(
    url: &str,
    before: chrono::DateTime<chrono::Utc>,
) -> Result<u64> {
    let mut connection = open(url, Access::Write).await?;
    // The orders stay free: many rows take long to delete.
    let mut transaction = begin(&mut connection, "orders_changes").await?;
    sqlx::query(AssertSqlSafe(unguard("orders_changes"))).execute(&mut *transaction).await?;
    let pruned =
        sqlx::query("DELETE FROM orders_changes WHERE source <> 'SERVICE' AND created < $1")
            .bind(instant(before))
            .execute(&mut *transaction)
            .await?
            .rows_affected();
    sqlx::query(AssertSqlSafe(guard("orders_changes"))).execute(&mut *transaction).await?;
    if pruned > 0 {
        let values = json!({"before": crate::model::window::iso(&before), "changes": pruned});
        record(&mut transaction, "PRUNE", values.to_string()).await?;
    }
    transaction.commit().await?;
    connection.close().await?;
    Ok(pruned)
}
