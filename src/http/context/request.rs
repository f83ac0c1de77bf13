//! What a handler is given: a request whose session is checked and whose body is parsed.

use std::cell::Cell;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::web::{self, Bytes, Data};
use actix_web::{FromRequest, HttpRequest};
use chrono::{DateTime, Utc};
use futures_util::future::LocalBoxFuture;

use crate::http::context::body::{self, RequestBody};
use crate::http::context::service::Service;
use crate::http::error::ApiError;
use crate::http::transport::limits::{self, RequestProgress};
use crate::http::transport::request::{call_name, client_address, request_id};
use crate::model::permission::Principal;
use crate::store::{Store, shares};

/// A request whose session is checked. As a handler's argument it reads the body and ignores it.
pub struct Context {
    pub service: Data<Service>,
    /// The instant of the request.
    pub now: DateTime<Utc>,
    /// Where it reads, once it has read.
    pub reading: Cell<Option<Source>>,
    /// Who sent it.
    pub principal: Arc<Principal>,
    pub progress: RequestProgress,
    pub http: HttpRequest,
    /// The body as it came.
    pub bytes: Bytes,
}

/// Where a request reads. It is chosen once, so that all of a response is equally current.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    Primary,
    Replica {
        /// The replica has every change from before this instant.
        current_to: DateTime<Utc>,
    },
}

/// A request whose session is checked and whose body is parsed.
pub struct Request<B> {
    pub context: Context,
    pub body: B,
}

impl Context {
    /// Checks the session, then reads the body.
    async fn of(http: HttpRequest, mut payload: Payload) -> Result<Self, ApiError> {
        let missing = || ApiError::Internal(anyhow::anyhow!("the app has no service"));
        let service = http.app_data::<Data<Service>>().ok_or_else(missing)?.clone();
        let now = service.clock.now();
        let principal = service.sessions.check(&*service.store, &http, now).await?;
        shares::is_for(&principal.account);
        let payload = web::Payload::from_request(&http, &mut payload).into_inner();
        let payload = payload.map_err(|error| ApiError::Internal(anyhow::anyhow!("{error}")))?;
        let bytes = body::read(payload, limits::of_body(&http, &service.settings)).await?;
        let progress = RequestProgress::of(&http);
        let reading = Cell::default();
        Ok(Self { service, now, reading, principal, progress, http, bytes })
    }

    /// The primary. Lists are read by [`Context::read`].
    pub fn store(&self) -> &dyn Store {
        &*self.service.store
    }

    /// The endpoint's name as JOC writes it: `./orders/cancel`.
    pub fn name(&self) -> String {
        call_name(&self.http)
    }

    pub fn request_id(&self) -> String {
        request_id(&self.http)
    }

    pub fn client_address(&self) -> Option<String> {
        client_address(&self.http)
    }

    /// The controllers that the account has any permission for.
    pub async fn controllers(&self) -> Result<Vec<String>, ApiError> {
        let mut ids = self.store().controllers().await?;
        ids.retain(|id| self.principal.has_grant_for(id));
        Ok(ids)
    }
}

impl FromRequest for Context {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(http: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Box::pin(Self::of(http.clone(), payload.take()))
    }
}

impl<B: RequestBody + 'static> FromRequest for Request<B> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(http: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let context = Context::from_request(http, payload);
        Box::pin(async move {
            let context = context.await?;
            let body = body::parse(&context.bytes)?;
            Ok(Self { context, body })
        })
    }
}
