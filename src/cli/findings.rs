//! The findings of `audit verify` and `check`, line by line, and the exit code.

use clap::{Args, ValueEnum};

use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::terminal::{Waiting, tell, waiting, write};
use crate::model::counted::counted;
use crate::model::finding::Finding;
use crate::store::check::RowCounts;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FindingFormat {
    /// For people.
    Text,
    /// For scripts: one JSON object per line.
    Json,
}

/// How to show findings.
#[derive(Debug, Args)]
pub(super) struct Shown {
    /// Format of the findings, one per line
    #[arg(long = "output", value_enum, default_value_t = FindingFormat::Text)]
    format: FindingFormat,
}

/// Shows findings and counts them.
pub(super) struct Findings {
    format: FindingFormat,
    count: u64,
    written: anyhow::Result<()>,
    waiting: Waiting,
}

impl Findings {
    /// None yet, while `what` goes on.
    pub(super) fn new(shown: Shown, what: &str) -> Self {
        Self { format: shown.format, count: 0, written: Ok(()), waiting: waiting(what) }
    }

    /// Shows a finding.
    pub(super) fn show(&mut self, finding: &Finding) {
        self.count += 1;
        if self.written.is_ok() {
            let line = match self.format {
                FindingFormat::Text => visible(&finding.to_string()),
                FindingFormat::Json => serde_json::json!(finding).to_string(),
            };
            self.written = self.waiting.suspend(|| write(format!("{line}\n").as_bytes()));
        }
    }

    /// Tells something else.
    pub(super) fn tell(&self, text: &str) {
        self.waiting.suspend(|| tell(text));
    }

    /// Tells what was checked, if everything was; [`CliError::Found`] if there are findings.
    pub(super) fn finish(self, looked_at: anyhow::Result<RowCounts>) -> anyhow::Result<()> {
        drop(self.waiting);
        match looked_at {
            Ok(looked_at) => {
                let looked_at = looked_at.into_iter().map(|(number, noun)| counted(number, noun));
                let outcome = if self.count == 0 { "ok" } else { "checked" };
                tell(&format!("{outcome}: {}\n", looked_at.collect::<Vec<_>>().join(", ")));
            }
            Err(error) if self.count == 0 => return Err(error),
            // The findings may be the reason.
            Err(error) => tell(&format!("the rest was not checked: {error:#}\n")),
        }
        match (self.count, self.written) {
            (0, written) => written,
            // The exit code tells of findings even if the output was closed.
            (count, Err(error)) if !error.is::<CliError>() => {
                Err(error.context(format!("findings: {count}")))
            }
            (count, _) => Err(CliError::Found(count).into()),
        }
    }
}
