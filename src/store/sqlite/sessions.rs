//! Sessions on SQLite.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tracing::Instrument;

use super::backend::SqliteStore;
use super::both::sessions::principal_of;
use crate::model::permission::Principal;
use crate::model::window::iso;
use crate::store::{Result, Sessions};

/// How long a request waits for its session to be extended.
const PATIENCE: Duration = Duration::from_millis(50);

#[async_trait]
impl Sessions for SqliteStore {
    async fn open_session(
        &self,
        token_hash: &str,
        account: &str,
        password_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<bool> {
        let (now, expires) = (iso(&now), iso(&expires));
        let mut transaction = self.writer.begin().await?;
        sqlx::query!("DELETE FROM sessions WHERE expires <= ?1", now)
            .execute(&mut *transaction)
            .await?;
        // Sessions may begin in the future after the clock was set back.
        sqlx::query!(
            "UPDATE sessions SET expires = ?1, created = min(created, ?2) WHERE expires > ?1",
            expires,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        let opened = sqlx::query!(
            "INSERT INTO sessions (token_hash, account, created, expires)
             SELECT ?1, account, ?3, ?4 FROM accounts
             WHERE account = ?2 AND password_hash = ?5 AND NOT disabled",
            token_hash,
            account,
            now,
            expires,
            password_hash,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(opened.rows_affected() == 1)
    }

    async fn touch_session(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<Option<Principal>> {
        let (now, expires) = (iso(&now), iso(&expires));
        let mut reader = self.readers()?.acquire().await?;
        let account = sqlx::query_scalar!(
            "SELECT s.account FROM sessions s JOIN accounts a ON a.account = s.account
             WHERE s.token_hash = ?1 AND s.expires > ?2 AND NOT a.disabled",
            token_hash,
            now,
        )
        .fetch_optional(&mut *reader)
        .await?;
        let Some(account) = account else {
            return Ok(None);
        };
        let principal = principal_of(&mut reader, account).await?;
        drop(reader);
        self.prolong(token_hash.into(), now, expires).await;
        Ok(Some(principal))
    }

    async fn close_session(&self, token_hash: &str) -> Result<()> {
        self.end_session(token_hash).await
    }
}

impl SqliteStore {
    /// Extends a session. The session is valid already, so a request does not wait for a long
    /// change; if the write fails, the session keeps its expiry.
    async fn prolong(&self, token_hash: String, now: String, expires: String) {
        let writer = self.writer.clone();
        let prolonging = async move {
            let work = writer.run(move |connection| {
                Box::pin(async move {
                    sqlx::query!(
                        "UPDATE sessions SET expires = ?2, created = min(created, ?3)
                         WHERE token_hash = ?1",
                        token_hash,
                        expires,
                        now,
                    )
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            });
            if let Err(error) = work.await {
                tracing::warn!(%error, "cannot extend a session");
            }
        };
        let written = tokio::spawn(prolonging.in_current_span());
        let _later = tokio::time::timeout(PATIENCE, written).await;
    }
}
