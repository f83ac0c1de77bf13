//! Standard output and error, questions to a person, and a sign that something goes on.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::oneshot;

use super::error::CliError;

/// Writes to standard output. If it is closed, the error is [`CliError::OutputClosed`].
pub(super) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(CliError::OutputClosed.into()),
        result => Ok(result?),
    }
}

/// Writes to standard error, and ignores failure: there is nowhere left to report it.
pub(super) fn tell(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Asks on the terminal. Anything but a yes is a no.
pub(super) async fn ask(question: &str) -> Result<(), CliError> {
    tell(&format!("{question} [y/N] "));
    let (sender, answer) = oneshot::channel();
    // On a thread, so that the program can end while the read still blocks.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().lock().read_line(&mut line);
        let _ = sender.send(line);
    });
    let answer = tokio::select! {
        answer = answer => answer.unwrap_or_default(),
        _ = tokio::signal::ctrl_c() => {
            tell("\n");
            return Err(CliError::NotConfirmed);
        }
    };
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::NotConfirmed),
    }
}

/// A spinner with the time so far, on a terminal, for what has no known length.
pub(super) struct Waiting(ProgressBar);

/// Shows that `what` goes on, until it is dropped.
pub(super) fn waiting(what: &str) -> Waiting {
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

impl Waiting {
    /// Writes to the terminal where the spinner is.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
