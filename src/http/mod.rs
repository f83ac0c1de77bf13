//! The actix App: its routes, and what every call has in common.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Bytes, Data, Payload};
use actix_web::{App, HttpMessage, HttpRequest, HttpResponse, HttpServer};
use chrono::{DateTime, Utc};
use tracing::Instrument;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::Settings;
use crate::http::error::{ApiError, Reason, Refusal};
use crate::model::audit::{AuditEntry, Category};
use crate::model::permission::{Permission, Principal};
use crate::store::Store;

mod authentication;
mod body;
mod error;
mod orders;
pub mod password;
mod session;

/// The path that every call is below.
pub const BASE: &str = "/joc/api";
/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 128;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the calls share.
pub struct Service {
    store: Arc<dyn Store>,
    settings: Settings,
    clock: Clock,
    sessions: session::Sessions,
    throttle: authentication::Throttle,
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
}

/// The id of a request, in its extensions.
#[derive(Clone)]
struct RequestId(String);

impl Service {
    /// A service over a store.
    pub fn new(store: Arc<dyn Store>, settings: Settings, clock: Clock) -> Self {
        Self {
            sessions: session::Sessions::new(settings.session_timeout()),
            throttle: authentication::Throttle::new(&settings),
            store,
            settings,
            clock,
        }
    }

    /// Checks the session, then reads the body.
    async fn begin(&self, request: &HttpRequest, payload: Payload) -> Result<Call, ApiError> {
        let now = self.clock.now();
        let principal = self.sessions.check(&*self.store, request, now).await?;
        let body = body::read(payload, self.settings.body_limit).await?;
        Ok(Call {
            now,
            principal,
            body,
            name: call_name(request),
            request_id: request_id(request),
            client_address: client_address(request),
        })
    }
}

impl Call {
    fn audit_entry(&self, controller_id: &str, parameters: String) -> AuditEntry {
        AuditEntry {
            controller_id: controller_id.into(),
            account: self.principal.account.clone(),
            request: self.name.clone(),
            parameters,
            category: Category::Controller,
            comment: None,
            time_spent: None,
            ticket_link: None,
            request_id: self.request_id.clone(),
            client_address: self.client_address.clone(),
            created: self.now,
        }
    }

    fn not_permitted(&self, permission: Permission, controller_id: &str) -> ApiError {
        ApiError::Refused(Refusal {
            reason: Reason::Permission,
            account: Some(self.principal.account.clone()),
            caller: self.client_address.clone(),
            message: format!("Access denied: {permission} is missing for {controller_id}"),
        })
    }
}

/// The name that JOC gives a call in its audit log: its path below the base.
fn call_name(request: &HttpRequest) -> String {
    format!(".{}", request.path().strip_prefix(BASE).unwrap_or(request.path()))
}

fn request_id(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone())
}

fn client_address(request: &HttpRequest) -> Option<String> {
    request.peer_addr().map(|address| address.ip().to_string())
}

/// Starts to serve on a listening socket. The server ends by a signal or its handle.
///
/// # Errors
///
/// If the socket cannot be used.
pub fn serve(listener: TcpListener, service: Service) -> std::io::Result<Server> {
    let shutdown_timeout = service.settings.shutdown_timeout;
    let service = Data::new(service);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(service.clone())
            .wrap(from_fn(identify))
            .service(
                web::scope(BASE)
                    .route("/authentication/login", web::post().to(authentication::login))
                    .route("/authentication/logout", web::post().to(authentication::logout))
                    .route("/orders/cancel", web::post().to(orders::cancel))
                    .route("/orders/cancel/preview", web::post().to(orders::preview_cancel)),
            )
            .default_service(web::to(unknown_call))
    });
    Ok(server.shutdown_timeout(shutdown_timeout).listen(listener)?.run())
}

/// Gives every request its id: in the logs, in the answer, in the audit trail.
async fn identify(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let sent = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let id = sent.filter(|id| is_sane(id)).map_or_else(|| Uuid::new_v4().to_string(), Into::into);
    request.extensions_mut().insert(RequestId(id.clone()));
    // The path without the query, which may hold an access token.
    let span = tracing::info_span!(
        "request", request_id = id, method = %request.method(), path = request.path()
    );
    let started = std::time::Instant::now();
    let mut response = next.call(request).instrument(span.clone()).await?;
    span.in_scope(|| {
        let (status, elapsed) = (response.status().as_u16(), started.elapsed());
        tracing::info!(status, elapsed_ms = elapsed.as_millis(), "answered");
    });
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

fn is_sane(id: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

async fn unknown_call(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let known = request.resource_map().has_resource(request.path());
    let path = crate::model::window::displayable(request.path());
    Err(if known { ApiError::NotPost(path) } else { ApiError::UnknownCall(path) })
}
