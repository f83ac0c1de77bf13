//! A request whose session is checked and whose body is read.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{Bytes, Payload};
use chrono::{DateTime, Utc};

use crate::http::context::body;
use crate::http::context::service::Service;
use crate::http::error::ApiError;
use crate::http::transport::limits;
use crate::http::transport::request::{call_name, client_address, request_id};
use crate::model::permission::Principal;
use crate::store::shares;

/// A call whose session is checked and whose body is read.
pub struct Call {
    /// The instant of the request.
    pub now: DateTime<Utc>,
    pub principal: Arc<Principal>,
    pub body: Bytes,
    /// As JOC writes it: `./orders/cancel`.
    pub name: String,
    pub request_id: String,
    pub client_address: Option<String>,
    pub progress: limits::RequestProgress,
}

impl Service {
    /// Checks the session, then reads the body.
    pub async fn begin(&self, request: &HttpRequest, payload: Payload) -> Result<Call, ApiError> {
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
            progress: limits::RequestProgress::of(request),
        })
    }
}
