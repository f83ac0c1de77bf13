//! The real program, as another process.

use std::io::Write;
use std::process::{Child, Command, Stdio};

/// How a run of a program ended.
#[derive(Debug)]
pub struct Ran {
    pub success: bool,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The output of a success.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert!(self.success, "{self:?}");
        &self.stdout
    }

    /// The message of a failure that wrote nothing to standard output.
    #[track_caller]
    pub fn failed(&self) -> &str {
        assert!(!self.success && self.stdout.is_empty(), "{self:?}");
        &self.stderr
    }
}

/// The program, with no settings except the database, in a folder without `.env`.
pub fn program(url: &str) -> Command {
    cryptography();
    let mut command = Command::new(env!("CARGO_BIN_EXE_joc-orders"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("JOC_ORDERS_") {
            command.env_remove(name);
        }
    }
    // Not the contexts of whoever runs the tests.
    command.env("JOC_ORDERS_CONTEXTS_FILE", "/dev/null/none");
    command.env("DATABASE_URL", url).current_dir(std::env::temp_dir());
    command
}

/// Runs the program.
pub async fn launch(url: &str, args: &[&str], stdin: impl Into<Vec<u8>>) -> Ran {
    let mut command = program(url);
    command.args(args);
    launch_command(command, stdin).await
}

/// Runs a command with this standard input.
pub async fn launch_command(mut command: Command, stdin: impl Into<Vec<u8>>) -> Ran {
    let stdin = stdin.into();
    let ran = tokio::task::spawn_blocking(move || {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may end without reading all of it.
        let _ = child.stdin.take().unwrap().write_all(&stdin);
        child.wait_with_output().unwrap()
    });
    let output = ran.await.unwrap();
    Ran {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Sends a signal to a process.
pub fn signal(process: &Child, name: &str) {
    let id = process.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// Installs the provider without which reqwest makes no clients, not even for plain HTTP.
pub fn cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
