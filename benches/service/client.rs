//! A client with little overhead, so that only the service is measured: hyper on one connection, no
//! pool, no redirects.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A connection with an access token.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    token: String,
}

/// A response: its status, its number of affected orders, and how long it took.
pub struct Timed {
    pub status: u16,
    pub affected: usize,
    pub took: Duration,
}

impl Client {
    pub async fn connect(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, token: token.into() })
    }

    async fn send(&mut self, call: &str, body: String) -> anyhow::Result<Response<Incoming>> {
        let request = Request::post(format!("/joc/api{call}"))
            .header("Host", "localhost")
            .header("X-Access-Token", &self.token)
            .header("Content-Type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Sends a request and reads the whole response.
    pub async fn call(&mut self, call: &str, body: String) -> anyhow::Result<Timed> {
        let started = Instant::now();
        let response = self.send(call, body).await?;
        let status = response.status().as_u16();
        let affected = response.headers().get("x-orders-affected");
        let affected = affected.and_then(|n| n.to_str().ok()?.parse().ok()).unwrap_or_default();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(Timed { status, affected, took: started.elapsed() })
    }

    /// Sends a request that must succeed.
    pub async fn succeed(&mut self, call: &str, body: &Value) -> anyhow::Result<Timed> {
        let response = self.call(call, body.to_string()).await?;
        ensure!(response.status == 200, "{call} {body}: {}", response.status);
        Ok(response)
    }

    /// Logs in and returns the access token.
    pub async fn log_in(address: SocketAddr, password: &str) -> anyhow::Result<String> {
        use base64::Engine;
        let mut client = Self::connect(address, "").await?;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("root:{password}"));
        let request = Request::post("/joc/api/authentication/login")
            .header("Host", "localhost")
            .header("Authorization", format!("Basic {basic}"))
            .body(Full::default())?;
        let response = client.sender.send_request(request).await?;
        let token = response.headers().get("x-access-token").context("the login was refused")?;
        Ok(token.to_str()?.into())
    }
}
