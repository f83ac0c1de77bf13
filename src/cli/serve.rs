//! `joc-orders serve`: runs the service.

use std::net::TcpListener;

use anyhow::Context;
use clap::Args;

use crate::clock::Clock;
use crate::config::{Database, Listen, Settings};
use crate::http::{self, Service, password};
use crate::store::{self, Store};

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
}

/// Runs until a signal ends it.
///
/// # Errors
///
/// If the database or the address cannot be had.
pub async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let store = store::open(&args.database.url, args.database.connections).await?;
    if !store.has_accounts().await? {
        create_root(&*store, args.root_password).await?;
    }
    let address = args.listen.listen;
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let service = Service::new(store.clone(), args.settings, Clock::system());
    http::serve(listener, service)?.await?;
    store.close().await;
    Ok(())
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
