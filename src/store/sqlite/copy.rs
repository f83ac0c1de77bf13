//! Copies out of and into SQLite.

use serde_json::json;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::store::copy::TRAIL;
use crate::store::tables::{ColumnType, Table, list};
use crate::store::{Error, Result};

/// The write transaction already locks out others.
pub(super) async fn lock(_: &mut SqliteConnection, _: &str) -> Result<()> {
    Ok(())
}

/// Removes the rules that apply only to new rows of the trail; returns the statements that restore
/// them. The trigger against replacing rows stays.
pub(super) async fn suspend_rules(connection: &mut SqliteConnection) -> Result<Vec<String>> {
    let rules = sqlx::query!(
        r#"SELECT name AS "name!", sql AS "sql!" FROM sqlite_schema
           WHERE type = 'trigger' AND tbl_name IN (SELECT value FROM json_each(?1))
               AND (name LIKE '%\_new' ESCAPE '\' OR name LIKE '%\_drawn' ESCAPE '\')"#,
        json!(TRAIL).to_string(),
    )
    .fetch_all(&mut *connection)
    .await?;
    let off: String = rules.iter().map(|rule| format!("DROP TRIGGER {};", rule.name)).collect();
    sqlx::raw_sql(AssertSqlSafe(off)).execute(connection).await?;
    Ok(rules.into_iter().map(|rule| rule.sql).collect())
}

/// Rejects a trail with a forged id so high that none is left for new entries: on SQLite, an id
/// follows the highest one.
pub(super) async fn reserve_ids(connection: &mut SqliteConnection) -> Result<()> {
    let highest = sqlx::query_scalar!(
        r#"SELECT max(id) AS "id: i64" FROM audit_logs WHERE id > 4503599627370496"#
    );
    match highest.fetch_one(connection).await? {
        Some(id) => Err(Error::Data(format!(
            "audit log {id} is forged: no id would be left for new entries; SQLite cannot take \
             this trail, PostgreSQL can"
        ))),
        None => Ok(()),
    }
}

/// The query of a table's rows.
pub(super) fn select(table: &Table) -> String {
    let columns = list(table.written(), |column| match column.holds {
        ColumnType::Bytes => format!("hex({})", column.name),
        _ => column.name.into(),
    });
    format!("SELECT json_array({columns}) FROM {}", table.name)
}

/// The insert of such rows.
pub(super) fn insert(table: &Table) -> String {
    let values = list(table.written().enumerate(), |(i, column)| match column.holds {
        ColumnType::Bytes => format!("unhex(value ->> {i})"),
        _ => format!("value ->> {i}"),
    });
    let names = list(table.written(), |column| column.name.to_owned());
    format!("INSERT INTO {} ({names}) SELECT {values} FROM json_each(?1)", table.name)
}
