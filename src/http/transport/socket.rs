//! A client's connection: at what pace the client must take what it is sent, how long it may take
//! between and over heads of requests, and what happens to a response that breaks off.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use actix_http::Protocol;
use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Extensions, Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{ConnectionType, Version};
use actix_web::web::Bytes;
use futures_util::Stream;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::config::Settings;
use crate::http::transport::drain::{self, Drain};

/// How long the head of a request may take to arrive, and a TLS handshake.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How fast a client must take what it is sent, in bytes a second: a slot, memory and perhaps room
/// on the disk wait for it.
const RATE: u32 = 32 * 1024;
/// How many bytes are read at a time unless a body is awaited, and how many more while a request that
/// is read to its end has no response yet. The heads among them are decoded at once, and each takes kilobytes.
const AHEAD: usize = 1024;
/// How many bytes that a client does not take yet the system keeps for it.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// What a connection and the exchanges on it know of each other.
#[derive(Debug)]
struct State {
    /// Whether the connection ends in the middle of a response whose end nothing but the
    /// connection's own end shows.
    is_cut: Cell<bool>,
    /// Whether the client sends nothing any more: it has gone, or will soon.
    is_left: Cell<bool>,
    /// How many exchanges are under way.
    exchanges: Cell<usize>,
    /// Since when none is.
    quiet_since: Cell<Instant>,
    /// When the first byte came after that: of the head of a request, or of a body that nobody
    /// reads.
    begun: Cell<Option<Instant>>,
    /// How many bytes have come since then that were not awaited.
    ahead: Cell<usize>,
    /// Whether the body of a request is awaited.
    awaits_body: Cell<bool>,
    /// Who goes on reading when an exchange or its request ends.
    reader: RefCell<Option<Waker>>,
}

