//! Copies out of and into this database.

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::sync::mpsc::{Receiver, Sender};

use super::administration::record;
use super::backend::Backend;
use super::capture;
use super::copy::{insert, lock, reserve_ids, select, suspend_rules};
use super::partitions::make_room;
use crate::model::audit::Category;
use crate::store::Result;
use crate::store::administrator::administrator;
use crate::store::copy::{
    Copies, CopyBatch, CopyProgress, HAS_DATA, count, expect_no_data, json, send,
};
use crate::store::tables::{TABLES, list};

/// The table whose ids its partitions divide.
const ENTRIES: &str = "audit_logs";

#[async_trait]
impl Copies for Backend {
    async fn size(&self) -> Result<u64> {
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(count()));
        Ok(count.fetch_one(self.readers()?).await?.unsigned_abs())
    }

    async fn dump(&self, to: Sender<CopyBatch>) -> Result<()> {
        let mut transaction = self.begin_snapshot().await?;
        for table in TABLES {
            let sql = AssertSqlSafe(select(table));
            let rows = sqlx::query_scalar(sql).fetch(&mut *transaction);
            if !send(table, rows, &to).await? {
                return Ok(());
            }
        }
        let _gone = to.send(CopyBatch::End).await;
        Ok(())
    }

    async fn load(
        &self,
        mut from: Receiver<CopyBatch>,
        place: &str,
        progress: CopyProgress<'_>,
    ) -> Result<bool> {
        let by = administrator();
        let mut loaded = serde_json::Map::new();
        let mut transaction = self.begin().await?;
        let tables = list(TABLES, |table| table.name.to_owned());
        lock(&mut transaction, &tables).await?;
        let has_data = format!("{HAS_DATA} OR EXISTS (SELECT 1 FROM orders_changes)");
        let has_data = sqlx::query_scalar(AssertSqlSafe(has_data));
        expect_no_data(has_data.fetch_one(&mut *transaction).await?)?;
        sqlx::query("DELETE FROM roles").execute(&mut *transaction).await?;
        let rules = suspend_rules(&mut transaction).await?;
        while let Some(batch) = from.recv().await {
            let CopyBatch::Rows(table, rows) = batch else {
                reserve_ids(&mut transaction).await?;
                for rule in rules {
                    sqlx::raw_sql(AssertSqlSafe(rule)).execute(&mut *transaction).await?;
                }
                let parameters = json!({ "from": place, "rows": loaded });
                record(&mut transaction, by, Category::Import, None, parameters).await?;
                capture::resume(&mut transaction).await?;
                self.statistics().renew_with(transaction, &tables).await?;
                return Ok(true);
            };
            if table.name == ENTRIES
                && let Some(place) = table.written().position(|column| column.name == "id")
            {
                make_room(&mut transaction, &json(&rows), place).await?;
            }
            let sql = AssertSqlSafe(insert(table));
            sqlx::query(sql).bind(json(&rows)).execute(&mut *transaction).await?;
            let before = loaded.get(table.name).and_then(Value::as_u64).unwrap_or_default();
            loaded.insert(table.name.into(), json!(before + rows.len() as u64));
            progress(table, rows.len());
        }
        Ok(false)
    }
}
