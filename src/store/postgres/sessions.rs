//! Sessions on PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::backend::PgStore;
use super::both::sessions::principal_of;
use crate::model::permission::Principal;
use crate::store::{Result, Sessions};

#[async_trait]
impl Sessions for PgStore {
    async fn open_session(
        &self,
        token_hash: &str,
        account: &str,
        password_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<bool> {
        // Sessions may begin in the future after the clock was set back. The lock orders this before
        // or after a concurrent change of the account, which ends every session that it finds.
        let opened = sqlx::query!(
            "WITH ended AS (DELETE FROM sessions WHERE expires <= $3),
                 shortened AS (UPDATE sessions SET expires = $4, created = least(created, $3)
                     WHERE expires > $4)
             INSERT INTO sessions (token_hash, account, created, expires)
             SELECT $1, account, $3, $4 FROM accounts
             WHERE account = $2 AND password_hash = $5 AND NOT disabled FOR SHARE",
            token_hash,
            account,
            now,
            expires,
            password_hash,
        )
        .execute(&self.pool)
        .await?;
        Ok(opened.rows_affected() == 1)
    }

    async fn touch_session(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<Option<Principal>> {
        let mut transaction = self.pool.begin().await?;
        let account = sqlx::query_scalar!(
            "UPDATE sessions s SET expires = $3, created = least(s.created, $2) FROM accounts a
             WHERE s.token_hash = $1 AND s.expires > $2
                 AND a.account = s.account AND NOT a.disabled
             RETURNING s.account",
            token_hash,
            now,
            expires,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(account) = account else {
            return Ok(None);
        };
        let principal = principal_of(&mut transaction, account).await?;
        transaction.commit().await?;
        Ok(Some(principal))
    }

    async fn close_session(&self, token_hash: &str) -> Result<()> {
        self.end_session(token_hash).await
    }
}
