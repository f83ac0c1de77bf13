//! A line between the browser and the service that can be cut in the middle of a response.

use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How much of a response passes before it is cut, in bytes.
const PASSING: usize = 200_000;

/// Stops when dropped.
pub struct Line {
    pub address: String,
    is_cutting: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Line {
    /// A line to the service at this address.
    pub async fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let is_cutting = Arc::new(AtomicBool::new(false));
        let (to, cutting) = (address.to_owned(), is_cutting.clone());
        let own = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            while let Ok((browser, _)) = listener.accept().await {
                let service = TcpStream::connect(&to).await.unwrap();
                tokio::spawn(connect(browser, service, cutting.clone()));
            }
        });
        Self { address: own, is_cutting, task }
    }

    /// From now on, cuts long responses, or no longer.
    pub fn cut(&self, is_cutting: bool) {
        self.is_cutting.store(is_cutting, Ordering::Relaxed);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Copies both ways until one side ends or the line is cut.
async fn connect(browser: TcpStream, service: TcpStream, is_cutting: Arc<AtomicBool>) {
    let (mut requests, to_browser) = browser.into_split();
    let (responses, mut to_service) = service.into_split();
    // An error is an end like any other.
    tokio::select! {
        _ = copy(&mut requests, &mut to_service) => {}
        _ = respond(responses, to_browser, &is_cutting) => {}
    }
}

async fn respond(
    mut from: impl AsyncRead + Unpin,
    mut to: OwnedWriteHalf,
    is_cutting: &AtomicBool,
) -> Result<()> {
    let (mut buffer, mut passed) = ([0; 16 * 1024], 0);
    loop {
        let count = from.read(&mut buffer).await?;
        passed = if is_cutting.load(Ordering::Relaxed) { passed + count } else { 0 };
        if count == 0 || passed > PASSING {
            return Err(Error::other("cut"));
        }
        to.write_all(&buffer[..count]).await?;
    }
}
