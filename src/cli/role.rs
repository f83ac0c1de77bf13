//! `joc-orders role`: what accounts may do.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use super::account::done;
use super::full_access::FullAccess;
use crate::cli::escape::visible;
use crate::cli::exit::{examples, help_end};
use crate::cli::output::{self, OutputArgs, OutputFormat};
use crate::cli::table::Column;
use crate::cli::terminal::tell;
use crate::config::DatabaseArgs;
use crate::model::checks::{check_controller_id, check_folder, check_name, check_stored_folder};
use crate::model::counted::counted;
use crate::model::folders::{Folder, Folders};
use crate::model::permission::known::check_permission;
use crate::model::permission::{EVERY_CONTROLLER, Limits, Visible};
use crate::store::{self, Access, Role, Store};

/// Manage roles: permissions, folders, who has them
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders role add billing
  joc-orders role grant billing sos:products:controller:orders:cancel --controller-id prod
  joc-orders role limit billing --folder /sos/billing
  joc-orders role assign billing anna"))]
pub struct RoleArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    command: RoleCommand,
}

#[derive(Debug, Args)]
struct PermissionArgs {
    /// Name of the role
    role: String,
    /// Permission such as sos:products:controller:orders:cancel; includes all below it
    permission: String,
    /// Controller it is for; without it, every controller
    #[arg(long, value_name = "ID", default_value = EVERY_CONTROLLER, hide_default_value = true)]
    controller_id: String,
}

#[derive(Debug, Args)]
struct AccountRoleArgs {
    /// Name of the role
    role: String,
    /// Name of the account
    account: String,
}

#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders role limit billing --folder /sos/billing --only-folder /mft
  joc-orders role limit billing --add /sos/invoices --remove /mft
  joc-orders role limit billing --none"))]
#[command(group = ArgGroup::new("change").required(true).multiple(true)
    .args(["folders", "only_folders", "add", "add_only", "remove", "none"]))]
struct LimitArgs {
    /// Name of the role
    role: String,
    /// Limit the role to this folder and those below; replaces all folders set before. Repeatable
    #[arg(long = "folder", value_name = "PATH")]
    folders: Vec<String>,
    /// Limit the role to this folder without those below; replaces all set before. Repeatable
    #[arg(long = "only-folder", value_name = "PATH")]
    only_folders: Vec<String>,
    /// Add this folder and those below it. Repeatable
    #[arg(long, value_name = "PATH", conflicts_with_all = REPLACING)]
    add: Vec<String>,
    /// Add this folder without those below it. Repeatable
    #[arg(long, value_name = "PATH", conflicts_with_all = REPLACING)]
    add_only: Vec<String>,
    /// Remove this folder, unless it is the last. Repeatable
    #[arg(long, value_name = "PATH", conflicts_with_all = REPLACING)]
    remove: Vec<String>,
    /// Lift the limit
    #[arg(long, conflicts_with_all = ["folders", "only_folders"])]
    none: bool,
}

/// Flags that replace all folders.
const REPLACING: [&str; 3] = ["folders", "only_folders", "none"];

#[derive(Debug, Subcommand)]
enum RoleCommand {
    /// Add a role without permissions
    #[command(after_help = examples("joc-orders role add billing"))]
    Add {
        /// Name of the role
        role: String,
    },
    /// Remove a role, also from every account
    #[command(after_help = examples("joc-orders role remove billing"))]
    Remove {
        /// Name of the role
        role: String,
    },
    /// Give a role a permission
    #[command(after_help = examples("joc-orders role grant billing sos:products:controller:orders:cancel --controller-id prod"))]
    Grant(PermissionArgs),
    /// Revoke a permission, exactly as it was granted
    #[command(after_help = examples("joc-orders role revoke billing sos:products:controller:orders:cancel --controller-id prod"))]
    Revoke(PermissionArgs),
    /// Limit a role to folders
    Limit(LimitArgs),
    /// Give an account a role
    #[command(after_help = examples("joc-orders role assign billing anna"))]
    Assign(AccountRoleArgs),
    /// Take a role from an account
    #[command(after_help = examples("joc-orders role unassign billing anna"))]
    Unassign(AccountRoleArgs),
    /// List roles with their permissions and folders
    #[command(after_help = examples("joc-orders role list --output json"))]
    List(OutputArgs),
}

const LISTED: &[Column] = &[
    Column::text("role", "/role"),
    Column::new("permission", "/permission"),
    Column::text("controller_id", "/controllerId"),
    Column::text("folders", "/folders"),
];

