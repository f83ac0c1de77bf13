//! Whether an account with every permission is left.

use crate::cli::terminal::tell;
use crate::model::permission::EVERY_CONTROLLER;
use crate::store::{self, Store};

/// The permission that grants everything.
const EVERYTHING: &str = "sos:products";

/// Whether an account had every permission before a change.
pub(super) struct FullAccess(bool);

impl FullAccess {
    /// Checks before the change.
    pub(super) async fn before(store: &dyn Store) -> store::Result<Self> {
        Ok(Self(exists(store).await?))
    }

    /// Warns if the change removed the last account with every permission. It only warns, since
    /// who can run this can also undo it.
    pub(super) async fn warn_if_lost(self, store: &dyn Store) -> store::Result<()> {
        if self.0 && !exists(store).await? {
            tell("warning: no enabled account has every permission any more\n");
        }
        Ok(())
    }
}

async fn exists(store: &dyn Store) -> store::Result<bool> {
    let roles = store.roles().await?;
    let is_full = |name: &String| {
        roles.iter().any(|role| {
            let everything = |(permission, controller): &(String, String)| {
                permission == EVERYTHING && controller == EVERY_CONTROLLER
            };
            role.role == *name && role.folders.is_empty() && role.permissions.iter().any(everything)
        })
    };
    let accounts = store.accounts().await?;
    Ok(accounts.iter().any(|account| !account.disabled && account.roles.iter().any(is_full)))
}
