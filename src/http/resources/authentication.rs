//! Sessions: login, logout and `/touch`.

use actix_web::http::header;
use actix_web::web::{Data, Json, Payload, post};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use tracing::Instrument;

use crate::http::context::request::Context;
use crate::http::context::response::{Acknowledged, Dated};
use crate::http::context::service::Service;
use crate::http::context::session::{self, ACCESS_TOKEN};
use crate::http::context::throttle::{ThrottleError, Turn};
use crate::http::context::{body, password};
use crate::http::error::{ApiError, Caller};
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::http::transport::limits;
use crate::http::transport::prometheus::{self, LoginOutcome};
use crate::http::transport::request::{call_name, client_address, client_ip, request_id};
use crate::model::audit::{AuditEntry, Category, Outcome, Parameters};
use crate::model::checks::{NO_CONTROLLER, check_name};
use crate::model::identities::Identities;
use crate::model::invalid::displayable;

/// The account in the audit entry of a failed login without one.
const NO_ACCOUNT: &str = "?";

/// The credentials of a login.
#[derive(Debug, PartialEq, Eq)]
enum Credentials {
    /// No `Authorization`.
    Missing,
    /// An `Authorization` that is not `Basic` or is malformed; the account, if it is readable.
    Malformed {
        account: Option<String>,
    },
    Basic {
        account: String,
        password: String,
    },
}

/// A new session.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    #[serde(flatten)]
    session: SessionItem,
    /// For the header `X-Access-Token` of every other request.
    access_token: String,
    /// Session idle timeout, in milliseconds.
    session_timeout: i64,
}

/// The account of a session, even of one that has just ended.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Session")]
pub struct SessionItem {
    account: String,
    caller_ip_address: Option<String>,
    /// Always true.
    enable_touch: bool,
    /// Always false.
    force_password_change: bool,
    has_role: bool,
    /// Always `JOC`.
    identity_service: &'static str,
    /// Always false.
    is_approval_requestor: bool,
    /// Always false.
    is_approver: bool,
    is_authenticated: bool,
    is_permitted: bool,
    /// Empty.
    message: &'static str,
    /// The account's roles, with commas between them.
    role: String,
}

/// An attempt to log in.
struct Attempt {
    service: Data<Service>,
    account: Option<String>,
    /// `None`: it cannot be read.
    password: Option<String>,
    caller: Option<String>,
    name: String,
    request_id: String,
}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::login("/authentication/login", post().to(login), "Open a session")
            .describe("Account and password are read as UTF-8 or, failing that, ISO 8859-1")
            .ignores_body()
            .returns::<Login>(schemas)
            .with_headers(&["X-Access-Token", "X-JOC-Timeout"]),
        Endpoint::post("/authentication/logout", post().to(logout), "End the session")
            .ignores_body()
            .returns::<SessionItem>(schemas),
        Endpoint::post("/touch", post().to(touch), "Keep the session alive")
            .describe("Every other request does so, too")
            .ignores_body()
            .returns::<Dated<Acknowledged>>(schemas),
    ];
    with_examples(endpoints, include_str!("authentication.json"))
}

/// `POST /authentication/login`
async fn login(
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let caller = client_address(&request);
    let (account, password) = match Credentials::of(&request) {
        // Many clients first send no credentials, to be challenged: that is no attempt.
        Credentials::Missing => {
            return Err(ApiError::NoCredentials(Caller { account: None, address: caller }));
        }
        Credentials::Malformed { account } => (account, None),
        Credentials::Basic { account, password } => (Some(account), Some(password)),
    };
    let address = client_ip(&request);
    let refuse = |refused| {
        let (outcome, error) = match refused {
            ThrottleError::Busy => (LoginOutcome::Busy, ApiError::Busy),
            ThrottleError::TooManyFailed(wait) => {
                let caller = Caller { account: account.clone(), address: caller.clone() };
                (LoginOutcome::Throttled, ApiError::TooManyFailed(caller, wait))
            }
        };
        prometheus::login(outcome);
        error
    };
    service.throttle.check(account.as_deref(), address).map_err(refuse)?;
    // JOC's clients send nothing or {}; the body is ignored.
    body::read(payload, limits::of_body(&request, &service.settings)).await?;
    let turn = service.throttle.turn(account.as_deref(), address).await.map_err(refuse)?;
    let (name, request_id) = (call_name(&request), request_id(&request));
    let attempt = Attempt { service, account, password, caller, name, request_id };
    // It completes and counts even if its client hangs up.
    let attempt = actix_web::rt::spawn(attempt.make(turn).in_current_span());
    attempt.await.map_err(|error| ApiError::Internal(error.into()))?
}

impl Attempt {
    async fn make(self, mut turn: Turn) -> Result<HttpResponse, ApiError> {
        let service = &self.service;
        let Some((account, token)) = self.open().await? else {
            turn.failed();
            return Err(self.fail().await?);
        };
        turn.succeeded();
        let (now, timeout) = (service.clock.now(), service.settings.session_timeout());
        let principal = service
            .store
            .touch_session(&session::hash(&token), now, now + timeout)
            .await?
            .ok_or_else(|| ApiError::WrongCredentials(self.caller()))?;
        prometheus::login(LoginOutcome::Accepted);
        let timeout = timeout.num_milliseconds();
        let login = Login {
            session: SessionItem::of(account, self.caller.clone(), principal.roles.join(","), true),
            access_token: token.clone(),
            session_timeout: timeout,
        };
        Ok(HttpResponse::Ok()
            .insert_header((ACCESS_TOKEN, token))
            .insert_header(("X-JOC-Timeout", timeout.to_string()))
            .json(login))
    }

