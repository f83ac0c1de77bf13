//! `joc-orders completions`: completion scripts for shells.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::exit::examples;

/// Print a shell completion script
#[derive(Debug, Args)]
#[command(after_help = examples("joc-orders completions bash > ~/.local/share/bash-completion/completions/joc-orders"))]
pub struct CompletionsArgs {
    /// Shell to complete for
    shell: Shell,
}

/// Prints the completions of `command`.
///
/// # Errors
///
/// If standard output cannot be written.
pub fn run(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, &name, &mut script);
    if args.shell == Shell::Bash {
        // The script writes a name with a hyphen in two ways, and so finds no subcommand:
        // https://github.com/clap-rs/clap/issues/6421
        let (one, other) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
        script = String::from_utf8(script)?.replace(&one, &other).into_bytes();
    }
    match io::stdout().lock().write_all(&script) {
        // `| head` closes the pipe early.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
