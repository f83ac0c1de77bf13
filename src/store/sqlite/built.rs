//! What the files in `both/` that send built statements need to know of this database.

use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{FromRow, Transaction};

use super::backend::Backend;
use super::file::optimize;
use crate::store::Result;
use crate::store::rows::{self, Sieve};
use crate::store::sql::Sql;

pub(super) type Db = Sqlite;

impl Backend {
    /// All rows of a query; see [`rows::all`].
    pub(super) async fn all<T>(&self, sql: Sql<Db>, is_kept: bool) -> Result<Vec<T>>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        rows::all(&self.connections.gate, self.readers()?, sql, is_kept).await
    }

    /// The rows of a long result; see [`rows::stream`].
    pub(super) fn rows_of<T>(&self, sql: Sql<Db>, sieve: Sieve<T>) -> BoxStream<'static, Result<T>>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin + 'static,
    {
        match self.readers() {
            Ok(readers) => rows::stream(self.connections.gate.clone(), readers.clone(), sql, sieve),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    /// A transaction that sees one snapshot.
    pub(super) async fn begin_snapshot(&self) -> Result<Transaction<'static, Db>> {
        Ok(self.readers()?.begin().await?)
    }
}

/// See [`optimize`].
pub(super) struct Statistics;

impl Backend {
    #[allow(clippy::unused_self, reason = "on PostgreSQL they need a connection of their own")]
    pub(super) fn statistics(&self) -> Statistics {
        Statistics
    }
}

impl Statistics {
    /// Updates the statistics, and commits.
    pub(super) async fn renew_with(
        &self,
        mut transaction: Transaction<'_, Db>,
        _: &str,
    ) -> Result<()> {
        optimize(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }
}
