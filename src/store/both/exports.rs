//! Exports out of this database.

use async_trait::async_trait;
use tokio::sync::mpsc::Sender;

use super::backend::Backend;
use super::built::Db;
use super::copy::select;
use crate::store::export::{Exports, send, tables};
use crate::store::sql::Sql;
use crate::store::{Item, Result};

#[async_trait]
impl Exports for Backend {
    async fn export(&self, controller_id: Option<&str>, to: Sender<Vec<Item>>) -> Result<()> {
        let mut transaction = self.begin_snapshot().await?;
        for (table, key) in tables() {
            let mut sql = Sql::<Db>::of(select(table));
            if let Some(controller_id) = controller_id {
                sql.push("\nWHERE controller_id = ").text(controller_id);
            }
            sql.push("\nORDER BY ").push(key);
            let rows = sql.builder().build_query_scalar().fetch(&mut *transaction);
            if !send(table, rows, &to).await? {
                break;
            }
        }
        Ok(())
    }
}
