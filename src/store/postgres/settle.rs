//! The outcome of a change whose connection was lost: it may have committed all the same.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgDatabaseError, PgSeverity};
use tokio::time::timeout;

use super::backend::PgStore;
use super::connection::{self, ACQUIRE_TIMEOUT};
use crate::model::audit::AuditEntry;
use crate::store::{Error, Result};

/// Pause between attempts to find out.
const PAUSE: Duration = Duration::from_millis(50);

/// The audit trail's record of a request.
pub(super) struct Settled {
    pub audit_log_id: i64,
    pub affected: i64,
}

/// The key of a request's own advisory lock. Its transaction holds the lock in shared mode from
/// before its first change until it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock(pub i64);

impl Lock {
    pub(super) fn of_a_call() -> Self {
        Self(rand::random())
    }
}

impl PgStore {
    /// Looks up the outcome of a failed request whose connection was lost. Not for errors from
    /// before anything was sent.
    ///
    /// # Errors
    ///
    /// The error itself if nothing has changed, [`Error::Unsettled`] if the outcome is unknown.
    pub(super) async fn settle(
        &self,
        lock: Lock,
        audit: &AuditEntry,
        error: Error,
    ) -> Result<Settled> {
        let lost = lost(error)?;
        tracing::warn!(error = %lost, "connection lost during a change");
        let until = Instant::now() + ACQUIRE_TIMEOUT;
        while Instant::now() < until {
            let looked_up = async {
                let mut connection = self.pool.acquire().await?;
                look_up(&mut connection, lock, audit, until).await
            };
            // Its connection may be lost silently, too.
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, looked_up).await.unwrap_or(Err(Error::Unsettled)) {
                Ok(Some(settled)) => return Ok(settled),
                Ok(None) => return Err(Error::Unavailable(lost)),
                // Other connections of the pool may have been lost with it.
                Err(Error::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    tracing::warn!(%error, "the outcome of the change is unknown");
                    break;
                }
            }
        }
        Err(Error::Unsettled)
    }
}

/// The error, if it means a lost connection, which leaves the outcome open.
fn lost(error: Error) -> Result<sqlx::Error> {
    let is_lost = |error: &sqlx::Error| match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        _ => false,
    };
    match error {
        Error::Unavailable(error) | Error::Database(error) if is_lost(&error) => Ok(error),
        error => Err(error),
    }
}

/// Keeps the request from changing anything from now on, and reads what it has changed.
async fn look_up(
    connection: &mut PgConnection,
    lock: Lock,
    audit: &AuditEntry,
    until: Instant,
) -> Result<Option<Settled>> {
    if connection::is_on(connection, "SHOW in_hot_standby").await? {
        // A standby may lag behind, and does not share the primary's locks.
        return Err(Error::Unavailable(sqlx::Error::Protocol("this is a standby".into())));
    }
    // The exclusive lock keeps a request that has not arrived yet from starting, so this
    // connection keeps it. Nothing else uses the key.
    while !sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "alone!""#, lock.0)
        .fetch_one(&mut *connection)
        .await?
    {
        if Instant::now() > until {
            return Err(Error::Unsettled);
        }
        tokio::time::sleep(PAUSE).await;
    }
    let mut found = sqlx::query_as!(
        Settled,
        "SELECT id AS audit_log_id, affected FROM audit_logs
         WHERE controller_id = $1 AND created = $2 AND request_id = $3 AND account = $4
             AND request = $5",
        audit.controller_id,
        audit.created,
        audit.request_id,
        audit.account,
        audit.request,
    )
    .fetch_all(connection)
    .await?;
    match (found.pop(), found.pop()) {
        // A client sent the same request ID twice at the same instant.
        (Some(_), Some(_)) => Err(Error::Unsettled),
        (settled, _) => Ok(settled),
    }
}
