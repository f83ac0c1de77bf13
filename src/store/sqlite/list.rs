//! Showing orders on SQLite.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::{SqliteStore, text_at};
use crate::model::selection::Selection;
use crate::store::list::{HistoryFilter, ListedOrder, Lists, PastOrder, Wanted};
use crate::store::rows::{self, Sieve};
use crate::store::sql::list::{push_history, push_list, push_snapshot};
use crate::store::{Result, counts};

#[async_trait]
impl Lists for SqliteStore {
    fn orders(
        &self,
        selection: &Selection,
        limit: Option<u64>,
        wanted: Option<Wanted<ListedOrder>>,
    ) -> BoxStream<'static, Result<ListedOrder>> {
        let mut sql = text_at(selection.now);
        push_list(&mut sql, selection, limit.filter(|_| wanted.is_none()));
        self.stream(sql, Sieve::of(wanted, limit))
    }

    async fn snapshot(&self, selection: &Selection) -> Result<Vec<(String, u64)>> {
        let mut sql = text_at(selection.now);
        push_snapshot(&mut sql, selection);
        Ok(counts(rows::all(&self.connections.gate, self.readers()?, sql, false).await?))
    }

    fn history(
        &self,
        selection: &Selection,
        filter: &HistoryFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<PastOrder>> {
        let mut sql = text_at(selection.now);
        push_history(&mut sql, selection, filter, limit);
        self.stream(sql, Sieve::default())
    }
}
