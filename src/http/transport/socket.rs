//! A client's connection: how fast the client must read, how long it may idle or take to send a
//! head, and the reset that ends an incomplete response.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::Protocol;
use actix_web::dev::Extensions;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::config::Settings;
use crate::http::transport::drain::{self, Drain};
use crate::http::transport::exchange::{AHEAD, ConnectionState};

/// How long the head of a request may take to arrive, and a TLS handshake.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The minimum rate at which a client must read a response, in bytes per second: it occupies a
/// connection, memory and perhaps disk space.
const RATE: u32 = 32 * 1024;
/// How many bytes that a client has not read yet the kernel buffers.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// How long connections wait for their clients.
#[derive(Clone)]
pub struct ClientTimeouts {
    /// How far a client may fall behind [`RATE`].
    slack: Duration,
    /// How long a connection may idle between two requests.
    idle: Duration,
    drain: Arc<Drain>,
}

impl ClientTimeouts {
    pub fn new(settings: &Settings, drain: Arc<Drain>) -> Self {
        // A new connection has as much time as a head.
        let idle = settings.keep_alive().max(HEAD_TIMEOUT);
        Self { slack: settings.write_timeout(), idle, drain }
    }

    /// Waits until this instant for a client that reads nothing, or only for [`drain::LINGER`] once
    /// the service is stopping.
    async fn wait_until(self, end: Instant) {
        let stopped = async {
            self.drain.stopped().await;
            sleep(drain::LINGER).await;
        };
        tokio::select! {
            () = sleep_until(end) => {}
            () = stopped => {}
        }
    }
}

/// The pace at which a client reads. It is a rate, not a deadline, since responses may have any
/// length; only time spent waiting for the client counts.
struct Pace {
    slack: Duration,
    /// How long the client may still keep the response waiting.
    left: Duration,
    /// Since when it has.
    since: Option<Instant>,
}

impl Pace {
    fn new(slack: Duration) -> Self {
        Self { slack, left: slack, since: None }
    }

    /// Notes that the client reads nothing, and returns the instant until which it may.
    fn waits(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + self.left
    }

    /// Notes that the client has read some bytes.
    fn reads(&mut self, bytes: usize, now: Instant) {
        let waited = self.since.take().map_or(Duration::ZERO, |since| now - since);
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(RATE));
        self.left = self.slack.min(self.left.saturating_sub(waited) + earned);
    }
}

/// A client's connection. It is reset if the client reads too slowly or a response is aborted, so
/// that no client takes a partial response for a complete one.
pub struct PacedStream<T> {
    stream: T,
    tcp: fn(&T) -> &TcpStream,
    state: Rc<ConnectionState>,
    timeouts: ClientTimeouts,
    pace: Pace,
    /// The timeout while the client reads nothing.
    stalled: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Whether input is left unread until the client reads again.
    is_unread: bool,
    /// Whether to decode the input before reading more.
    has_read_enough: bool,
    /// The timeout while no exchange is in flight.
    quiet: Option<Pin<Box<Sleep>>>,
    /// Whether nothing is read any more.
    is_over: bool,
}

impl<T> PacedStream<T> {
    pub fn accept(
        stream: T,
        tcp: fn(&T) -> &TcpStream,
        timeouts: &ClientTimeouts,
    ) -> (Self, Protocol, Option<SocketAddr>) {
        let socket = tcp(&stream);
        let peer = socket.peer_addr().ok();
        // The last piece of a response must not wait for the acknowledgement of the one before.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        #[cfg(target_os = "linux")]
        if let Err(error) = SockRef::from(socket).set_tcp_notsent_lowat(UNSENT) {
            tracing::debug!(%error, "TCP_NOTSENT_LOWAT");
        }
        let connection = Self {
            stream,
            tcp,
            state: ConnectionState::new(),
            timeouts: timeouts.clone(),
            pace: Pace::new(timeouts.slack),
            stalled: None,
            is_unread: false,
            has_read_enough: false,
            quiet: None,
            is_over: false,
        };
        (connection, Protocol::Http1, peer)
    }

    /// Gives the requests of this connection its state.
    pub fn introduce(&self, data: &mut Extensions) {
        data.insert(self.state.clone());
    }

