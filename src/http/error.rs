//! Every failure that a client can see: its message, status, code and body.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::date::Instant;
use crate::model::invalid::{Invalid, InvalidKind};
use crate::model::once::IDEMPOTENCY_KEY;
use crate::model::permission::Permission;
use crate::store;

/// After how many seconds a client should try again when the service is unavailable.
const RETRY_SECONDS: u64 = 5;

/// The challenge of a login (RFC 7617).
const CHALLENGE: &str = "Basic realm=\"JOC\", charset=\"UTF-8\"";

/// Why a request fails. Nothing has changed, except perhaps for [`ApiError::Unsettled`].
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request is invalid.
    #[error("{0}")]
    BadRequest(String),
    /// A date, period or time zone cannot be read, or the window is empty.
    #[error("{0}")]
    BadDate(String),
    /// The request is valid, but what it names is not there.
    #[error("{0}")]
    NotFound(String),
    /// There is no such controller.
    #[error("{0}")]
    UnknownController(Invalid),
    /// The settings require a comment.
    #[error("missing comment")]
    MissingComment,
    /// The body is larger than the settings allow.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The header fields are larger than the settings allow.
    #[error("the header fields are larger than {0} bytes")]
    HeadersTooLarge(usize),
    /// The path has no endpoint.
    #[error("there is no endpoint {0}")]
    UnknownEndpoint(String),
    /// The path takes only these methods.
    #[error("{0} takes only {1}")]
    WrongMethod(String, &'static str),
    /// A login without credentials that can be read.
    #[error("Access denied: expected 'Authorization: Basic …'")]
    NoCredentials(Caller),
    /// A login with an unknown account or a wrong password.
    #[error("Wrong account or password")]
    WrongCredentials(Caller),
    /// There is no access token.
    #[error("Access denied: no X-Access-Token, please log in")]
    NoToken(Caller),
    /// The access token belongs to no session.
    #[error("Session has expired or is unknown, please log in")]
    NoSession(Caller),
    /// The account lacks a permission for a controller.
    #[error("Access denied: {1} is missing for {2}")]
    Denied(Caller, Permission, String),
    /// Too many logins have failed; retry after this time.
    #[error("Too many failed logins; Retry-After says how long to wait")]
    TooManyFailed(Caller, Duration),
    /// Too many requests were denied; retry after this time.
    #[error("Too many denied requests; Retry-After says how long to wait")]
    TooManyDenied(Caller, Duration),
    /// The client has gone.
    #[error("the client has closed the connection")]
    HungUp,
    /// The database cannot be reached.
    #[error("the database cannot be reached, please try again")]
    Unavailable(#[source] store::Error),
    /// The disk of the database is full.
    #[error("the database has no room left, nothing has changed; please try again later")]
    NoRoom(#[source] store::Error),
    /// The database accepts no changes.
    #[error("the database is read-only at the moment, nothing has changed; please try again later")]
    ReadOnly(#[source] store::Error),
    /// The outcome of a change is unknown.
    #[error(
        "database connection lost during the change, which was applied fully or not at all: \
         search the audit log for this request ID"
    )]
    Unsettled,
    /// The database cannot be reached or is not usable by this program.
    #[error("the database is not ready: {0}")]
    NotReady(String),
    /// Too many logins are waiting.
    #[error("too many logins at once, please try again")]
    Busy,
    /// The service accepts no new requests.
    #[error("the service is shutting down, please try again")]
    Stopping,
    /// The request took longer than the settings allow.
    #[error("the request timed out after {} seconds; nothing has changed", .0.as_secs())]
    TimedOut(Duration),
    /// Anything unforeseen.
    #[error("internal error; see the log under this request ID")]
    Internal(#[source] anyhow::Error),
}

const NOT_FOUND: &str = "JOC-400";
const UNKNOWN_CONTROLLER: &str = "JOC-404";
const BAD_DATE: &str = "JOC-405";
const BAD_REQUEST: &str = "JOC-420";
const MISSING_COMMENT: &str = "JOC-300";
const UNFORESEEN: &str = "JOC-500";
const CODES: [&str; 6] =
    [MISSING_COMMENT, NOT_FOUND, UNKNOWN_CONTROLLER, BAD_DATE, BAD_REQUEST, UNFORESEEN];

/// What the body of a failure tells.
enum ErrorBody<'a> {
    Coded(&'static str),
    Refused(&'a Caller),
}

impl ApiError {
    /// The status and the body of each failure.
    fn status_and_body(&self) -> (u16, ErrorBody<'_>) {
        use ErrorBody::{Coded, Refused};

        match self {
            Self::BadRequest(_) => (420, Coded(BAD_REQUEST)),
            Self::BadDate(_) => (420, Coded(BAD_DATE)),
            Self::NotFound(_) => (420, Coded(NOT_FOUND)),
            Self::UnknownController(_) => (420, Coded(UNKNOWN_CONTROLLER)),
            Self::MissingComment => (420, Coded(MISSING_COMMENT)),
            Self::Internal(_) => (420, Coded(UNFORESEEN)),
            Self::TooLarge(_) => (413, Coded(BAD_REQUEST)),
            Self::HeadersTooLarge(_) => (431, Coded(BAD_REQUEST)),
            Self::UnknownEndpoint(_) => (404, Coded(BAD_REQUEST)),
            Self::WrongMethod(..) => (405, Coded(BAD_REQUEST)),
            Self::NoCredentials(caller) => (401, Refused(caller)),
            Self::WrongCredentials(caller) => (401, Refused(caller)),
            Self::NoToken(caller) => (401, Refused(caller)),
            Self::NoSession(caller) => (440, Refused(caller)),
            Self::Denied(caller, ..) => (403, Refused(caller)),
            Self::TooManyFailed(caller, _) => (429, Refused(caller)),
            Self::TooManyDenied(caller, _) => (429, Refused(caller)),
            // As in nginx; no client is left to read it.
            Self::HungUp => (499, Coded(BAD_REQUEST)),
            Self::Unavailable(_)
            | Self::NoRoom(_)
            | Self::ReadOnly(_)
            | Self::Unsettled
            | Self::NotReady(_)
            | Self::Busy
            | Self::Stopping
            | Self::TimedOut(_) => (503, Coded(UNFORESEEN)),
        }
    }

    /// The header field that says what to do next.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        Some(match self {
            Self::WrongMethod(_, methods) => (ALLOW, HeaderValue::from_static(methods)),
            // No challenge without a token: a browser would ask for a password, which does not
            // help.
            Self::NoCredentials(_) | Self::WrongCredentials(_) => {
                (WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))
            }
            Self::TooManyFailed(_, wait) | Self::TooManyDenied(_, wait) => {
                (RETRY_AFTER, in_seconds(*wait).into())
            }
            _ if self.status_and_body().0 == 503 => (RETRY_AFTER, RETRY_SECONDS.into()),
            _ => return None,
        })
    }

    /// The cause, for the log; clients do not see it.
    pub fn cause(&self) -> String {
        match self {
            Self::Internal(error) => format!("{error:#}"),
            Self::Unavailable(error) | Self::NoRoom(error) | Self::ReadOnly(error) => {
                error.to_string()
            }
            error => error.to_string(),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        let (status, _) = self.status_and_body();
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.response_at(Utc::now())
    }
}

