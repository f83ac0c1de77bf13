//! `joc-orders account`: who may log in.

use std::io::{IsTerminal, Read};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};

use crate::config::Database;
use crate::http::password;
use crate::model::selection::check_name;
use crate::store;

/// The shortest password, in characters.
const MIN_PASSWORD: usize = 8;

/// Add accounts, change their passwords, lock them out, list them
#[derive(Debug, Args)]
pub struct AccountArgs {
    #[command(flatten)]
    database: Database,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Add an account; its password is asked for, or read from standard input
    Add {
        /// The account's name
        account: String,
        /// A role of it; can be given several times
        #[arg(long = "role")]
        roles: Vec<String>,
    },
    /// Change a password, which also ends the account's sessions
    Passwd {
        /// The account's name
        account: String,
    },
    /// Lock an account out, which also ends its sessions
    Disable {
        /// The account's name
        account: String,
    },
    /// Let a disabled account in again
    Enable {
        /// The account's name
        account: String,
    },
    /// List the accounts with their roles
    List,
}

/// Does what the subcommand says.
///
/// # Errors
///
/// If the database cannot be had or refuses.
pub async fn run(args: AccountArgs) -> anyhow::Result<()> {
    let store = store::open(&args.database.url, args.database.connections).await?;
    match args.command {
        AccountCommand::Add { account, roles } => {
            check_name("account", &account)?;
            ensure!(!account.contains(':'), "account: ':' is not allowed in it");
            let hash = password::hash(&read_password()?)?;
            store.add_account(&account, &hash, &roles).await?;
        }
        AccountCommand::Passwd { account } => {
            let hash = password::hash(&read_password()?)?;
            store.set_password(&account, &hash).await?;
        }
        AccountCommand::Disable { account } => store.set_disabled(&account, true).await?,
        AccountCommand::Enable { account } => store.set_disabled(&account, false).await?,
        AccountCommand::List => {
            for account in store.accounts().await? {
                let state = if account.disabled { "disabled" } else { "enabled" };
                println!("{}\t{state}\t{}", account.account, account.roles.join(","));
            }
        }
    }
    store.close().await;
    Ok(())
}

/// Asks for a password twice on a terminal; otherwise takes the first line of standard input.
fn read_password() -> anyhow::Result<String> {
    let password = if std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ")?;
        ensure!(password == rpassword::prompt_password("Again: ")?, "the two are not the same");
        password
    } else {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        text.lines().next().unwrap_or_default().to_owned()
    };
    ensure!(
        password.chars().count() >= MIN_PASSWORD,
        "a password has at least {MIN_PASSWORD} characters"
    );
    Ok(password)
}
