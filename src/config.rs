//! Settings: from flags, then the environment, then `.env`; checked once, at startup.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use chrono::TimeDelta;
use clap::{Arg, Args, Command};

pub use self::addresses::{Addresses, local};
pub use self::identities::{IdentityArgs, RecordedAs};
use crate::model::cycle::Cycles;
use crate::model::selection::Unfiltered;
use crate::store::{DEFAULT_CONNECTIONS, Deadlines};

mod addresses;
mod identities;

/// Settings of the working directory.
const FILE: &str = ".env";
/// The prefix of this program's variables, except [`DATABASE_URL`].
const PREFIX: &str = "JOC_ORDERS_";
/// The one setting for which empty does not mean unset: a script with an empty variable must not
/// get the default database.
const DATABASE_URL: &str = "DATABASE_URL";

/// The variable with the URL of the read replica.
pub const READ_URL: &str = "JOC_ORDERS_DATABASE_READ_URL";

/// The heading of the options of every command, in `--help`.
const GLOBAL: &str = "Global options";
/// The heading of the options of [`DatabaseArgs`], in `--help`.
const DATABASE: &str = "Database";

/// Adds the settings of `.env` in the working directory to the environment, which takes
/// precedence, and trims every setting as [`trimmed`] does. Call it before starting threads, which
/// may read the environment.
///
/// # Errors
///
/// If there is a `.env` that cannot be read. The message quotes no value.
pub fn load() -> anyhow::Result<()> {
    match dotenvy::from_path(FILE) {
        // The error quotes the value.
        Err(dotenvy::Error::LineParse(..)) => {
            let place = match dotenvy::from_path_iter(FILE)?.map_while(Result::ok).last() {
                Some((name, _)) => format!("after {name}"),
                None => "at the beginning".into(),
            };
            bail!("{FILE}: {place}: expected NAME=VALUE; put a value with blanks in single quotes");
        }
        Err(error) if !error.not_found() => bail!("{FILE}: {error}"),
        _ => {}
    }
    let mut trimmed_settings = String::new();
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        let is_setting = name.starts_with(PREFIX) || name == DATABASE_URL;
        if is_setting && trimmed(value) != value {
            writeln!(trimmed_settings, "{name}={}", quoted(trimmed(value)))?;
        }
    }
    Ok(dotenvy::from_read_override(trimmed_settings.as_bytes())?)
}

/// A text as a value in a `.env` file.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$");
    format!("\"{escaped}\"")
}

/// Trims what editors and shells add to a text: a byte order mark and line endings.
pub fn trimmed(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n'])
}

/// An environment variable; empty is the same as unset.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The command and its subcommands, ignoring empty variables.
#[must_use]
pub fn without_empty(command: Command) -> Command {
    let is_empty = |arg: &Arg| {
        arg.get_env().is_some_and(|name| {
            name != DATABASE_URL && std::env::var_os(name).is_some_and(|value| value.is_empty())
        })
    };
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(None::<&'static str>) } else { arg })
        .mut_subcommands(without_empty)
}

/// The database.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(
        long = "database-url",
        env = "DATABASE_URL",
        default_value = "sqlite:joc-orders.db",
        hide_env_values = true,
        help_heading = DATABASE
    )]
    pub url: String,
    /// Maximum database connections; on PostgreSQL half are reserved for changes
    #[arg(
        long = "database-connections",
        env = "JOC_ORDERS_DATABASE_CONNECTIONS",
        default_value_t = DEFAULT_CONNECTIONS,
        value_parser = clap::value_parser!(u32).range(1..=1000),
        help_heading = DATABASE
    )]
    pub connections: u32,
}

/// A replica to read from.
#[derive(Debug, Clone, Args)]
pub struct ReplicaArgs {
    /// URL of a PostgreSQL replica to read lists, counts, histories and the audit log from; the
    /// primary is read while the replica cannot be
    #[arg(
        long = "database-read-url",
        env = READ_URL,
        hide_env_values = true,
        help_heading = DATABASE
    )]
    pub read_url: Option<String>,
    /// Seconds that the replica's data may be old before the primary is read instead
    #[arg(
        long = "database-read-lag",
        env = "JOC_ORDERS_DATABASE_READ_LAG",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=86_400),
        help_heading = DATABASE
    )]
    pub read_lag: u32,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// Logging and traces.
#[derive(Debug, Clone, Args)]
pub struct Logging {
    /// Log level, or levels by module, such as `info,sqlx=error`
    #[arg(
        long,
        env = "JOC_ORDERS_LOG",
        default_value = "info,sqlx=error",
        global = true,
        help_heading = GLOBAL
    )]
    pub log: String,
    /// Format of log lines
    #[arg(
        long,
        env = "JOC_ORDERS_LOG_FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        global = true,
        help_heading = GLOBAL
    )]
    pub log_format: LogFormat,
    /// URL of an OpenTelemetry collector (OTLP over HTTP) to send traces to
    #[arg(
        long,
        env = "JOC_ORDERS_OTLP_ENDPOINT",
        global = true,
        hide_env_values = true,
        help_heading = GLOBAL
    )]
    pub otlp_endpoint: Option<String>,
}

/// Where the service listens.
#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// Address and port to listen on; a host name means all of its addresses, port 0 any free
    /// port
    #[arg(
        long,
        env = "JOC_ORDERS_LISTEN",
        default_value = "127.0.0.1:4446",
        value_name = "ADDRESS:PORT"
    )]
    pub listen: Addresses,
    /// File with the TLS certificate and its chain, in PEM
    #[arg(long, env = "JOC_ORDERS_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// File with the certificate's private key, in PEM
    #[arg(long, env = "JOC_ORDERS_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Serve HTTP without TLS to other machines too
    #[arg(long, env = "JOC_ORDERS_ALLOW_PLAIN_HTTP", default_value_t = false, action = clap::ArgAction::Set)]
    pub allow_plain_http: bool,
}

