//! The outcome of a change whose commit failed or got no response: it may have happened all the same.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgDatabaseError, PgSeverity};
use tokio::time::timeout;

use super::backend::PgStore;
use super::citus::Citus;
use super::connection::{self, ACQUIRE_TIMEOUT};
use super::lock::Lock;
use crate::model::audit::AuditEntry;
use crate::store::{Changed, Error, Result};

/// Pause between attempts to find out.
const PAUSE: Duration = Duration::from_millis(50);

/// The audit trail's record of a request.
pub(super) struct Settled {
    pub audit_log_id: i64,
    pub affected: i64,
}

impl From<Settled> for Changed {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled { affected: 0, .. } => Self::NoOrders,
            Settled { audit_log_id, affected } => {
                Self::Done { audit_log_id, affected: affected.unsigned_abs() }
            }
        }
    }
}

impl PgStore {
    /// Looks up the outcome of a failed request, unless its error tells it. Not for errors from
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
        let open = Open::of(error)?;
        tracing::warn!(error = %open.error, "a change has failed, with an unknown outcome");
        let until = Instant::now() + ACQUIRE_TIMEOUT;
        while Instant::now() < until {
            let looked_up = async {
                let mut connection = self.pool.acquire().await?;
                look_up(&mut connection, self.citus, lock, audit, until).await
            };
            // Its connection may be lost silently, too.
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, looked_up).await.unwrap_or(Err(Error::Unsettled)) {
                Ok(Some(settled)) => return Ok(settled),
                Ok(None) => return Err(open.undone()),
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

/// Whether nothing has changed after this error.
pub(super) fn tells_outcome(error: Error) -> bool {
    Open::of(error).is_err()
}

/// An error that does not tell whether the change happened.
struct Open {
    error: sqlx::Error,
    /// Whether the database itself failed, so that a retry would not help.
    is_internal: bool,
}

impl Open {
    /// The error, if it leaves the outcome open.
    fn of(error: Error) -> Result<Self> {
        match error {
            Error::Unavailable(error) | Error::Database(error) => match &error {
                sqlx::Error::Database(database) => {
                    let code = database.code().unwrap_or_default();
                    let ends =
                        database.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| {
                            matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
                        });
                    if ends || is_open(&code) {
                        Ok(Self { is_internal: !ends && code.starts_with("XX"), error })
                    } else {
                        Err(error.into())
                    }
                }
                // The statement was sent, and its response is missing or cannot be read.
                _ => Ok(Self { error, is_internal: false }),
            },
            error => Err(error),
        }
    }

    /// The error once it is known that nothing has changed.
    fn undone(self) -> Error {
        if self.is_internal { Error::Database(self.error) } else { Error::Unavailable(self.error) }
    }
}

/// Whether an error of this code may follow a commit that happened: a lost connection, also one of a
/// proxy or a coordinator to its servers (08); `statement_completion_unknown` (40003); a server that
/// stops, has crashed or starts (57P); an internal error (XX), which coordinators report for others.
fn is_open(code: &str) -> bool {
    code == "40003" || ["08", "57P", "XX"].iter().any(|class| code.starts_with(class))
}

/// Keeps the request from changing anything from now on, and reads what it has changed.
async fn look_up(
    connection: &mut PgConnection,
    citus: Citus,
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
    // The transaction may be over here, but not on the server that has its rows.
    if !citus.is_settled(&mut *connection, until).await? {
        return Err(Error::Unavailable(sqlx::Error::Protocol("a server is in doubt".into())));
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
    .fetch_all(&mut *connection)
    .await?;
    match (found.pop(), found.pop()) {
        // A client sent the same request ID twice at the same instant.
        (Some(_), Some(_)) => Err(Error::Unsettled),
        (Some(settled), None) => {
            // A server that crashed while the change waited for its synchronous standby shows it
            // although the standby may lack it. This commit waits for the standby, too.
            sqlx::raw_sql("SELECT pg_logical_emit_message(true, 'joc-orders', 'settled')")
                .execute(connection)
                .await?;
            Ok(Some(settled))
        }
        (None, _) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_may_follow_a_commit_are_open() {
        for code in ["08006", "08007", "40003", "57P01", "57P02", "57P03", "57P05", "XX000"] {
            assert!(is_open(code), "{code}");
        }
        // Serialization, deadlock, constraints, timeouts, read-only servers and triggers roll back.
        for code in ["40001", "40P01", "23505", "57014", "55P03", "25006", "P0001", "53100"] {
            assert!(!is_open(code), "{code}");
        }
    }

    #[test]
    fn a_response_that_is_missing_or_unreadable_leaves_the_outcome_open() {
        let open = |error: sqlx::Error| Open::of(error.into()).map(Open::undone);
        for error in [
            sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into()),
            sqlx::Error::Protocol("unexpected message".into()),
            sqlx::Error::WorkerCrashed,
            sqlx::Error::RowNotFound,
            sqlx::Error::ColumnNotFound("stale".into()),
        ] {
            assert!(matches!(open(error), Ok(Error::Unavailable(_))));
        }
        assert!(Open::of(Error::Conflict("taken".into())).is_err());
    }
}
