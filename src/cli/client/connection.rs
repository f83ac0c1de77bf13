//! A session with the service: log in, send requests, log out.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::{Value, json};

use super::api_url::{PASSWORD, api_url};
use super::context_file::{self, SavedContext};
use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::http_client::{Trust, http_client};
use crate::cli::output::{self, OutputFormat};
use crate::cli::terminal::{tell, waiting, write};
use crate::config::variable;
use crate::http::BASE;
use crate::model::json::Json;
use crate::model::once::IDEMPOTENCY_KEY;

/// Timeout of a logout; an open session expires by itself.
const LOGOUT_TIMEOUT: Duration = Duration::from_secs(5);
const ACCESS_TOKEN: &str = "X-Access-Token";
const DEFAULT_URL: &str = "http://127.0.0.1:4446/joc/api";

/// The service and the account.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// Token of an existing session; overrides --user
    #[arg(long, env = "JOC_ORDERS_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// What a login needs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ServiceArgs {
    /// Context of `joc-orders login`, which the other flags override [default: the current one]
    #[arg(long, env = "JOC_ORDERS_CONTEXT", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) context: Option<String>,
    /// URL of the service, http or https; without a path, /joc/api is appended
    /// [default: that of the context, or http://127.0.0.1:4446/joc/api]
    #[arg(long, env = "JOC_ORDERS_URL", value_parser = api_url)]
    pub(super) url: Option<Url>,
    /// Account to log in as; its password is JOC_ORDERS_PASSWORD or asked for on a terminal
    #[arg(long, env = "JOC_ORDERS_USER", value_name = "ACCOUNT")]
    user: Option<String>,
    /// File of certificate authorities to trust besides those of the system
    #[arg(long, env = "JOC_ORDERS_CA_FILE", value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
}

/// Where requests go.
struct Target {
    context: Option<(String, SavedContext)>,
    url: Url,
    client: Client,
}

/// A session with the service.
pub(super) struct ApiSession {
    client: Client,
    url: String,
    token: HeaderValue,
    /// What to say if the session has ended.
    ended: Option<String>,
    /// Whether a question is open on the terminal, which an interrupt then answers.
    pub(super) asking: Cell<bool>,
}

/// A successful response.
pub(super) struct ApiResponse {
    headers: HeaderMap,
    pub body: Value,
}

impl ApiResponse {
    async fn of(response: Response) -> Result<Self, CliError> {
        let headers = response.headers().clone();
        Ok(Self { headers, body: body_of(response).await? })
    }

    /// How many orders a change affected.
    pub(super) fn affected(&self) -> Option<u64> {
        self.number("X-Orders-Affected")
    }

    /// The id of the change's entry in the audit log.
    pub(super) fn audit_log_id(&self) -> Option<u64> {
        self.number("X-Audit-Log-Id")
    }

    fn number(&self, header: &str) -> Option<u64> {
        self.headers.get(header)?.to_str().ok()?.parse().ok()
    }
}

impl ConnectionArgs {
    /// Runs `work` in a session, and logs out also if it fails or is interrupted. The session of
    /// a given token or of a context stays open.
    pub(super) async fn session<T>(
        &self,
        work: impl AsyncFnOnce(&ApiSession) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let target = self.target()?;
        let (mut session, stays_open) = match self.opened(&target)? {
            Some(session) => (session, true),
            None => {
                let user = self.service.user().ok_or_else(|| self.no_account())?;
                let password = password(user)?;
                (ApiSession::log_in(target.client, &target.url, user, &password).await?, false)
            }
        };
        let result = tokio::select! {
            result = work(&session) => result,
            _ = tokio::signal::ctrl_c() => Err(session.interrupted().into()),
        };
        if !stays_open {
            session.ended = None;
            // Best effort: the work is done.
            let _ = session.log_out().await;
        }
        result
    }

    /// The response to a request for the completion of a word, which asks and shows nothing. None if
    /// there is no session.
    pub(super) async fn quietly(&self, call: &str, body: &Value) -> Option<Value> {
        let session = self.opened(&self.target().ok()?).ok()??;
        body_of(session.send(call, body).await.ok()?).await.ok()
    }

    fn target(&self) -> anyhow::Result<Target> {
        let context = self.context()?;
        let saved = context.as_ref().map(|(_, saved)| saved);
        let url = self.service.url_or(saved);
        let client = client(&url, self.service.ca_file_or(saved))?;
        Ok(Target { context, url, client })
    }

