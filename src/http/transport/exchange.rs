//! Requests and responses on a client's connection: the state that they share with it, and how a
//! response is aborted.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{ConnectionType, Version};
use actix_web::web::Bytes;
use futures_util::Stream;
use tokio::time::Instant;

/// How many bytes are read at a time unless a body is awaited, and how many more while a request
/// awaits its response. Heads among them are decoded at once and take kilobytes each.
pub const AHEAD: usize = 1024;

/// What a connection and the exchanges on it share.
#[derive(Debug)]
pub struct ConnectionState {
    /// Whether to reset the connection: closing it would make an incomplete response look complete.
    pub is_cut: Cell<bool>,
    /// Whether the client sends nothing more: it has gone, or will soon.
    pub is_left: Cell<bool>,
    /// How many exchanges are in flight.
    exchanges: Cell<usize>,
    /// Since when none is.
    pub quiet_since: Cell<Instant>,
    /// When the first byte came after that: of the head of a request, or of a body that no handler
    /// reads.
    pub begun: Cell<Option<Instant>>,
    /// How many bytes have come since then that were not awaited.
    ahead: Cell<usize>,
    /// Whether the body of a request is awaited.
    pub awaits_body: Cell<bool>,
    /// Wakes the reader when an exchange or the body of its request ends.
    reader: RefCell<Option<Waker>>,
}

impl ConnectionState {
    pub fn new() -> Rc<Self> {
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

    /// Whether no exchange is in flight.
    pub fn is_quiet(&self) -> bool {
        self.exchanges.get() == 0
    }

    /// Notes that bytes have come.
    pub fn receives(&self, bytes: usize) {
        if self.is_quiet() && self.begun.get().is_none() {
            self.begun.set(Some(Instant::now()));
        }
        // Between exchanges they belong to the next request.
        let is_awaited = self.is_quiet() || self.awaits_body.get();
        self.ahead.set(if is_awaited { 0 } else { self.ahead.get() + bytes });
    }

    /// Whether the client has sent enough requests ahead; if so, the reader is woken when one has
    /// ended. Until then nothing is read, so a client that hangs up goes unnoticed.
    pub fn is_ahead(&self, context: &Context<'_>) -> bool {
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

/// Whether the client of a request has hung up. One that has only closed its sending side looks the
/// same.
pub fn is_left(request: &ServiceRequest) -> impl Fn() -> bool + use<> {
    let state = request.conn_data::<Rc<ConnectionState>>().cloned();
    move || state.as_ref().is_some_and(|state| state.is_left.get())
}

/// A request and its response, until the connection has the last piece of the response.
pub struct Exchange {
    connection: Option<Rc<ConnectionState>>,
    knows_chunks: bool,
}

impl Exchange {
    pub fn begin(request: &mut ServiceRequest) -> Self {
        let connection = request.conn_data::<Rc<ConnectionState>>().cloned();
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

    /// Sends the response. To a client that knows no chunks, the end of the connection marks the
    /// end of a response of unknown length.
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

/// The body of a request, awaited until it is complete or dropped.
struct Arriving {
    payload: Payload,
    connection: Rc<ConnectionState>,
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

/// The body of a response. Without chunks, the connection counts as cut until all of it is there.
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
            // No client is left to read the rest.
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::NotConnected).into())));
        }
        let next = ready!(next);
        if next.is_none() {
            self.exchange.cut(false);
        }
        Poll::Ready(next)
    }
}
