//! `joc-orders role`: what accounts may do.

use clap::{Args, Subcommand};

use crate::config::Database;
use crate::model::permission::EVERY_CONTROLLER;
use crate::model::selection::{Folder, check_controller_id, check_folder, check_name};
use crate::store;

/// Manage roles: their permissions, their folders, who has them
#[derive(Debug, Args)]
pub struct RoleArgs {
    #[command(flatten)]
    database: Database,
    #[command(subcommand)]
    command: RoleCommand,
}

#[derive(Debug, Args)]
struct PermissionArgs {
    /// The role's name
    role: String,
    /// A permission such as sos:products:controller:orders:cancel; it covers all below it
    permission: String,
    /// The controller it is for; every controller if none is named
    #[arg(long, default_value = EVERY_CONTROLLER)]
    controller_id: String,
}

#[derive(Debug, Args)]
struct AccountRoleArgs {
    /// The role's name
    role: String,
    /// The account's name
    account: String,
}

#[derive(Debug, Subcommand)]
enum RoleCommand {
    /// Add a role without permissions
    Add {
        /// The role's name
        role: String,
    },
    /// Remove a role, also from every account
    Remove {
        /// The role's name
        role: String,
    },
    /// Give a role a permission
    Grant(PermissionArgs),
    /// Take a permission back, exactly as it was given
    Revoke(PermissionArgs),
    /// Limit a role to folders, in place of those it was limited to
    Limit {
        /// The role's name
        role: String,
        /// A folder with all below it; can be given several times
        #[arg(long = "folder")]
        folders: Vec<String>,
        /// A folder without those below it; can be given several times
        #[arg(long = "only-folder")]
        only_folders: Vec<String>,
        /// Lift the limit
        #[arg(long, conflicts_with_all = ["folders", "only_folders"],
              required_unless_present_any = ["folders", "only_folders"])]
        none: bool,
    },
    /// Give an account a role
    Assign(AccountRoleArgs),
    /// Take a role from an account
    Unassign(AccountRoleArgs),
    /// List the roles with their permissions and folders
    List,
}

/// Does what the subcommand says. A running service notices within a few seconds.
///
/// # Errors
///
/// If the database cannot be had or refuses.
pub async fn run(args: RoleArgs) -> anyhow::Result<()> {
    let store = store::open(&args.database.url, args.database.connections).await?;
    match args.command {
        RoleCommand::Add { role } => {
            check_name("role", &role)?;
            store.add_role(&role).await?;
        }
        RoleCommand::Remove { role } => store.remove_role(&role).await?,
        RoleCommand::Grant(PermissionArgs { role, permission, controller_id }) => {
            check_permission(&permission)?;
            if controller_id != EVERY_CONTROLLER {
                check_controller_id(&controller_id)?;
            }
            store.grant(&role, &permission, &controller_id).await?;
        }
        RoleCommand::Revoke(PermissionArgs { role, permission, controller_id }) => {
            store.revoke(&role, &permission, &controller_id).await?;
        }
        RoleCommand::Limit { role, folders, only_folders, none: _ } => {
            let with = |recursive| move |folder| Folder { folder, recursive };
            let folders: Vec<Folder> = folders
                .into_iter()
                .map(with(true))
                .chain(only_folders.into_iter().map(with(false)))
                .collect();
            for folder in &folders {
                check_folder("folder", &folder.folder)?;
            }
            store.limit(&role, &folders).await?;
        }
        RoleCommand::Assign(AccountRoleArgs { role, account }) => {
            store.assign(&role, &account).await?;
        }
        RoleCommand::Unassign(AccountRoleArgs { role, account }) => {
            store.unassign(&role, &account).await?;
        }
        RoleCommand::List => {
            for role in store.roles().await? {
                println!("{}", role.role);
                for (permission, controller_id) in role.permissions {
                    println!("  {permission} for {controller_id}");
                }
                for Folder { folder, recursive } in role.folders {
                    println!("  in {folder}{}", if recursive { " and below" } else { "" });
                }
            }
        }
    }
    store.close().await;
    Ok(())
}

fn check_permission(permission: &str) -> anyhow::Result<()> {
    let well_formed = permission.strip_prefix("sos:products").is_some_and(|rest| {
        rest.is_empty()
            || rest.strip_prefix(':').is_some_and(|rest| {
                let is_word = |word: &str| {
                    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                };
                rest.split(':').all(is_word)
            })
    });
    anyhow::ensure!(
        well_formed,
        "permission: expected a name such as sos:products:controller:orders:cancel"
    );
    Ok(())
}
