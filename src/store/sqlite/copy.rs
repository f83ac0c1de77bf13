//! Copies out of and into SQLite.

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use tokio::sync::mpsc::{Receiver, Sender};

use super::{SqliteStore, optimize};
use crate::store::Result;
use crate::store::copy::{
    Batch, Copies, HAS_DATA, Kind, Progress, TABLES, Table, count, expect_no_data, json, send,
};

#[async_trait]
impl Copies for SqliteStore {
    async fn size(&self) -> Result<u64> {
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(count()));
        Ok(count.fetch_one(&self.readers).await?.unsigned_abs())
    }

    async fn dump(&self, to: Sender<Batch>) -> Result<()> {
        let mut transaction = self.readers.begin().await?;
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
        while let Some(batch) = from.recv().await {
            let Batch::Rows(table, rows) = batch else {
                optimize(&mut transaction).await?;
                transaction.commit().await?;
                return Ok(true);
            };
            let sql = AssertSqlSafe(insert(table));
            sqlx::query(sql).bind(json(&rows)).execute(&mut *transaction).await?;
            progress(table, rows.len());
        }
        Ok(false)
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
