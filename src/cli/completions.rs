//! `joc-orders completions`: completion scripts for shells.

use std::io::{self, Write};

use anyhow::Context;
use clap::Args;
use clap_complete::Shell;
use clap_complete::env::{CompleteEnv, Shells};

use crate::cli::exit::examples;

/// The variable in which the script says for which shell the program completes a word.
const VARIABLE: &str = "JOC_ORDERS_COMPLETE";

/// What the script calls, and what it completes.
const PROGRAM: &str = "joc-orders";

/// zsh runs a script in a folder of `fpath` at the first completion, which it should complete, too.
const ZSH_FIRST: &str = r#"
if [ "$funcstack[1]" = "_joc-orders" ]; then
    _clap_dynamic_completer_joc_orders "$@"
fi
"#;

/// Print a shell completion script
///
/// It calls the program for each word, and so also knows the folders and workflows of the context
/// in which you are logged in.
#[derive(Debug, Args)]
#[command(after_help = examples("joc-orders completions bash > ~/.local/share/bash-completion/completions/joc-orders"))]
pub struct CompletionsArgs {
    /// Shell to complete for
    shell: Shell,
}

/// Completes a word and ends the program, if a completion script asks for it.
pub fn complete(command: impl Fn() -> clap::Command) {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// Prints the script.
///
/// # Errors
///
/// If standard output cannot be written.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell.to_string()).context("not a shell")?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    if args.shell == Shell::Zsh {
        script.extend_from_slice(ZSH_FIRST.as_bytes());
    }
    match io::stdout().lock().write_all(&script) {
        // `| head` closes the pipe early.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
