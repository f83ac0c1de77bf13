//! The keys of requests: a keyed request claims its key at the beginning of its transaction, and
//! keeps its outcome at the end.

use async_trait::async_trait;

use super::backend::{Backend, DbConnection, instant};
use super::checked::{query, query_as, query_scalar};
use crate::model::audit::AuditEntry;
use crate::model::once::IdempotencyKey;
use crate::store::add::Added;
use crate::store::once::{KeyRow, Keys, Repeatable};
use crate::store::{Error, Result, Workflows};

/// How many keys of a controller are removed at a time.
const PORTION: i64 = 1000;
/// How often to look again for a row that is removed just as it is to be read.
const LOOKS: u32 = 3;

#[async_trait]
impl Keys for Backend {
    async fn added_before(&self, request: &AuditEntry) -> Result<Option<Added>> {
        match &request.key {
            None => Ok(None),
            Some(key) => find(&mut *self.readers()?.acquire().await?, request, key).await,
        }
    }

    async fn forget_keys(&self) -> Result<u64> {
        let mut removed = 0;
        for controller_id in self.controllers().await? {
            // Not one statement for all: they may be on several servers.
            loop {
                let portion = query!(
                    "DELETE FROM idempotency_keys WHERE controller_id = $1 AND (account, key) IN (
                         SELECT account, key FROM idempotency_keys
                         WHERE controller_id = $1 AND created <" A_WEEK_AGO
                    "ORDER BY created LIMIT $2)",
                    controller_id,
                    PORTION,
                );
                let keys = self.write(portion).await?;
                removed += keys;
                if keys < PORTION.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(removed)
    }
}

/// The outcome of the first request with this key.
pub(in super::super) async fn find<T: Repeatable>(
    connection: &mut DbConnection,
    request: &AuditEntry,
    key: &IdempotencyKey,
) -> Result<Option<T>> {
    let row = query_as!(
        KeyRow,
        "SELECT request, body_sha256, audit_log_id, affected, response FROM idempotency_keys
         WHERE controller_id = $1 AND account = $2 AND key = $3",
        request.controller_id,
        request.account,
        key.text,
    );
    let row = row.fetch_optional(connection).await?;
    row.map(|row| row.again(&request.request, key)).transpose()
}

/// Claims the key of a request, if it has one. If another transaction has claimed it, this waits for
/// the end of that one. Returns what the first request with the key did, if there was one.
pub(in super::super) async fn claim<T: Repeatable>(
    connection: &mut DbConnection,
    request: &AuditEntry,
) -> Result<Option<T>> {
    let Some(key) = &request.key else { return Ok(None) };
    for _ in 0..LOOKS {
        let claimed = query!(
            "INSERT INTO idempotency_keys
                 (controller_id, account, key, request, body_sha256, audit_log_id, affected, response)
             VALUES ($1, $2, $3, $4, $5, 0, 0, '') ON CONFLICT DO NOTHING",
            request.controller_id,
            request.account,
            key.text,
            request.request,
            key.body_sha256,
        );
        let claimed = claimed.execute(&mut *connection).await?;
        if claimed.rows_affected() > 0 {
            return Ok(None);
        }
        if let Some(outcome) = find(&mut *connection, request, key).await? {
            return Ok(Some(outcome));
        }
    }
    Err(Error::Unavailable(sqlx::Error::Protocol("the request's key comes and goes".into())))
}

/// Keeps the outcome of a request with its key, if it has one; the key of a refused one is free again.
pub(in super::super) async fn keep<T: Repeatable>(
    connection: &mut DbConnection,
    request: &AuditEntry,
    outcome: &T,
) -> Result<()> {
    let Some(key) = &request.key else { return Ok(()) };
    let Some(kept) = outcome.kept() else {
        let freed = query!(
            "DELETE FROM idempotency_keys WHERE controller_id = $1 AND account = $2 AND key = $3",
            request.controller_id,
            request.account,
            key.text,
        );
        freed.execute(connection).await?;
        return Ok(());
    };
    let audit_log_id = match kept.audit_log_id {
        Some(id) => id,
        None => {
            let created = instant(request.created);
            let written = query_scalar!(
                r#"SELECT max(id) AS "id!: i64" FROM audit_logs WHERE controller_id = $1
                       AND created = $2 AND request_id = $3 AND account = $4 AND request = $5"#,
                request.controller_id,
                created,
                request.request_id,
                request.account,
                request.request,
            );
            written.fetch_one(&mut *connection).await?
        }
    };
    let (affected, response) = (kept.affected.cast_signed(), kept.response(request));
    let noted = query!(
        "UPDATE idempotency_keys SET audit_log_id = $4, affected = $5, response = $6
         WHERE controller_id = $1 AND account = $2 AND key = $3",
        request.controller_id,
        request.account,
        key.text,
        audit_log_id,
        affected,
        response,
    );
    noted.execute(connection).await?;
    Ok(())
}
