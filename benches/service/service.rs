//! The program as a separate process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::client::Client;

const PASSWORD: &str = "benchmark";

/// The program, unless it is the one that was built with the benchmark.
pub static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// A running service; killed when dropped.
pub struct Service {
    process: Child,
    pub address: SocketAddr,
}

impl Service {
    /// Starts it on a database.
    pub fn start(url: &str) -> anyhow::Result<Self> {
        Self::start_with(url, &[])
    }

    /// Starts it with more arguments.
    pub fn start_with(url: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let log = NamedTempFile::new()?;
        let process = program(url)
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(arguments)
            .env("JOC_ORDERS_ROOT_PASSWORD", PASSWORD)
            .stderr(log.reopen()?)
            .spawn()?;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            let lines = std::fs::read_to_string(log.path())?;
            let address = lines
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find_map(|line| line["fields"]["address"].as_str()?.parse().ok());
            if let Some(address) = address {
                return Ok(Self { process, address });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("the service does not start")
    }

    /// Logs root in and returns the access token.
    pub async fn token(&self) -> anyhow::Result<String> {
        Self::log_in(Ipv4Addr::LOCALHOST, self.address, "root").await
    }

    /// Logs an account in that has root's password, from an address of this machine.
    pub async fn log_in(from: Ipv4Addr, to: SocketAddr, account: &str) -> anyhow::Result<String> {
        Client::log_in(from, to, account, PASSWORD).await
    }

    /// Its peak resident memory, in MiB.
    pub fn peak_memory(&self) -> anyhow::Result<f64> {
        self.mebibytes("VmHWM:")
    }

    /// Its resident memory, in MiB.
    pub fn memory(&self) -> anyhow::Result<f64> {
        self.mebibytes("VmRSS:")
    }

    fn mebibytes(&self, field: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let value = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = value.and_then(|kb| kb.trim().strip_suffix(" kB")?.trim().parse().ok());
        kilobytes.map(|kb: f64| kb / 1024.0).context("no such field: this is no Linux")
    }

    /// Stops it as a service manager does.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.process.id().to_string()).status()?;
        for _ in 0..600 {
            if self.process.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the service does not stop")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program, with no settings except the database.
pub fn program(url: &str) -> Command {
    let built = || env!("CARGO_BIN_EXE_joc-orders").into();
    let mut command = Command::new(PROGRAM.get_or_init(built));
    command.env_clear().env("DATABASE_URL", url).current_dir(std::env::temp_dir());
    command.stdout(Stdio::null());
    command
}

/// Runs the program until it exits.
pub fn run(url: &str, args: &[&str]) -> anyhow::Result<()> {
    let status = program(url).args(args).status()?;
    ensure!(status.success(), "joc-orders {args:?}: {status}");
    Ok(())
}
