//! `joc-orders health`: checks the service on this machine, for containers without curl.

use std::time::Duration;

use clap::Args;
use reqwest::{Client, Url};

use crate::cli::exit::examples;
use crate::cli::http_client::{Trust, http_client};
use crate::config::Listen;

/// Timeout of the request; the service asks its database for at most 3 seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Check that a service is alive (exit code 0 or 1)
#[derive(Debug, Args)]
#[command(after_help = examples("\
  joc-orders health
  joc-orders health --ready
  joc-orders health --url https://joc.example.com:4446"))]
pub struct HealthArgs {
    /// URL of the service [default: where `serve` listens on this machine]
    #[arg(long)]
    url: Option<Url>,
    /// Check that it is ready, which includes its database
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    listen: Listen,
}

/// Runs the command.
///
/// # Errors
///
/// If there is no response, or it reports a failure.
pub async fn run(args: HealthArgs) -> anyhow::Result<()> {
    let (client, mut url) = match args.url {
        Some(url) => (http_client(&url, Trust::System)?, url),
        None => here(&args.listen)?,
    };
    url.set_path(if args.ready { "/ready" } else { "/health" });
    client.get(url).timeout(TIMEOUT).send().await?.error_for_status()?;
    Ok(())
}

/// The service with these settings.
fn here(listen: &Listen) -> anyhow::Result<(Client, Url)> {
    let scheme = if listen.tls_cert.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listen.listen.local()).parse()?;
    Ok((http_client(&url, Trust::Any)?, url))
}
