//! `joc-orders serve`: runs the service.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::cli::client::failure::Failure;
use crate::cli::sealer::Sealer;
use crate::cli::stop::{self, Stop};
use crate::clock::Clock;
use crate::config::{Database, Listen, Settings};
use crate::http::{self, Service, password, tls};
use crate::store::{self, Access, Store};

/// The account that the first start creates, and its role, which the schema brings.
const ROOT: &str = "root";
const ALL: &str = "all";

/// Run the service
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    settings: Settings,
    /// The password of the account root, if this start creates it; otherwise one is made up
    /// and shown once
    #[arg(long, env = "JOC_ORDERS_ROOT_PASSWORD", hide_env_values = true)]
    root_password: Option<String>,
    /// Every how many seconds the audit trail is sealed
    #[arg(
        long,
        env = "JOC_ORDERS_SEAL_EVERY",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    seal_every: u32,
}

/// Runs until a signal ends it.
///
/// # Errors
///
/// If the database or the address cannot be had; [`Failure::Usage`] for a wrong setting.
pub async fn run(args: ServeArgs) -> anyhow::Result<()> {
    tracing::info!("time zones: {}", crate::model::window::time_zone_database());
    let tls = tls(&args.listen).map_err(Failure::setting)?;
    let store = store::open(&args.database.url, args.database.connections, Access::Create).await?;
    if !store.has_accounts().await? {
        create_root(&*store, args.root_password).await?;
    }
    let address = args.listen.listen;
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let stop = Stop::listen()?;
    tracing::info!(address = %listener.local_addr()?, tls = tls.is_some(), "listening");
    let service = Service::new(store.clone(), args.settings, Clock::system());
    let server = http::serve(listener, service, tls)?;
    let sealer = Sealer::start(store.clone(), Duration::from_secs(args.seal_every.into()));
    let served = server.until(async || stop.asked().await).await;
    sealer.stop().await;
    stop::close(&*store).await;
    served?;
    Ok(())
}

/// The configuration for TLS, if there is a certificate.
fn tls(listen: &Listen) -> anyhow::Result<Option<rustls::ServerConfig>> {
    if let (Some(certificate), Some(key)) = (&listen.tls_cert, &listen.tls_key) {
        return tls::configure(certificate, key).map(Some);
    }
    anyhow::ensure!(
        listen.listen.ip().is_loopback() || listen.allow_plain_http,
        "other machines can reach {}, and passwords would cross the network in the open: set \
         JOC_ORDERS_TLS_CERT and JOC_ORDERS_TLS_KEY, or JOC_ORDERS_ALLOW_PLAIN_HTTP=true if \
         something in front of the service speaks TLS",
        listen.listen,
    );
    Ok(None)
}

/// Creates the account of the first start.
async fn create_root(store: &dyn Store, password: Option<String>) -> anyhow::Result<()> {
    let made_up = password.is_none();
    let password = password.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
    match store.add_account(ROOT, &password::hash(&password)?, &[ALL.into()]).await {
        // Another replica was faster.
        Err(store::Error::Conflict(_)) => return Ok(()),
        result => result?,
    }
    if made_up {
        println!("created the account root with the password {password} (shown only now)");
    }
    Ok(())
}
