//! Connections: how they are accepted, how long they may idle, and what happens on them before a
//! call's body and after an answer that breaks off.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol, Request, Response};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    Service as ActixService, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service, map_config,
};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, Version};
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpResponse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http::{Service, drain, limits};

/// How an app is served on connections. This is what `HttpServer` of actix-web does, which does not
/// let an app answer `Expect: 100-continue`.
#[derive(Clone)]
pub(super) struct Http<F> {
    app: F,
    keep_alive: KeepAlive,
    body_limit: usize,
    address: SocketAddr,
    by_tls: bool,
    stopping: GracefulShutdownSignal,
}

impl<F, A> Http<F>
where
    F: Fn() -> A + Clone + Send + 'static,
    A: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<BoxBody>,
            Error = Error,
            InitError = (),
        > + 'static,
    A::Future: 'static,
    A::Service: 'static,
    <A::Service as ActixService<Request>>::Future: 'static,
{
    /// Starts to serve on listening sockets.
    pub(super) fn serve(
        app: F,
        listeners: impl IntoIterator<Item = TcpListener>,
        service: &Data<Service>,
        tls: Option<rustls::ServerConfig>,
    ) -> io::Result<Server> {
        let workers = limits::workers();
        let connections = limits::connections(&service.settings, workers);
        let mut server = Server::build()
            .workers(workers)
            .max_concurrent_connections(connections)
            .shutdown_timeout(drain::LINGER)
            .disable_signals();
        for listener in listeners {
            let http = Self {
                app: app.clone(),
                keep_alive: service.settings.keep_alive().into(),
                body_limit: service.settings.body_limit,
                address: listener.local_addr()?,
                by_tls: tls.is_some(),
                stopping: server.graceful_shutdown_signal(),
            };
            server = match tls.clone() {
                None => server.listen("http", listener, move || {
                    let accept = |stream| async { Ok(Connection::accept(stream, |stream| stream)) };
                    fn_service(accept).and_then(http.connections())
                })?,
                Some(mut tls) => {
                    tls.alpn_protocols = vec![b"http/1.1".into()];
                    server.listen("https", listener, move || {
                        let mut acceptor = Acceptor::new(tls.clone());
                        acceptor.set_handshake_timeout(limits::HEAD_TIMEOUT);
                        let accept = |stream: TlsStream<TcpStream>| async {
                            Ok(Connection::accept(stream, |stream| stream.get_ref().0))
                        };
                        acceptor
                            .map_err(drop)
                            .and_then(fn_service(accept))
                            .and_then(http.connections().map_err(drop))
                    })?
                }
            };
        }
        Ok(server.run())
    }

    /// Speaks HTTP/1 on connections of this kind.
    fn connections<T: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
    ) -> impl ServiceFactory<
        (Connection<T>, Protocol, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<T, F, A> {
        // Only `HttpServer` has a public way to tell an app where it listens, and whether by TLS.
        let config =
            AppConfig::__priv_test_new(self.by_tls, self.address.to_string(), self.address);
        let app = || {
            let config = config.clone();
            let app = (self.app)().map_err(|error| error.error_response());
            map_config(app, move |()| config.clone())
        };
        let stopping = self.stopping.clone();
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(self.keep_alive)
            .client_request_timeout(limits::HEAD_TIMEOUT)
            .client_disconnect_timeout(limits::CLOSE_TIMEOUT)
            .local_addr(self.address)
            .on_connect_ext(|connection: &Connection<T>, data| {
                data.insert(connection.cut.clone());
            })
            .expect(expect(app(), self.body_limit))
            .finish(app())
    }
}

/// Answers `Expect: 100-continue`. A body that is announced as too large is never asked for: the
/// app, which refuses it by its head, makes the answer.
fn expect<A>(
    app: A,
    body_limit: usize,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = Request,
    Error = Response<BoxBody>,
    InitError = (),
>
where
    A: ServiceFactory<
            Request,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = HttpResponse,
            InitError = (),
        > + 'static,
    A::Service: 'static,
{
    let app = Rc::new(app);
    fn_factory(move || {
        let app = app.clone();
        async move {
            let app = Rc::new(app.new_service(()).await?);
            Ok(fn_service(move |request: Request| {
                let app = app.clone();
                async move {
                    if !limits::announces_too_much(request.head(), body_limit) {
                        return Ok(request);
                    }
                    Err(match app.call(request).await {
                        Ok(response) => response.into(),
                        Err(response) => response.into(),
                    })
                }
            }))
        }
    })
}

/// Whether a connection ends in the middle of an answer whose end nothing but the connection's own
/// end shows.
#[derive(Debug, Clone, Default)]
struct Cut(Rc<Cell<bool>>);

/// A client's connection. It is reset rather than closed if it is cut, so that its client does not
/// take a part of an answer for the whole.
struct Connection<T> {
    stream: T,
    tcp: fn(&T) -> &TcpStream,
    cut: Cut,
}

impl<T> Connection<T> {
    fn accept(stream: T, tcp: fn(&T) -> &TcpStream) -> (Self, Protocol, Option<SocketAddr>) {
        let socket = tcp(&stream);
        let peer = socket.peer_addr().ok();
        // The last piece of an answer does not wait until the piece before it is acknowledged.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        (Self { stream, tcp, cut: Cut::default() }, Protocol::Http1, peer)
    }
}

impl<T> Drop for Connection<T> {
    fn drop(&mut self) {
        if self.cut.0.get()
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The cut of the connection that a request came by.
pub(super) struct Ending(Option<Cut>);

impl Ending {
    /// `None` if the client knows chunks, and so the end of an answer.
    pub(super) fn of(request: &ServiceRequest) -> Option<Self> {
        (request.version() < Version::HTTP_11).then(|| Self(request.conn_data::<Cut>().cloned()))
    }

    /// Sends an answer of unknown length without chunks, up to the connection's end.
    pub(super) fn delimit(
        self,
        mut response: ServiceResponse<BoxBody>,
    ) -> ServiceResponse<BoxBody> {
        if response.response().body().size() != BodySize::Stream {
            return response;
        }
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
        let cut = self.0.unwrap_or_default();
        cut.0.set(true);
        response.map_body(|_, body| BoxBody::new(Delimited { body, cut }))
    }
}

/// A body without chunks: the connection is cut until all of it is there.
struct Delimited {
    body: BoxBody,
    cut: Cut,
}

impl MessageBody for Delimited {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let next = ready!(Pin::new(&mut self.body).poll_next(context));
        if next.is_none() {
            self.cut.0.set(false);
        }
        Poll::Ready(next)
    }
}
