//! Copies out of and into SQLite.

use async_trait::async_trait;
use serde_json::json;
use sqlx::{AssertSqlSafe, SqliteConnection};
use tokio::sync::mpsc::{Receiver, Sender};

use super::SqliteStore;
use super::file::optimize;
use crate::store::copy::{
    self, Batch, Copies, HAS_DATA, Kind, Progress, TABLES, TRAIL, Table, count, expect_no_data,
    send,
};
use crate::store::{Error, Result};

#[async_trait]
impl Copies for SqliteStore {
    async fn size(&self) -> Result<u64> {
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(count()));
        Ok(count.fetch_one(self.readers()?).await?.unsigned_abs())
    }

    async fn dump(&self, to: Sender<Batch>) -> Result<()> {
        let mut transaction = self.readers()?.begin().await?;
        for table in TABLES {
            let sql = AssertSqlSafe(select(table));
            let rows = sqlx::query_scalar(sql).fetch(&mut *transaction);
            if !send(table, rows, &to).await? {
                return Ok(());
            }
        }
        let _gone = to.send(Batch::End).await;
        Ok(())
    }

    async fn load(&self, mut from: Receiver<Batch>, progress: Progress<'_>) -> Result<bool> {
        let mut transaction = self.writer.begin().await?;
        expect_no_data(sqlx::query_scalar(HAS_DATA).fetch_one(&mut *transaction).await?)?;
        sqlx::query!("DELETE FROM roles").execute(&mut *transaction).await?;
        let rules = suspend_rules(&mut transaction).await?;
        while let Some(batch) = from.recv().await {
            let Batch::Rows(table, rows) = batch else {
                expect_ids_left(&mut transaction).await?;
                sqlx::raw_sql(AssertSqlSafe(rules)).execute(&mut *transaction).await?;
                optimize(&mut transaction).await?;
                transaction.commit().await?;
                return Ok(true);
            };
            let sql = AssertSqlSafe(insert(table));
            sqlx::query(sql).bind(copy::json(&rows)).execute(&mut *transaction).await?;
            progress(table, rows.len());
        }
        Ok(false)
    }
}

/// Takes the rules off the trail that are for its new rows alone, and gives the statements that
/// put them back. A trigger that keeps rows from being replaced is no such rule.
async fn suspend_rules(connection: &mut SqliteConnection) -> Result<String> {
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
    Ok(rules.into_iter().map(|rule| rule.sql + ";").collect())
}

/// Refuses a trail with an id so high, a forged one, that it leaves none for what is to come:
/// here, an id follows the highest one.
async fn expect_ids_left(connection: &mut SqliteConnection) -> Result<()> {
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

fn select(table: &Table) -> String {
    let columns = table.list(|_, name, kind| match kind {
        Kind::Bytes => format!("hex({name})"),
        _ => name.into(),
    });
    format!("SELECT json_array({columns}) FROM {}", table.name)
}

fn insert(table: &Table) -> String {
    let values = table.list(|i, _, kind| match kind {
        Kind::Bytes => format!("unhex(value ->> {i})"),
        _ => format!("value ->> {i}"),
    });
    let (name, names) = (table.name, table.names());
    format!("INSERT INTO {name} ({names}) SELECT {values} FROM json_each(?1)")
}
