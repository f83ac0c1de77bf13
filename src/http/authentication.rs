//! `/authentication/…`: login and logout.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use moka::sync::Cache;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::config::Settings;
use crate::http::error::{ApiError, Reason, Refusal};
use crate::http::prometheus::LoginOutcome;
use crate::http::session::{self, ACCESS_TOKEN};
use crate::http::{
    Service, body, call_name, client_address, client_ip, limits, password, prometheus, request_id,
};
use crate::model::audit::{AuditEntry, Category, NO_CONTROLLER, Outcome, Parameters};
use crate::model::selection::check_name;
use crate::model::window::displayable;

/// How long a failed login counts.
const FAILURES_COUNT_FOR: Duration = Duration::from_secs(60);
/// What the audit trail names where a failed login shows no account.
const NO_ACCOUNT: &str = "?";
const EXPECTED: &str = "Access denied: expected 'Authorization: Basic …'";
const WRONG: &str = "Wrong account or password";
/// How many accounts and addresses with failed logins are remembered.
const CAPACITY: u64 = 100_000;

/// Failed logins of the last minute, by account and by address. Whoever holds a count's lock
/// may try: attempts take turns, so that many at once do not slip by, and none is refused for
/// another that may yet succeed.
pub(super) struct Throttle {
    by_account: Cache<String, Arc<Mutex<u32>>>,
    by_address: Cache<Option<IpAddr>, Arc<Mutex<u32>>>,
    max_by_account: u32,
    max_by_address: u32,
}

/// The turn of one attempt.
struct Turn {
    by_account: Option<OwnedMutexGuard<u32>>,
    by_address: OwnedMutexGuard<u32>,
}

impl Throttle {
    pub(super) fn new(settings: &Settings) -> Self {
        fn cache<K: std::hash::Hash + Eq + Send + Sync + 'static>() -> Cache<K, Arc<Mutex<u32>>> {
            Cache::builder().max_capacity(CAPACITY).time_to_live(FAILURES_COUNT_FOR).build()
        }
        Self {
            by_account: cache(),
            by_address: cache(),
            max_by_account: settings.failed_logins_by_account,
            max_by_address: settings.failed_logins_by_address,
        }
    }

    /// Waits for the attempt's turn; `None` if too many have failed. An attempt that names no
    /// account counts for its address alone.
    async fn turn(&self, account: Option<&str>, address: Option<IpAddr>) -> Option<Turn> {
        let by_address = self.by_address.get_with(address, Arc::default).lock_owned().await;
        let by_account = match account {
            Some(name) => {
                Some(self.by_account.get_with(name.into(), Arc::default).lock_owned().await)
            }
            None => None,
        };
        let of_account = by_account.as_deref().is_none_or(|count| *count < self.max_by_account);
        (*by_address < self.max_by_address && of_account).then_some(Turn { by_account, by_address })
    }
}

impl Turn {
    fn succeeded(mut self) {
        if let Some(count) = self.by_account.as_deref_mut() {
            *count = 0;
        }
    }

    fn failed(mut self) {
        if let Some(count) = self.by_account.as_deref_mut() {
            *count += 1;
        }
        *self.by_address += 1;
    }
}

/// What a request brings to log in with.
#[derive(Debug, PartialEq, Eq)]
enum Credentials {
    /// No `Authorization`.
    Missing,
    /// An `Authorization` that is not `Basic` or cannot be read; the account as far as it can.
    Malformed {
        account: Option<String>,
    },
    Basic {
        account: String,
        password: String,
    },
}

/// A session that has begun.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Login {
    #[serde(flatten)]
    session: Session,
    /// For the header `X-Access-Token` of every other call.
    access_token: String,
    /// After how many milliseconds without a call the session ends.
    session_timeout: i64,
}

/// Who is logged in, or no longer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session {
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

