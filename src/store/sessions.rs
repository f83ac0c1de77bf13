//! Sessions, and what their accounts may do.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::Result;
use crate::model::folders::Folder;
use crate::model::permission::{Grant, Principal};

/// Sessions, identified by the hash of their access token.
#[async_trait]
pub trait Sessions {
    /// Opens a session and removes expired ones. Shortens sessions that would outlast it because
    /// the clock was set back. Returns `false` if the account was removed or disabled, or its
    /// password changed, since `password_hash` was verified.
    async fn open_session(
        &self,
        token_hash: &str,
        account: &str,
        password_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<bool>;
    /// Extends a session; `None` if there is none or it has expired at `now`.
    async fn touch_session(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<Option<Principal>>;
    /// Ends a session.
    async fn close_session(&self, token_hash: &str) -> Result<()>;
}

/// A permission of one of an account's roles, and a folder that the role is limited to.
pub(super) struct GrantRow {
    pub role: String,
    pub permission: Option<String>,
    pub controller_id: Option<String>,
    pub folder: Option<String>,
    pub recursive: Option<bool>,
}

/// Groups rows that are ordered by role, permission and controller.
pub(super) fn principal(account: String, rows: Vec<GrantRow>) -> Principal {
    let mut principal = Principal { account, roles: Vec::new(), grants: Vec::new() };
    let mut last = None;
    for row in rows {
        if principal.roles.last() != Some(&row.role) {
            principal.roles.push(row.role.clone());
        }
        let (Some(permission), Some(controller_id)) = (row.permission, row.controller_id) else {
            continue;
        };
        let folder = row
            .folder
            .map(|folder| Folder { folder, recursive: row.recursive.unwrap_or_default() });
        let key = (row.role, permission.clone(), controller_id.clone());
        if last.as_ref() != Some(&key) {
            principal.grants.push(Grant { permission, controller_id, folders: Vec::new() });
            last = Some(key);
        }
        if let Some(grant) = principal.grants.last_mut() {
            grant.folders.extend(folder);
        }
    }
    principal
}
