//! Every failure that a client can see, with its status, its code and its body.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use chrono::Utc;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::context::response::Instant;
use crate::model::invalid::Invalid;
use crate::store;

/// How long a client should wait before it asks a database again that was out of reach.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a login wants (RFC 7617).
const CHALLENGE: &str = "Basic realm=\"JOC\", charset=\"UTF-8\"";

/// A time in whole seconds, none of which is too early.
fn in_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// A failure of a call. Nothing has changed, but for [`ApiError::Unsettled`].
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
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
    /// The path takes these methods only.
    #[error("{0} takes only {1}")]
    WrongMethod(String, &'static str),
    /// The session or the permission is not there.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The database cannot be reached.
    #[error("the database cannot be reached, please try again")]
    Unavailable(#[source] store::Error),
    /// The database has no room left to write.
    #[error("the database has no room left, nothing has changed; please try again later")]
    NoRoom(#[source] store::Error),
    /// The database only lets itself be read.
    #[error("the database is read-only at the moment, nothing has changed; please try again later")]
    ReadOnly(#[source] store::Error),
    /// The database was lost in the middle of a change.
    #[error(
        "database connection lost during the change, which was applied fully or not at all: \
         search the audit log for this request ID"
    )]
    Unsettled,
    /// The database cannot be reached or is not this program's.
    #[error("the database is not ready: {0}")]
    NotReady(String),
    /// Too many logins wait.
    #[error("too many logins at once, please try again")]
    Busy,
    /// The service takes no new calls.
    #[error("the service is shutting down, please try again")]
    Stopping,
    /// The call took longer than the settings allow.
    #[error("the call was given up after {} seconds; nothing has changed", .0.as_secs())]
    TimedOut(Duration),
    /// The client has gone.
    #[error("the client has closed the connection")]
    HungUp,
    /// The header fields are larger than the settings allow.
    #[error("the header fields are larger than {0} bytes")]
    HeadersTooLarge(usize),
    /// `JOC-500`: anything unforeseen.
    #[error("internal error; see the log under this request ID")]
    Internal(#[source] anyhow::Error),
}

/// Why a caller is not let through, as JOC's clients know it.
#[derive(Debug, Clone)]
pub struct Refusal {
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
pub enum Reason {
    /// 401 with a challenge: right credentials.
    Credentials,
    /// 401: an access token. There is no challenge, since a browser would ask a person for a
    /// password, and then send it where it is of no use.
    Token,
    /// 429: fewer failed logins before this one; the next may come after this time.
    Throttled(Duration),
    /// 429: fewer denied calls before this one; the next may come after this time.
    TooManyDenied(Duration),
    /// 440: a session that has not ended.
    Session,
    /// 403: the permission.
    Permission,
}

/// A failure; nothing has changed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// When the answer was made.
    delivery_date: Instant,
    error: Problem,
}

/// What is wrong.
#[derive(Debug, Serialize, JsonSchema)]
struct Problem {
    #[schemars(extend("enum" = [BAD_REQUEST, MISSING_COMMENT, UNFORESEEN]))]
    code: &'static str,
    /// It begins with the field that is refused and says what was expected.
    #[schemars(example = "dateFrom: '1q' is neither a date nor a period")]
    message: String,
}

const BAD_REQUEST: &str = "JOC-400";
const MISSING_COMMENT: &str = "JOC-300";
const UNFORESEEN: &str = "JOC-500";

/// Who is not let through, as JOC's clients know it.
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
    message: &'a str,
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
            store::Error::Lost(_) => Self::NotReady(error.to_string()),
            store::Error::NoRoom(_) => Self::NoRoom(error),
            store::Error::ReadOnly(_) => Self::ReadOnly(error),
            store::Error::Unsettled => Self::Unsettled,
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
            Self::WrongMethod(..) => 405,
            Self::Refused(refusal) => match refusal.reason {
                Reason::Credentials | Reason::Token => 401,
                Reason::Throttled(_) | Reason::TooManyDenied(_) => 429,
                Reason::Session => 440,
                Reason::Permission => 403,
            },
            Self::HeadersTooLarge(_) => 431,
            // As nginx has it; nobody is there to read it.
            Self::HungUp => 499,
            Self::Unavailable(_)
            | Self::NoRoom(_)
            | Self::ReadOnly(_)
            | Self::Unsettled
            | Self::NotReady(_)
            | Self::Busy
            | Self::Stopping
            | Self::TimedOut(_) => 503,
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Internal(error) => tracing::error!(error = format!("{error:#}"), "failed"),
            Self::Unavailable(error) | Self::NoRoom(error) | Self::ReadOnly(error) => {
                tracing::warn!(%error, "unavailable")
            }
            error @ (Self::Unsettled | Self::NotReady(_) | Self::TimedOut(_)) => {
                tracing::warn!(%error, "unavailable")
            }
            error => tracing::debug!(%error, "refused"),
        }
        let mut builder = HttpResponse::build(self.status_code());
        match self {
            _ if self.status_code() == StatusCode::SERVICE_UNAVAILABLE => {
                builder.insert_header((header::RETRY_AFTER, RETRY_AFTER.as_secs()));
            }
            Self::WrongMethod(_, methods) => {
                builder.insert_header((header::ALLOW, *methods));
            }
            Self::Refused(Refusal {
                reason: Reason::Throttled(wait) | Reason::TooManyDenied(wait),
                ..
            }) => {
                builder.insert_header((header::RETRY_AFTER, in_seconds(*wait)));
            }
            Self::Refused(Refusal { reason: Reason::Credentials, .. }) => {
                builder.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
            }
            _ => {}
        }
        let mut response = self.body(builder);
        response.head_mut().reason = match self.status_code().as_u16() {
            420 => Some("Invalid Request"),
            499 => Some("Client Closed Request"),
            440 => Some("Login Timeout"),
            _ => None,
        };
        response
    }
}

impl ApiError {
    fn body(&self, mut builder: HttpResponseBuilder) -> HttpResponse {
        let code = match self {
            Self::Refused(refusal) => return builder.json(refusal.body()),
            Self::MissingComment => MISSING_COMMENT,
            Self::Internal(_) => UNFORESEEN,
            _ if self.status_code() == StatusCode::SERVICE_UNAVAILABLE => UNFORESEEN,
            _ => BAD_REQUEST,
        };
        builder.json(Failure {
            delivery_date: Instant(Utc::now()),
            error: Problem { code, message: self.to_string() },
        })
    }
}

impl Refusal {
    fn body(&self) -> RefusalBody<'_> {
        let is_authenticated = matches!(self.reason, Reason::Permission | Reason::TooManyDenied(_));
        RefusalBody {
            account: self.account.as_deref(),
            caller_ip_address: self.caller.as_deref(),
            enable_touch: true,
            force_password_change: false,
            has_role: is_authenticated,
            is_approval_requestor: false,
            is_approver: false,
            is_authenticated,
            is_permitted: false,
            message: &self.message,
        }
    }
}
