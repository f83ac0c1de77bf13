//! A temporary PostgreSQL server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::raw::Raw;

/// A PostgreSQL cluster; stops when dropped.
pub struct Cluster {
    pub url: String,
    process: Child,
}

impl Cluster {
    pub fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres"))
            .env(
                "PG_OPTIONS",
                "-c shared_buffers=2GB -c max_wal_size=8GB -c logging_collector=on \
                 -c log_destination=jsonlog -c log_filename=log -c log_rotation_size=0",
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let stdout = process.stdout.as_mut().context("piped")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut url)?;
        Ok(Self { url: url.trim().into(), process })
    }

    /// Creates a database and returns its URL.
    pub fn create(&self, name: &str) -> anyhow::Result<String> {
        create_beside(&self.url, name)
    }

    /// The server's log.
    pub fn log(&self) -> anyhow::Result<PathBuf> {
        let folder = Raw::Postgres { url: self.url.clone() }.value("SHOW data_directory")?;
        Ok(Path::new(&folder).join("log/log.json"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Creates a database on the server of another one and returns its URL.
pub fn create_beside(url: &str, name: &str) -> anyhow::Result<String> {
    Raw::Postgres { url: url.into() }.run(&format!("CREATE DATABASE \"{name}\";"))?;
    let (server, _) = url.rsplit_once('/').context("a URL")?;
    Ok(format!("{server}/{name}"))
}
