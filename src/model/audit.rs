//! What the audit trail records of a request.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use strum::{IntoStaticStr, VariantArray};

use crate::model::folders::Folders;
use crate::model::once::IdempotencyKey;
use crate::model::permission::Extent;
use crate::model::window::Window;

/// How a request ended, for the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It changed orders.
    Done,
    /// It selected no order that the action applies to.
    NoOrders,
    /// It selected none where the account may look, but would have elsewhere.
    Outside,
    /// The account was not permitted, or a login was refused.
    Denied,
}

impl Outcome {
    /// The word that `audit_logs.outcome` stores.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// JOC's categories of audit entries, and `IMPORT`, which JOC does not have. `CONTROLLER`, `IDENTITY`,
/// `IMPORT` and `OTHERS` occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum Category {
    /// A request about a controller's objects.
    Controller,
    /// A login, or a change of accounts and roles.
    Identity,
    /// An import or a copy; not in JOC.
    Import,
    /// An unknown category.
    Unknown,
    /// A change of workflows and the like.
    Inventory,
    /// A change of the daily plan.
    DailyPlan,
    /// A deployment.
    Deployment,
    /// A change of documentations.
    Documentations,
    /// A change of certificates.
    Certificates,
    /// A change of settings.
    Settings,
    /// A change of what is monitored.
    Monitoring,
    /// Anything else: a migration.
    Others,
}

impl Category {
    /// The word that `audit_logs.category` stores.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The maximum size in bytes of the parameters kept for a request that changed nothing.
const MAX_PARAMETERS: usize = 4096;
/// How many bytes it keeps of longer ones.
const BEGINNING: usize = 1024;

/// The body of a request as JSON on one line, with secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters(String);

/// What is kept of parameters that are too long. Masked values stay masked.
#[derive(Serialize)]
struct Truncated<'a> {
    truncated: bool,
    bytes: usize,
    sha256: String,
    beginning: &'a str,
}

impl Parameters {
    /// The parameters of this text, which is a JSON object.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the trail keeps of them: everything for a change, otherwise so little that nobody can
    /// fill the disk without changing anything.
    pub fn kept(&self, outcome: Outcome) -> Cow<'_, str> {
        let Self(text) = self;
        if outcome == Outcome::Done || text.len() <= MAX_PARAMETERS {
            return text.into();
        }
        let truncated = Truncated {
            truncated: true,
            bytes: text.len(),
            sha256: hex::encode(Sha256::digest(text)),
            beginning: &text[..text.floor_char_boundary(BEGINNING)],
        };
        serde_json::json!(truncated).to_string().into()
    }
}

/// One row of `audit_logs`, all but its outcome and the number of orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The controller, or [`NO_CONTROLLER`](crate::model::checks::NO_CONTROLLER).
    pub controller_id: String,
    /// Who sent the request; for a rejected login, the claimed account.
    pub account: String,
    /// The endpoint as JOC writes it: `./orders/cancel`.
    pub request: String,
    /// The request's body.
    pub parameters: Parameters,
    /// The category of the request.
    pub category: Category,
    /// Why: `auditLog.comment`, at most 2000 characters.
    pub comment: Option<String>,
    /// `auditLog.timeSpent`, minutes.
    pub time_spent: Option<i64>,
    /// `auditLog.ticketLink`, at most 255 characters.
    pub ticket_link: Option<String>,
    /// The request's `X-Request-Id`.
    pub request_id: String,
    /// The address of the client.
    pub client_address: Option<String>,
    /// The instant of the request.
    pub created: DateTime<Utc>,
    /// The entry that the request undoes.
    pub undoes: Option<i64>,
    /// The key by which a repetition is known. No column: the store keeps it beside the entry.
    pub key: Option<IdempotencyKey>,
}

/// The audit entries that a request selects: those that match all of its fields. Texts may contain
/// JOC's wildcards, `*` and `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFilter {
    /// Where the account can see entries.
    pub extent: Extent,
    /// When the recorded request was sent.
    pub window: Window,
    /// Who sent it.
    pub account: Option<String>,
    /// The pseudonym under which the same account may be recorded.
    pub pseudonym: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// The ticket that asked for it.
    pub ticket_link: Option<String>,
    /// The request: `./orders/cancel`.
    pub request: Option<String>,
    /// Its outcome.
    pub outcome: Option<Outcome>,
    /// The request's `X-Request-Id`.
    pub request_id: Option<String>,
    /// The entry with this id.
    pub id: Option<i64>,
    /// The categories; empty: any.
    pub categories: Vec<Category>,
    /// Whether only requests that affected orders match, and of them those with an order that
    /// matches both of the following fields.
    pub touched_orders: bool,
    /// The folders of the order's workflow; empty: any.
    pub folders: Folders,
    /// The order's id, or the path or the name of its workflow.
    pub object_name: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_a_change_keeps_long_parameters() {
        let text = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        for (text, is_kept) in [(text(4096), true), (text(4097), false)] {
            let parameters = Parameters::new(text.clone());
            assert_eq!(parameters.kept(Outcome::Done), text);
            for outcome in [Outcome::NoOrders, Outcome::Denied] {
                assert_eq!(parameters.kept(outcome) == text, is_kept, "{}", text.len());
            }
        }
    }

    #[test]
    fn long_parameters_are_known_by_length_and_hash() {
        // The 1024th byte is within a character.
        let text = format!(r#"{{"a":"{}"}}"#, "\"é".repeat(2000));
        let kept = Parameters::new(text.clone()).kept(Outcome::Denied).into_owned();
        assert!(kept.len() < MAX_PARAMETERS, "{}", kept.len());
        let kept: Value = serde_json::from_str(&kept).unwrap();
        let hash =
            Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(kept["truncated"], true);
        assert_eq!(kept["bytes"], text.len());
        assert_eq!(kept["sha256"], hash);
        let beginning = kept["beginning"].as_str().unwrap();
        assert!(text.starts_with(beginning) && (1021..=1024).contains(&beginning.len()));
    }
}
