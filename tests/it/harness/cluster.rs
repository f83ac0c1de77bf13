//! A PostgreSQL cluster of the tests' own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// A PostgreSQL cluster; stops when dropped.
pub struct Cluster {
    pub url: String,
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Cluster {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts it with more options for the server.
    pub fn start_with(options: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");
        let mut command = Command::new(script);
        let all = std::env::var("PG_OPTIONS").unwrap_or_default();
        command.env("PG_OPTIONS", format!("{all} {options}"));
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("scripts/postgres");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let mut cluster = Self { url: String::new(), process, output };
        cluster.url = cluster.line();
        cluster
    }

    /// Stops the server with the signal of this name, or starts it again: `start`.
    pub fn tell(&mut self, command: &str) {
        writeln!(self.process.stdin.as_mut().expect("piped"), "{command}").unwrap();
        assert_eq!(self.line(), command);
    }

    /// Starts a hot standby, which stops with the server, and returns its URL.
    pub fn standby(&mut self) -> String {
        writeln!(self.process.stdin.as_mut().expect("piped"), "standby").unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("scripts/postgres");
        assert!(!line.is_empty(), "scripts/postgres has ended");
        line.trim().into()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The URL of the cluster that the tests share, which stops with this process.
pub fn cluster() -> &'static str {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    &CLUSTER.get_or_init(Cluster::start).url
}