/// Settings of the service.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Maximum size of a request body, in bytes
    #[arg(long, env = "JOC_ORDERS_BODY_LIMIT", default_value_t = 8 * 1024 * 1024)]
    pub body_limit: usize,
    /// Maximum size of the URL and header of a request, in bytes
    #[arg(long, env = "JOC_ORDERS_HEADER_LIMIT", default_value_t = 16 * 1024)]
    pub header_limit: usize,
    /// Maximum connected clients; others wait until one disconnects
    #[arg(
        long,
        env = "JOC_ORDERS_CLIENTS",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub clients: u32,
    /// Seconds that an idle connection stays open; 0 closes it after each response
    #[arg(
        long,
        env = "JOC_ORDERS_KEEP_ALIVE",
        default_value_t = 75,
        value_parser = clap::value_parser!(u32).range(..=86_400)
    )]
    pub keep_alive: u32,
    /// Request timeout in seconds; requests that have started to change orders have
    /// --change-timeout instead
    #[arg(
        long,
        env = "JOC_ORDERS_REQUEST_TIMEOUT",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub request_timeout: u32,
    /// Change timeout in seconds: PostgreSQL rolls back a change of orders that takes longer
    #[arg(
        long,
        env = "JOC_ORDERS_CHANGE_TIMEOUT",
        default_value_t = 300,
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    pub change_timeout: u32,
    /// Write timeout in seconds: a client that falls this far behind reading 32 kB a second is
    /// disconnected
    #[arg(
        long,
        env = "JOC_ORDERS_WRITE_TIMEOUT",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    pub write_timeout: u32,
    /// Session idle timeout, in seconds
    #[arg(
        long,
        env = "JOC_ORDERS_SESSION_TIMEOUT",
        default_value_t = 1800,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub session_timeout: u32,
    /// What a request without any selector means
    #[arg(long, env = "JOC_ORDERS_UNFILTERED", value_enum, default_value_t = Unfiltered::Refuse)]
    pub orders_unfiltered: Unfiltered,
    /// What an order id of a cycle means in requests that cancel, suspend, resume or change orders:
    /// that order, or every fresh order of its cycle, as in JOC. `all` changes orders that the
    /// request does not name
    #[arg(long, env = "JOC_ORDERS_CYCLES", value_enum, default_value_t = Cycles::One)]
    pub orders_cycles: Cycles,
    /// Reject changes of orders without auditLog.comment
    #[arg(long, env = "JOC_ORDERS_COMMENT_REQUIRED", default_value_t = false, action = clap::ArgAction::Set)]
    pub comment_required: bool,
    /// Seconds between SIGTERM and SIGKILL when a job is killed
    #[arg(long, env = "JOC_ORDERS_SIGKILL_AFTER", default_value_t = 15)]
    pub sigkill_after: u32,
    /// Maximum failed logins per minute and account
    #[arg(long, env = "JOC_ORDERS_FAILED_LOGINS_BY_ACCOUNT", default_value_t = 10)]
    pub failed_logins_by_account: u32,
    /// Maximum failed logins per minute and client address
    #[arg(long, env = "JOC_ORDERS_FAILED_LOGINS_BY_ADDRESS", default_value_t = 60)]
    pub failed_logins_by_address: u32,
    /// Shutdown grace period in seconds; new requests get 503 meanwhile
    #[arg(long, env = "JOC_ORDERS_SHUTDOWN_TIMEOUT", default_value_t = 30)]
    pub shutdown_timeout: u32,
}

impl Settings {
    /// After how long a session without requests expires.
    pub fn session_timeout(&self) -> TimeDelta {
        TimeDelta::seconds(self.session_timeout.into())
    }

    /// How long after `SIGTERM` a job is sent `SIGKILL`.
    pub fn sigkill_after(&self) -> Duration {
        Duration::from_secs(self.sigkill_after.into())
    }

    /// How long an idle connection stays open.
    pub fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive.into())
    }

    /// The request timeout.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout.into())
    }

    /// Timeouts of the database, whose connection may be lost silently.
    pub fn deadlines(&self) -> Deadlines {
        Deadlines {
            change: Duration::from_secs(self.change_timeout.into()),
            silence: self.request_timeout(),
        }
    }

    /// How far a client may fall behind in reading responses.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout.into())
    }

    /// How long requests in flight may take during shutdown.
    pub fn shutdown_timeout(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_a_byte_order_mark_and_ends_of_lines_but_no_blanks() {
        for (text, expected) in [
            ("\u{feff}pass word \r\n", "pass word "),
            ("a\nb\r", "a\nb"),
            ("\r\n", ""),
            (" a", " a"),
        ] {
            assert_eq!(trimmed(text), expected);
        }
    }

    #[test]
    fn quotes_what_the_reader_of_files_unquotes() {
        for text in ["plain", "", r#"a'b"c$d\n e # ${HOME} ümlaut"#, "two\nlines", "\\"] {
            let line = format!("X={}\n", quoted(text));
            let read: Vec<_> =
                dotenvy::from_read_iter(line.as_bytes()).map(Result::unwrap).collect();
            assert_eq!(read, [("X".into(), text.into())]);
        }
    }
}
