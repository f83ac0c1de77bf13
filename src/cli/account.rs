//! `joc-orders account`: who may log in.

use std::io::{IsTerminal, Read};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::full_access::FullAccess;
use super::terminal::write;
use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::exit::{examples, help_end};
use crate::cli::output::{self, OutputArgs, OutputFormat};
use crate::cli::table::Column;
use crate::config::{DatabaseArgs, trimmed};
use crate::http::password;
use crate::model::checks::check_name;
use crate::model::counted::counted;
use crate::store::{self, Access, Account};

/// Manage accounts: passwords, roles, who is locked out
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders account add anna --role billing
  joc-orders account passwd anna < password.txt
  joc-orders account list --output json"))]
pub struct AccountArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Add an account; the password is asked for, or read from standard input
    #[command(after_help = examples("joc-orders account add anna --role billing < password.txt"))]
    Add {
        /// Name of the account
        account: String,
        /// Role of the account. Repeatable
        #[arg(long = "role")]
        roles: Vec<String>,
    },
    /// Change a password and end the account's sessions
    #[command(after_help = examples("joc-orders account passwd anna < password.txt"))]
    Passwd {
        /// Name of the account
        account: String,
    },
    /// Lock an account out and end its sessions
    #[command(after_help = examples("joc-orders account disable anna"))]
    Disable {
        /// Name of the account
        account: String,
    },
    /// Let a disabled account log in again
    #[command(after_help = examples("joc-orders account enable anna"))]
    Enable {
        /// Name of the account
        account: String,
    },
    /// Remove an account and end its sessions; its audit entries stay
    #[command(after_help = examples("joc-orders account remove anna"))]
    Remove {
        /// Name of the account
        account: String,
    },
    /// List accounts with their roles
    #[command(after_help = examples("joc-orders account list --output json"))]
    List(OutputArgs),
}

const LISTED: &[Column] = &[
    Column::text("account", "/account"),
    Column::new("state", "/state"),
    Column::text("roles", "/roles"),
];

/// Runs the subcommand.
///
/// # Errors
///
/// If the database is unavailable or rejects the change.
pub async fn run(args: AccountArgs) -> anyhow::Result<()> {
    let access = match args.command {
        AccountCommand::List(_) => Access::Read,
        _ => Access::Write,
    };
    let store = store::open(&args.database.url, args.database.connections, access).await?;
    match args.command {
        AccountCommand::Add { account, roles } => {
            check_name("account", &account)?;
            ensure!(!account.contains(':'), "account: ':' is not allowed in it");
            let hash = password::hash(&read_password()?)?;
            store.add_account(&account, &hash, &roles).await?;
            let with = match &roles[..] {
                [] => String::from("without a role"),
                [role] => format!("with the role {role}"),
                roles => format!("with the roles {}", roles.join(", ")),
            };
            done(&format!("added account {account} {with}"))?;
        }
        AccountCommand::Passwd { account } => {
            let hash = password::hash(&read_password()?)?;
            store.set_password(&account, &hash).await?;
            done(&format!("changed the password of {account} and ended its sessions"))?;
        }
        AccountCommand::Disable { account } => {
            let full = FullAccess::before(&*store).await?;
            store.set_disabled(&account, true).await?;
            done(&format!("disabled account {account} and ended its sessions"))?;
            full.warn_if_lost(&*store).await?;
        }
        AccountCommand::Enable { account } => {
            store.set_disabled(&account, false).await?;
            done(&format!("enabled account {account}"))?;
        }
        AccountCommand::Remove { account } => {
            let full = FullAccess::before(&*store).await?;
            store.remove_account(&account).await?;
            done(&format!("removed account {account} and ended its sessions"))?;
            full.warn_if_lost(&*store).await?;
        }
        AccountCommand::List(output) => list(&store.accounts().await?, output.format)?,
    }
    store.close().await;
    Ok(())
}

/// Reports what was done.
pub(super) fn done(what: &str) -> anyhow::Result<()> {
    write(format!("{}\n", visible(what)).as_bytes())
}

fn list(accounts: &[Account], format: OutputFormat) -> anyhow::Result<()> {
    let state = |account: &Account| if account.disabled { "disabled" } else { "enabled" };
    let item = |account: &Account, roles: Value| json!({ "account": account.account, "state": state(account), "roles": roles });
    if format.is_whole() {
        let items = accounts.iter().map(|account| item(account, json!(account.roles)));
        return output::whole(format, &items.collect());
    }
    let items = accounts.iter().map(|account| item(account, account.roles.join(", ").into()));
    output::items(format, LISTED, &items.collect())?;
    output::footer(format, &counted(accounts.len() as u64, "account"));
    Ok(())
}

/// Asks for a password twice on a terminal; otherwise takes the first line of standard input.
fn read_password() -> anyhow::Result<String> {
    let password = if std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ")?;
        ensure!(password == rpassword::prompt_password("Again: ")?, "the two passwords differ");
        password
    } else {
        first_line()?
    };
    password::check(&password).map_err(CliError::Usage)?;
    Ok(password)
}

/// The password in the first line of standard input.
pub(super) fn first_line() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input")?;
    Ok(trimmed(text.lines().next().unwrap_or_default()).to_owned())
}
