//! A session with the service: log in, send requests, log out.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::{Value, json};

use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::http_client::{Trust, http_client};
use crate::cli::output;
use crate::cli::terminal::{tell, write};
use crate::config::variable;
use crate::http::BASE;
use crate::model::json::Json;

/// Timeout of a logout; an open session expires by itself.
const LOGOUT_TIMEOUT: Duration = Duration::from_secs(5);
const ACCESS_TOKEN: &str = "X-Access-Token";
/// The variable with the password. There is no flag, which process lists would show.
const PASSWORD: &str = "JOC_ORDERS_PASSWORD";

/// The service and the account.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArgs {
    /// URL of the service, http or https; without a path, /joc/api is appended
    #[arg(
        long,
        env = "JOC_ORDERS_URL",
        default_value = "http://127.0.0.1:4446/joc/api",
        value_parser = api_url
    )]
    url: Url,
    /// Account to log in as; its password is JOC_ORDERS_PASSWORD or asked for on a terminal
    #[arg(long, env = "JOC_ORDERS_USER", value_name = "ACCOUNT")]
    user: Option<String>,
    /// Token of an existing session; overrides --user
    #[arg(long, env = "JOC_ORDERS_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

fn api_url(text: &str) -> Result<Url, String> {
    let expected = || String::from("expected http://HOST:PORT or https://HOST:PORT");
    let mut url: Url = text.trim_end_matches('/').parse().map_err(|_| expected())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(expected());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("pass the account in --user and its password in {PASSWORD}"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("query and fragment are not allowed".into());
    }
    if url.path() == "/" {
        url.set_path(BASE);
    }
    Ok(url)
}

/// A session with the service.
pub(super) struct ApiSession {
    client: Client,
    url: String,
    token: HeaderValue,
    /// Whether a question is open on the terminal, which an interrupt then answers.
    pub(super) asking: Cell<bool>,
}

/// A successful response.
pub(super) struct ApiResponse {
    headers: HeaderMap,
    pub body: Value,
}

impl ApiResponse {
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
    /// a given token stays open.
    pub(super) async fn session<T>(
        &self,
        work: impl AsyncFnOnce(&ApiSession) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let client = http_client(&self.url, Trust::System)?;
        let given = self.token.as_deref().filter(|token| !token.is_empty());
        let token = match given {
            Some(token) => token.to_owned(),
            None => self.login(&client).await?,
        };
        let mut token = HeaderValue::from_str(&token)
            .map_err(|_| CliError::Usage("--token: not an access token".into()))?;
        token.set_sensitive(true);
        let url = self.url.as_str().to_owned();
        let session = ApiSession { client, url, token, asking: Cell::new(false) };

        let result = tokio::select! {
            result = work(&session) => result,
            _ = tokio::signal::ctrl_c() => Err(session.interrupted().into()),
        };
        if given.is_none() {
            // Best effort: the work is done.
            let body = json!({});
            let logout = session.send("/authentication/logout", &body);
            let _ = tokio::time::timeout(LOGOUT_TIMEOUT, logout).await;
        }
        result
    }

    async fn login(&self, client: &Client) -> anyhow::Result<String> {
        let user = self.user.as_deref().filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| CliError::Usage("give --user or --token".into()))?;
        let password = password(user)?;
        let _waiting = waiting("logging in");
        let request = client.post(format!("{}/authentication/login", self.url));
        let request = request.basic_auth(user, Some(password)).json(&json!({}));
        let response = sent(request, self.url.as_str()).await?;
        let login: Value = body_of(response).await?;
        let token = login["accessToken"].as_str().filter(|token| !token.is_empty());
        let token = token
            .ok_or_else(|| CliError::Other("the login response has no access token".into()))?;
        Ok(token.to_owned())
    }
}

fn password(user: &str) -> anyhow::Result<String> {
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
    /// Sends a request, and returns the response if it is a success.
    pub(super) async fn call(&self, call: &str, body: &Value) -> Result<ApiResponse, CliError> {
        let _waiting = waiting(call);
        let response = self.send(call, body).await?;
        let headers = response.headers().clone();
        Ok(ApiResponse { headers, body: body_of(response).await? })
    }

    /// Sends a request, and streams the response to standard output.
    pub(super) async fn copy(&self, call: &str, body: &Value) -> anyhow::Result<()> {
        if io::stdout().is_terminal() {
            return output::json(&self.call(call, body).await?.body);
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
        let request = self.client.post(format!("{}{call}", self.url));
        sent(request.header(ACCESS_TOKEN, &self.token).json(body), &self.url).await
    }
}

async fn sent(request: RequestBuilder, url: &str) -> Result<Response, CliError> {
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

/// A spinner on a terminal while a request is in flight.
struct Waiting(ProgressBar);

fn waiting(what: &str) -> Waiting {
    let bar = if io::stderr().is_terminal() {
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        ProgressBar::new_spinner().with_style(style).with_message(what.to_owned())
    } else {
        ProgressBar::hidden()
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    Waiting(bar)
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_is_that_of_the_service() {
        for (text, url) in [
            ("http://joc:4446", "http://joc:4446/joc/api"),
            ("http://joc:4446/", "http://joc:4446/joc/api"),
            ("http://joc:4446/joc/api/", "http://joc:4446/joc/api"),
            ("https://proxy/orders/joc/api", "https://proxy/orders/joc/api"),
        ] {
            assert_eq!(api_url(text).unwrap().as_str(), url, "{text}");
        }
        for text in
            ["", "joc:4446", "127.0.0.1:4446", "ftp://joc", "http://a:b@joc", "http://joc?x"]
        {
            assert!(api_url(text).is_err(), "{text}");
        }
    }
}
