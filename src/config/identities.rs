//! How the audit trail records people, and the key for it.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};

use super::GLOBAL;
use crate::model::identities::Identities;

/// What the audit trail holds of people.
#[derive(Debug, Clone, Args)]
pub struct IdentityArgs {
    /// What the audit trail holds of accounts and addresses: themselves, or keyed hashes
    #[arg(
        long,
        env = "JOC_ORDERS_AUDIT_IDENTITIES",
        value_enum,
        default_value_t = RecordedAs::Plain,
        global = true,
        help_heading = GLOBAL
    )]
    pub audit_identities: RecordedAs,
    /// File with the key of the hashes: its bytes without blanks at the ends, at least 16
    #[arg(
        long,
        env = "JOC_ORDERS_AUDIT_KEY_FILE",
        value_name = "FILE",
        global = true,
        help_heading = GLOBAL
    )]
    pub audit_key_file: Option<PathBuf>,
}

/// How accounts and addresses are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecordedAs {
    /// As they are.
    Plain,
    /// As keyed hashes.
    Keyed,
}

impl IdentityArgs {
    /// Reads the key, and uses it from now on.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or the key is missing or too short.
    pub fn install(&self) -> anyhow::Result<()> {
        let key = match &self.audit_key_file {
            Some(path) => Some(
                std::fs::read(path)
                    .with_context(|| format!("JOC_ORDERS_AUDIT_KEY_FILE: {}", path.display()))?,
            ),
            None => None,
        };
        let key = key.as_deref().map(<[u8]>::trim_ascii);
        let identities = Identities::with(key, self.audit_identities == RecordedAs::Keyed);
        identities.map_err(|problem| anyhow!("JOC_ORDERS_AUDIT_KEY_FILE: {problem}"))?.install();
        Ok(())
    }
}
