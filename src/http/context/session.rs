//! Sessions: whom an access token stands for. They live in the database; each replica caches one for
//! a few seconds, so that most requests need no query for it.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use actix_web::web::Query;
use chrono::{DateTime, TimeDelta, Utc};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::http::error::{ApiError, Caller};
use crate::http::transport::request::client_address;
use crate::model::permission::Principal;
use crate::store::Store;

/// The header field with the access token.
pub const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");
/// The query parameter with the access token, if there is no header field.
const ACCESS_TOKEN_PARAMETER: &str = "accessToken";
/// How long a session is cached: a logout on another replica, a changed permission or a locked
/// account may go unnoticed that long. Less than the 5 seconds that the documentation promises.
const CACHED_FOR: TimeDelta = TimeDelta::seconds(3);
/// How many sessions are cached.
const CAPACITY: usize = 10_000;

/// The sessions that this replica has cached.
pub struct SessionCache {
    timeout: TimeDelta,
    cached: Cache<String, CachedSession>,
}

#[derive(Clone)]
struct CachedSession {
    principal: Arc<Principal>,
    since: DateTime<Utc>,
}

impl SessionCache {
    /// A cache of sessions that end after `timeout` without a request.
    pub fn new(timeout: TimeDelta) -> Self {
        Self { timeout, cached: Cache::new(CAPACITY) }
    }

    /// Whose session a request belongs to. This also extends the session.
    pub async fn check(
        &self,
        store: &dyn Store,
        request: &HttpRequest,
        now: DateTime<Utc>,
    ) -> Result<Arc<Principal>, ApiError> {
        let caller = || Caller { account: None, address: client_address(request) };
        let token = access_token(request).ok_or_else(|| ApiError::NoToken(caller()))?;
        let hash = hash(&token);
        if let Some(session) = self.cached.get(&hash) {
            let age = now - session.since;
            if TimeDelta::zero() <= age && age < CACHED_FOR.min(self.timeout) {
                return Ok(session.principal);
            }
        }
        match store.touch_session(&hash, now, now + self.timeout).await? {
            Some(principal) => {
                let principal = Arc::new(principal);
                let session = CachedSession { principal: principal.clone(), since: now };
                self.cached.insert(hash, session);
                Ok(principal)
            }
            None => {
                self.cached.remove(&hash);
                Err(ApiError::NoSession(caller()))
            }
        }
    }

    /// Opens a session and returns its access token; `None` if the account's password hash has
    /// changed meanwhile.
    pub async fn open(
        &self,
        store: &dyn Store,
        account: &str,
        password_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, ApiError> {
        let token = hex::encode(rand::random::<[u8; 32]>());
        let expires = now + self.timeout;
        let opened =
            store.open_session(&hash(&token), account, password_hash, now, expires).await?;
        Ok(opened.then_some(token))
    }

    /// Ends a session.
    pub async fn close(&self, store: &dyn Store, token: &str) -> Result<(), ApiError> {
        let hash = hash(token);
        self.cached.remove(&hash);
        Ok(store.close_session(&hash).await?)
    }
}

/// The access token of a request.
pub fn access_token(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get(ACCESS_TOKEN).and_then(|token| token.to_str().ok());
    header.filter(|token| !token.is_empty()).map(Into::into).or_else(|| {
        let query = Query::<HashMap<String, String>>::from_query(request.query_string());
        query.ok()?.into_inner().remove(ACCESS_TOKEN_PARAMETER)
    })
}

/// The hash under which the database knows a token.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}
