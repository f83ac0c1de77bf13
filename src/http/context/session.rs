//! Sessions: from an access token to who is calling. They live in the database; each replica
//! remembers one for a few seconds, so that most calls ask nothing of the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use actix_web::web::Query;
use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use crate::http::error::{ApiError, Reason, Refusal};
use crate::http::transport::request::client_address;
use crate::model::permission::Principal;
use crate::store::Store;

/// The header that carries the access token.
pub const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");
/// The query parameter that carries it otherwise.
const ACCESS_TOKEN_PARAMETER: &str = "accessToken";
/// For how long a session is remembered, and so how long a logout elsewhere, a changed
/// permission or a locked account may go unnoticed here: less than the 5 seconds promised.
const REMEMBERED: TimeDelta = TimeDelta::seconds(3);
/// How many sessions are remembered.
const CAPACITY: u64 = 10_000;

/// The sessions that this replica remembers.
pub struct Sessions {
    timeout: TimeDelta,
    remembered: Cache<String, Remembered>,
}

#[derive(Clone)]
struct Remembered {
    principal: Arc<Principal>,
    since: DateTime<Utc>,
}

impl Sessions {
    /// Sessions that end after `timeout` without a call.
    pub fn new(timeout: TimeDelta) -> Self {
        let remembered = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(Duration::from_secs(2 * REMEMBERED.num_seconds().unsigned_abs()))
            .build();
        Self { timeout, remembered }
    }

    /// Who is calling. The session ends later for it.
    pub async fn check(
        &self,
        store: &dyn Store,
        request: &HttpRequest,
        now: DateTime<Utc>,
    ) -> Result<Arc<Principal>, ApiError> {
        let refuse = |reason, message: &str| {
            ApiError::Refused(Refusal {
                reason,
                account: None,
                caller: client_address(request),
                message: message.into(),
            })
        };
        let token = access_token(request).ok_or_else(|| {
            refuse(Reason::Token, "Access denied: no X-Access-Token, please log in")
        })?;
        let hash = hash(&token);
        if let Some(session) = self.remembered.get(&hash) {
            let age = now - session.since;
            if TimeDelta::zero() <= age && age < REMEMBERED.min(self.timeout) {
                return Ok(session.principal);
            }
        }
        match store.touch_session(&hash, now, now + self.timeout).await? {
            Some(principal) => {
                let principal = Arc::new(principal);
                let session = Remembered { principal: principal.clone(), since: now };
                self.remembered.insert(hash, session);
                Ok(principal)
            }
            None => {
                self.remembered.invalidate(&hash);
                Err(refuse(Reason::Session, "Session has expired or is unknown, please log in"))
            }
        }
    }

    /// Opens a session and gives its access token, if the account's password is still the one
    /// of this hash.
    pub async fn open(
        &self,
        store: &dyn Store,
        account: &str,
        password_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, ApiError> {
        let token: String =
            rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
        let expires = now + self.timeout;
        let opened =
            store.open_session(&hash(&token), account, password_hash, now, expires).await?;
        Ok(opened.then_some(token))
    }

    /// Ends a session.
    pub async fn close(&self, store: &dyn Store, token: &str) -> Result<(), ApiError> {
        let hash = hash(token);
        self.remembered.invalidate(&hash);
        Ok(store.close_session(&hash).await?)
    }
}

/// The token that a request carries.
pub fn access_token(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get(ACCESS_TOKEN).and_then(|token| token.to_str().ok());
    header.filter(|token| !token.is_empty()).map(Into::into).or_else(|| {
        let query = Query::<HashMap<String, String>>::from_query(request.query_string());
        query.ok()?.into_inner().remove(ACCESS_TOKEN_PARAMETER)
    })
}

/// What is kept of a token.
pub fn hash(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}
