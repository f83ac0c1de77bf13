//! Rejects databases that the service cannot use: in another encoding than UTF-8, or behind a pooler
//! that shares sessions.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::connection::process;
use crate::store::{Error, Result};

/// How long the second connection may take. A pooler limited to one session never opens one.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects, unless this program cannot use the database.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    let mut connection = PgConnection::connect_with(options).await?;
    match tokio::time::timeout(PROBE_TIMEOUT, shares_sessions(&mut connection, options)).await {
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => {
            connection.close().await?;
            return Err(Error::Unusable(
                "a pooler shares sessions between clients; the service needs its own sessions \
                 for prepared statements, advisory locks and settings: use session \
                 pooling (PgBouncer: pool_mode = session), or connect to PostgreSQL directly"
                    .into(),
            ));
        }
        Ok(Err(error)) => tracing::debug!(%error, "unknown whether transactions are pooled"),
        Err(_) => tracing::debug!("unknown whether transactions are pooled: no second session"),
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

/// Whether connections share server processes. A pooler picks the process that was idle for either
/// the shortest or the longest time; this sequence detects both.
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
