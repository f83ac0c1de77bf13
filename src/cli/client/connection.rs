//! To the service and back: log in, call, log out.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use super::failure::Failure;
use super::output;
use crate::config::variable;
use crate::http::BASE;
use crate::model::json::Json;

/// Timeout of connecting; a request has none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a logout; a session that is left open expires by itself.
const LOGOUT_TIMEOUT: Duration = Duration::from_secs(5);
const ACCESS_TOKEN: &str = "X-Access-Token";
/// The variable with the password. There is no flag for it: a list of processes shows flags.
const PASSWORD: &str = "JOC_ORDERS_PASSWORD";

/// Where the service is and who calls it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Connection {
    /// URL of the service, http or https; without a path, /joc/api is appended
    #[arg(
        long,
        env = "JOC_ORDERS_URL",
        default_value = "http://127.0.0.1:4446/joc/api",
        value_parser = api_url
    )]
    url: Url,
    /// Account to log in as; JOC_ORDERS_PASSWORD is its password, or a terminal asks for it
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
        return Err(format!("an account goes into --user, its password into {PASSWORD}"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("nothing may follow the path".into());
    }
    if url.path() == "/" {
        url.set_path(BASE);
    }
    Ok(url)
}

/// A client for the URL that trusts what the system trusts, and sends nothing elsewhere. What is
/// for this machine goes through no proxy, whatever the environment says.
///
/// # Errors
///
/// If TLS cannot be set up.
pub fn transport(url: &Url) -> anyhow::Result<Client> {
    let mut roots = RootCertStore::empty();
    if url.scheme() == "https" {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    // Given ready-made, since reqwest's own would fail where the system trusts nobody, as in
    // many containers, also for plain HTTP.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = Client::builder().tls_backend_preconfigured(tls).redirect(Policy::none());
    let goes_direct = is_loopback(url) || no_proxy_at_all();
    let builder = if goes_direct { builder.no_proxy() } else { builder };
    Ok(builder.connect_timeout(CONNECT_TIMEOUT).build()?)
}

/// A client for a service of this machine, whose certificate is for another name. It uses no
/// proxy, and is for requests that tell nothing.
///
/// # Errors
///
/// If TLS cannot be set up.
pub(in crate::cli) fn local_transport() -> anyhow::Result<Client> {
    // There may be one already, for the sending of traces.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().no_proxy().redirect(Policy::none());
    let builder = builder.tls_danger_accept_invalid_certs(true);
    Ok(builder.connect_timeout(CONNECT_TIMEOUT).build()?)
}

/// Whether `NO_PROXY` says `*`, which reqwest does not apply to addresses.
fn no_proxy_at_all() -> bool {
    let listed = variable("NO_PROXY").or_else(|| variable("no_proxy"));
    listed.is_some_and(|hosts| names_all(&hosts))
}

fn names_all(hosts: &str) -> bool {
    hosts.split(',').any(|host| host.trim() == "*")
}

/// Whether a URL is for this machine.
pub(in crate::cli) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_end_matches('.');
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        }
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// A session with the service.
pub(super) struct Session {
    client: Client,
    url: String,
    token: HeaderValue,
    /// Whether a question stands on the terminal, so that an interrupt is an answer to it.
    pub(super) asking: Cell<bool>,
}

/// An answer of a success.
pub(super) struct Answer {
    headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// How many orders a change affected.
    pub(super) fn affected(&self) -> Option<u64> {
        self.number("X-Orders-Affected")
    }

    /// The id of a change's entry in the audit log.
    pub(super) fn audit_log_id(&self) -> Option<u64> {
        self.number("X-Audit-Log-Id")
    }

    fn number(&self, header: &str) -> Option<u64> {
        self.headers.get(header)?.to_str().ok()?.parse().ok()
    }
}

impl Connection {
    /// Does some work in a session, which ends after it also if the work failed or is
    /// interrupted, unless it was there before.
    pub(super) async fn session<T>(
        &self,
        work: impl AsyncFnOnce(&Session) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let client = transport(&self.url)?;
        let given = self.token.as_deref().filter(|token| !token.is_empty());
        let token = match given {
            Some(token) => token.to_owned(),
            None => self.login(&client).await?,
        };
        let mut token = HeaderValue::from_str(&token)
            .map_err(|_| Failure::Usage("--token: not an access token".into()))?;
        token.set_sensitive(true);
        let url = self.url.as_str().to_owned();
        let session = Session { client, url, token, asking: Cell::new(false) };

        let result = tokio::select! {
            result = work(&session) => result,
            _ = tokio::signal::ctrl_c() => Err(session.interrupted().into()),
        };
        if given.is_none() {
            // What was done is done, however this goes.
            let body = json!({});
            let logout = session.send("/authentication/logout", &body);
            let _ = tokio::time::timeout(LOGOUT_TIMEOUT, logout).await;
        }
        result
    }