    /// Checks the result of a write: fails once the client has read nothing for too long.
    fn keep_pace<R>(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<R>>,
        bytes: impl Fn(&R) -> usize,
    ) -> Poll<io::Result<R>> {
        let Poll::Ready(sent) = sent else {
            let end = self.pace.waits(Instant::now());
            let timeouts = &self.timeouts;
            let stalled =
                self.stalled.get_or_insert_with(|| Box::pin(timeouts.clone().wait_until(end)));
            ready!(stalled.as_mut().poll(context));
            self.stalled = None;
            self.state.is_cut.set(true);
            let client = (self.tcp)(&self.stream).peer_addr().ok();
            tracing::warn!(?client, "resetting a connection: its client reads too slowly");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        self.pace.reads(sent.as_ref().map_or(0, bytes), Instant::now());
        self.stalled = None;
        if std::mem::take(&mut self.is_unread) {
            context.waker().wake_by_ref();
        }
        Poll::Ready(sent)
    }

    /// Whether the connection has been idle for too long, or a head takes too long. (actix-http
    /// limits only the wait for the first head, and never the one for the rest of a chunked body
    /// that no handler reads.)
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if self.is_over || !self.state.is_quiet() {
            return self.is_over;
        }
        let end = match self.state.begun.get() {
            Some(begun) => begun + HEAD_TIMEOUT,
            None => self.state.quiet_since.get() + self.timeouts.idle,
        };
        let quiet = self.quiet.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if quiet.deadline() != end {
            quiet.as_mut().reset(end);
        }
        self.is_over = quiet.as_mut().poll(context).is_ready();
        self.is_over
    }
}

impl<T> Drop for PacedStream<T> {
    fn drop(&mut self) {
        if self.state.is_cut.get()
            && let Err(error) = (self.tcp)(&self.stream).set_zero_linger()
        {
            tracing::debug!(%error, "SO_LINGER");
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for PacedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A client that sends requests without reading the responses waits, too.
        if self.stalled.is_some() {
            self.is_unread = true;
            return Poll::Pending;
        }
        if self.is_over(context) {
            return Poll::Ready(Ok(()));
        }
        if self.state.is_ahead(context) {
            return Poll::Pending;
        }
        if std::mem::take(&mut self.has_read_enough) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if self.state.awaits_body.get() {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        } else {
            let mut piece = [0; AHEAD];
            let mut piece = ReadBuf::new(&mut piece[..buffer.remaining().min(AHEAD)]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
            buffer.put_slice(piece.filled());
        }
        let bytes = buffer.filled().len() - before;
        self.has_read_enough = bytes >= AHEAD;
        if bytes > 0 {
            self.state.receives(bytes);
        } else if buffer.remaining() > 0 {
            self.state.is_left.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for PacedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.keep_pace(context, sent, |bytes| *bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_flush(context);
        // actix-http flushes at the end of an exchange, once it has read all input.
        if sent.is_ready() && !self.is_over && self.is_over(context) {
            context.waker().wake_by_ref();
        }
        self.keep_pace(context, sent, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_shutdown(context);
        self.keep_pace(context, sent, |()| 0)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.keep_pace(context, sent, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: Duration = Duration::from_secs(30);
    const CHUNK: usize = 64 * 1024;

    /// Whether a client that needs this time for each chunk is sent so many of them.
    fn gets(chunks: u32, each: Duration) -> bool {
        let (mut pace, mut now) = (Pace::new(SLACK), Instant::now());
        (0..chunks).all(|_| {
            let end = pace.waits(now);
            now += each;
            let is_in_time = now <= end;
            pace.reads(CHUNK, now);
            is_in_time
        })
    }

    #[test]
    fn only_a_client_below_the_rate_is_cut_off() {
        assert!(gets(10_000, Duration::ZERO));
        assert!(gets(10_000, Duration::from_secs(2)));
        assert!(gets(10, Duration::from_secs(4)) && !gets(16, Duration::from_secs(4)));
        assert!(!gets(1, Duration::from_secs(31)));
        // Fast reads save up no more than the slack.
        let (mut pace, now) = (Pace::new(SLACK), Instant::now());
        for _ in 0..1000 {
            pace.waits(now);
            pace.reads(CHUNK, now);
        }
        assert_eq!(pace.waits(now), now + SLACK);
        // Asking again grants no more time.
        assert_eq!(pace.waits(now + SLACK / 2), now + SLACK);
    }
}
