//! Settings: from flags, then the environment, then `.env`; checked once, at the start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;

use crate::model::selection::Unfiltered;
use crate::store::DEFAULT_CONNECTIONS;

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct Database {
    /// sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(
        long = "database-url",
        env = "DATABASE_URL",
        default_value = "sqlite:joc-orders.db",
        hide_env_values = true
    )]
    pub url: String,
    /// How many connections to the database at the most; on PostgreSQL half are for changes of
    /// orders
    #[arg(
        long = "database-connections",
        env = "JOC_ORDERS_DATABASE_CONNECTIONS",
        default_value_t = DEFAULT_CONNECTIONS,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub connections: u32,
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// How much is logged and how.
#[derive(Debug, Clone, Args)]
pub struct Logging {
    /// What to log: a level, or a filter by module
    #[arg(long, env = "JOC_ORDERS_LOG", default_value = "info,sqlx=error", global = true)]
    pub log: String,
    /// How log lines look
    #[arg(long, env = "JOC_ORDERS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
    /// Where to send traces: the URL of an OpenTelemetry collector (OTLP over HTTP)
    #[arg(long, env = "JOC_ORDERS_OTLP_ENDPOINT", global = true, hide_env_values = true)]
    pub otlp_endpoint: Option<String>,
}

/// Where the service listens.
#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// The address and port to listen on; port 0 takes a free one
    #[arg(long, env = "JOC_ORDERS_LISTEN", default_value = "127.0.0.1:4446")]
    pub listen: SocketAddr,
    /// The file of the TLS certificate and its chain, in PEM
    #[arg(long, env = "JOC_ORDERS_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The file of the certificate's private key, in PEM
    #[arg(long, env = "JOC_ORDERS_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Serve HTTP without TLS also where other machines can reach it
    #[arg(long, env = "JOC_ORDERS_ALLOW_PLAIN_HTTP", default_value_t = false, action = clap::ArgAction::Set)]
    pub allow_plain_http: bool,
}

/// How the service answers.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The largest request body, in bytes
    #[arg(long, env = "JOC_ORDERS_BODY_LIMIT", default_value_t = 8 * 1024 * 1024)]
    pub body_limit: usize,
    /// The largest header fields and URL of a request together, in bytes
    #[arg(long, env = "JOC_ORDERS_HEADER_LIMIT", default_value_t = 16 * 1024)]
    pub header_limit: usize,
    /// How many clients may be connected; more wait until one leaves
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
    /// Request timeout in seconds; requests that have started to change data are never timed out
    #[arg(
        long,
        env = "JOC_ORDERS_REQUEST_TIMEOUT",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub request_timeout: u32,
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
    /// Refuse calls that change orders and give no auditLog.comment
    #[arg(long, env = "JOC_ORDERS_COMMENT_REQUIRED", default_value_t = false, action = clap::ArgAction::Set)]
    pub comment_required: bool,
    /// How many seconds after SIGTERM a job that is killed gets SIGKILL
    #[arg(long, env = "JOC_ORDERS_SIGKILL_AFTER", default_value_t = 15)]
    pub sigkill_after: u32,
    /// How many failed logins a minute an account may have
    #[arg(long, env = "JOC_ORDERS_FAILED_LOGINS_BY_ACCOUNT", default_value_t = 10)]
    pub failed_logins_by_account: u32,
    /// How many failed logins a minute may come from one address
    #[arg(long, env = "JOC_ORDERS_FAILED_LOGINS_BY_ADDRESS", default_value_t = 60)]
    pub failed_logins_by_address: u32,
    /// Shutdown grace period in seconds; new requests get 503 meanwhile
    #[arg(long, env = "JOC_ORDERS_SHUTDOWN_TIMEOUT", default_value_t = 30)]
    pub shutdown_timeout: u32,
}

impl Settings {
    /// After how long without a call a session ends.
    pub fn session_timeout(&self) -> TimeDelta {
        TimeDelta::seconds(self.session_timeout.into())
    }

    /// After how long a kill request turns from `SIGTERM` to `SIGKILL`.
    pub fn sigkill_after(&self) -> Duration {
        Duration::from_secs(self.sigkill_after.into())
    }

    /// How long an idle connection stays open.
    pub fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive.into())
    }

    /// After how long a call is given up.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout.into())
    }

    /// How long calls under way may take once the service is told to stop.
    pub fn shutdown_timeout(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout.into())
    }
}