    async fn login(&self, client: &Client) -> anyhow::Result<String> {
        let user = self.user.as_deref().filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| Failure::Usage("give --user or --token".into()))?;
        let password = password(user)?;
        let _waiting = waiting("logging in");
        let request = client.post(format!("{}/authentication/login", self.url));
        let request = request.basic_auth(user, Some(password)).json(&json!({}));
        let response = sent(request, self.url.as_str()).await?;
        let answer: Value = body_of(response).await?;
        let token = answer["accessToken"].as_str().filter(|token| !token.is_empty());
        let token =
            token.ok_or_else(|| Failure::Other("the login response has no access token".into()))?;
        Ok(token.to_owned())
    }
}

fn password(user: &str) -> anyhow::Result<String> {
    match variable(PASSWORD) {
        Some(password) => Ok(password),
        None if io::stdin().is_terminal() => {
            let prompt = format!("Password of {}: ", output::visible(user));
            rpassword::prompt_password(prompt).context("the password")
        }
        None => {
            let problem = format!("{PASSWORD} is not set, and standard input is not a terminal");
            Err(Failure::Usage(problem).into())
        }
    }
}

impl Session {
    /// Calls the service; the answer is a success.
    pub(super) async fn call(&self, call: &str, body: &Value) -> Result<Answer, Failure> {
        let _waiting = waiting(call);
        let response = self.send(call, body).await?;
        let headers = response.headers().clone();
        Ok(Answer { headers, body: body_of(response).await? })
    }

    /// Calls the service and passes on its answer to standard output as it comes.
    pub(super) async fn copy(&self, call: &str, body: &Value) -> anyhow::Result<()> {
        if io::stdout().is_terminal() {
            return output::json(&self.call(call, body).await?.body);
        }
        let waiting = waiting(call);
        let mut response = self.send(call, body).await?;
        drop(waiting);
        while let Some(chunk) = response.chunk().await.map_err(broken_off)? {
            output::write(&chunk)?;
        }
        output::write(b"\n")
    }

    fn interrupted(&self) -> Failure {
        output::tell("\n");
        if self.asking.get() { Failure::NotConfirmed } else { Failure::Interrupted }
    }

    async fn send(&self, call: &str, body: &Value) -> Result<Response, Failure> {
        let request = self.client.post(format!("{}{call}", self.url));
        sent(request.header(ACCESS_TOKEN, &self.token).json(body), &self.url).await
    }
}

async fn sent(request: RequestBuilder, url: &str) -> Result<Response, Failure> {
    let response = request.send().await.map_err(|error| {
        if error.is_connect() || error.is_builder() {
            Failure::Unreachable(format!("cannot reach {url}: {}", causes(error)))
        } else {
            broken_off(error)
        }
    })?;
    let status = response.status().as_u16();
    if status == 200 {
        return Ok(response);
    }
    let failure = Failure::of_answer(status, &response.text().await.map_err(broken_off)?);
    // No call of the API is missing where the API is.
    Err(if status == 404 { Failure::Usage(not_the_api(url)) } else { failure })
}

fn not_the_api(url: &str) -> String {
    let api = Url::parse(url).and_then(|url| url.join(BASE)).map_or(BASE.into(), String::from);
    format!("there is no API at {url}; try --url {api}")
}

async fn body_of(response: Response) -> Result<Value, Failure> {
    let body = response.bytes().await.map_err(broken_off)?;
    serde_json::from_slice(&body)
        .map(|Json(value)| value)
        .map_err(|_| Failure::Other("the response is not JSON; is --url that of the API?".into()))
}

fn broken_off(error: reqwest::Error) -> Failure {
    Failure::BrokenOff(causes(error))
}

/// An error with its causes, in one line.
fn causes(error: reqwest::Error) -> String {
    output::visible(&format!("{:#}", anyhow::Error::new(error.without_url())))
}

/// Shows on a terminal that something is under way, until it is dropped.
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
    fn no_proxy_may_name_all_hosts() {
        for (hosts, expected) in [("*", true), ("a, *", true), ("", false), ("*.a,b*", false)] {
            assert_eq!(names_all(hosts), expected, "{hosts}");
        }
    }

    #[test]
    fn urls_of_this_machine() {
        for (url, expected) in [
            ("http://127.0.0.1:4446", true),
            ("http://127.9.8.7", true),
            ("http://localhost.:4446", true),
            ("http://127.0.0.1.", true),
            ("https://[::1]:4446/joc/api", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://LOCALHOST:1", true),
            ("http://joc.localhost", true),
            ("http://0.0.0.0:4446", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
            ("http://notlocalhost", false),
            ("http://[fe80::1]", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }

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
