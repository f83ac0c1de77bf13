//! The statements about sessions that both databases share.

use super::backend::{Backend, DbConnection};
use super::checked::{query, query_as};
use crate::model::permission::Principal;
use crate::store::Result;
use crate::store::sessions::{GrantRow, principal};

/// The account with its roles and permissions.
pub(in super::super) async fn principal_of(
    connection: &mut DbConnection,
    account: String,
) -> Result<Principal> {
    let grants = query_as!(
        GrantRow,
        r#"SELECT r.role, p.permission AS "permission?: String",
               p.controller_id AS "controller_id?: String",
               f.folder AS "folder?: String", f.recursive AS "recursive?: bool"
           FROM account_roles r
           LEFT JOIN role_permissions p ON p.role = r.role
           LEFT JOIN role_folders f ON f.role = r.role
           WHERE r.account = $1
           ORDER BY r.role, p.permission, p.controller_id, f.folder"#,
        account,
    )
    .fetch_all(connection)
    .await?;
    Ok(principal(account, grants))
}

impl Backend {
    /// Ends a session.
    pub(in super::super) async fn end_session(&self, token_hash: &str) -> Result<()> {
        self.write(query!("DELETE FROM sessions WHERE token_hash = $1", token_hash)).await?;
        Ok(())
    }
}
