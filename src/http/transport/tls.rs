//! TLS with a certificate and a key from files, which are reloaded when they change.

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

/// How often to look for changes of the files.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// The files of a certificate and its key.
#[derive(Debug)]
struct PemFiles {
    certificate: PathBuf,
    key: PathBuf,
}

/// The contents of the files.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate for new connections.
#[derive(Debug)]
struct CurrentCertificate(watch::Receiver<Arc<CertifiedKey>>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.borrow().clone())
    }
}

/// Reloads the files at once.
#[derive(Debug, Clone, Default)]
pub struct Reload(Arc<Notify>);

impl Reload {
    /// Asks for a reload; the log has the result.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// Configures TLS with the certificate in these files, and follows their changes. After a change to
/// an invalid certificate it logs an error and keeps the current one.
///
/// # Errors
///
/// If the files do not hold a certificate and its key.
pub fn configure(certificate: &Path, key: &Path) -> anyhow::Result<(ServerConfig, Reload)> {
    let files = PemFiles { certificate: certificate.into(), key: key.into() };
    let provider = Arc::new(ring::default_provider());
    let pem = files.read()?;
    let (sender, current) = watch::channel(Arc::new(files.parse(&pem, &provider)?));
    let reload = Reload::default();
    tokio::spawn(follow(files, pem, provider.clone(), sender, reload.clone()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(CurrentCertificate(current)));
    Ok((config, reload))
}

/// Follows changes of the files until the configuration is dropped.
async fn follow(
    files: PemFiles,
    mut last: Pem,
    provider: Arc<CryptoProvider>,
    sender: watch::Sender<Arc<CertifiedKey>>,
    reload: Reload,
) {
    let mut unreadable = false;
    loop {
        // A requested reload logs its result even if it is the same as before.
        let is_asked = tokio::select! {
            () = sender.closed() => return,
            () = reload.0.notified() => true,
            () = tokio::time::sleep(CHECK_EVERY) => false,
        };
        // The files are small, and their contents tell more than their timestamps.
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
                "invalid certificate; keeping the current one"
            ),
        }
    }
}

impl PemFiles {
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
        anyhow::ensure!(!chain.is_empty(), "{}: contains no certificate", place());
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|_| {
            // More detail might quote the key.
            anyhow::anyhow!("JOC_ORDERS_TLS_KEY: {}: contains no private key", self.key.display())
        })?;
        CertifiedKey::from_der(chain, key, provider)
            .context("JOC_ORDERS_TLS_CERT and JOC_ORDERS_TLS_KEY do not belong together")
    }
}
