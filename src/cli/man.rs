//! `joc-orders man`: the manual pages, which packages install.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};

/// Write the manual pages
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct ManArgs {
    /// Existing folder to write to, one file per command
    folder: PathBuf,
}

/// Writes a page for `command` and each of its subcommands.
///
/// # Errors
///
/// If the folder does not exist or cannot be written to.
pub fn run(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    clap_mangen::generate_to(command, &args.folder)
        .with_context(|| args.folder.display().to_string())
}
