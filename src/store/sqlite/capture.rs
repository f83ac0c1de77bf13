//! Capture on SQLite: triggers that tell the service by what `last_insert_rowid()` returns on its
//! connection. That costs no write, no other connection sees it, and every program that opens the
//! file has the function.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Sqlite, Transaction};

pub(super) use super::file::own;
use super::file::{MARK, connect, options};
use super::schema::plain;
use super::steps::MIGRATOR;
use crate::store::capture::Capture;
use crate::store::schema::SchemaPart;
use crate::store::sql::capture::{IS_CHILD, TRIGGERS, is_report, recorded, recorded_at_first};
use crate::store::tables::{ColumnType, TableColumn, list};
use crate::store::{Access, Result, migrations};

/// Records a switch: its operation and values.
pub(super) const RECORD: &str =
    "INSERT INTO orders_changes (controller_id, operation, source, new_values)
     VALUES ('-', $1, 'SERVICE', $2)";

/// Lets rows of an append-only table be deleted.
pub(super) fn unguard(table: &str) -> String {
    format!("DROP TRIGGER {table}_refuse_delete")
}

/// Ends what [`unguard`] began; as in the migrations.
pub(super) fn guard(table: &str) -> String {
    format!(
        "CREATE TRIGGER {table}_refuse_delete BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )
}

/// Removes every trigger of capture.
pub(super) const REMOVE: &str = "DROP TRIGGER IF EXISTS orders_capture_insert;
     DROP TRIGGER IF EXISTS orders_capture_update;
     DROP TRIGGER IF EXISTS orders_capture_delete;";

/// Connects to a file with this program's schema.
pub(super) async fn open(url: &str, access: Access) -> Result<SqliteConnection> {
    let mut connection = connect(&options(url, access)?).await?;
    migrations::expect_all(&MIGRATOR, &mut connection).await?;
    Ok(connection)
}

/// Begins a transaction that excludes other writers.
pub(super) async fn begin<'c>(
    connection: &'c mut SqliteConnection,
    _table: &str,
) -> Result<Transaction<'c, Sqlite>> {
    begin_among(connection).await
}

/// As [`begin`]: a file has one writer.
pub(super) async fn begin_alone<'c>(
    connection: &'c mut SqliteConnection,
    _: &[&str],
) -> Result<Transaction<'c, Sqlite>> {
    begin_among(connection).await
}

/// A file is in one place.
#[allow(clippy::unused_async, reason = "PostgreSQL has to ask")]
pub(super) async fn is_distributed(_: &mut SqliteConnection) -> Result<bool> {
    Ok(false)
}

/// Begins a transaction that writes.
pub(super) async fn begin_among(
    connection: &mut SqliteConnection,
) -> Result<Transaction<'_, Sqlite>> {
    Ok(connection.begin_with("BEGIN IMMEDIATE").await?)
}

/// A file has no owner.
pub(super) async fn expect_owner(_: &mut SqliteConnection, _: &[&str], _: &str) -> Result<()> {
    Ok(())
}

/// The statements that create the triggers.
pub(super) fn create(executors: bool) -> String {
    TRIGGERS.iter().map(|(name, operation)| trigger(name, operation, executors) + ";\n").collect()
}

fn trigger(name: &str, operation: &str, executors: bool) -> String {
    let values = |columns: &mut dyn Iterator<Item = &'static TableColumn>, row: &str| {
        let pairs = list(columns, |TableColumn { name, holds, .. }| match holds {
            ColumnType::Flag => format!("'{name}', json(iif({row}.{name}, 'true', 'false'))"),
            ColumnType::Json => format!("'{name}', json({row}.{name})"),
            _ => format!("'{name}', {row}.{name}"),
        });
        format!("json_object({pairs})")
    };
    let same = |column: &str| format!("NEW.{column} IS OLD.{column}");
    let is_executor = match operation {
        "INSERT" => format!(
            "{IS_CHILD} AND EXISTS (SELECT 1 FROM orders p
            WHERE p.controller_id = NEW.controller_id AND p.order_id = NEW.parent_id
                AND p.state = 'WAITING' AND p.reason = 'FORKED')"
        ),
        "UPDATE" => is_report(same, "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"),
        _ => "FALSE".into(),
    };
    let (row, old, new, from, grouped) = match operation {
        "INSERT" => {
            ("NEW", "NULL".into(), values(&mut recorded_at_first(), "NEW"), String::new(), "")
        }
        "DELETE" => ("OLD", values(&mut recorded(), "OLD"), "NULL".into(), String::new(), ""),
        _ => {
            let of =
                |which: &str| format!("json_group_object(k.key, json(v.{which} -> k.fullkey))");
            let from = format!(
                ",
        (SELECT {} AS was,
            {} AS becomes) v,
        json_each(v.was) k",
                values(&mut recorded(), "OLD"),
                values(&mut recorded(), "NEW"),
            );
            ("OLD", of("was"), of("becomes"), from, "\n    GROUP BY c.source")
        }
    };
    let mut conditions = Vec::new();
    if !executors {
        conditions.push("c.source = 'SQL'");
    }
    if operation == "UPDATE" {
        conditions.push("(v.was -> k.fullkey) IS NOT (v.becomes -> k.fullkey)");
    }
    let conditions = match &conditions[..] {
        [] => String::new(),
        conditions => format!("\n    WHERE {}", conditions.join(" AND ")),
    };
    // A trigger draws the history id of a row that was inserted without; that is part of the insert.
    let drawn = if operation == "UPDATE" {
        " AND (OLD.history_id IS NOT NULL OR NEW.history_id IS NULL)"
    } else {
        ""
    };
    format!(
        "CREATE TRIGGER {name} AFTER {operation} ON orders
WHEN last_insert_rowid() <> {MARK}{drawn}
BEGIN
    INSERT INTO orders_changes (controller_id, order_id, operation, source, old_values, new_values)
    SELECT {row}.controller_id, {row}.order_id, '{operation}', c.source,
        {old},
        {new}
    FROM (SELECT CASE WHEN {is_executor}
            THEN 'EXECUTOR' ELSE 'SQL' END AS source) c{from}{conditions}{grouped};
END"
    )
}

/// The parts of the schema that capture has.
pub(super) fn parts(capture: Capture) -> Result<Vec<SchemaPart>> {
    let Capture::On { executors } = capture else { return Ok(Vec::new()) };
    let part = |(name, operation): &(&str, &str)| SchemaPart {
        kind: "trigger".into(),
        of: "orders".into(),
        name: (*name).into(),
        definition: plain(&trigger(name, operation, executors)),
    };
    Ok(TRIGGERS.iter().map(part).collect())
}
