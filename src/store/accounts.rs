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
    /// Whether it is locked out.
    pub disabled: bool,
    /// Its roles.
    pub roles: Vec<String>,
}

/// A role, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub role: String,
    /// Its permissions, each with the controller it is for.
    pub permissions: Vec<(String, String)>,
    /// The folders that it is limited to; empty: no limit.
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
    /// Makes an account with roles. [`Error::Conflict`] if it is there or a role is not.
    async fn add_account(
        &self,
        account: &str,
        password_hash: &str,
        roles: &[String],
    ) -> Result<()> {
        self.add_account_if(account, password_hash, roles, &mut || true).await
    }
    /// As [`Accounts::add_account`], but asks before it makes the account last, which nobody
    /// else can have made then; after a no there is no account.
    async fn add_account_if(
        &self,
        account: &str,
        password_hash: &str,
        roles: &[String],
        ask: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<()>;
    /// Replaces a password and ends the account's sessions.
    async fn set_password(&self, account: &str, password_hash: &str) -> Result<()>;
    /// Locks an account out and ends its sessions, or lets it in again.
    async fn set_disabled(&self, account: &str, disabled: bool) -> Result<()>;
    /// Removes an account and ends its sessions. What it did stays in the audit trail.
    async fn remove_account(&self, account: &str) -> Result<()>;
    /// Every account, by name.
    async fn accounts(&self) -> Result<Vec<Account>>;
    /// Makes a role without permissions.
    async fn add_role(&self, role: &str) -> Result<()>;
    /// Removes a role from the database and so from every account.
    async fn remove_role(&self, role: &str) -> Result<()>;
    /// Gives a role a permission for a controller, or for every one (`*`).
    async fn grant(&self, role: &str, permission: &str, controller_id: &str) -> Result<()>;
    /// Takes a permission back, exactly as it was given.
    async fn revoke(&self, role: &str, permission: &str, controller_id: &str) -> Result<()>;
    /// Limits a role to folders, in place of those it was limited to, which it gives; none: no
    /// limit.
    async fn limit(&self, role: &str, folders: &[Folder]) -> Result<Vec<Folder>>;
    /// Changes the folders that a role is limited to, and gives what they were and what they are.
    async fn change_limit(&self, role: &str, limits: &Limits)
    -> Result<(Vec<Folder>, Vec<Folder>)>;
    /// Gives an account a role.
    async fn assign(&self, role: &str, account: &str) -> Result<()>;
    /// Takes a role from an account.
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

/// Puts the rows together, which come ordered by account.
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

/// Refuses a change of accounts or roles that met anything but one row.
pub(super) fn expect_one(rows: u64, otherwise: impl FnOnce() -> String) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::Conflict(otherwise())) }
}
