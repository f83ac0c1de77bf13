//! The way between the service and PostgreSQL, which can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

/// When a connection is cut, seen from what the service sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It does not arrive.
    Before,
    /// It arrives, and nothing more comes or goes.
    During,
    /// It arrives, and its answer does not.
    After,
}

/// The end of an answer, outside of transactions.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// What cuts: the next bytes from the service that contain these.
type Armed = Arc<Mutex<Option<(When, Vec<u8>)>>>;

/// A proxy on a port of its own, which ends with this.
pub struct Proxy {
    pub url: String,
    armed: Armed,
    cut: broadcast::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// A way to the server of this URL.
    pub async fn to(url: &str) -> Self {
        let server = url.split(['@', '/']).find(|part| part.contains("127.0.0.1:")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (armed, cut) = (Armed::default(), broadcast::Sender::new(16));
        let task =
            tokio::spawn(serve(listener, server.parse().unwrap(), armed.clone(), cut.clone()));
        Self { url: url.replace(server, &address.to_string()), armed, cut, task }
    }

    /// Cuts the connection once the service sends this.
    pub fn arm(&self, when: When, bytes: &[u8]) {
        *self.armed.lock().unwrap() = Some((when, bytes.into()));
    }

    /// Whether it has cut what it was armed for.
    pub fn has_cut(&self) -> bool {
        self.armed.lock().unwrap().is_none()
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        let _nobody = self.cut.send(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    server: SocketAddr,
    armed: Armed,
    cut: broadcast::Sender<()>,
) {
    while let Ok((service, _)) = listener.accept().await {
        let (armed, mut cut) = (armed.clone(), cut.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                _gone = relay(service, server, armed) => {}
                _ = cut.recv() => {}
            }
        });
    }
}

/// Passes on what either side says. Both connections end with this.
async fn relay(mut service: TcpStream, server: SocketAddr, armed: Armed) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut sent, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut keeps_answer = false;
    loop {
        tokio::select! {
            length = service.read(&mut sent) => {
                let bytes = &sent[..length?];
                let hit = hit(&armed, bytes);
                if bytes.is_empty() || hit == Some(When::Before) {
                    return Ok(());
                }
                server.write_all(bytes).await?;
                if hit == Some(When::During) {
                    return Ok(());
                }
                keeps_answer |= hit == Some(When::After);
            }
            length = server.read(&mut answered) => {
                let bytes = &answered[..length?];
                if bytes.is_empty() || keeps_answer && bytes.ends_with(READY) {
                    return Ok(());
                }
                if !keeps_answer {
                    service.write_all(bytes).await?;
                }
            }
        }
    }
}

/// Whether the connection is to be cut for these bytes, which happens once.
fn hit(armed: &Armed, bytes: &[u8]) -> Option<When> {
    let mut armed = armed.lock().unwrap();
    let (_, awaited) = armed.as_ref()?;
    let is_hit = bytes.windows(awaited.len()).any(|window| window == awaited);
    if is_hit { armed.take().map(|(when, _)| when) } else { None }
}