impl State {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            is_cut: Cell::default(),
            is_left: Cell::default(),
            exchanges: Cell::default(),
            quiet_since: Cell::new(Instant::now()),
            begun: Cell::default(),
            ahead: Cell::default(),
            awaits_body: Cell::default(),
            reader: RefCell::default(),
        })
    }

    fn is_quiet(&self) -> bool {
        self.exchanges.get() == 0
    }

    /// Notes that bytes have come.
    fn receives(&self, bytes: usize) {
        if self.is_quiet() && self.begun.get().is_none() {
            self.begun.set(Some(Instant::now()));
        }
        // Those that come while nothing is under way begin a request, or go on with it.
        let is_awaited = self.is_quiet() || self.awaits_body.get();
        self.ahead.set(if is_awaited { 0 } else { self.ahead.get() + bytes });
    }

    /// Whether a client has sent enough requests ahead; then it is read on when one has ended.
    /// Until then it is not seen to hang up, since nothing is read.
    fn is_ahead(&self, context: &Context<'_>) -> bool {
        let is_ahead = self.ahead.get() >= AHEAD && !self.is_quiet() && !self.awaits_body.get();
        if is_ahead {
            self.reader.replace(Some(context.waker().clone()));
        }
        is_ahead
    }

    fn read_on(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// For how long connections wait for their clients.
#[derive(Clone)]
pub struct Patience {
    /// How far a client may fall behind [`RATE`] in taking what it is sent.
    slack: Duration,
    /// How long nothing may come between two requests.
    idle: Duration,
    drain: Arc<Drain>,
}

impl Patience {
    pub fn new(settings: &Settings, drain: Arc<Drain>) -> Self {
        // Connections that wait for their first request have the time that its head has.
        let idle = settings.keep_alive().max(HEAD_TIMEOUT);
        Self { slack: settings.write_timeout(), idle, drain }
    }

    /// Waits for a client that takes nothing: until this instant, and not for long once the
    /// service is stopping.
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

/// The pace at which a client takes what it is sent. It is a rate and not a deadline, since a
/// response may be of any length; and only the time for which the client keeps it waiting counts.
struct Pace {
    slack: Duration,
    /// For how long the client may still keep the response waiting.
    left: Duration,
    /// Since when it does.
    since: Option<Instant>,
}

impl Pace {
    fn new(slack: Duration) -> Self {
        Self { slack, left: slack, since: None }
    }

    /// Notes that the client takes nothing, and gives the instant until which it may.
    fn waits(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + self.left
    }

    /// Notes that the client has taken some bytes.
    fn takes(&mut self, bytes: usize, now: Instant) {
        let waited = self.since.take().map_or(Duration::ZERO, |since| now - since);
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(RATE));
        self.left = self.slack.min(self.left.saturating_sub(waited) + earned);
    }
}

/// A client's connection. It is reset if the client does not keep pace, and if it is cut: so that
/// nobody takes a part of a response for the whole.
pub struct Connection<T> {
    stream: T,
    tcp: fn(&T) -> &TcpStream,
    state: Rc<State>,
    patience: Patience,
    pace: Pace,
    /// While the client takes nothing: ends when that takes too long.
    stalled: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Whether something that the client sent is left unread until it goes on reading.
    is_unread: bool,
    /// Whether nothing more is read in one go.
    has_read_enough: bool,
    /// While no exchange is under way: ends when that takes too long.
    quiet: Option<Pin<Box<Sleep>>>,
    /// Whether nothing is read any more.
    is_over: bool,
}

impl<T> Connection<T> {
    pub fn accept(
        stream: T,
        tcp: fn(&T) -> &TcpStream,
        patience: &Patience,
    ) -> (Self, Protocol, Option<SocketAddr>) {
        let socket = tcp(&stream);
        let peer = socket.peer_addr().ok();
        // The last piece of an answer does not wait until the piece before it is acknowledged.
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
            state: State::new(),
            patience: patience.clone(),
            pace: Pace::new(patience.slack),
            stalled: None,
            is_unread: false,
            has_read_enough: false,
            quiet: None,
            is_over: false,
        };
        (connection, Protocol::Http1, peer)
    }

    /// Makes itself known to the requests that come by it.
    pub fn introduce(&self, data: &mut Extensions) {
        data.insert(self.state.clone());
    }

    /// Looks at what came of sending: the client takes something, or has not taken anything for
    /// too long.
    fn keep_pace<R>(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<R>>,
        bytes: impl Fn(&R) -> usize,
    ) -> Poll<io::Result<R>> {
        let Poll::Ready(sent) = sent else {
            let end = self.pace.waits(Instant::now());
            let patience = &self.patience;
            let stalled =
                self.stalled.get_or_insert_with(|| Box::pin(patience.clone().wait_until(end)));
            ready!(stalled.as_mut().poll(context));
            self.stalled = None;
            self.state.is_cut.set(true);
            let client = (self.tcp)(&self.stream).peer_addr().ok();
            tracing::warn!(?client, "the connection is reset: its client reads too slowly");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        self.pace.takes(sent.as_ref().map_or(0, bytes), Instant::now());
        self.stalled = None;
        if std::mem::take(&mut self.is_unread) {
            context.waker().wake_by_ref();
        }
        Poll::Ready(sent)
    }

    /// Whether the client has left the connection idle for too long, or takes too long for a head.
    /// (actix-http ends the wait for the first head alone, and no wait for the rest of a body in
    /// chunks that the call did not want.)
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if self.is_over || !self.state.is_quiet() {
            return self.is_over;
        }
        let end = match self.state.begun.get() {
            Some(begun) => begun + HEAD_TIMEOUT,
            None => self.state.quiet_since.get() + self.patience.idle,
        };
        let quiet = self.quiet.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if quiet.deadline() != end {
            quiet.as_mut().reset(end);
        }
        self.is_over = quiet.as_mut().poll(context).is_ready();
        self.is_over
    }
}

