//! `joc-orders serve`, as an operator runs it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Database, ROOT, Response, program, signal, until, until_within};

/// A running service; killed when dropped.
pub struct Served {
    pub url: String,
    process: Child,
    log: Arc<Mutex<String>>,
}

impl Served {
    /// Starts it on a database, where it creates the account [`ROOT`] if necessary.
    pub fn over(db: &Database, args: &[&str]) -> Self {
        let mut command = program(&db.url);
        command.args(args).env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1);
        Self::start(command)
    }

    /// Starts a command that may have flags of `serve`, and waits until it listens.
    pub fn start(command: Command) -> Self {
        Self::launch(command).unwrap_or_else(|log| panic!("serve has ended: {log}"))
    }

    /// Like [`Served::start`], but returns the log if the program ends instead.
    pub fn launch(command: Command) -> Result<Self, String> {
        let mut serve = Command::new(command.get_program());
        serve.arg("serve").args(command.get_args());
        for (flag, value) in [("--listen", "127.0.0.1:0"), ("--log-format", "json")] {
            if !command.get_args().any(|arg| arg == flag) {
                serve.args([flag, value]);
            }
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => serve.env(name, value),
                None => serve.env_remove(name),
            };
        }
        serve.current_dir(command.get_current_dir().unwrap());
        let mut process = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let url = loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                process.wait().unwrap();
                return Err(log.lock().unwrap().clone());
            }
            log.lock().unwrap().push_str(&line);
            // In either log format.
            if line.contains("listening")
                && let Some((_, rest)) = line.split_once("address").filter(|_| line.contains("tls"))
            {
                let is_address =
                    |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']');
                let rest = rest.trim_start_matches(['"', ':', '=']);
                let address = &rest[..rest.find(|c| !is_address(c)).unwrap_or(rest.len())];
                let secure = line.contains("tls=true") || line.contains("\"tls\":true");
                break format!("{}://{address}/joc/api", if secure { "https" } else { "http" });
            }
        };
        // Keeps the pipe from filling up.
        let rest = log.clone();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = rest.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Ok(Self { url, process, log })
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log has the text so many times.
    pub async fn until_logged(&self, text: &str, times: usize) {
        until(text, async || self.log().matches(text).count() >= times).await;
    }

    /// Waits until `/ready` responds with this status, and returns the response.
    pub async fn until_ready(&self, status: u16, patience: Duration) -> Response {
        let mut ready = self.page("/ready").await;
        until_within(patience, "/ready", async || {
            ready = self.page("/ready").await;
            ready.status == status
        })
        .await;
        ready
    }

    /// The address that it listens on.
    pub fn address(&self) -> &str {
        self.url.split('/').nth(2).unwrap()
    }

    /// Requests a page outside the API.
    pub async fn page(&self, path: &str) -> Response {
        let url = format!("http://{}{path}", self.address());
        Response::of(reqwest::Client::new().get(url)).await
    }

    pub async fn try_login(&self, password: &str) -> u16 {
        self.log_in(ROOT.0, password).await.status
    }

    /// Logs [`ROOT`] in and returns the access token.
    pub async fn login(&self) -> String {
        self.login_as(ROOT.0, ROOT.1).await
    }

    /// Logs an account in and returns the access token.
    pub async fn login_as(&self, account: &str, password: &str) -> String {
        let response = self.log_in(account, password).await;
        response.ok()["accessToken"].as_str().unwrap().into()
    }

    async fn log_in(&self, account: &str, password: &str) -> Response {
        let request = reqwest::Client::new().post(format!("{}/authentication/login", self.url));
        Response::of(request.basic_auth(account, Some(password))).await
    }

    /// Posts a body.
    pub async fn post(&self, token: &str, call: &str, body: &Value) -> Response {
        let request = reqwest::Client::new().post(format!("{}{call}", self.url));
        Response::of(request.header("X-Access-Token", token).json(body)).await
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// Its resident memory in megabytes.
    pub fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let held = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        held.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Whether it is still running.
    pub fn runs(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < patience, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it as an operator does, and returns its standard output.
    pub fn stop(mut self) -> String {
        self.signal("-TERM");
        let mut output = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(self.process.wait().unwrap().success());
        output
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
