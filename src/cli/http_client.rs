//! The HTTP client of every command that sends requests.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use rustls::{ClientConfig, RootCertStore};

use super::error::CliError;
use crate::config::variable;

/// Timeout of connecting; a request has none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which servers a client trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust<'a> {
    /// Those that the system trusts.
    System,
    /// Those that the system trusts, and those of the certificate authorities in this file.
    SystemAnd(&'a Path),
    /// Any, without a proxy: for requests to this machine that reveal nothing, since its
    /// certificate is for another name.
    Any,
}

/// A client for requests to `url`, without redirects. Requests to this machine bypass proxies,
/// whatever the environment says.
///
/// # Errors
///
/// If TLS cannot be set up, or the file has no certificate.
pub(super) fn http_client(url: &Url, trust: Trust<'_>) -> anyhow::Result<Client> {
    let builder = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_TIMEOUT);
    let builder = match trust {
        Trust::System => builder.tls_backend_preconfigured(system_tls(url, None)?),
        Trust::SystemAnd(file) => builder.tls_backend_preconfigured(system_tls(url, Some(file))?),
        Trust::Any => {
            // May be installed already, for exporting traces.
            let _ = rustls::crypto::ring::default_provider().install_default();
            builder.tls_danger_accept_invalid_certs(true)
        }
    };
    let is_direct = trust == Trust::Any || is_loopback(url) || no_proxy_at_all();
    Ok(if is_direct { builder.no_proxy() } else { builder }.build()?)
}

/// TLS with the system's certificates. reqwest's own set-up would fail on a system without any,
/// as in many containers, even for plain HTTP.
fn system_tls(url: &Url, file: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if url.scheme() == "https" {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(file) = file {
        let loaded = rustls_native_certs::load_certs_from_paths(Some(file), None);
        let (added, _) = roots.add_parsable_certificates(loaded.certs);
        if added == 0 {
            let problem = format!("--ca-file {}: no certificate could be read", file.display());
            return Err(CliError::Usage(problem).into());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Whether `NO_PROXY` has `*`, which reqwest does not apply to IP addresses.
fn no_proxy_at_all() -> bool {
    let listed = variable("NO_PROXY").or_else(|| variable("no_proxy"));
    listed.is_some_and(|hosts| names_all(&hosts))
}

fn names_all(hosts: &str) -> bool {
    hosts.split(',').any(|host| host.trim() == "*")
}

/// Whether a URL points to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_end_matches('.');
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        }
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_may_name_all_hosts() {
        for (hosts, expected) in [("*", true), ("a, *", true), ("", false), ("*.a,b*", false)] {
            assert_eq!(names_all(hosts), expected, "{hosts}");
        }
    }

    #[test]
    fn urls_of_this_machine() {
        for (url, expected) in [
            ("http://127.0.0.1:4446", true),
            ("http://127.9.8.7", true),
            ("http://localhost.:4446", true),
            ("http://127.0.0.1.", true),
            ("https://[::1]:4446/joc/api", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://LOCALHOST:1", true),
            ("http://joc.localhost", true),
            ("http://0.0.0.0:4446", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
            ("http://notlocalhost", false),
            ("http://[fe80::1]", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