/// `POST /authentication/login`
pub(super) async fn login(
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let caller = client_address(&request);
    let refuse = |reason, account: Option<&str>, message: &str| {
        let (account, caller) = (account.map(Into::into), caller.clone());
        ApiError::Refused(Refusal { reason, account, caller, message: message.into() })
    };
    let (account, password, problem) = match Credentials::of(&request) {
        // Many clients ask without first, to be challenged: that is no attempt.
        Credentials::Missing => return Err(refuse(Reason::Credentials, None, EXPECTED)),
        Credentials::Malformed { account } => (account, None, EXPECTED),
        Credentials::Basic { account, password } => (Some(account), Some(password), WRONG),
    };
    // JOC's clients send nothing or {}; whatever it is, it says nothing.
    body::read(payload, limits::of_body(&request, &service.settings)).await?;
    let Some(turn) = service.throttle.turn(account.as_deref(), client_ip(&request)).await else {
        prometheus::login(LoginOutcome::Throttled);
        let reason = Reason::Throttled(FAILURES_COUNT_FOR);
        let message = "Too many failed logins, please wait a minute";
        return Err(refuse(reason, account.as_deref(), message));
    };

    let verified = match (&account, password) {
        (Some(account), Some(password)) => verify(&service, account, password).await?,
        _ => None,
    };
    let now = service.clock.now();
    let token = match (&account, verified) {
        (Some(account), Some(hash)) => {
            service.sessions.open(&*service.store, account, &hash, now).await?
        }
        _ => None,
    };
    let (Some(account), Some(token)) = (&account, token) else {
        turn.failed();
        prometheus::login(LoginOutcome::Refused);
        let entry = AuditEntry {
            controller_id: NO_CONTROLLER.into(),
            account: account.clone().unwrap_or_else(|| NO_ACCOUNT.into()),
            request: call_name(&request),
            parameters: Parameters::new("{}".into()),
            category: Category::Identity,
            comment: None,
            time_spent: None,
            ticket_link: None,
            request_id: request_id(&request),
            client_address: caller.clone(),
            created: now,
        };
        service.store.record(&entry, Outcome::Denied).await?;
        tracing::warn!(account = entry.account, "login refused");
        return Err(refuse(Reason::Credentials, account.as_deref(), problem));
    };
    turn.succeeded();
    let timeout = service.settings.session_timeout();
    let principal = service
        .store
        .touch_session(&session::hash(&token), now, now + timeout)
        .await?
        .ok_or_else(|| refuse(Reason::Credentials, Some(account), WRONG))?;
    prometheus::login(LoginOutcome::Accepted);
    let timeout = timeout.num_milliseconds();
    let login = Login {
        session: Session::of(account, caller, principal.roles.join(","), true),
        access_token: token.clone(),
        session_timeout: timeout,
    };
    Ok(HttpResponse::Ok()
        .insert_header((ACCESS_TOKEN, token))
        .insert_header(("X-JOC-Timeout", timeout.to_string()))
        .json(login))
}

/// `POST /authentication/logout`
pub(super) async fn logout(
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let call = service.begin(&request, payload).await?;
    if let Some(token) = session::access_token(&request) {
        service.sessions.close(&*service.store, &token).await?;
    }
    let account = &call.principal.account;
    Ok(HttpResponse::Ok().json(Session::of(account, call.client_address, String::new(), false)))
}

/// The account's hash if the password is the account's; takes as long if there is no such account.
async fn verify(
    service: &Service,
    account: &str,
    password: String,
) -> Result<Option<String>, ApiError> {
    let hash = service.store.password_hash(account).await?;
    let verified = actix_web::web::block(move || {
        let matches = password::verify(&password, hash.as_deref());
        hash.filter(|_| matches)
    });
    verified.await.map_err(|error| ApiError::Internal(error.into()))
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
        // know nothing but ISO 8859-1, in which each byte is the character of its number. Bytes
        // that can be both are not tried twice: it would double the work of a wrong password.
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

impl Session {
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
