//! What the files in `both/` that send built statements need to know of this database.

use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
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
pub(super) async fn renew_statistics(connection: &mut SqliteConnection, _: &str) -> Result<()> {
    optimize(connection).await
}
