//! What the files in `both/` that send built statements need to know of this database.

use futures_util::stream::BoxStream;
use sqlx::postgres::{PgPool, PgRow, Postgres};
use sqlx::{AssertSqlSafe, FromRow, Transaction};

use super::backend::Backend;
use crate::store::Result;
use crate::store::rows::{self, Sieve};
use crate::store::sql::Sql;

pub(super) type Db = Postgres;

impl Backend {
    /// All rows of a query; see [`rows::all`].
    pub(super) async fn all<T>(&self, sql: Sql<Db>, is_kept: bool) -> Result<Vec<T>>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        rows::all(&self.gate, &self.pool, sql, is_kept).await
    }

    /// The rows of a long result; see [`rows::stream`].
    pub(super) fn rows_of<T>(&self, sql: Sql<Db>, sieve: Sieve<T>) -> BoxStream<'static, Result<T>>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static,
    {
        rows::stream(self.gate.clone(), self.pool.clone(), sql, sieve)
    }

    /// A transaction that sees one snapshot.
    pub(super) async fn begin_snapshot(&self) -> Result<Transaction<'static, Db>> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(self.pool.begin_with(begin).await?)
    }
}

/// Updates the statistics of tables: without them, the planner assumes small tables.
pub(super) struct Statistics(PgPool);

impl Backend {
    pub(super) fn statistics(&self) -> Statistics {
        Statistics(self.pool.clone())
    }
}

impl Statistics {
    /// Commits, and updates the statistics of these tables. Citus refuses that before the commit.
    pub(super) async fn renew_with(
        &self,
        transaction: Transaction<'_, Db>,
        tables: &str,
    ) -> Result<()> {
        transaction.commit().await?;
        let analyze = AssertSqlSafe(format!("ANALYZE {tables}"));
        if let Err(error) = sqlx::query(analyze).execute(&self.0).await {
            tracing::warn!(%error, "the statistics are not current: run ANALYZE");
        }
        Ok(())
    }
}
