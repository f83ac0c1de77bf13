//! Addresses to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// The addresses of a setting `HOST:PORT`; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// As it was given.
    given: String,
    first: SocketAddr,
    others: Vec<SocketAddr>,
}

impl Addresses {
    /// All of them; a host name may have several.
    pub fn all(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }

    /// Whether a host name was given, some addresses of which this machine may lack.
    pub fn are_named(&self) -> bool {
        self.given.parse::<SocketAddr>().is_err()
    }

    /// Whether only this machine can reach them.
    pub fn are_loopback(&self) -> bool {
        self.all().all(|address| address.ip().to_canonical().is_loopback())
    }

    /// The first of them, as a client on this machine reaches it.
    pub fn local(&self) -> SocketAddr {
        local(self.first)
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected ADDRESS:PORT, such as 127.0.0.1:4446 for this machine \
                                alone, 0.0.0.0:4446 for others too, or localhost:4446";
        let found = match (text.parse::<SocketAddr>(), text.rsplit_once(':')) {
            (Ok(address), _) => vec![address],
            _ if text.parse::<Ipv6Addr>().is_ok() => {
                return Err(format!("an IPv6 address goes into brackets: [{text}]:4446"));
            }
            (_, None) if text.parse::<u16>().is_ok() => {
                return Err(format!("the address is missing; {EXPECTED}"));
            }
            (_, Some(("", _))) => return Err(format!("the address is missing; {EXPECTED}")),
            (_, None) => return Err(format!("the port is missing; {EXPECTED}")),
            (_, Some((_, port))) if port.parse::<u16>().is_err() => {
                return Err(format!("the port is not a number up to 65535; {EXPECTED}"));
            }
            (_, Some((host, _))) => text
                .to_socket_addrs()
                .map_err(|error| format!("cannot resolve {host} ({error}); {EXPECTED}"))?
                .collect(),
        };
        let mut found = found.into_iter();
        let first = found.next().ok_or_else(|| format!("it has no address; {EXPECTED}"))?;
        let mut others: Vec<_> = found.filter(|address| *address != first).collect();
        others.dedup();
        Ok(Self { given: text.into(), first, others })
    }
}

/// An address as a client on this machine reaches it.
pub fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_listened_on() {
        let addresses = |text: &str| text.parse::<Addresses>();
        let one = addresses("[::]:80").unwrap();
        assert_eq!(one.all().collect::<Vec<_>>(), ["[::]:80".parse().unwrap()]);
        assert_eq!(one.local(), "[::1]:80".parse().unwrap());
        assert!(!one.are_loopback() && !one.are_named());
        assert!(addresses("[::ffff:127.0.0.1]:80").unwrap().are_loopback());
        let named = addresses("localhost:4499").unwrap();
        assert!(named.are_loopback() && named.are_named());
        assert!(named.all().any(|address| address == "127.0.0.1:4499".parse().unwrap()));
        for (text, complaint) in [
            ("4499", "the address is missing"),
            (":4499", "the address is missing"),
            ("127.0.0.1", "the port is missing"),
            ("localhost", "the port is missing"),
            ("", "the port is missing"),
            ("127.0.0.1:", "the port is not a number"),
            ("127.0.0.1:65536", "the port is not a number"),
            ("localhost:http", "the port is not a number"),
            ("::1", "[::1]:4446"),
            ("no such host:80", "cannot resolve no such host"),
        ] {
            let error = addresses(text).unwrap_err();
            assert!(error.contains(complaint) && error.contains(":4446"), "{text}: {error}");
        }
    }
}