    /// The session of the token or of the context; none if there is an account to log in.
    fn opened(&self, target: &Target) -> anyhow::Result<Option<ApiSession>> {
        let open = |token: &str| ApiSession::new(target.client.clone(), &target.url, token);
        if let Some(token) = self.given_token() {
            return open(token).map(Some);
        }
        let Some((name, saved)) = target.context.as_ref().filter(|_| self.service.user().is_none())
        else {
            return Ok(None);
        };
        let mut session = open(saved.token.as_deref().ok_or_else(|| logged_out(name))?)?;
        session.ended = Some(format!(
            "the session of context {} has ended: {}",
            visible(name),
            log_in_again(name)
        ));
        Ok(Some(session))
    }

    /// The controller of the context.
    pub(super) fn controller_id(&self) -> anyhow::Result<Option<String>> {
        let saved = self.service.saved()?.and_then(|(_, saved)| saved.controller_id);
        Ok(saved)
    }

    /// The context, unless the flags say everything.
    fn context(&self) -> anyhow::Result<Option<(String, SavedContext)>> {
        let has_account = self.given_token().is_some() || self.service.user().is_some();
        if has_account && self.service.url.is_some() && self.service.context.is_none() {
            return Ok(None);
        }
        self.service.saved()
    }

    fn given_token(&self) -> Option<&str> {
        self.token.as_deref().filter(|token| !token.is_empty())
    }

    fn no_account(&self) -> CliError {
        let mut problem = String::from("give --user or --token, or log in with `joc-orders login`");
        if self.service.url.is_some() {
            problem += "; the session of a context is used only for its own URL";
        }
        CliError::Usage(problem)
    }
}

fn logged_out(context: &str) -> CliError {
    let problem =
        format!("not logged in to context {}: {}", visible(context), log_in_again(context));
    CliError::NotPermitted(problem)
}

fn log_in_again(context: &str) -> String {
    format!("log in again with `joc-orders login --context {}`", visible(context))
}

impl ServiceArgs {
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref().filter(|user| !user.is_empty())
    }

    pub(super) fn url_or(&self, saved: Option<&SavedContext>) -> Url {
        let url = self.url.as_ref().or(saved.map(|saved| &saved.url)).cloned();
        #[expect(clippy::expect_used, reason = "the constant is a URL")]
        url.unwrap_or_else(|| DEFAULT_URL.parse().expect("a URL"))
    }

    pub(super) fn ca_file_or<'a>(&'a self, saved: Option<&'a SavedContext>) -> Option<&'a Path> {
        self.ca_file.as_deref().or(saved?.ca_file.as_deref())
    }

    /// The context, by name or the current one. Nothing of it, above all not its token, is for
    /// another URL.
    fn saved(&self) -> anyhow::Result<Option<(String, SavedContext)>> {
        let contexts = context_file::load()?;
        let Some(name) = self.context.as_ref().or(contexts.current.as_ref()) else {
            return Ok(None);
        };
        let saved = contexts.named(name)?;
        let is_its = self.url.as_ref().is_none_or(|url| *url == saved.url);
        Ok(is_its.then(|| (name.clone(), saved.clone())))
    }
}

/// The client for a service.
pub(super) fn client(url: &Url, ca_file: Option<&Path>) -> anyhow::Result<Client> {
    http_client(url, ca_file.map_or(Trust::System, Trust::SystemAnd))
}

/// The password: the variable's, or what the person types.
pub(super) fn password(user: &str) -> anyhow::Result<String> {
    match variable(PASSWORD) {
        Some(password) => Ok(password),
        None if io::stdin().is_terminal() => {
            let prompt = format!("Password of {}: ", visible(user));
            rpassword::prompt_password(prompt).context("the password")
        }
        None => {
            let problem = format!("{PASSWORD} is not set, and standard input is not a terminal");
            Err(CliError::Usage(problem).into())
        }
    }
}

impl ApiSession {
    /// A session that is open already.
    pub(super) fn new(client: Client, url: &Url, token: &str) -> anyhow::Result<Self> {
        let mut token = HeaderValue::from_str(token)
            .map_err(|_| CliError::Usage("--token: not an access token".into()))?;
        token.set_sensitive(true);
        let url = url.as_str().to_owned();
        Ok(Self { client, url, token, ended: None, asking: Cell::new(false) })
    }

