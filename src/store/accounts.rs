//! Accounts, roles and permissions.

use async_trait::async_trait;

use super::{Error, Result};
use crate::model::folders::Folder;
use crate::model::permission::Limits;

/// An account, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub account: String,
    /// Whether it is disabled.
    pub disabled: bool,
    /// Its roles.
    pub roles: Vec<String>,
}

/// A role, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub role: String,
    /// Its permissions, each with its controller.
    pub permissions: Vec<(String, String)>,
    /// The folders that it is limited to; no limit if empty.
    pub folders: Vec<Folder>,
}

impl Role {
    pub(super) fn named(role: String) -> Self {
        Self { role, permissions: Vec::new(), folders: Vec::new() }
    }
}

/// Accounts, roles and permissions.
#[async_trait]
pub trait Accounts: Sync {
    /// Whether there is any account yet.
    async fn has_accounts(&self) -> Result<bool>;
    /// The password hash of an account that is not disabled.
    async fn password_hash(&self, account: &str) -> Result<Option<String>>;
    /// Creates an account with roles. [`Error::Conflict`] if it exists or a role does not.
    async fn add_account(
        &self,
        account: &str,
        password_hash: &str,
        roles: &[String],
    ) -> Result<()> {
        self.add_account_if(account, password_hash, roles, &mut || true).await
    }
    /// As [`Accounts::add_account`], but asks before it commits, when nobody else can create the
    /// account any more. Creates nothing if `ask` returns `false`.
    async fn add_account_if(
        &self,
        account: &str,
        password_hash: &str,
        roles: &[String],
        ask: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<()>;
    /// Replaces a password and ends the account's sessions.
    async fn set_password(&self, account: &str, password_hash: &str) -> Result<()>;
    /// Disables or enables an account and ends its sessions.
    async fn set_disabled(&self, account: &str, disabled: bool) -> Result<()>;
    /// Removes an account and ends its sessions. Its audit entries stay.
    async fn remove_account(&self, account: &str) -> Result<()>;
    /// Every account, by name.
    async fn accounts(&self) -> Result<Vec<Account>>;
    /// Creates a role without permissions.
    async fn add_role(&self, role: &str) -> Result<()>;
    /// Removes a role, also from every account.
    async fn remove_role(&self, role: &str) -> Result<()>;
    /// Grants a permission to a role, for one controller or for all (`*`).
    async fn grant(&self, role: &str, permission: &str, controller_id: &str) -> Result<()>;
    /// Revokes a permission, exactly as it was granted.
    async fn revoke(&self, role: &str, permission: &str, controller_id: &str) -> Result<()>;
    /// Replaces the folders that a role is limited to and returns the previous ones. An empty list
    /// lifts the limit.
    async fn limit(&self, role: &str, folders: &[Folder]) -> Result<Vec<Folder>>;
    /// Changes the folders that a role is limited to and returns them as before and after.
    async fn change_limit(&self, role: &str, limits: &Limits)
    -> Result<(Vec<Folder>, Vec<Folder>)>;
    /// Assigns a role to an account.
    async fn assign(&self, role: &str, account: &str) -> Result<()>;
    /// Removes a role from an account.
    async fn unassign(&self, role: &str, account: &str) -> Result<()>;
    /// Every role, by name.
    async fn roles(&self) -> Result<Vec<Role>>;
}

/// A row of the list of accounts: an account and one of its roles.
pub(super) struct AccountRow {
    pub account: String,
    pub disabled: bool,
    pub role: Option<String>,
}

/// Groups rows that are ordered by account.
pub(super) fn accounts(rows: Vec<AccountRow>) -> Vec<Account> {
    let mut accounts: Vec<Account> = Vec::new();
    for AccountRow { account, disabled, role } in rows {
        if accounts.last().is_none_or(|last| last.account != account) {
            accounts.push(Account { account, disabled, roles: Vec::new() });
        }
        if let Some(last) = accounts.last_mut() {
            last.roles.extend(role);
        }
    }
    accounts
}

/// Fails unless a change of accounts or roles affected exactly one row.
pub(super) fn expect_one(rows: u64, otherwise: impl FnOnce() -> String) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::Conflict(otherwise())) }
}