    /// Verifies the password, in the same time if there is no such account, and opens a session.
    /// Returns the account and the token.
    async fn open(&self) -> Result<Option<(&str, String)>, ApiError> {
        let (Some(account), Some(password)) = (&self.account, self.password.clone()) else {
            return Ok(None);
        };
        let Service { store, sessions, clock, .. } = &**self.service;
        let hash = store.password_hash(account).await?;
        let verified = actix_web::web::block(move || {
            let matches = password::verify(&password, hash.as_deref());
            hash.filter(|_| matches)
        });
        let verified = verified.await.map_err(|error| ApiError::Internal(error.into()))?;
        let Some(hash) = verified else { return Ok(None) };
        let token = sessions.open(&**store, account, &hash, clock.now()).await?;
        Ok(token.map(|token| (account.as_str(), token)))
    }

    /// Audits the failure, and makes its response.
    async fn fail(&self) -> Result<ApiError, ApiError> {
        prometheus::login(LoginOutcome::Refused);
        let entry = AuditEntry {
            controller_id: NO_CONTROLLER.into(),
            account: self.account.clone().unwrap_or_else(|| NO_ACCOUNT.into()),
            request: self.name.clone(),
            parameters: Parameters::new("{}".into()),
            category: Category::Identity,
            comment: None,
            time_spent: None,
            ticket_link: None,
            request_id: self.request_id.clone(),
            client_address: self.caller.clone(),
            created: self.service.clock.now(),
            undoes: None,
            key: None,
        };
        tracing::warn!(account = entry.account, "login refused");
        let entry = Identities::in_use().entry(entry);
        self.service.store.record(&entry, Outcome::Denied).await?;
        Ok(match self.password {
            Some(_) => ApiError::WrongCredentials(self.caller()),
            None => ApiError::NoCredentials(self.caller()),
        })
    }

    fn caller(&self) -> Caller {
        Caller { account: self.account.clone(), address: self.caller.clone() }
    }
}

/// `POST /authentication/logout`
async fn logout(context: Context) -> Result<Json<SessionItem>, ApiError> {
    if let Some(token) = session::access_token(&context.http) {
        context.service.sessions.close(context.store(), &token).await?;
    }
    let account = &context.principal.account;
    Ok(Json(SessionItem::of(account, context.client_address(), String::new(), false)))
}

/// `POST /touch`: like any request, it keeps the session alive.
async fn touch(context: Context) -> Result<Json<Dated<Acknowledged>>, ApiError> {
    Ok(context.dated(Acknowledged { ok: true }))
}

impl Credentials {
    fn of(request: &HttpRequest) -> Self {
        match request.headers().get(header::AUTHORIZATION) {
            Some(value) => Self::parse(value.to_str().unwrap_or_default()),
            None => Self::Missing,
        }
    }

    fn parse(value: &str) -> Self {
        let unreadable = Self::Malformed { account: None };
        let Some((scheme, encoded)) = value.split_once(' ') else { return unreadable };
        if !scheme.eq_ignore_ascii_case("basic") {
            return unreadable;
        }
        let Ok(decoded) = STANDARD.decode(encoded.trim()) else { return unreadable };
        // Browsers and curl send UTF-8, as the challenge asks; others, such as Python's requests,
        // always send ISO 8859-1, in which each byte is the character of its number. Bytes valid in
        // both are not tried twice: that would double the work of a wrong password.
        let decoded = String::from_utf8(decoded)
            .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect());
        let Some((account, password)) = decoded.split_once(':') else { return unreadable };
        if account.is_empty() {
            return unreadable;
        }
        match check_name("account", account) {
            Ok(()) => Self::Basic { account: account.into(), password: password.into() },
            Err(_) => Self::Malformed { account: Some(displayable(account)) },
        }
    }
}

impl SessionItem {
    fn of(account: &str, caller: Option<String>, role: String, logged_in: bool) -> Self {
        Self {
            account: account.into(),
            caller_ip_address: caller,
            enable_touch: true,
            force_password_change: false,
            has_role: !role.is_empty(),
            identity_service: "JOC",
            is_approval_requestor: false,
            is_approver: false,
            is_authenticated: logged_in,
            is_permitted: logged_in && !role.is_empty(),
            message: "",
            role,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Credentials {
        Credentials::parse(&format!("Basic {}", STANDARD.encode(bytes)))
    }

    #[test]
    fn credentials_are_utf_8_or_else_iso_8859_1() {
        let basic = |account: &str, password: &str| Credentials::Basic {
            account: account.into(),
            password: password.into(),
        };
        assert_eq!(parse("jörg:größe€:x".as_bytes()), basic("jörg", "größe€:x"));
        assert_eq!(parse(b"j\xf6rg:gr\xf6\xdfe"), basic("jörg", "größe"));
        // Both are possible: UTF-8 counts.
        assert_eq!(parse(b"a:\xc3\xbc"), basic("a", "ü"));
        assert_eq!(parse(b"a:"), basic("a", ""));
    }

    #[test]
    fn malformed_credentials_show_the_account_where_there_is_one() {
        let malformed =
            |account: Option<&str>| Credentials::Malformed { account: account.map(Into::into) };
        for value in ["", "Basic", "Basic ", "Basic %%", "Bearer x", "Basic YTpi YTpi"] {
            assert_eq!(Credentials::parse(value), malformed(None), "{value}");
        }
        assert_eq!(parse(b"no colon"), malformed(None));
        assert_eq!(parse(b":password"), malformed(None));
        assert_eq!(parse(b"a\nb:password"), malformed(Some("a\\nb")));
        let long = "x".repeat(256);
        let shown = format!("{}…", "x".repeat(60));
        assert_eq!(parse(format!("{long}:p").as_bytes()), malformed(Some(&shown)));
    }
}