    /// Opens a session.
    pub(super) async fn log_in(
        client: Client,
        url: &Url,
        user: &str,
        password: &str,
    ) -> anyhow::Result<Self> {
        let _waiting = waiting("logging in");
        let request = client.post(format!("{url}/authentication/login"));
        let request = request.basic_auth(user, Some(password)).json(&json!({}));
        let response = sent(request, url.as_str(), None).await?;
        let login: Value = body_of(response).await?;
        let token = login["accessToken"].as_str().filter(|token| !token.is_empty());
        let token = token
            .ok_or_else(|| CliError::Other("the login response has no access token".into()))?;
        Self::new(client, url, token)
    }

    /// Ends the session.
    pub(super) async fn log_out(&self) -> Result<(), CliError> {
        let body = json!({});
        let logout = self.send("/authentication/logout", &body);
        match tokio::time::timeout(LOGOUT_TIMEOUT, logout).await {
            Ok(response) => response.map(drop),
            Err(_) => Err(CliError::Unreachable(format!("no response from {}", self.url))),
        }
    }

    /// The token of the session.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.to_str().ok()
    }

    /// Sends a request, and returns the response if it is a success.
    pub(super) async fn call(&self, call: &str, body: &Value) -> Result<ApiResponse, CliError> {
        let _waiting = waiting(call);
        ApiResponse::of(self.send(call, body).await?).await
    }

    /// Sends a request with an idempotency key, as [`ApiSession::call`].
    pub(super) async fn attempt(
        &self,
        call: &str,
        body: &Value,
        key: &str,
    ) -> Result<ApiResponse, CliError> {
        let request = self.request(call, body).header(IDEMPOTENCY_KEY, key);
        ApiResponse::of(sent(request, &self.url, self.ended.as_deref()).await?).await
    }

    /// Sends a request, and streams the response to standard output.
    pub(super) async fn copy(&self, call: &str, body: &Value) -> anyhow::Result<()> {
        if io::stdout().is_terminal() {
            return output::whole(OutputFormat::Json, &self.call(call, body).await?.body);
        }
        let waiting = waiting(call);
        let mut response = self.send(call, body).await?;
        drop(waiting);
        while let Some(chunk) = response.chunk().await.map_err(aborted)? {
            write(&chunk)?;
        }
        write(b"\n")
    }

    fn interrupted(&self) -> CliError {
        tell("\n");
        if self.asking.get() { CliError::NotConfirmed } else { CliError::Interrupted }
    }

    async fn send(&self, call: &str, body: &Value) -> Result<Response, CliError> {
        sent(self.request(call, body), &self.url, self.ended.as_deref()).await
    }

    fn request(&self, call: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(format!("{}{call}", self.url));
        request.header(ACCESS_TOKEN, &self.token).json(body)
    }
}

/// Sends a request; `ended` is what to say if there is no session any more.
async fn sent(
    request: RequestBuilder,
    url: &str,
    ended: Option<&str>,
) -> Result<Response, CliError> {
    let response = request.send().await.map_err(|error| {
        if error.is_connect() || error.is_builder() {
            CliError::Unreachable(format!("cannot reach {url}: {}", causes(error)))
        } else {
            aborted(error)
        }
    })?;
    let status = response.status().as_u16();
    if status == 200 {
        return Ok(response);
    }
    if let (440, Some(ended)) = (status, ended) {
        return Err(CliError::NotPermitted(ended.into()));
    }
    let failure = CliError::of_response(status, &response.text().await.map_err(aborted)?);
    // The API has no 404.
    Err(if status == 404 { CliError::Usage(not_the_api(url)) } else { failure })
}

fn not_the_api(url: &str) -> String {
    let api = Url::parse(url).and_then(|url| url.join(BASE)).map_or(BASE.into(), String::from);
    format!("there is no API at {url}; try --url {api}")
}

async fn body_of(response: Response) -> Result<Value, CliError> {
    let body = response.bytes().await.map_err(aborted)?;
    serde_json::from_slice(&body)
        .map(|Json(value)| value)
        .map_err(|_| CliError::Other("the response is not JSON; is --url that of the API?".into()))
}

fn aborted(error: reqwest::Error) -> CliError {
    CliError::Aborted(causes(error))
}

/// An error with its causes in one line.
fn causes(error: reqwest::Error) -> String {
    visible(&format!("{:#}", anyhow::Error::new(error.without_url())))
}
