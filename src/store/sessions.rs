//! Sessions, and what their accounts may do.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::Result;
use crate::model::folders::Folder;
use crate::model::permission::{Grant, Principal};

/// Sessions. A session is known by the hash of its access token.
#[async_trait]
pub trait Sessions {
    /// Opens a session, and removes those that ended before `now`. No session ends after it:
    /// those that would were opened or prolonged before the clock was set back. False: there is
    /// none, since the account is gone or disabled or its password is no longer the one of this
    /// hash, which was verified before.
    async fn open_session(
        &self,
        token_hash: &str,
        account: &str,
        password_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<bool>;
    /// Prolongs a session that has not ended at `now`; `None` if there is none.
    async fn touch_session(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<Option<Principal>>;
    /// Ends a session.
    async fn close_session(&self, token_hash: &str) -> Result<()>;
}

/// A row of the query for what an account may do: a permission of a role and a folder that the
/// role is limited to.
pub(super) struct GrantRow {
    pub role: String,
    pub permission: Option<String>,
    pub controller_id: Option<String>,
    pub folder: Option<String>,
    pub recursive: Option<bool>,
}

/// Puts the rows together, which come ordered by role, permission and controller.
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
