//! Lists, histories and counts of orders.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::backend::Backend;
use crate::model::order::EffectiveState;
use crate::model::selection::Selection;
use crate::store::Result;
use crate::store::list::{HistoryFilter, ListedOrder, Lists, PastOrder, Wanted};
use crate::store::rows::Sieve;
use crate::store::sql::list;

#[async_trait]
impl Lists for Backend {
    fn orders(
        &self,
        selection: &Selection,
        limit: Option<u64>,
        wanted: Option<Wanted<ListedOrder>>,
    ) -> BoxStream<'static, Result<ListedOrder>> {
        let sql = list::orders(selection, limit.filter(|_| wanted.is_none()));
        self.rows_of(sql, Sieve::of(wanted, limit))
    }

    async fn snapshot(&self, selection: &Selection) -> Result<Vec<(EffectiveState, u64)>> {
        let rows: Vec<(_, i64)> = self.all(list::snapshot(selection), false).await?;
        Ok(rows.into_iter().map(|(state, orders)| (state, orders.unsigned_abs())).collect())
    }

    fn history(
        &self,
        selections: &[Selection],
        filter: &HistoryFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<PastOrder>> {
        self.rows_of(list::history(selections, filter, limit), Sieve::default())
    }

    async fn past_counts(
        &self,
        selection: &Selection,
        filter: &HistoryFilter,
    ) -> Result<Vec<(EffectiveState, u64)>> {
        let rows: Vec<(_, i64)> = self.all(list::past_counts(selection, filter), false).await?;
        Ok(rows.into_iter().map(|(state, orders)| (state, orders.unsigned_abs())).collect())
    }
}
