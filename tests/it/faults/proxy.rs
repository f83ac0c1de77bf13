//! A proxy between the service and PostgreSQL, which can cut connections, lose what they carry, and
//! redirect new ones.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

/// When a connection is cut, relative to what the service sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The message does not arrive.
    Before,
    /// It arrives, and nothing passes any more.
    During,
    /// It arrives, but the response does not.
    After,
    /// It does not arrive, nothing passes any more, and neither side is told.
    LostBefore,
    /// It arrives, nothing passes any more, and neither side is told.
    LostAfter,
}

/// The end of a response, outside of transactions.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// The trigger: the next bytes from the service that contain these.
type Armed = Arc<Mutex<Option<(When, Vec<u8>)>>>;

/// Whether new connections get through, and how many times they stopped doing so: existing
/// connections are then lost for good, as when a firewall drops them.
#[derive(Debug, Clone, Copy, Default)]
struct Losses {
    now: bool,
    times: u32,
}

/// A proxy on a port of its own; stops when dropped.
pub struct Proxy {
    pub url: String,
    server: Arc<Mutex<SocketAddr>>,
    armed: Armed,
    cut: broadcast::Sender<()>,
    losses: watch::Sender<Losses>,
    task: tokio::task::JoinHandle<()>,
}

/// The server's part of a URL.
fn server(url: &str) -> &str {
    url.split(['@', '/']).find(|part| part.contains("127.0.0.1:")).unwrap()
}

impl Proxy {
    /// Starts a proxy to the server of this URL.
    pub async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (armed, cut) = (Armed::default(), broadcast::Sender::new(16));
        let losses = watch::Sender::default();
        let to = Arc::new(Mutex::new(server(url).parse().unwrap()));
        let serving = serve(listener, to.clone(), armed.clone(), cut.clone(), losses.clone());
        let url = url.replace(server(url), &address.to_string());
        Self { url, server: to, armed, cut, losses, task: tokio::spawn(serving) }
    }

    /// Redirects new connections to the server of this URL.
    pub fn lead_to(&self, url: &str) {
        *self.server.lock().unwrap() = server(url).parse().unwrap();
    }

    /// Silently loses every connection, and new ones until told otherwise.
    pub fn lose(&self, now: bool) {
        self.losses.send_modify(|losses| {
            losses.now = now;
            losses.times += u32::from(now);
        });
    }

    /// Cuts the connection once the service sends this.
    pub fn arm(&self, when: When, bytes: &[u8]) {
        *self.armed.lock().unwrap() = Some((when, bytes.into()));
    }

    /// Whether the armed cut has happened.
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
    server: Arc<Mutex<SocketAddr>>,
    armed: Armed,
    cut: broadcast::Sender<()>,
    losses: watch::Sender<Losses>,
) {
    while let Ok((service, _)) = listener.accept().await {
        let (armed, mut cut, mut losses) = (armed.clone(), cut.subscribe(), losses.subscribe());
        let server = *server.lock().unwrap();
        let before = *losses.borrow();
        tokio::spawn(async move {
            let mut ends = Ends { service, server: None };
            let lost = losses.wait_for(|losses| before.now || losses.times > before.times);
            tokio::select! {
                biased;
                _ = cut.recv() => return,
                _ = lost => {}
                relayed = relay(&mut ends, server, armed) => match relayed {
                    Ok(Relayed::Lost) => {}
                    _ => return,
                }
            }
            // Both connections stay open, and nobody reads or writes.
            let _ = cut.recv().await;
        });
    }
}

/// The two connections that the proxy joins.
struct Ends {
    service: TcpStream,
    server: Option<TcpStream>,
}

/// How a pair of connections ends.
enum Relayed {
    Ended,
    Lost,
}

/// Passes on what either side sends.
async fn relay(ends: &mut Ends, server: SocketAddr, armed: Armed) -> std::io::Result<Relayed> {
    let Ends { service, server: connected } = ends;
    let server = connected.insert(TcpStream::connect(server).await?);
    let (mut sent, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut keeps_answer = false;
    loop {
        tokio::select! {
            length = service.read(&mut sent) => {
                let bytes = &sent[..length?];
                let hit = hit(&armed, bytes);
                if bytes.is_empty() || hit == Some(When::Before) {
                    return Ok(Relayed::Ended);
                }
                if hit == Some(When::LostBefore) {
                    return Ok(Relayed::Lost);
                }
                server.write_all(bytes).await?;
                match hit {
                    Some(When::During) => return Ok(Relayed::Ended),
                    Some(When::LostAfter) => return Ok(Relayed::Lost),
                    _ => {}
                }
                keeps_answer |= hit == Some(When::After);
            }
            length = server.read(&mut answered) => {
                let bytes = &answered[..length?];
                if bytes.is_empty() || keeps_answer && bytes.ends_with(READY) {
                    return Ok(Relayed::Ended);
                }
                if !keeps_answer {
                    service.write_all(bytes).await?;
                }
            }
        }
    }
}

/// Whether these bytes trigger the cut, which happens once.
fn hit(armed: &Armed, bytes: &[u8]) -> Option<When> {
    let mut armed = armed.lock().unwrap();
    let (_, awaited) = armed.as_ref()?;
    let is_hit = bytes.windows(awaited.len()).any(|window| window == awaited);
    if is_hit { armed.take().map(|(when, _)| when) } else { None }
}
