//! HTTP without a client library.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{App, PATIENCE};

/// A connection without a client library.
pub struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    pub async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream, received: Vec::new() }
    }

    /// Connects to an app in this process.
    pub async fn to(app: &App) -> Self {
        Self::connect(app.address()).await
    }

    pub async fn send(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// The next head, in lower case.
    pub async fn head(&mut self) -> String {
        loop {
            let end = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.received.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap().to_lowercase();
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.received)).await;
            assert_ne!(read.expect("no head").unwrap(), 0, "{:?}", self.received);
        }
    }

    /// A body of this length.
    pub async fn body(&mut self, length: usize) -> String {
        while self.received.len() < length {
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.received)).await;
            assert_ne!(read.expect("no body").unwrap(), 0);
        }
        String::from_utf8(self.received.drain(..length).collect()).unwrap()
    }

    /// Everything until the connection is closed, or the error that ends it.
    pub async fn rest(&mut self) -> std::io::Result<String> {
        let mut rest = std::mem::take(&mut self.received);
        timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("no end")?;
        Ok(String::from_utf8(rest).unwrap())
    }

    /// Whether it closes within this time; nothing else may arrive.
    pub async fn closes_within(&mut self, time: Duration) -> bool {
        match timeout(time, self.stream.read(&mut [0])).await {
            Ok(read) => {
                assert_eq!(read.unwrap_or_default(), 0);
                true
            }
            Err(_) => false,
        }
    }
}
