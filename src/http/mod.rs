//! The actix App: its routes, and what every call has in common.

use std::net::{IpAddr, TcpListener};
use std::sync::Arc;

use actix_service::IntoServiceFactory;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::web::{self, Bytes, Data, Payload};
use actix_web::{App, HttpMessage, HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use moka::sync::Cache;

use crate::clock::Clock;
use crate::config::Settings;
use crate::http::connections::Http;
use crate::http::drain::{Drain, Running};
use crate::http::error::ApiError;
use crate::http::frame::RequestId;
use crate::http::openapi::Schemas;
use crate::model::permission::Principal;
use crate::model::window::displayable;
use crate::store::{Store, shares};

mod ahead;
mod answer;
mod audit;
mod audit_log;
mod authentication;
mod body;
mod calls;
mod cockpit;
mod connections;
pub mod drain;
mod error;
mod frame;
mod limits;
mod lists;
mod openapi;
mod orders;
mod parameters;
pub mod password;
mod permissions;
mod prometheus;
mod regex;
pub mod sealing;
mod session;
mod socket;
mod status;
mod stream;
mod summary;
mod throttle;
pub mod tls;
mod trace;
mod tree;
mod workflows;

pub use self::calls::routes;

/// The path that every call is below.
pub const BASE: &str = "/joc/api";
/// How many controllers are remembered.
const CONTROLLERS: u64 = 10_000;

/// What the calls share.
pub struct Service {
    store: Arc<dyn Store>,
    settings: Settings,
    clock: Clock,
    sessions: session::Sessions,
    /// Controllers that are there: none ever goes away.
    controllers: Cache<String, ()>,
    throttle: throttle::Throttle,
    denials: throttle::Denials,
    drain: Arc<Drain>,
    readiness: status::Readiness,
    sealing: Arc<sealing::Sealing>,
}

/// A call whose session is checked and whose body is read.
struct Call {
    /// The instant of the request.
    now: DateTime<Utc>,
    principal: Arc<Principal>,
    body: Bytes,
    /// As JOC writes it: `./orders/cancel`.
    name: String,
    request_id: String,
    client_address: Option<String>,
    progress: limits::Progress,
}

impl Service {
    /// A service over a store.
    pub fn new(store: Arc<dyn Store>, settings: Settings, clock: Clock) -> Self {
        Self {
            sessions: session::Sessions::new(settings.session_timeout()),
            controllers: Cache::new(CONTROLLERS),
            throttle: throttle::Throttle::new(&settings),
            denials: throttle::Denials::new(),
            drain: Arc::default(),
            readiness: status::Readiness::default(),
            sealing: Arc::default(),
            store,
            settings,
            clock,
        }
    }

    /// What whoever watches the sealing tells the pages for operators.
    pub fn sealing(&self) -> Arc<sealing::Sealing> {
        self.sealing.clone()
    }

    /// Checks the session, then reads the body.
    async fn begin(&self, request: &HttpRequest, payload: Payload) -> Result<Call, ApiError> {
        let now = self.clock.now();
        let principal = self.sessions.check(&*self.store, request, now).await?;
        shares::is_for(&principal.account);
        let body = body::read(payload, limits::of_body(request, &self.settings)).await?;
        Ok(Call {
            now,
            principal,
            body,
            name: call_name(request),
            request_id: request_id(request),
            client_address: client_address(request),
            progress: limits::Progress::of(request),
        })
    }
}

/// The route that a request takes, as it is written in the table of calls: of one path, a client
/// can write many forms, such as `/orders/%63ancel`, and none of them names the call.
fn route(request: &HttpRequest) -> Option<String> {
    request.resource_map().match_pattern(request.match_info().as_str())
}

/// The name that JOC gives a call in its audit log: its route below the base.
fn call_name(request: &HttpRequest) -> String {
    let route = route(request).unwrap_or_default();
    format!(".{}", route.strip_prefix(BASE).unwrap_or(&route))
}

fn request_id(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone())
}

/// Where a request comes from. A socket that listens on `[::]` sees IPv4 clients as IPv6 ones.
fn client_ip(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip().to_canonical())
}

fn client_address(request: &HttpRequest) -> Option<String> {
    client_ip(request).map(|address| address.to_string())
}

/// Starts to serve on listening sockets, by TLS if there is a configuration for it.
///
/// # Errors
///
/// If a socket cannot be used.
pub fn serve(
    listeners: impl IntoIterator<Item = TcpListener>,
    service: Service,
    tls: Option<rustls::ServerConfig>,
) -> std::io::Result<Running> {
    prometheus::start(&calls::all(&mut Schemas::new()));
    let patience = service.settings.shutdown_timeout();
    let drain = service.drain.clone();
    let service = Data::new(service);
    let app = {
        let service = service.clone();
        move || {
            App::new()
                .app_data(service.clone())
                .wrap(from_fn(frame::frame))
                // Scripts put URLs together with slashes too many, which JOC does not mind.
                .wrap(NormalizePath::trim())
                .configure(routes)
                .default_service(web::to(unknown_call))
                .into_factory()
        }
    };
    let server = Http::serve(app, listeners, &service, tls)?;
    Ok(Running::new(server, drain, patience))
}

async fn unknown_call(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = displayable(request.path());
    Err(match route(&request) {
        None => ApiError::UnknownCall(path),
        Some(route) if route.starts_with(BASE) => ApiError::WrongMethod(path, "POST"),
        Some(_) => ApiError::WrongMethod(path, "GET, HEAD"),
    })
}
