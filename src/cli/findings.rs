//! What `audit verify` and `check` have in common: findings, line by line, and the exit code.

use clap::{Args, ValueEnum};

use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::terminal::{tell, write};
use crate::model::counted::counted;
use crate::model::finding::Finding;
use crate::store::check::RowCounts;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FindingFormat {
    /// For people.
    Text,
    /// For scripts: one object a line.
    Json,
}

/// How to show findings.
#[derive(Debug, Args)]
pub(super) struct Shown {
    /// How to show what is found, one line each
    #[arg(long = "output", value_enum, default_value_t = FindingFormat::Text)]
    format: FindingFormat,
}

/// Shows findings and counts them.
pub(super) struct Findings {
    format: FindingFormat,
    count: u64,
    written: anyhow::Result<()>,
}

impl Findings {
    /// None yet.
    pub(super) fn new(shown: Shown) -> Self {
        Self { format: shown.format, count: 0, written: Ok(()) }
    }

    /// Shows a finding.
    pub(super) fn show(&mut self, finding: &Finding) {
        self.count += 1;
        if self.written.is_ok() {
            let line = match self.format {
                FindingFormat::Text => visible(&finding.to_string()),
                FindingFormat::Json => serde_json::json!(finding).to_string(),
            };
            self.written = write(format!("{line}\n").as_bytes());
        }
    }

    /// Tells what was looked at, if everything was; [`CliError::Found`] if something was found.
    pub(super) fn finish(self, looked_at: anyhow::Result<RowCounts>) -> anyhow::Result<()> {
        match looked_at {
            Ok(looked_at) => {
                let looked_at = looked_at.into_iter().map(|(number, noun)| counted(number, noun));
                let outcome = if self.count == 0 { "ok" } else { "checked" };
                tell(&format!("{outcome}: {}\n", looked_at.collect::<Vec<_>>().join(", ")));
            }
            Err(error) if self.count == 0 => return Err(error),
            // What was found may well be why.
            Err(error) => tell(&format!("the rest was not checked: {error:#}\n")),
        }
        match (self.count, self.written) {
            (0, written) => written,
            // Whoever reads no further is told by the exit code all the same.
            (count, Err(error)) if !error.is::<CliError>() => {
                Err(error.context(format!("findings: {count}")))
            }
            (count, _) => Err(CliError::Found(count).into()),
        }
    }
}
