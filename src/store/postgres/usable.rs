//! Whether the service can work with the database at all: how it encodes texts, and whether
//! something pools transactions before it.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::connection::process;
use crate::store::{Error, Result};

/// How long the second connection may take. A pooler with one session to give never makes one.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects, unless the database is one that this program cannot use.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    let mut connection = PgConnection::connect_with(options).await?;
    match tokio::time::timeout(PROBE_TIMEOUT, shares_sessions(&mut connection, options)).await {
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => {
            connection.close().await?;
            return Err(Error::Unusable(
                "a pooler gives each transaction another session; the service needs sessions of \
                 its own for prepared statements, advisory locks and settings: use session \
                 pooling (PgBouncer: pool_mode = session), or connect to PostgreSQL directly"
                    .into(),
            ));
        }
        Ok(Err(error)) => tracing::debug!(%error, "not known whether transactions are pooled"),
        Err(_) => tracing::debug!("not known whether transactions are pooled: no second session"),
    }
    let database = sqlx::query!(
        r#"SELECT current_database() AS "name!", current_setting('server_encoding') AS "encoding!""#
    )
    .fetch_one(&mut connection)
    .await?;
    if database.encoding != "UTF8" {
        connection.close().await?;
        return Err(Error::Unusable(format!(
            "the database {} is encoded in {}; it must be in UTF8: create one by `createdb \
             --encoding UTF8 --template template0 NAME`",
            database.name, database.encoding
        )));
    }
    Ok(connection)
}

/// Whether two connections are served by one process, or one by several. A pooler hands out either
/// the process that was idle for the shortest time or the one that was for the longest: this order
/// finds both.
async fn shares_sessions(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> sqlx::Result<bool> {
    let mut other = PgConnection::connect_with(options).await?;
    let before = process(connection).await?;
    let others = [process(&mut other).await?, process(&mut other).await?];
    let after = process(connection).await?;
    other.close().await?;
    Ok(before != after || others[0] != others[1] || others.contains(&before))
}
