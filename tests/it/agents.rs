//! `joc-orders agent`, with real processes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    App, CONTROLLER, Database, Order, launch, program, signal, until, with_controller,
};

mod dying;
mod leases;
mod marks;
mod working;

/// Where jobs of a test write, and their file.
struct Folder(TempDir);

impl Folder {
    /// With a file that has this job for the workflow `eod`.
    fn with(script: &str, settings: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let (script, out) = (json!(script), json!(folder.0.path()));
        let jobs = format!(
            "[jobs.eod]\ncommand = [\"sh\", \"-c\", {script}]\ndirectory = {out}\n{settings}\n"
        );
        std::fs::write(folder.path("jobs.toml"), jobs).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The lines of a file; none if it is not there.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(Into::into).collect()
    }

    async fn has(&self, name: &str, lines: usize) {
        until(name, async || self.lines(name).len() >= lines).await;
    }
}

/// A running agent; killed when dropped.
struct Agent {
    process: Child,
    log: Arc<Mutex<String>>,
}

impl Agent {
    async fn over(db: &Database, folder: &Folder, flags: &[&str]) -> Self {
        let executor = db.login("executor").await;
        let agent = Self::at(&executor.url, &folder.path("jobs.toml"), flags);
        agent.logs("running orders").await;
        agent
    }

    fn at(url: &str, jobs: &Path, flags: &[&str]) -> Self {
        let mut command = program(url);
        command.args(["agent", "--controller-id", CONTROLLER, "--jobs"]).arg(jobs).args(flags);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let shared = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = shared.lock().unwrap();
                *log += &line;
                log.push('\n');
            }
        });
        Self { process, log }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    async fn logs(&self, text: &str) {
        until(text, async || self.log().contains(text)).await;
    }

    fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    async fn stops(mut self) -> ExitStatus {
        self.signal("-TERM");
        let mut status = None;
        until("the agent has stopped", async || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An order that is due.
fn due(id: &str) -> Order {
    let at = Utc::now() - TimeDelta::minutes(1);
    Order { scheduled_for: Some(at), created: None, ..Order::new(id) }
}

async fn becomes(db: &Database, id: &str, state: &str) {
    until(&format!("{id} is {state}"), async || db.state(id).await == state).await;
}

/// What `/order/history` shows of the runs of an order: status, signal and failure.
async fn runs(app: &App, id: &str) -> Vec<Value> {
    let history = app.post("/order/history", &with_controller(json!({"orderId": id}))).await.ok();
    let runs = history["runs"].as_array().unwrap().iter();
    runs.map(|run| json!([run["exitStatus"], run["signal"], run["failure"]])).collect()
}

async fn checked(db: &Database) {
    let ran = launch(&db.url, &["check"], "").await;
    assert_eq!(ran.ok(), "", "{ran:?}");
}

fn alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.contains("State:") && !status.contains("State:\tZ")
}
