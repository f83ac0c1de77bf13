//! Connections: how they are accepted, how long they may idle, and when a client may send a body.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol, Request, Response};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    Service as ActixService, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service, map_config,
};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::{Error, HttpResponse};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::config::Settings;
use crate::http::transport::drain::{self, Drain};
use crate::http::transport::limits;
use crate::http::transport::socket::{ClientTimeouts, HEAD_TIMEOUT, PacedStream};

/// Serves an app on connections, as actix-web's `HttpServer` does; but that does not let an app
/// respond to `Expect: 100-continue`.
#[derive(Clone)]
pub struct Http<F> {
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
    pub fn serve(
        app: F,
        listeners: impl IntoIterator<Item = TcpListener>,
        settings: &Settings,
        drain: &Arc<Drain>,
        tls: Option<rustls::ServerConfig>,
    ) -> io::Result<Server> {
        let workers = limits::workers();
        let connections = limits::connections(settings, workers);
        let timeouts = ClientTimeouts::new(settings, drain.clone());
        let mut server = Server::build()
            .workers(workers)
            .max_concurrent_connections(connections)
            .shutdown_timeout(drain::LINGER.as_secs())
            .disable_signals();
        for listener in listeners {
            let http = Self {
                app: app.clone(),
                keep_alive: settings.keep_alive().into(),
                body_limit: settings.body_limit,
                address: listener.local_addr()?,
                by_tls: tls.is_some(),
                stopping: server.graceful_shutdown_signal(),
            };
            let timeouts = timeouts.clone();
            server = match tls.clone() {
                None => server.listen("http", listener, move || {
                    let timeouts = timeouts.clone();
                    let accept = move |stream| {
                        let accepted = PacedStream::accept(stream, |stream| stream, &timeouts);
                        async { Ok(accepted) }
                    };
                    fn_service(accept).and_then(http.connections())
                })?,
                Some(mut tls) => {
                    tls.alpn_protocols = vec![b"http/1.1".into()];
                    server.listen("https", listener, move || {
                        let mut acceptor = Acceptor::new(tls.clone());
                        acceptor.set_handshake_timeout(HEAD_TIMEOUT);
                        let timeouts = timeouts.clone();
                        let accept = move |stream: TlsStream<TcpStream>| {
                            let accepted =
                                PacedStream::accept(stream, |stream| stream.get_ref().0, &timeouts);
                            async { Ok(accepted) }
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
        (PacedStream<T>, Protocol, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<T, F, A> {
        // Only `HttpServer` has a public way to tell an app its address, and whether it has TLS.
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
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(limits::CLOSE_TIMEOUT)
            .local_addr(self.address)
            .on_connect_ext(|connection: &PacedStream<T>, data| connection.introduce(data))
            .expect(expect(app(), self.body_limit))
            .finish(app())
    }
}

/// Responds to `Expect: 100-continue`. The app rejects a `Content-Length` over the limit by the
/// head, before the client sends the body.
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
