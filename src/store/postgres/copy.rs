//! Copies out of and into PostgreSQL.

use sqlx::{AssertSqlSafe, PgConnection, Postgres};

use super::citus::Citus;
use super::one_by_one::SEQUENTIAL;
use crate::store::Result;
use crate::store::copy::TRAIL;
use crate::store::sql::Dialect;
use crate::store::tables::{ColumnType, Table, TableColumn, list};

/// Locks the tables against other sessions.
pub(super) async fn lock(connection: &mut PgConnection, tables: &str) -> Result<()> {
    sqlx::raw_sql(SEQUENTIAL).execute(&mut *connection).await?;
    let lock = format!("LOCK TABLE {tables} IN EXCLUSIVE MODE");
    sqlx::query(AssertSqlSafe(lock)).execute(connection).await?;
    Ok(())
}

/// Makes the ids of new entries follow the existing ones, except for forged ids so high that none
/// would be left.
pub(super) async fn reserve_ids(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "SELECT setval(pg_get_serial_sequence('audit_logs', 'id'), max(id))
                     FROM audit_logs WHERE id BETWEEN 1 AND 4503599627370496
                     HAVING max(id) IS NOT NULL"
    )
    .fetch_optional(&mut *connection)
    .await?;
    sqlx::query(
        "SELECT setval(pg_get_serial_sequence('orders', 'history_id'), max(history_id))
             FROM orders HAVING max(history_id) IS NOT NULL",
    )
    .fetch_optional(&mut *connection)
    .await?;
    sqlx::query(
        "SELECT setval(pg_get_serial_sequence('orders_changes', 'id'), max(id))
             FROM orders_changes HAVING max(id) IS NOT NULL",
    )
    .fetch_optional(connection)
    .await?;
    Ok(())
}

/// Removes the rules that apply only to new rows of the trail; returns the statements that restore
/// them. Nobody else writes to the trail until the transaction ends.
pub(super) async fn suspend_rules(connection: &mut PgConnection) -> Result<Vec<String>> {
    let rules = sqlx::query!(
        r#"SELECT format('ALTER TABLE %s DROP CONSTRAINT %I;', conrelid::regclass, conname) AS "off!",
               format('ALTER TABLE %s ADD CONSTRAINT %I %s;', conrelid::regclass, conname,
                   pg_get_constraintdef(oid)) AS "on!"
           FROM pg_constraint
           WHERE contype = 'c' AND NOT convalidated
               AND conrelid IN (SELECT to_regclass(t)::oid FROM unnest($1::text[]) t)
           UNION ALL
           SELECT format('ALTER TABLE %s DISABLE TRIGGER %I;', tgrelid::regclass, tgname),
               format('ALTER TABLE %s ENABLE TRIGGER %I;', tgrelid::regclass, tgname)
           FROM pg_trigger
           WHERE NOT tgisinternal AND tgenabled = 'O' AND tgtype & 4 <> 0
               AND tgrelid IN (SELECT to_regclass(t)::oid FROM unnest($1::text[]) t)"#,
        &TRAIL as &[&str],
    )
    .fetch_all(&mut *connection)
    .await?;
    // Citus passes on to shards what concerns all triggers of a table, but not one by its name.
    let is_citus = Citus::of(&mut *connection).await?.is_there;
    let reaching = |rule: String| match rule.split_once(" TRIGGER ") {
        Some((alter, _)) if is_citus => format!("{alter} TRIGGER USER"),
        _ => rule,
    };
    // One at a time: Citus sends workers the whole text.
    let mut on = Vec::new();
    for rule in rules {
        let off = AssertSqlSafe(reaching(rule.off));
        sqlx::raw_sql(off).execute(&mut *connection).await?;
        on.push(reaching(rule.on));
    }
    Ok(on)
}

/// The query of a table's rows.
pub(super) fn select(table: &Table) -> String {
    let columns = list(table.written(), |TableColumn { name, holds, .. }| match holds {
        ColumnType::Text | ColumnType::Integer => (*name).into(),
        ColumnType::Flag => format!("{name}::integer"),
        ColumnType::Json | ColumnType::JsonText => format!("{name}::text"),
        ColumnType::Bytes => format!("encode({name}, 'hex')"),
        ColumnType::Instant => Postgres::iso(name),
    });
    format!("SELECT json_build_array({columns})::text FROM {}", table.name)
}

/// The insert of such rows.
pub(super) fn insert(table: &Table) -> String {
    let values = list(table.written().enumerate(), |(i, column)| match column.holds {
        ColumnType::Text => format!("value ->> {i}"),
        ColumnType::Integer => format!("(value ->> {i})::bigint"),
        ColumnType::Flag => format!("(value ->> {i})::integer::boolean"),
        ColumnType::Json => format!("(value ->> {i})::jsonb"),
        ColumnType::JsonText => format!("(value ->> {i})::json"),
        ColumnType::Bytes => format!("decode(value ->> {i}, 'hex')"),
        ColumnType::Instant => format!("(value ->> {i})::timestamptz"),
    });
    let names = list(table.written(), |column| column.name.to_owned());
    format!(
        "INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} \
         FROM json_array_elements($1::text::json)",
        table.name,
    )
}
