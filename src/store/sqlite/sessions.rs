//! Sessions on SQLite.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::SqliteStore;
use crate::model::permission::Principal;
use crate::model::window::iso;
use crate::store::{GrantRow, Result, Sessions, principal};

#[async_trait]
impl Sessions for SqliteStore {
    async fn open_session(
        &self,
        token_hash: &str,
        account: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<()> {
        let (now, expires) = (iso(&now), iso(&expires));
        let mut transaction = self.begin_writing().await?;
        sqlx::query!("DELETE FROM sessions WHERE expires <= ?1", now)
            .execute(&mut *transaction)
            .await?;
        sqlx::query!(
            "INSERT INTO sessions (token_hash, account, created, expires) VALUES (?1, ?2, ?3, ?4)",
            token_hash,
            account,
            now,
            expires,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn touch_session(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<Option<Principal>> {
        let mut transaction = self.begin_writing().await?;
        let (now, expires) = (iso(&now), iso(&expires));
        let account = sqlx::query_scalar!(
            "UPDATE sessions SET expires = ?3
             WHERE token_hash = ?1 AND expires > ?2
                 AND account IN (SELECT a.account FROM accounts a WHERE NOT a.disabled)
             RETURNING account",
            token_hash,
            now,
            expires,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(account) = account else {
            return Ok(None);
        };
        let grants = sqlx::query_as!(
            GrantRow,
            r#"SELECT r.role, p.permission AS "permission?", p.controller_id AS "controller_id?",
                   f.folder AS "folder?", f.recursive AS "recursive?: bool"
               FROM account_roles r
               LEFT JOIN role_permissions p ON p.role = r.role
               LEFT JOIN role_folders f ON f.role = r.role
               WHERE r.account = ?1
               ORDER BY r.role, p.permission, p.controller_id, f.folder"#,
            account,
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Some(principal(account, grants)))
    }

    async fn close_session(&self, token_hash: &str) -> Result<()> {
        sqlx::query!("DELETE FROM sessions WHERE token_hash = ?1", token_hash)
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}
