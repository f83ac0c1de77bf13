//! Showing orders on PostgreSQL.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use sqlx::{Postgres, QueryBuilder};

use super::PgStore;
use crate::model::selection::Selection;
use crate::store::list::{HistoryFilter, ListedOrder, Lists, PastOrder, Wanted};
use crate::store::rows::{self, Sieve};
use crate::store::sql::list::{push_history, push_list, push_snapshot};
use crate::store::{Result, counts};

#[async_trait]
impl Lists for PgStore {
    fn orders(
        &self,
        selection: &Selection,
        limit: Option<u64>,
        wanted: Option<Wanted<ListedOrder>>,
    ) -> BoxStream<'static, Result<ListedOrder>> {
        let mut sql = QueryBuilder::<Postgres>::new("");
        push_list(&mut sql, selection, limit.filter(|_| wanted.is_none()));
        rows::stream(self.gate.clone(), self.pool.clone(), sql, Sieve::of(wanted, limit))
    }

    async fn snapshot(&self, selection: &Selection) -> Result<Vec<(String, u64)>> {
        let mut sql = QueryBuilder::<Postgres>::new("");
        push_snapshot(&mut sql, selection);
        Ok(counts(rows::all(&self.gate, &self.pool, sql, false).await?))
    }

    fn history(
        &self,
        selection: &Selection,
        filter: &HistoryFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<PastOrder>> {
        let mut sql = QueryBuilder::<Postgres>::new("");
        push_history(&mut sql, selection, filter, limit);
        rows::stream(self.gate.clone(), self.pool.clone(), sql, Sieve::default())
    }
}
