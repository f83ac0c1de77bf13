//! TLS: a certificate and its key from files, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::{Notify, watch};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The files of a certificate.
#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What is in the files.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate of new connections.
#[derive(Debug)]
struct Current(watch::Receiver<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.borrow().clone())
    }
}

/// Asks for the files to be read now.
#[derive(Debug, Clone, Default)]
pub struct Reload(Arc<Notify>);

impl Reload {
    /// The log tells what came of it.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// A configuration with the certificate of these files, which follows them when they change, at
/// once if it is asked to; a change to something that is no certificate with its key only shows
/// in the log.
///
/// # Errors
///
/// If there is no certificate with its key in the files.
pub fn configure(certificate: &Path, key: &Path) -> anyhow::Result<(ServerConfig, Reload)> {
    let files = Files { certificate: certificate.into(), key: key.into() };
    let provider = Arc::new(ring::default_provider());
    let pem = files.read()?;
    let (sender, current) = watch::channel(Arc::new(files.parse(&pem, &provider)?));
    let reload = Reload::default();
    tokio::spawn(follow(files, pem, provider.clone(), sender, reload.clone()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Current(current)));
    Ok((config, reload))
}

/// Looks for changes for as long as there is a configuration that uses them.
async fn follow(
    files: Files,
    mut last: Pem,
    provider: Arc<CryptoProvider>,
    sender: watch::Sender<Arc<CertifiedKey>>,
    reload: Reload,
) {
    let mut unreadable = false;
    loop {
        // Whoever asks is told also what has been told before.
        let is_asked = tokio::select! {
            () = sender.closed() => return,
            () = reload.0.notified() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        // The files are small; what they hold tells more than when they were written.
        let parsed = match files.read() {
            Ok(pem) if pem == last && !is_asked => {
                unreadable = false;
                continue;
            }
            Ok(pem) => {
                let parsed = files.parse(&pem, &provider);
                last = pem;
                unreadable = false;
                parsed
            }
            Err(_) if unreadable && !is_asked => continue,
            Err(error) => {
                unreadable = true;
                Err(error)
            }
        };
        match parsed {
            Ok(key) => {
                let file = files.certificate.display();
                if sender.borrow().cert == key.cert {
                    tracing::info!(%file, "TLS certificate unchanged");
                } else {
                    tracing::info!(%file, "TLS certificate reloaded");
                }
                sender.send_replace(Arc::new(key));
            }
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "the new TLS certificate is of no use, the old one stays"
            ),
        }
    }
}

impl Files {
    fn read(&self) -> anyhow::Result<Pem> {
        let read = |setting: &str, file: &Path| {
            std::fs::read(file).with_context(|| format!("{setting}: {}", file.display()))
        };
        Ok(Pem {
            certificate: read("JOC_ORDERS_TLS_CERT", &self.certificate)?,
            key: read("JOC_ORDERS_TLS_KEY", &self.key)?,
        })
    }

    fn parse(&self, pem: &Pem, provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
        let place = || format!("JOC_ORDERS_TLS_CERT: {}", self.certificate.display());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem.certificate)
            .collect::<Result<_, _>>()
            .with_context(place)?;
        anyhow::ensure!(!chain.is_empty(), "{}: there is no certificate in it", place());
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|_| {
            // Whatever else could be said of it might be a part of it.
            anyhow::anyhow!(
                "JOC_ORDERS_TLS_KEY: {}: there is no private key in it",
                self.key.display()
            )
        })?;
        CertifiedKey::from_der(chain, key, provider)
            .context("JOC_ORDERS_TLS_CERT and JOC_ORDERS_TLS_KEY do not belong together")
    }
}
