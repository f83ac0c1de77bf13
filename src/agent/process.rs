//! A job, from the agent's side of its guard.

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::guard::{Control, Ended, GUARD, ITSELF, Spec};
use super::jobs::{Job, Output};
use super::output;

/// How long the end of the output may take after the end of the job.
const OUTPUT: Duration = Duration::from_secs(1);

/// A job that was started.
pub(super) struct Process {
    guard: Child,
    controls: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    output: Option<JoinHandle<()>>,
    group: Option<Pid>,
}

impl Process {
    /// Starts a job.
    pub(super) async fn start(
        job: &Job,
        environment: BTreeMap<String, String>,
        input: String,
        until: Duration,
        log: impl FnMut(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let logs = job.output == Output::Log;
        let mut guard = Command::new(ITSELF)
            .arg0("joc-orders")
            .arg(GUARD)
            .env_clear()
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if logs { Stdio::piped() } else { Stdio::null() })
            .spawn()?;
        let (Some(mut controls), Some(stdout)) = (guard.stdin.take(), guard.stdout.take()) else {
            return Err(io::Error::other("the guard has no pipes"));
        };
        let output = guard.stderr.take().map(|stderr| tokio::spawn(output::read(stderr, log)));
        let (command, directory) = (job.command.clone(), job.directory.clone());
        let spec = Spec { command, directory, environment, input, until };
        controls.write_all(format!("{}\n", serde_json::to_string(&spec)?).as_bytes()).await?;
        let lines = BufReader::new(stdout).lines();
        Ok(Self { guard, controls, lines, output, group: None })
    }

    /// Asks the guard for something; it may be gone.
    pub(super) async fn control(&mut self, control: Control) {
        if let Ok(line) = serde_json::to_string(&control) {
            let _gone = self.controls.write_all(format!("{line}\n").as_bytes()).await;
        }
    }

    /// Waits for the end of the job. It may be abandoned and called again.
    pub(super) async fn next(&mut self) -> Ended {
        loop {
            let line = self.lines.next_line().await.ok().flatten();
            if let Some(group) = line.as_ref().and_then(|line| line.parse().ok()) {
                self.group = Some(Pid::from_raw(group));
                continue;
            }
            if let Some(ended) = line.and_then(|line| serde_json::from_str(&line).ok()) {
                return ended;
            }
            // The guard was killed.
            if let Some(group) = self.group {
                let _gone = killpg(group, Signal::SIGKILL);
            }
            let signal = Some(Signal::SIGKILL as i32);
            return Ended { signal, ..Ended::default() };
        }
    }

    /// Cleans up after the end of the job.
    pub(super) async fn end(mut self) {
        drop(self.controls);
        let _status = timeout(OUTPUT, self.guard.wait()).await;
        if let Some(mut output) = self.output
            && timeout(OUTPUT, &mut output).await.is_err()
        {
            output.abort();
        }
    }
}
