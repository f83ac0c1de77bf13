//! What the program ends with, and what `--help` says about it.

use std::process::ExitCode;

use super::error::CliError;
use super::terminal::tell;
use crate::model::invalid::Invalid;
use crate::store;

/// What `--help` says at its end.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  any other failure, or Ctrl-C
  2  usage or configuration error, or no terminal without --yes
  3  no order found
  4  request refused (JOC-400, JOC-300), or account or role exists already or is unknown
  5  not logged in, or not permitted (401, 403, 429, 440)
  6  not confirmed
  7  service or database cannot be reached (503), or a migration got no lock
  8  check or audit verify found a problem
  9  the database's schema is older or newer than this program";

/// What `--help` says at its end: examples, then the exit codes.
pub(super) fn help_end(lines: &str) -> String {
    format!("{}\n{EXIT_CODES}", examples(lines))
}

/// Examples for `--help`, one a line.
pub(super) fn examples(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  {}\n", line.trim())).collect();
    format!("Examples:\n{lines}")
}

/// What the program ends with if the database's schema is not its own.
const SCHEMA: u8 = 9;

/// Tells a person why the program ends, and gives what it ends with.
pub fn report(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(CliError::OutputClosed) => ExitCode::SUCCESS,
        Some(failure) => {
            tell(&format!("Error: {}\n", with_causes(error)));
            failure.exit_code().into()
        }
        None => {
            tell(&format!("Error: {}\n", with_causes(error)));
            code_of_others(error).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

/// An error with its causes, each said once: many repeat their cause in their own words.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The exit code of a refusal that another part of the program words.
fn code_of_others(error: &anyhow::Error) -> Option<u8> {
    match error.downcast_ref() {
        Some(error) if error.is_unusable() => Some(CliError::USAGE),
        Some(error) if error.is_of_schema() => Some(SCHEMA),
        Some(error) if error.is_unavailable() => Some(CliError::UNREACHABLE),
        Some(error) if error.names_no_migration() => Some(CliError::USAGE),
        Some(store::Error::Conflict(_)) => Some(CliError::REFUSED),
        _ => error.is::<Invalid>().then_some(CliError::USAGE),
    }
}
