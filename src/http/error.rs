//! Every failure that a client can see, with its status, its code and its body.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use chrono::Utc;
use serde_json::{Value, json};

use crate::model::selection::Invalid;
use crate::model::window::iso;
use crate::store;

/// How long a client should wait before it asks a database again that was out of reach.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A failure of a call. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// `JOC-400`: the request is not what the call takes, or there is nothing to act on.
    #[error("{0}")]
    BadRequest(String),
    /// `JOC-300`: the comment that the settings demand is missing.
    #[error("missing comment")]
    MissingComment,
    /// The body is larger than the settings allow.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// There is no such call.
    #[error("there is no call {0}")]
    UnknownCall(String),
    /// The call takes POST only.
    #[error("{0} takes POST only")]
    NotPost(String),
    /// The session or the permission is not there.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The database cannot be reached.
    #[error("the database cannot be reached, please try again")]
    Unavailable(#[source] store::Error),
    /// `JOC-500`: anything unforeseen.
    #[error("an internal error, of which the log knows more under the id of this request")]
    Internal(#[source] anyhow::Error),
}

/// Why a caller is not let through, as JOC's clients know it.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// What is missing.
    pub reason: Reason,
    /// The account, if it is known.
    pub account: Option<String>,
    /// Where the call came from.
    pub caller: Option<String>,
    /// What to tell a person.
    pub message: String,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// 401: right credentials, or an access token at all.
    Credentials,
    /// 429: fewer failed logins before this one.
    Throttled(Duration),
    /// 440: a session that has not ended.
    Session,
    /// 403: the permission.
    Permission,
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::BadRequest(invalid.to_string())
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(_) => Self::Unavailable(error),
            error => Self::Internal(error.into()),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        let code = match self {
            Self::BadRequest(_) | Self::MissingComment | Self::Internal(_) => 420,
            Self::TooLarge(_) => 413,
            Self::UnknownCall(_) => 404,
            Self::NotPost(_) => 405,
            Self::Refused(refusal) => match refusal.reason {
                Reason::Credentials => 401,
                Reason::Throttled(_) => 429,
                Reason::Session => 440,
                Reason::Permission => 403,
            },
            Self::Unavailable(_) => 503,
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Internal(error) => tracing::error!(error = format!("{error:#}"), "failed"),
            Self::Unavailable(error) => tracing::warn!(%error, "unavailable"),
            error => tracing::debug!(%error, "refused"),
        }
        let mut builder = HttpResponse::build(self.status_code());
        match self {
            Self::Unavailable(_) => {
                builder.insert_header((header::RETRY_AFTER, RETRY_AFTER.as_secs()));
            }
            Self::NotPost(_) => {
                builder.insert_header((header::ALLOW, "POST"));
            }
            Self::Refused(Refusal { reason: Reason::Throttled(wait), .. }) => {
                builder.insert_header((header::RETRY_AFTER, wait.as_secs().max(1)));
            }
            Self::Refused(Refusal { reason: Reason::Credentials, .. }) => {
                builder.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"JOC\""));
            }
            _ => {}
        }
        let mut response = builder.json(self.body());
        response.head_mut().reason = match self.status_code().as_u16() {
            420 => Some("Invalid Request"),
            440 => Some("Login Timeout"),
            _ => None,
        };
        response
    }
}

impl ApiError {
    fn body(&self) -> Value {
        let code = match self {
            Self::Refused(refusal) => return refusal.body(),
            Self::MissingComment => "JOC-300",
            Self::Internal(_) | Self::Unavailable(_) => "JOC-500",
            _ => "JOC-400",
        };
        json!({
            "deliveryDate": iso(&Utc::now()),
            "error": { "code": code, "message": self.to_string() },
        })
    }
}

impl Refusal {
    fn body(&self) -> Value {
        let is_authenticated = self.reason == Reason::Permission;
        let mut body = json!({
            "callerIpAddress": self.caller,
            "enableTouch": true,
            "forcePasswordChange": false,
            "hasRole": is_authenticated,
            "isApprovalRequestor": false,
            "isApprover": false,
            "isAuthenticated": is_authenticated,
            "isPermitted": false,
            "message": self.message,
        });
        if let Some(account) = &self.account {
            body["account"] = json!(account);
        }
        body
    }
}
