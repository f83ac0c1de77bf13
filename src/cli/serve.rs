//! `joc-orders serve`: runs the service.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::cli::error::CliError;
use crate::cli::exit::EXIT_CODES;
use crate::cli::sealer::Sealer;
use crate::cli::stop::{self, Signals};
use crate::cli::terminal::write;
use crate::clock::Clock;
use crate::config::{self, DatabaseArgs, Listen, ReplicaArgs, Settings};
use crate::http::tls::{self, Reload};
use crate::http::{self, Service, password};
use crate::model::window::time_zone_database;
use crate::store::replica::Replica;
use crate::store::{self, Deadlines, Migration, Store};

/// The account that the first start creates, and its role, which is part of the schema.
const ROOT: &str = "root";
const ALL: &str = "all";

const EXAMPLES: &str = "\
Examples:
  joc-orders serve
  joc-orders serve --listen localhost:8080 --database-url sqlite:/var/lib/joc-orders/orders.db
  joc-orders serve --listen 0.0.0.0:4446 --tls-cert cert.pem --tls-key key.pem
  DATABASE_URL=postgres://joc@db.example.com/joc joc-orders serve --log-format json

SIGTERM and Ctrl-C let requests in flight finish; SIGHUP reloads the TLS files.";

/// Run the service
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct ServeArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    replica: ReplicaArgs,
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    settings: Settings,
    /// Password of the account root if the first start creates it; by default a random one,
    /// shown once
    #[arg(long, env = "JOC_ORDERS_ROOT_PASSWORD", hide_env_values = true)]
    root_password: Option<String>,
    /// Seconds between seals of the audit trail
    #[arg(
        long,
        env = "JOC_ORDERS_SEAL_EVERY",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    seal_every: u32,
}

/// Serves until a signal stops it.
///
/// # Errors
///
/// If the database or the address is unavailable; [`CliError::Usage`] for a wrong setting.
pub async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let time_zones = time_zone_database();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %time_zones, "starting");
    let (tls, reload) = tls(&args.listen).map_err(CliError::setting)?.unzip();
    let root_password = args.root_password.as_deref().map(config::trimmed);
    if let Some(password) = root_password {
        let refuse = |problem| CliError::Usage(format!("JOC_ORDERS_ROOT_PASSWORD: {problem}"));
        password::check(password).map_err(refuse)?;
    }
    // First: an occupied port must not leave a new database behind.
    let listen_on = &args.listen.listen;
    let listeners = listen(&listen_on.all().collect::<Vec<_>>(), listen_on.are_named())?;
    let addresses: Vec<_> =
        listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    tokio::spawn(reload_when_asked(Signals::reload()?, reload));
    let store = open(&args.database, args.settings.deadlines()).await?;
    let replica = open_replica(&args, &*store).await?;
    create_root(&*store, root_password).await?;
    let signals = Signals::stop()?;
    let following = replica.clone().map(|replica| {
        let primary = store.clone();
        tokio::spawn(async move { replica.follow(&*primary).await })
    });
    let service = Service::new(store.clone(), args.settings, Clock::system());
    let service = service.with_replica(replica.clone());
    let sealing = service.sealing();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let server = http::serve(listeners, service, tls)?;
    for address in addresses {
        let page = format!("{scheme}://{}/", config::local(address));
        let docs = format!("{page}docs");
        tracing::info!(%address, tls = scheme == "https", page, docs, "listening");
    }
    let every = Duration::from_secs(args.seal_every.into());
    let sealer = Sealer::start(store.clone(), every, sealing);
    let served = server.until(async || signals.next().await).await;
    sealer.stop().await;
    if let Some(following) = following {
        following.abort();
    }
    if let Some(replica) = replica.as_ref().and_then(|replica| replica.store()) {
        stop::close(replica).await;
    }
    stop::close(&*store).await;
    served?;
    Ok(())
}

/// The configuration for TLS, if there is a certificate.
fn tls(listen: &Listen) -> anyhow::Result<Option<(rustls::ServerConfig, Reload)>> {
    if let (Some(certificate), Some(key)) = (&listen.tls_cert, &listen.tls_key) {
        return tls::configure(certificate, key).map(Some);
    }
    anyhow::ensure!(
        listen.listen.are_loopback() || listen.allow_plain_http,
        "other machines can reach {}, and passwords would be sent unencrypted: set \
         JOC_ORDERS_TLS_CERT and JOC_ORDERS_TLS_KEY, or JOC_ORDERS_ALLOW_PLAIN_HTTP=true if \
         a proxy in front of the service terminates TLS",
        listen.listen,
    );
    Ok(None)
}

/// Listens on every address; of a host name, on those that this machine has.
fn listen(addresses: &[SocketAddr], are_named: bool) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for (i, address) in addresses.iter().enumerate() {
        let mut address = *address;
        // One free port for all of them.
        if let (0, Some(first)) = (address.port(), listeners.first()) {
            address.set_port(first.local_addr()?.port());
        }
        let may_be_missing = are_named && (i + 1 < addresses.len() || !listeners.is_empty());
        match TcpListener::bind(address) {
            Ok(listener) => listeners.push(listener),
            // Such as ::1 where IPv6 is switched off.
            Err(error) if may_be_missing && error.kind() == ErrorKind::AddrNotAvailable => {
                tracing::warn!(%address, %error, "not listening");
            }
            Err(error) => Err(error).with_context(|| format!("cannot listen on {address}"))?,
        }
    }
    Ok(listeners)
}

