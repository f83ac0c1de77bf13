//! Accounts, roles and permissions.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::administration::record;
use super::backend::{Backend, DbConnection, Statement};
use super::checked::{query, query_as, query_scalar};
use crate::model::administrator::Administrator;
use crate::model::audit::Category;
use crate::model::folders::Folder;
use crate::model::permission::Limits;
use crate::store::accounts::{Account, AccountRow, Accounts, Role, accounts, expect_one};
use crate::store::administrator::administrator;
use crate::store::{Error, Result};

/// Records a change of accounts and roles that concerns no controller.
async fn recorded(
    connection: &mut DbConnection,
    by: Option<Administrator>,
    parameters: Value,
) -> Result<()> {
    record(connection, by, Category::Identity, None, parameters).await
}

/// What is granted or revoked, for the trail.
fn granting(role: &str, permission: &str, controller_id: &str) -> Value {
    json!({ "role": role, "permission": permission, "controllerId": controller_id })
}

impl Backend {
    async fn expect_account(&self, account: &str) -> Result<()> {
        let known = query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM accounts WHERE account = $1) AS "known!: bool""#,
            account
        );
        let known = known.fetch_one(self.readers()?).await?;
        expect_one(known.into(), || format!("there is no account {account}"))
    }

    async fn expect_role(&self, role: &str) -> Result<()> {
        let known = query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM roles WHERE role = $1) AS "known!: bool""#,
            role
        );
        let known = known.fetch_one(self.readers()?).await?;
        expect_one(known.into(), || format!("there is no role {role}"))
    }

    /// Changes an account and ends its sessions.
    async fn change_account(&self, account: &str, change: Statement<'_>) -> Result<()> {
        let by = administrator();
        let mut transaction = self.begin().await?;
        let changed = change.execute(&mut *transaction).await?;
        expect_one(changed.rows_affected(), || format!("there is no account {account}"))?;
        let ended = query!("DELETE FROM sessions WHERE account = $1", account);
        ended.execute(&mut *transaction).await?;
        recorded(&mut transaction, by, json!({ "account": account })).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Changes one row and records that. Returns how many rows the change affected.
    async fn change_one(
        &self,
        change: Statement<'_>,
        controller_id: Option<&str>,
        parameters: Value,
    ) -> Result<u64> {
        let by = administrator();
        let mut transaction = self.begin().await?;
        let changed = change.execute(&mut *transaction).await?.rows_affected();
        if changed > 0 {
            record(&mut transaction, by, Category::Identity, controller_id, parameters).await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }

    /// Replaces the folders that a role is limited to by the result of a function, and returns them
    /// as before and after.
    async fn replace_folders(
        &self,
        role: &str,
        replaced: impl FnOnce(&[Folder]) -> Result<Vec<Folder>> + Send,
    ) -> Result<(Vec<Folder>, Vec<Folder>)> {
        let by = administrator();
        let mut transaction = self.begin().await?;
        // Serializes concurrent changes, since each builds on what it has read.
        let locked = query_scalar!("SELECT role FROM roles WHERE role = $1" FOR_UPDATE, role);
        let locked = locked.fetch_optional(&mut *transaction).await?;
        expect_one(locked.is_some().into(), || format!("there is no role {role}"))?;
        let before = query_as!(
            Folder,
            r#"SELECT folder, recursive AS "recursive!: bool" FROM role_folders
               WHERE role = $1 ORDER BY folder"#,
            role
        )
        .fetch_all(&mut *transaction)
        .await?;
        let after = replaced(&before)?;
        // Leave unchanged rows alone: they may predate the checks for new rows.
        for folder in before.iter().filter(|folder| !after.contains(folder)) {
            query!(
                "DELETE FROM role_folders WHERE role = $1 AND folder = $2",
                role,
                folder.folder,
            )
            .execute(&mut *transaction)
            .await?;
        }
        for folder in after.iter().filter(|folder| !before.contains(folder)) {
            query!(
                "INSERT INTO role_folders (role, folder, recursive) VALUES ($1, $2, $3)",
                role,
                folder.folder,
                folder.recursive,
            )
            .execute(&mut *transaction)
            .await?;
        }
        let parameters = json!({ "role": role, "folders": after, "before": before });
        recorded(&mut transaction, by, parameters).await?;
        transaction.commit().await?;
        Ok((before, after))
    }
}

#[async_trait]
impl Accounts for Backend {
    async fn has_accounts(&self) -> Result<bool> {
        let any = query_scalar!(r#"SELECT EXISTS (SELECT account FROM accounts) AS "any!: bool""#);
        Ok(any.fetch_one(self.readers()?).await?)
    }

    async fn password_hash(&self, account: &str) -> Result<Option<String>> {
        let hash = query_scalar!(
            "SELECT password_hash FROM accounts WHERE account = $1 AND NOT disabled",
            account
        );
        Ok(hash.fetch_optional(self.readers()?).await?)
    }

    async fn add_account_if(
        &self,
        account: &str,
        password_hash: &str,
        roles: &[String],
        ask: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<()> {
        let by = administrator();
        let mut transaction = self.begin().await?;
        let added = query!(
            "INSERT INTO accounts (account, password_hash) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            account,
            password_hash,
        )
        .execute(&mut *transaction)
        .await?;
        expect_one(added.rows_affected(), || format!("the account {account} already exists"))?;
        let mut named = HashSet::new();
        let roles: Vec<_> = roles.iter().filter(|role| named.insert(*role)).collect();
        for &role in &roles {
            let assigned = query!(
                "INSERT INTO account_roles (account, role) SELECT $1, role FROM roles WHERE role = $2
                 ON CONFLICT DO NOTHING",
                account,
                role,
            )
            .execute(&mut *transaction)
            .await?;
            expect_one(assigned.rows_affected(), || format!("there is no role {role}"))?;
        }
        let parameters = json!({ "account": account, "roles": roles });
        recorded(&mut transaction, by, parameters).await?;
        if ask() {
            transaction.commit().await?;
        }
        Ok(())
    }

    async fn set_password(&self, account: &str, password_hash: &str) -> Result<()> {
        let change = query!(
            "UPDATE accounts SET password_hash = $2 WHERE account = $1",
            account,
            password_hash,
        );
        self.change_account(account, change).await
    }

    async fn set_disabled(&self, account: &str, disabled: bool) -> Result<()> {
        let change =
            query!("UPDATE accounts SET disabled = $2 WHERE account = $1", account, disabled);
        self.change_account(account, change).await
    }

    async fn remove_account(&self, account: &str) -> Result<()> {
        let by = administrator();
        let mut transaction = self.begin().await?;
        let roles = query_scalar!(
            "SELECT role FROM account_roles WHERE account = $1 ORDER BY role",
            account
        );
        let roles = roles.fetch_all(&mut *transaction).await?;
        // Its roles and sessions are deleted by cascade.
        let removed = query!("DELETE FROM accounts WHERE account = $1", account);
        let removed = removed.execute(&mut *transaction).await?;
        expect_one(removed.rows_affected(), || format!("there is no account {account}"))?;
        recorded(&mut transaction, by, json!({ "account": account, "roles": roles })).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        let rows = query_as!(
            AccountRow,
            r#"SELECT a.account, a.disabled AS "disabled!: bool", r.role AS "role?"
               FROM accounts a LEFT JOIN account_roles r ON r.account = a.account
               ORDER BY a.account, r.role"#
        );
        Ok(accounts(rows.fetch_all(self.readers()?).await?))
    }

    async fn add_role(&self, role: &str) -> Result<()> {
        let added = query!("INSERT INTO roles (role) VALUES ($1) ON CONFLICT DO NOTHING", role);
        let added = self.change_one(added, None, json!({ "role": role })).await?;
        expect_one(added, || format!("the role {role} already exists"))
    }

    async fn remove_role(&self, role: &str) -> Result<()> {
        let by = administrator();
        let mut transaction = self.begin().await?;
        let accounts = query_scalar!(
            "SELECT account FROM account_roles WHERE role = $1 ORDER BY account",
            role
        );
        let accounts = accounts.fetch_all(&mut *transaction).await?;
        let removed = query!("DELETE FROM roles WHERE role = $1", role);
        let removed = removed.execute(&mut *transaction).await?;
        expect_one(removed.rows_affected(), || format!("there is no role {role}"))?;
        recorded(&mut transaction, by, json!({ "role": role, "accounts": accounts })).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn grant(&self, role: &str, permission: &str, controller_id: &str) -> Result<()> {
        let granted = query!(
            "INSERT INTO role_permissions (role, permission, controller_id)
             SELECT role, $2, $3 FROM roles WHERE role = $1 ON CONFLICT DO NOTHING",
            role,
            permission,
            controller_id,
        );
        let parameters = granting(role, permission, controller_id);
        let granted = self.change_one(granted, Some(controller_id), parameters).await?;
        if granted == 0 {
            self.expect_role(role).await?;
        }
        expect_one(granted, || {
            format!("the role {role} already has {permission} for {controller_id}")
        })
    }

    async fn revoke(&self, role: &str, permission: &str, controller_id: &str) -> Result<()> {
        let revoked = query!(
            "DELETE FROM role_permissions
             WHERE role = $1 AND permission = $2 AND controller_id = $3",
            role,
            permission,
            controller_id,
        );
        let parameters = granting(role, permission, controller_id);
        let revoked = self.change_one(revoked, Some(controller_id), parameters).await?;
        if revoked == 0 {
            self.expect_role(role).await?;
        }
        expect_one(revoked, || format!("the role {role} has no {permission} for {controller_id}"))
    }

    async fn limit(&self, role: &str, folders: &[Folder]) -> Result<Vec<Folder>> {
        let (before, _) = self.replace_folders(role, |_| Ok(folders.to_vec())).await?;
        Ok(before)
    }

    async fn change_limit(
        &self,
        role: &str,
        limits: &Limits,
    ) -> Result<(Vec<Folder>, Vec<Folder>)> {
        self.replace_folders(role, |before| {
            limits.applied_to(before).map_err(|invalid| Error::Conflict(invalid.problem))
        })
        .await
    }

    async fn assign(&self, role: &str, account: &str) -> Result<()> {
        let assigned = query!(
            "INSERT INTO account_roles (account, role)
             SELECT a.account, r.role FROM accounts a CROSS JOIN roles r
             WHERE a.account = $1 AND r.role = $2 ON CONFLICT DO NOTHING",
            account,
            role,
        );
        let parameters = json!({ "role": role, "account": account });
        let assigned = self.change_one(assigned, None, parameters).await?;
        if assigned == 0 {
            self.expect_account(account).await?;
            self.expect_role(role).await?;
        }
        expect_one(assigned, || format!("the account {account} already has the role {role}"))
    }

    async fn unassign(&self, role: &str, account: &str) -> Result<()> {
        let taken =
            query!("DELETE FROM account_roles WHERE account = $1 AND role = $2", account, role,);
        let parameters = json!({ "role": role, "account": account });
        let taken = self.change_one(taken, None, parameters).await?;
        if taken == 0 {
            self.expect_account(account).await?;
            self.expect_role(role).await?;
        }
        expect_one(taken, || format!("the account {account} does not have the role {role}"))
    }

    async fn roles(&self) -> Result<Vec<Role>> {
        let mut roles = BTreeMap::new();
        let permissions = query!(
            r#"SELECT r.role, p.permission AS "permission?: String",
                   p.controller_id AS "controller_id?: String"
               FROM roles r LEFT JOIN role_permissions p ON p.role = r.role
               ORDER BY r.role, p.permission, p.controller_id"#
        );
        for row in permissions.fetch_all(self.readers()?).await? {
            let role = roles.entry(row.role.clone()).or_insert_with(|| Role::named(row.role));
            role.permissions.extend(row.permission.zip(row.controller_id));
        }
        let folders = query!(
            r#"SELECT role, folder, recursive AS "recursive!: bool" FROM role_folders ORDER BY role, folder"#
        );
        for row in folders.fetch_all(self.readers()?).await? {
            let folder = Folder { folder: row.folder, recursive: row.recursive };
            roles
                .entry(row.role.clone())
                .or_insert_with(|| Role::named(row.role))
                .folders
                .push(folder);
        }
        Ok(roles.into_values().collect())
    }
}
