//! Showing orders on SQLite.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sqlx::{QueryBuilder, Sqlite};

use super::{SqliteStore, set_clock};
use crate::model::selection::Selection;
use crate::store::list::{HistoryFilter, ListedOrder, Lists, PastOrder};
use crate::store::sql::list::{push_history, push_list, push_snapshot};
use crate::store::{Result, counts, rows};

#[async_trait]
impl Lists for SqliteStore {
    fn orders(
        &self,
        selection: &Selection,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<ListedOrder>> {
        let mut sql = QueryBuilder::<Sqlite>::new("");
        push_list(&mut sql, selection, limit);
        rows::stream(self.gate.clone(), self.reader_at(selection.now), sql)
    }

    async fn snapshot(&self, selection: &Selection) -> Result<Vec<(String, u64)>> {
        let mut sql = QueryBuilder::<Sqlite>::new("");
        push_snapshot(&mut sql, selection);
        let mut connection = self.readers.acquire().await?;
        set_clock(&mut connection, selection.now).await?;
        Ok(counts(sql.build_query_as().fetch_all(&mut *connection).await?))
    }

    fn history(
        &self,
        selection: &Selection,
        filter: &HistoryFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<PastOrder>> {
        let mut sql = QueryBuilder::<Sqlite>::new("");
        push_history(&mut sql, selection, filter, limit);
        rows::stream(self.gate.clone(), self.reader_at(selection.now), sql)
    }
}
