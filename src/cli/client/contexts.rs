//! `joc-orders contexts`: where the person has logged in.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context_file;
use super::selectors::some_text;
use crate::cli::account::done;
use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::exit::help_end;
use crate::cli::output::{self, OutputArgs, OutputFormat};
use crate::cli::table::Column;

const CONTEXTS: &[Column] = &[
    Column::new("name", "/name"),
    Column::new("current", "/current"),
    Column::text("url", "/url"),
    Column::text("account", "/account"),
    Column::text("controller_id", "/controllerId"),
    Column::new("session", "/session"),
];

/// List, switch and remove the contexts of `login`
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders contexts list
  joc-orders contexts use prod"))]
pub struct ContextsArgs {
    #[command(subcommand)]
    command: ContextsCommand,
}

#[derive(Debug, Subcommand)]
enum ContextsCommand {
    /// List contexts, without their tokens
    #[command(after_help = help_end("joc-orders contexts list --output json"))]
    List(OutputArgs),
    /// Make a context the current one, for commands that name none
    #[command(after_help = help_end("joc-orders contexts use prod"))]
    Use {
        /// Name of the context
        #[arg(value_parser = some_text())]
        context: String,
    },
    /// Remove a context in which there is no session
    #[command(after_help = help_end("joc-orders contexts remove test"))]
    Remove {
        /// Name of the context
        #[arg(value_parser = some_text())]
        context: String,
    },
}

/// Runs the subcommand.
///
/// # Errors
///
/// A [`CliError`] if scripts may need to distinguish it.
pub fn run(args: ContextsArgs) -> anyhow::Result<()> {
    match args.command {
        ContextsCommand::List(output) => list(output.format),
        ContextsCommand::Use { context } => {
            context_file::update(|contexts| {
                contexts.named(&context)?;
                contexts.current = Some(context.clone());
                Ok(())
            })?;
            done(&format!("the current context is {context}"))
        }
        ContextsCommand::Remove { context } => {
            context_file::update(|contexts| {
                if contexts.named(&context)?.token.is_some() {
                    let name = visible(&context);
                    let problem = format!("log out first: `joc-orders logout --context {name}`");
                    return Err(CliError::Usage(problem).into());
                }
                contexts.contexts.remove(&context);
                contexts.current.take_if(|current| *current == context);
                Ok(())
            })?;
            done(&format!("removed context {context}"))
        }
    }
}

fn list(format: OutputFormat) -> anyhow::Result<()> {
    let contexts = context_file::load()?;
    let items = contexts.contexts.iter().map(|(name, saved)| {
        let mut item = json!({
            "name": name,
            "current": contexts.current.as_ref() == Some(name),
            "url": saved.url.as_str(),
            "account": saved.account,
            "session": saved.token.is_some(),
        });
        if let Some(controller_id) = &saved.controller_id {
            item["controllerId"] = controller_id.as_str().into();
        }
        item
    });
    let items: Value = items.collect();
    if format.is_whole() {
        return output::whole(format, &items);
    }
    output::items(format, CONTEXTS, &items)
}
