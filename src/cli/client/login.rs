//! `joc-orders login` and `logout`: a session that lasts longer than a command.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::connection::{ApiSession, ServiceArgs, client, password};
use super::context_file::{self, SavedContext};
use super::selectors::some_text;
use crate::cli::account::{done, first_line};
use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::exit::help_end;

/// The name of a context that has been given none.
const DEFAULT: &str = "default";

/// Log in, and keep the session for other commands
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders login --url https://joc.example.com:4446 --user anna --controller-id prod
  joc-orders login --context test --url http://127.0.0.1:4446 --user anna
  joc-orders login --user batch --password-stdin < password.txt"))]
pub struct LoginArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// Controller for commands that name none
    #[arg(
        long,
        env = "JOC_ORDERS_CONTROLLER_ID",
        value_name = "ID",
        value_parser = some_text(),
        help_heading = "Connection"
    )]
    controller_id: Option<String>,
    /// Read the password from standard input
    #[arg(long, help_heading = "Connection")]
    password_stdin: bool,
}

/// Log out: end the session of a context, and remove its token
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders logout
  joc-orders logout --all"))]
pub struct LogoutArgs {
    /// Context to log out of [default: the current one]
    #[arg(long, env = "JOC_ORDERS_CONTEXT", value_name = "NAME", value_parser = some_text())]
    context: Option<String>,
    /// Log out of every context
    #[arg(long)]
    all: bool,
}

/// Logs in.
///
/// # Errors
///
/// A [`CliError`] if scripts may need to distinguish it.
pub async fn login(args: LoginArgs) -> anyhow::Result<()> {
    let name = args.service.context.clone().unwrap_or_else(|| DEFAULT.into());
    // An unusable file is better found before the password is typed.
    let known = context_file::load()?.contexts.remove(&name);
    let url = args.service.url_or(known.as_ref());
    let same = known.as_ref().filter(|known| known.url == url);
    let account = args.service.user().or(same.map(|known| &*known.account));
    let account = account.ok_or_else(|| CliError::Usage("give --user".into()))?.to_owned();
    let ca_file = args.service.ca_file_or(same).map(std::path::absolute).transpose();
    let ca_file: Option<PathBuf> = ca_file.context("--ca-file")?;
    let client = client(&url, ca_file.as_deref())?;
    let password = if args.password_stdin { first_line()? } else { password(&account)? };

    let session = ApiSession::log_in(client.clone(), &url, &account, &password).await?;
    let controller_id = args.controller_id.or(same.and_then(|known| known.controller_id.clone()));
    let token = session.token().map(Into::into);
    let saved = SavedContext { url: url.clone(), account, controller_id, ca_file, token };
    let text = format!("logged in as {} at {url}, context {name}", saved.account);
    let replaced = context_file::update(|contexts| {
        contexts.current = Some(name.clone());
        Ok(contexts.contexts.insert(name, saved))
    });
    let replaced = match replaced {
        Ok(replaced) => replaced,
        Err(error) => {
            let _ = session.log_out().await;
            return Err(error);
        }
    };
    if let Some(replaced) = replaced {
        // Best effort: it expires by itself.
        let _ = end(&replaced).await;
    }
    done(&text)
}

/// Logs out.
///
/// # Errors
///
/// A [`CliError`] if scripts may need to distinguish it.
pub async fn logout(args: LogoutArgs) -> anyhow::Result<()> {
    let contexts = context_file::load()?;
    let names: Vec<String> = if args.all {
        contexts.contexts.keys().cloned().collect()
    } else {
        let nowhere = || CliError::Usage("no context: there has been no login".into());
        vec![args.context.or(contexts.current.clone()).ok_or_else(nowhere)?]
    };
    let mut failed = None;
    for name in names {
        let saved = contexts.named(&name)?;
        let ended = end(saved).await;
        context_file::update(|contexts| {
            // Unless somebody has logged in meanwhile.
            if let Some(now) =
                contexts.contexts.get_mut(&name).filter(|now| now.token == saved.token)
            {
                now.token = None;
            }
            Ok(())
        })?;
        match ended {
            Ok(true) => done(&format!("logged out of context {name}"))?,
            Ok(false) => done(&format!("context {name} had no session"))?,
            Err(error) => {
                let name = visible(&name);
                failed = Some(error.context(format!(
                    "removed the token of context {name}, but its session ends only by itself"
                )));
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Ends the session of a context. Whether there was one.
async fn end(saved: &SavedContext) -> anyhow::Result<bool> {
    let Some(token) = &saved.token else { return Ok(false) };
    let client = client(&saved.url, saved.ca_file.as_deref())?;
    match ApiSession::new(client, &saved.url, token)?.log_out().await {
        Ok(()) => Ok(true),
        Err(CliError::NotPermitted(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
