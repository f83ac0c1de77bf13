//! Exit codes, and the end of `--help`, which lists them.

use std::process::ExitCode;

use super::error::CliError;
use super::terminal::tell;
use crate::model::invalid::Invalid;
use crate::store;

/// The exit codes, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  any other failure, or Ctrl-C
  2  usage or configuration error, or no terminal without --yes
  3  nothing found: no order to act on, or no such order or workflow (JOC-400)
  4  request refused (JOC-300, -404, -405, -420), or account or role exists already or is unknown
  5  not logged in, or not permitted (401, 403, 429, 440)
  6  not confirmed
  7  service or database cannot be reached (503), or a migration got no lock
  8  check or audit verify found a problem, or import --rejects a bad line
  9  the database's schema is older or newer than this program
 10  orders wait: time is up";

/// The end of `--help`: examples and exit codes.
pub(super) fn help_end(lines: &str) -> String {
    format!("{}\n{EXIT_CODES}", examples(lines))
}

/// Examples for `--help`, one per line.
pub(super) fn examples(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  {}\n", line.trim())).collect();
    format!("Examples:\n{lines}")
}

/// The exit code if the database's schema is of another version.
const SCHEMA: u8 = 9;

/// Reports an error on standard error, and returns the exit code.
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

/// An error with its causes, without repetitions: many messages include their cause.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The exit code of an error of another part of the program.
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