/// Reloads the TLS files on SIGHUP.
async fn reload_when_asked(signals: Signals, reload: Option<Reload>) {
    loop {
        signals.next().await;
        match &reload {
            Some(reload) => {
                tracing::info!("SIGHUP: reloading the TLS files");
                reload.now();
            }
            None => tracing::info!("SIGHUP ignored: TLS is off"),
        }
    }
}

/// Opens the database, and logs which one and which migrations were applied.
async fn open(database: &DatabaseArgs, deadlines: Deadlines) -> anyhow::Result<Arc<dyn Store>> {
    let url = &database.url;
    let before = match store::migrations(url).await {
        Err(store::Error::NoFile(_)) => Vec::new(),
        migrations => migrations?,
    };
    let store = store::open_to_serve(url, database.connections, deadlines).await?;
    let migrations = store::migrations(url).await?;
    let is_new = |migration: &&Migration| {
        migration.applied && !before.iter().any(|m| m.version == migration.version && m.applied)
    };
    let new: Vec<_> = migrations.iter().filter(is_new).map(|m| m.version.to_string()).collect();
    tracing::info!(
        database = store::place(url)?,
        migrations = migrations.len(),
        applied_now = if new.is_empty() { "none".into() } else { new.join(", ") },
        "the database is open"
    );
    Ok(store)
}

/// Opens the read replica, if one is set.
async fn open_replica(
    args: &ServeArgs,
    primary: &dyn Store,
) -> anyhow::Result<Option<Arc<Replica>>> {
    let Some(url) = &args.replica.read_url else { return Ok(None) };
    let limit = Duration::from_secs(args.replica.read_lag.into());
    let connections = args.database.connections;
    let opened = Replica::open(url, connections, args.settings.deadlines(), limit, primary).await;
    let replica = opened.map_err(|error| {
        let problem = error.to_string();
        let problem = problem.strip_prefix("DATABASE_URL: ").unwrap_or(&problem);
        CliError::Usage(format!("{}: {problem}", config::READ_URL))
    })?;
    tracing::info!(database = store::place(url)?, "reading lists from a replica");
    Ok(Some(Arc::new(replica)))
}

/// Creates the account of the first start, after showing its password on standard output.
async fn create_root(store: &dyn Store, given: Option<&str>) -> anyhow::Result<()> {
    if store.has_accounts().await? {
        match given {
            Some(_) => tracing::info!("accounts exist; ignoring JOC_ORDERS_ROOT_PASSWORD"),
            None => tracing::info!("accounts exist; creating none"),
        }
        return Ok(());
    }
    let is_given = given.is_some();
    let password = given.map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), Into::into);
    let mut shown = Ok(());
    let mut show = || {
        if !is_given {
            let line = format!(
                "created the account {ROOT} with the password {password} (shown only now)\n"
            );
            shown = show_to_somebody(&line);
        }
        shown.is_ok()
    };
    let hash = password::hash(&password)?;
    match store.add_account_if(ROOT, &hash, &[ALL.into()], &mut show).await {
        // Another replica was faster.
        Err(store::Error::Conflict(_)) => {
            tracing::info!("accounts exist; creating none");
            return Ok(());
        }
        result => result?,
    }
    if let Err(error) = shown {
        // Unlike elsewhere, a closed output is a failure.
        let problem = format!(
            "cannot show the password of {ROOT}, so the account was not created: {error:#}; set \
             JOC_ORDERS_ROOT_PASSWORD"
        );
        return Err(CliError::Other(problem).into());
    }
    let source = if is_given { "JOC_ORDERS_ROOT_PASSWORD" } else { "standard output" };
    tracing::info!(account = ROOT, password_from = source, "created the account");
    Ok(())
}

/// Writes to standard output. Fails on `/dev/null`, which a closed output becomes.
fn show_to_somebody(line: &str) -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        use std::os::unix::fs::MetadataExt;

        let stdout = std::fs::File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        let nowhere = std::fs::metadata("/dev/null").map(|null| null.rdev()).ok();
        // 0 is the device of plain files and pipes.
        let device = Some(stdout.metadata()?.rdev()).filter(|device| *device != 0);
        anyhow::ensure!(device.is_none() || device != nowhere, "standard output is /dev/null");
    }
    write(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_all_of_its_addresses_that_this_machine_has() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let two = listen(&addresses(&["127.0.0.1:0", "127.0.0.2:0"]), true).unwrap();
        let [first, second] = [0, 1].map(|i: usize| two[i].local_addr().unwrap());
        assert_ne!(first.ip(), second.ip());
        assert_eq!(first.port(), second.port());
        // An address of documentation, which no machine has.
        for mixed in [["127.0.0.1:0", "192.0.2.1:0"], ["192.0.2.1:0", "127.0.0.1:0"]] {
            assert_eq!(listen(&addresses(&mixed), true).unwrap().len(), 1);
            assert!(listen(&addresses(&mixed), false).is_err());
        }
        for named in [true, false] {
            let error = listen(&addresses(&["192.0.2.1:0"]), named).unwrap_err();
            assert!(
                format!("{error:#}").starts_with("cannot listen on 192.0.2.1:0: "),
                "{error:#}"
            );
        }
    }
}
