//! The file that says what runs for which workflow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// Each job by the path or the name of its workflow.
    jobs: BTreeMap<String, Job>,
}

/// What runs for the orders of a workflow.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where it runs; by default `/`.
    #[serde(default = "root")]
    pub directory: PathBuf,
    /// Further variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// How many seconds it may take.
    timeout: Option<u32>,
    /// How many seconds it has between `SIGTERM` and `SIGKILL` after a timeout or a stop.
    #[serde(default = "grace")]
    grace: u32,
    /// How often it runs again after it failed.
    #[serde(default)]
    pub retries: u32,
    /// What becomes of its output.
    #[serde(default)]
    pub output: Output,
}

/// What becomes of the output of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// It goes to the agent's log.
    #[default]
    Log,
    /// Nobody reads it.
    Discard,
}

fn root() -> PathBuf {
    "/".into()
}

fn grace() -> u32 {
    15
}

impl Job {
    /// How long it may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// How long it has between `SIGTERM` and `SIGKILL`.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace.into())
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.command.first().is_some_and(|program| !program.is_empty()),
            "command is empty"
        );
        ensure!(self.timeout != Some(0), "timeout must be at least 1");
        for (name, value) in &self.environment {
            let is_name = !name.is_empty() && !name.contains(['=', '\0']);
            ensure!(is_name, "environment: {name:?} is no name of a variable");
            ensure!(!name.starts_with("JOC_"), "environment: {name}: JOC_ is for the agent's own");
            ensure!(!value.contains('\0'), "environment: {name} has a NUL byte");
        }
        ensure!(!self.command.iter().any(|word| word.contains('\0')), "command has a NUL byte");
        ensure!(self.directory.is_absolute(), "directory must be an absolute path");
        Ok(())
    }
}

impl Jobs {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is wrong; the message names the line.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let place = || file.display().to_string();
        Self::parse(&std::fs::read_to_string(file).with_context(place)?).with_context(place)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let jobs: Self = toml::from_str(text)?;
        if jobs.jobs.is_empty() {
            bail!("there are no jobs");
        }
        for (workflow, job) in &jobs.jobs {
            job.check().with_context(|| format!("jobs.{workflow:?}"))?;
        }
        Ok(jobs)
    }

    /// The paths and names of the workflows.
    pub fn workflows(&self) -> Vec<String> {
        self.jobs.keys().cloned().collect()
    }

    /// The longest time between `SIGTERM` and `SIGKILL`.
    pub fn longest_grace(&self) -> Duration {
        self.jobs.values().map(Job::grace).max().unwrap_or_default()
    }

    /// The job for the workflow with this path, which comes before one for its name.
    pub fn find(&self, path: &str) -> Option<&Job> {
        let name = path.rsplit('/').next().unwrap_or_default();
        self.jobs.get(path).or_else(|| self.jobs.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_job_by_the_path_before_the_name() {
        let text = "[jobs.eod]\ncommand = ['a']\n[jobs.'/x/eod']\ncommand = ['b']\n";
        let jobs = Jobs::parse(text).unwrap();
        assert_eq!(jobs.find("/x/eod").unwrap().command, ["b"]);
        assert_eq!(jobs.find("/y/eod").unwrap().command, ["a"]);
        assert!(jobs.find("/eod/other").is_none());
    }

    #[test]
    fn rejects_what_it_does_not_know_or_cannot_run() {
        for (text, problem) in [
            ("[jobs.a]\ncommand = ['a']\ncomand = 1\n", "line 3"),
            ("[jobs.a]\ncommand = ['a']\ncomand = 1\n", "comand"),
            ("[job.a]\ncommand = ['a']\n", "job"),
            ("[jobs]\n", "there are no jobs"),
            ("[jobs.a]\ncommand = []\n", "command is empty"),
            ("[jobs.a]\ncommand = ['a']\ntimeout = 0\n", "at least 1"),
            ("[jobs.a]\ncommand = ['a']\ndirectory = 'x'\n", "absolute"),
            ("[jobs.a]\ncommand = ['a']\nenvironment = {JOC_X = '1'}\n", "agent's own"),
        ] {
            let error = format!("{:#}", Jobs::parse(text).unwrap_err());
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
