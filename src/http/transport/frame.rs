//! What every request and answer has, whatever is called: an id, a line in the log, its part in
//! the metrics, header fields of a size, and the header fields that tell browsers to be careful.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError};
use tracing::Instrument;
use uuid::Uuid;

use crate::http::transport::limits;
use crate::http::transport::prometheus;
use crate::http::transport::request::{RequestId, route};
use crate::http::transport::socket::Exchange;
use crate::http::transport::trace;

/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 128;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What browsers are told of every answer that does not say otherwise itself.
const CAREFUL: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; \
         object-src 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "SAMEORIGIN"),
];
/// What browsers are told besides if the answer comes by TLS: to stay with it for a year.
const STAY_WITH_TLS: &str = "max-age=31536000";

/// Puts a request into its frame, and its answer too.
pub async fn frame(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let sent = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let id = sent.filter(|id| is_sane(id)).map_or_else(|| Uuid::new_v4().to_string(), Into::into);
    request.extensions_mut().insert(RequestId(id.clone()));
    let route = route(request.request());
    let by_tls = request.app_config().secure();
    // The path without the query, which may hold an access token.
    let path = route.as_deref().unwrap_or(request.path());
    let span = tracing::info_span!("request", request_id = id, method = %request.method(), path);
    trace::join(&span, request.headers(), route.as_deref());
    // A HEAD is answered as the GET would be, but for the body, which the connection leaves out.
    if *request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    let exchange = Exchange::begin(&mut request);
    let started = Instant::now();
    let checked = span.in_scope(|| limits::check_head(&request));
    let result = match checked {
        Ok(()) => {
            let answer = next.call(request).instrument(span.clone()).await;
            answer.map(ServiceResponse::map_into_boxed_body)
        }
        Err(error) => Ok(request.into_response(error.error_response())),
    };
    let finish = |status: u16, headers: &mut HeaderMap| {
        let elapsed = started.elapsed();
        span.in_scope(|| tracing::info!(status, elapsed_ms = elapsed.as_millis(), "answered"));
        prometheus::answered(route.as_deref(), status, elapsed);
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, id);
        }
        be_careful(headers, by_tls);
    };
    match result {
        Ok(mut response) => {
            finish(response.status().as_u16(), response.headers_mut());
            Ok(exchange.respond(response))
        }
        Err(error) => {
            let mut response = span.in_scope(|| error.error_response());
            finish(response.status().as_u16(), response.headers_mut());
            Err(InternalError::from_response(error, response).into())
        }
    }
}

fn be_careful(headers: &mut HeaderMap, by_tls: bool) {
    let mut add = |name: &HeaderName, value| {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), HeaderValue::from_static(value));
        }
    };
    for (name, value) in &CAREFUL {
        add(name, value);
    }
    if by_tls {
        add(&STRICT_TRANSPORT_SECURITY, STAY_WITH_TLS);
    }
}

fn is_sane(id: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}