impl<T> Drop for Connection<T> {
    fn drop(&mut self) {
        if self.state.is_cut.get()
            && let Err(error) = (self.tcp)(&self.stream).set_zero_linger()
        {
            tracing::debug!(%error, "SO_LINGER");
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Requests that a client sends without reading the responses are left to wait with it.
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
        // What has been read is decoded before there is more of it.
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

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
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
        // An exchange ends here, after all that is there has been read.
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

/// Whether the client of a request has hung up. That it only sends no more and still waits for
/// the response cannot be told apart.
pub fn is_left(request: &ServiceRequest) -> impl Fn() -> bool + use<> {
    let state = request.conn_data::<Rc<State>>().cloned();
    move || state.as_ref().is_some_and(|state| state.is_left.get())
}

/// A request and its response on a connection, until the last piece of the response is handed
/// over.
pub struct Exchange {
    connection: Option<Rc<State>>,
    knows_chunks: bool,
}

impl Exchange {
    pub fn begin(request: &mut ServiceRequest) -> Self {
        let connection = request.conn_data::<Rc<State>>().cloned();
        if let Some(state) = &connection {
            state.exchanges.update(|exchanges| exchanges + 1);
            state.begun.set(None);
            let payload = request.take_payload();
            if !matches!(payload, Payload::None) {
                state.awaits_body.set(true);
                state.read_on();
                let payload = Box::pin(Arriving { payload, connection: state.clone() });
                request.set_payload(Payload::Stream { payload });
            }
        }
        Self { connection, knows_chunks: request.version() >= Version::HTTP_11 }
    }

    /// Sends the response. One of unknown length goes to a client that knows no chunks up to the
    /// connection's end.
    pub fn respond(self, mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        if !self.knows_chunks && response.response().body().size() == BodySize::Stream {
            let head = response.response_mut().head_mut();
            head.no_chunking(true);
            head.set_connection_type(ConnectionType::Close);
            self.cut(true);
        }
        response.map_body(|_, body| BoxBody::new(Responding { body, exchange: self }))
    }

    fn is_left(&self) -> bool {
        self.connection.as_ref().is_some_and(|state| state.is_left.get())
    }

    fn cut(&self, is_cut: bool) {
        if let Some(state) = &self.connection {
            state.is_cut.set(is_cut);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(state) = &self.connection {
            state.exchanges.update(|exchanges| exchanges - 1);
            state.quiet_since.set(Instant::now());
            state.read_on();
        }
    }
}

/// The body of a request, which is awaited until it is there or nobody wants it.
struct Arriving {
    payload: Payload,
    connection: Rc<State>,
}

impl Stream for Arriving {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.payload).poll_next(context));
        self.connection.awaits_body.set(matches!(next, Some(Ok(_))));
        Poll::Ready(next)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.connection.awaits_body.set(false);
    }
}

/// The body of a response. Without chunks, the connection is cut until all of it is there.
struct Responding {
    body: BoxBody,
    exchange: Exchange,
}

impl MessageBody for Responding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let next = Pin::new(&mut self.body).poll_next(context);
        if next.is_pending() && self.exchange.is_left() {
            // What is still to come would be of no use to anybody.
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::NotConnected).into())));
        }
        let next = ready!(next);
        if next.is_none() {
            self.exchange.cut(false);
        }
        Poll::Ready(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: Duration = Duration::from_secs(30);
    const CHUNK: usize = 64 * 1024;

    /// Whether a client that takes a chunk in this time each is sent this many of them.
    fn gets(chunks: u32, each: Duration) -> bool {
        let (mut pace, mut now) = (Pace::new(SLACK), Instant::now());
        (0..chunks).all(|_| {
            let end = pace.waits(now);
            now += each;
            let is_in_time = now <= end;
            pace.takes(CHUNK, now);
            is_in_time
        })
    }

    #[test]
    fn a_client_that_is_slower_than_the_rate_is_cut_off_and_no_other() {
        assert!(gets(10_000, Duration::ZERO));
        assert!(gets(10_000, Duration::from_secs(2)));
        assert!(gets(10, Duration::from_secs(4)) && !gets(16, Duration::from_secs(4)));
        assert!(!gets(1, Duration::from_secs(31)));
        // What was fast saves up no more than the slack.
        let (mut pace, now) = (Pace::new(SLACK), Instant::now());
        for _ in 0..1000 {
            pace.waits(now);
            pace.takes(CHUNK, now);
        }
        assert_eq!(pace.waits(now), now + SLACK);
        // Looking again gives no more time.
        assert_eq!(pace.waits(now + SLACK / 2), now + SLACK);
    }
}
