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
use crate::http::{Service, body, call_name, client_address, client_ip, password, prometheus, request_id};
use crate::model::audit::{AuditEntry, Category, NO_CONTROLLER, Outcome};
use crate::model::selection::check_name;

/// How long a failed login counts.
const FAILURES_COUNT_FOR: Duration = Duration::from_secs(60);
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
    by_account: OwnedMutexGuard<u32>,
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

    /// Waits for the attempt's turn; `None` if too many have failed.
    async fn turn(&self, account: &str, address: Option<IpAddr>) -> Option<Turn> {
        let by_address = self.by_address.get_with(address, Arc::default).lock_owned().await;
        let by_account = self.by_account.get_with(account.into(), Arc::default).lock_owned().await;
        (*by_address < self.max_by_address && *by_account < self.max_by_account)
            .then_some(Turn { by_account, by_address })
    }
}

impl Turn {
    fn succeeded(mut self) {
        *self.by_account = 0;
    }

    fn failed(mut self) {
        *self.by_account += 1;
        *self.by_address += 1;
    }
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
    // JOC's clients send nothing or {}; whatever it is, it says nothing.
    body::read(payload, service.settings.body_limit).await?;
    let caller = client_address(&request);
    let refuse = |reason, account: Option<&str>, message: &str| {
        let (account, caller) = (account.map(Into::into), caller.clone());
        ApiError::Refused(Refusal { reason, account, caller, message: message.into() })
    };
    let Some((account, password)) = credentials(&request) else {
        prometheus::login(LoginOutcome::Refused);
        let message = "Access denied: expected 'Authorization: Basic …'";
        return Err(refuse(Reason::Credentials, None, message));
    };
    let address = client_ip(&request);
    let Some(turn) = service.throttle.turn(&account, address).await else {
        prometheus::login(LoginOutcome::Throttled);
        let reason = Reason::Throttled(FAILURES_COUNT_FOR);
        return Err(refuse(reason, Some(&account), "Too many failed logins, please wait a minute"));
    };

    let hash = service.store.password_hash(&account).await?;
    let verified = actix_web::web::block(move || password::verify(&password, hash.as_deref()));
    let now = service.clock.now();
    if !verified.await.map_err(|error| ApiError::Internal(error.into()))? {
        turn.failed();
        prometheus::login(LoginOutcome::Refused);
        let entry = AuditEntry {
            controller_id: NO_CONTROLLER.into(),
            account: account.clone(),
            request: call_name(&request),
            parameters: "{}".into(),
            category: Category::Identity,
            comment: None,
            time_spent: None,
            ticket_link: None,
            request_id: request_id(&request),
            client_address: caller.clone(),
            created: now,
        };
        service.store.record(&entry, Outcome::Denied).await?;
        tracing::warn!(account, "login refused");
        return Err(refuse(Reason::Credentials, Some(&account), "Wrong account or password"));
    }
    turn.succeeded();
    let token = service.sessions.open(&*service.store, &account, now).await?;
    let timeout = service.settings.session_timeout();
    let principal =
        service.store.touch_session(&session::hash(&token), now, now + timeout).await?.ok_or_else(
            || refuse(Reason::Credentials, Some(&account), "Wrong account or password"),
        )?;
    prometheus::login(LoginOutcome::Accepted);
    let timeout = timeout.num_milliseconds();
    let login = Login {
        session: Session::of(&account, caller, principal.roles.join(","), true),
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

fn credentials(request: &HttpRequest) -> Option<(String, String)> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (account, password) = decoded.split_once(':')?;
    check_name("account", account).ok()?;
    Some((account.into(), password.into()))
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
