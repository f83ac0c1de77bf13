//! A client with little overhead, so that only the service is measured: hyper on one connection, no
//! pool, no redirects.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};

/// A connection with an access token.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    token: String,
}

/// A response: its status, its number of affected orders, its size, and how long it took.
pub struct Timed {
    pub status: u16,
    pub affected: usize,
    pub bytes: usize,
    /// Until the first byte of the body.
    pub first: Duration,
    pub took: Duration,
}

impl Client {
    pub async fn connect(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Self::over(stream, token).await
    }

    async fn over(stream: TcpStream, token: &str) -> anyhow::Result<Self> {
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
        let (mut bytes, mut first) = (0, None);
        while let Some(frame) = body.frame().await {
            first.get_or_insert_with(|| started.elapsed());
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        let took = started.elapsed();
        Ok(Timed { status, affected, bytes, first: first.unwrap_or(took), took })
    }

    /// Sends a request that must succeed.
    pub async fn succeed(&mut self, call: &str, body: &Value) -> anyhow::Result<Timed> {
        let response = self.call(call, body.to_string()).await?;
        ensure!(response.status == 200, "{call} {body}: {}", response.status);
        Ok(response)
    }

    /// The paths of the API's endpoints, below `/joc/api`.
    pub async fn endpoints(&mut self) -> anyhow::Result<Vec<String>> {
        let request = Request::get("/openapi.json").header("Host", "localhost");
        let request = request.body(Full::default())?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let description = response.into_body().collect().await?.to_bytes();
        let description: Value = serde_json::from_slice(&description)?;
        let paths = description["paths"].as_object().context("paths")?.keys();
        Ok(paths.filter_map(|path| path.strip_prefix("/joc/api").map(Into::into)).collect())
    }

    /// Logs in and returns the access token.
    pub async fn log_in(
        from: Ipv4Addr,
        to: SocketAddr,
        account: &str,
        password: &str,
    ) -> anyhow::Result<String> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        let mut client = Self::over(stream, "").await?;
        let basic = BASE64.encode(format!("{account}:{password}"));
        let request = Request::post("/joc/api/authentication/login")
            .header("Host", "localhost")
            .header("Authorization", format!("Basic {basic}"))
            .body(Full::default())?;
        let response = client.sender.send_request(request).await?;
        let status = response.status();
        let token = response.headers().get("x-access-token");
        Ok(token.with_context(|| format!("the login: {status}"))?.to_str()?.into())
    }
}