/// Runs the subcommand. A running service notices within a few seconds.
///
/// # Errors
///
/// If the database is unavailable or rejects the change.
pub async fn run(args: RoleArgs) -> anyhow::Result<()> {
    let access = match args.command {
        RoleCommand::List(_) => Access::Read,
        _ => Access::Write,
    };
    let store = store::open(&args.database.url, args.database.connections, access).await?;
    match args.command {
        RoleCommand::Add { role } => {
            check_name("role", &role)?;
            store.add_role(&role).await?;
            done(&format!("added role {role}"))?;
        }
        RoleCommand::Remove { role } => {
            let full = FullAccess::before(&*store).await?;
            store.remove_role(&role).await?;
            done(&format!("removed role {role}"))?;
            full.warn_if_lost(&*store).await?;
        }
        RoleCommand::Grant(PermissionArgs { role, permission, controller_id }) => {
            check_permission(&permission)?;
            if controller_id != EVERY_CONTROLLER {
                check_controller_id(&controller_id)?;
            }
            store.grant(&role, &permission, &controller_id).await?;
            done(&format!("granted {permission} to {role} for {}", named(&controller_id)))?;
            if controller_id != EVERY_CONTROLLER && !store.knows_controller(&controller_id).await? {
                warn(&format!("there is no controller '{controller_id}' yet"));
            }
        }
        RoleCommand::Revoke(PermissionArgs { role, permission, controller_id }) => {
            let full = FullAccess::before(&*store).await?;
            store.revoke(&role, &permission, &controller_id).await?;
            done(&format!("revoked {permission} from {role} for {}", named(&controller_id)))?;
            full.warn_if_lost(&*store).await?;
        }
        RoleCommand::Limit(args) => limit(&*store, args).await?,
        RoleCommand::Assign(AccountRoleArgs { role, account }) => {
            store.assign(&role, &account).await?;
            done(&format!("assigned role {role} to account {account}"))?;
        }
        RoleCommand::Unassign(AccountRoleArgs { role, account }) => {
            let full = FullAccess::before(&*store).await?;
            store.unassign(&role, &account).await?;
            done(&format!("took role {role} from account {account}"))?;
            full.warn_if_lost(&*store).await?;
        }
        RoleCommand::List(output) => list(&store.roles().await?, output.format)?,
    }
    store.close().await;
    Ok(())
}

fn named(controller_id: &str) -> String {
    match controller_id {
        EVERY_CONTROLLER => "every controller".into(),
        id => format!("controller {id}"),
    }
}

fn warn(what: &str) {
    tell(&format!("warning: {}\n", visible(what)));
}

async fn limit(store: &dyn Store, args: LimitArgs) -> anyhow::Result<()> {
    let replacing = folders("folder", args.folders, "only-folder", args.only_folders)?;
    let add = folders("add", args.add, "add-only", args.add_only)?;
    for folder in &args.remove {
        check_folder("remove", folder)?;
    }
    let full = FullAccess::before(store).await?;
    let (before, after) = if add.is_empty() && args.remove.is_empty() {
        (store.limit(&args.role, &replacing).await?, replacing)
    } else {
        store.change_limit(&args.role, &Limits { add, remove: args.remove }).await?
    };
    let (before_text, after_text) = (limits(&before), limits(&after));
    done(&match after[..] {
        [] => format!("lifted the limit of role {} (before: {before_text})", args.role),
        _ => format!("limited role {} to {after_text} (before: {before_text})", args.role),
    })?;
    for folder in after {
        if !before.contains(&folder) && !has_workflows(store, &folder).await? {
            warn(&format!("no workflow is in {} yet", folder.folder));
        }
    }
    Ok(full.warn_if_lost(store).await?)
}

/// The folders of two flags, of which the second is for folders without those below.
fn folders(
    flag: &str,
    recursive: Vec<String>,
    only_flag: &str,
    only: Vec<String>,
) -> anyhow::Result<Vec<Folder>> {
    let mut folders: Vec<Folder> = Vec::new();
    for (flag, names, recursive) in [(flag, recursive, true), (only_flag, only, false)] {
        for folder in names {
            check_stored_folder(flag, &folder)?;
            anyhow::ensure!(
                !folders.iter().any(|known| known.folder == folder),
                "{flag}: {folder} is given twice"
            );
            folders.push(Folder { folder, recursive });
        }
    }
    Ok(folders)
}

/// Whether a workflow of any controller is in the folder.
async fn has_workflows(store: &dyn Store, folder: &Folder) -> store::Result<bool> {
    let visible = Visible::Folders(Folders::of(vec![folder.clone()]));
    for controller_id in store.controllers().await? {
        if !store.workflow_folders(&controller_id, &visible).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Folders for people: `/mft only, /sos/billing`.
fn limits(folders: &[Folder]) -> String {
    if folders.is_empty() {
        return "every folder".into();
    }
    let name = |Folder { folder, recursive }: &Folder| {
        if *recursive { folder.clone() } else { format!("{folder} only") }
    };
    folders.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn list(roles: &[Role], format: OutputFormat) -> anyhow::Result<()> {
    if format.is_whole() {
        let roles = roles.iter().map(|role| {
            let permissions = role.permissions.iter().map(|(permission, controller_id)| {
                json!({ "permission": permission, "controllerId": controller_id })
            });
            let folders = role.folders.iter().map(
                |Folder { folder, recursive }| json!({ "folder": folder, "recursive": recursive }),
            );
            json!({
                "role": role.role,
                "permissions": permissions.collect::<Value>(),
                "folders": folders.collect::<Value>(),
            })
        });
        return output::whole(format, &roles.collect());
    }
    // One row per permission; one for a role without any.
    let rows = roles.iter().flat_map(|role| {
        let row = |permission: Option<&(String, String)>| {
            json!({
                "role": role.role,
                "permission": permission.map(|(permission, _)| permission),
                "controllerId": permission.map(|(_, controller_id)| controller_id),
                "folders": limits(&role.folders),
            })
        };
        let rows: Vec<Value> = if role.permissions.is_empty() {
            vec![row(None)]
        } else {
            role.permissions.iter().map(|permission| row(Some(permission))).collect()
        };
        rows
    });
    output::items(format, LISTED, &rows.collect())?;
    output::footer(format, &counted(roles.len() as u64, "role"));
    Ok(())
}
