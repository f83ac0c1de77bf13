//! A blocking client that speaks HTTP/1.1 over any stream, so that TLS and plain HTTP differ only
//! in the stream.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A connection with an access token.
pub struct Wire {
    stream: Box<dyn Stream>,
    token: String,
}

/// How clients reach a service with TLS.
pub fn trusting(certificate: &CertificateDer<'static>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

impl Wire {
    pub fn connect(
        address: SocketAddr,
        token: &str,
        tls: Option<&Arc<ClientConfig>>,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from("localhost")?;
                Box::new(StreamOwned::new(ClientConnection::new(tls.clone(), name)?, stream))
            }
        };
        Ok(Self { stream, token: token.into() })
    }

    /// Sends a request that must succeed, reads the whole response, and returns the time.
    pub fn call(&mut self, call: &str, body: &str) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let head = format!(
            "POST /joc/api{call} HTTP/1.1\r\nHost: localhost\r\nX-Access-Token: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        self.stream.flush()?;
        let mut received = Vec::new();
        while !is_whole(&received) {
            let mut piece = [0; 65536];
            let length = self.stream.read(&mut piece)?;
            ensure!(length > 0, "the service ends the connection");
            received.extend_from_slice(&piece[..length]);
        }
        let status = received.get(9..12).context("a status")?;
        ensure!(status == b"200", "{call}: {}", String::from_utf8_lossy(status));
        Ok(started.elapsed())
    }
}

/// Whether a response has arrived: by its length, or by the end of its last chunk.
fn is_whole(received: &[u8]) -> bool {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
    match head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()) {
        Some(length) => {
            length.parse().is_ok_and(|length: usize| received.len() >= end + 4 + length)
        }
        None => received.ends_with(b"\r\n0\r\n\r\n"),
    }
}
