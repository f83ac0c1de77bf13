//! What every request and response gets: an ID, a log line, metrics, a check of its head, and
//! security headers.

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

use crate::http::transport::exchange::Exchange;
use crate::http::transport::request::{RequestId, route};
use crate::http::transport::{limits, prometheus, trace};

/// The longest request ID that is accepted from a client.
const MAX_REQUEST_ID: usize = 128;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Default security headers. (actix-web's `DefaultHeaders` skips responses made from errors, such
/// as timeouts.)
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
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
/// Over TLS, tells browsers to use only TLS for a year.
const HSTS: &str = "max-age=31536000";

/// Wraps every request. (tracing-actix-web, which could make the span, takes no request ID from a
/// client and does not support this version of OpenTelemetry.)
pub async fn frame(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let sent = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let id = sent.filter(|id| is_sane(id)).map_or_else(|| Uuid::new_v4().to_string(), Into::into);
    request.extensions_mut().insert(RequestId(id.clone()));
    let route = route(request.request());
    let by_tls = request.app_config().secure();
    // Without the query, which may hold an access token.
    let path = route.as_deref().unwrap_or(request.path());
    let span = tracing::info_span!("request", request_id = id, method = %request.method(), path);
    trace::join(&span, request.headers(), route.as_deref());
    // actix-http leaves out the body of the response to a HEAD.
    if *request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    let exchange = Exchange::begin(&mut request);
    let started = Instant::now();
    let checked = span.in_scope(|| limits::check_head(&request));
    let result = match checked {
        Ok(()) => {
            let response = next.call(request).instrument(span.clone()).await;
            response.map(ServiceResponse::map_into_boxed_body)
        }
        Err(error) => Ok(request.into_response(error.error_response())),
    };
    let finish = |status: u16, headers: &mut HeaderMap| {
        let elapsed = started.elapsed();
        span.in_scope(|| tracing::info!(status, elapsed_ms = elapsed.as_millis(), "responded"));
        prometheus::responded(route.as_deref(), status, elapsed);
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, id);
        }
        add_security_headers(headers, by_tls);
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

fn add_security_headers(headers: &mut HeaderMap, by_tls: bool) {
    let mut add = |name: &HeaderName, value| {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), HeaderValue::from_static(value));
        }
    };
    for (name, value) in &SECURITY_HEADERS {
        add(name, value);
    }
    if by_tls {
        add(&STRICT_TRANSPORT_SECURITY, HSTS);
    }
}

fn is_sane(id: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}
