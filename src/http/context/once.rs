//! `Idempotency-Key`: a request that repeats an earlier one gets the response of that one, with the
//! same dates and `Idempotency-Replayed: true`.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use chrono::{DateTime, Utc};

use crate::http::context::request::Context;
use crate::http::error::ApiError;
use crate::model::invalid::Invalid;
use crate::model::once::{IDEMPOTENCY_KEY, IdempotencyKey};

/// The header field of a response that is given again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

impl Context {
    /// The key of the request, from here on.
    pub fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, ApiError> {
        if let Some(key) = self.known_key() {
            return Ok(Some(key));
        }
        let mut sent = self.http.headers().get_all(IDEMPOTENCY_KEY);
        let Some(text) = sent.next() else { return Ok(None) };
        if sent.next().is_some() {
            return Err(Invalid::new(IDEMPOTENCY_KEY, "is sent more than once").into());
        }
        let key = IdempotencyKey::new(text.as_bytes(), &self.bytes)?;
        self.http.extensions_mut().insert(key.clone());
        Ok(Some(key))
    }

    fn known_key(&self) -> Option<IdempotencyKey> {
        self.http.extensions().get().cloned()
    }

    /// The instant of the request that this one repeats.
    pub fn repeats(&self) -> Option<DateTime<Utc>> {
        self.known_key()?.first()
    }

    /// When the response is made. A response that may be given again is as old as its request.
    pub fn delivered_at(&self) -> DateTime<Utc> {
        match self.known_key() {
            None => self.service.clock.now(),
            Some(key) => key.first().unwrap_or(self.now),
        }
    }
}

/// Tells the client when a response is given again.
pub async fn tell<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let key = response.request().extensions().get::<IdempotencyKey>().cloned();
    if key.is_some_and(|key| key.first().is_some()) {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