impl ApiError {
    /// The response of this date.
    pub fn response_at(&self, date: DateTime<Utc>) -> HttpResponse {
        let (status, body) = self.status_and_body();
        match self {
            Self::Internal(_) => tracing::error!(error = self.cause(), "failed"),
            Self::Busy | Self::Stopping => tracing::debug!(error = self.cause(), "refused"),
            _ if status == 503 => tracing::warn!(error = self.cause(), "unavailable"),
            _ => tracing::debug!(error = self.cause(), "refused"),
        }
        let mut builder = HttpResponse::build(self.status_code());
        if let Some(header) = self.header() {
            builder.insert_header(header);
        }
        let message = self.to_string();
        let mut response = match body {
            ErrorBody::Refused(caller) => {
                let is_authenticated = matches!(self, Self::Denied(..) | Self::TooManyDenied(..));
                builder.json(RefusalBody {
                    account: caller.account.as_deref(),
                    caller_ip_address: caller.address.as_deref(),
                    enable_touch: true,
                    force_password_change: false,
                    has_role: is_authenticated,
                    is_approval_requestor: false,
                    is_approver: false,
                    is_authenticated,
                    is_permitted: false,
                    message,
                })
            }
            ErrorBody::Coded(code) => builder.json(FailureBody {
                delivery_date: Instant(date),
                error: CodedMessage { code, message },
            }),
        };
        response.head_mut().reason = match status {
            420 => Some("Invalid Request"),
            440 => Some("Login Timeout"),
            499 => Some("Client Closed Request"),
            _ => None,
        };
        response
    }
}

/// A time in whole seconds, rounded up.
fn in_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        match invalid.kind {
            InvalidKind::Field => Self::BadRequest(invalid.to_string()),
            InvalidKind::Date => Self::BadDate(invalid.to_string()),
        }
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(_) => Self::Unavailable(error),
            store::Error::Lost(_) => Self::NotReady(error.to_string()),
            store::Error::NoRoom(_) => Self::NoRoom(error),
            store::Error::ReadOnly(_) => Self::ReadOnly(error),
            store::Error::Unsettled => Self::Unsettled,
            store::Error::KeyUsed => {
                let problem = "came with another request before; send a new key";
                Invalid::new(IDEMPOTENCY_KEY, problem).into()
            }
            error => Self::Internal(error.into()),
        }
    }
}

/// Who sends a request, as far as it is known.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account.
    pub account: Option<String>,
    /// The IP address.
    pub address: Option<String>,
}

/// A failure; nothing has changed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Failure")]
pub struct FailureBody {
    /// When the response was made.
    delivery_date: Instant,
    error: CodedMessage,
}

/// What is wrong.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
struct CodedMessage {
    #[schemars(extend("enum" = CODES))]
    code: &'static str,
    /// Names the rejected field first, then says what was expected.
    #[schemars(example = "dateFrom: '1q' is neither a date nor a period")]
    message: String,
}

/// The rejected account, in the form that JOC's clients expect.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Refusal")]
pub struct RefusalBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    caller_ip_address: Option<&'a str>,
    /// Always true.
    enable_touch: bool,
    /// Always false.
    force_password_change: bool,
    has_role: bool,
    /// Always false.
    is_approval_requestor: bool,
    /// Always false.
    is_approver: bool,
    is_authenticated: bool,
    /// Always false.
    is_permitted: bool,
    /// For people.
    message: String,
}
