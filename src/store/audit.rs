//! The audit trail: recording and reading it.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::{Result, StoredInstant};
use crate::model::audit::{AuditEntry, AuditFilter, Outcome};
use crate::model::permission::Extent;

/// The audit trail.
#[async_trait]
pub trait Audit {
    /// Writes an entry that affects no orders.
    async fn record(&self, entry: &AuditEntry, outcome: Outcome) -> Result<()>;
    /// What requests did to an order, newest first.
    async fn trail(&self, controller_id: &str, order_id: &str) -> Result<Vec<Touch>>;
    /// The entries that match a filter, newest first, at most `limit`.
    fn entries(
        &self,
        filter: &AuditFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<Entry>>;
    /// The details of an entry for the orders within `extent`, or for this one of them, by order id.
    fn details(
        &self,
        audit_log_id: i64,
        extent: &Extent,
        order_id: Option<&str>,
    ) -> BoxStream<'static, Result<Detail>>;
}

/// A row of `audit_logs`, with only what an account may see.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Entry {
    /// Its id.
    pub id: i64,
    /// The controller, or [`crate::model::checks::NO_CONTROLLER`].
    pub controller_id: String,
    /// The account that sent the request.
    pub account: String,
    /// The request: `./orders/cancel`.
    pub request: String,
    /// The request body; `None` if it may name something hidden from the account.
    pub parameters: Option<String>,
    /// The category of the request.
    pub category: String,
    /// The comment.
    pub comment: Option<String>,
    /// Minutes.
    pub time_spent: Option<i64>,
    /// The ticket link.
    pub ticket_link: Option<String>,
    /// The outcome.
    pub outcome: String,
    /// How many of the affected orders the account can see.
    pub affected: i64,
    /// The request's `X-Request-Id`.
    pub request_id: String,
    /// The address of the client.
    pub client_address: Option<String>,
    /// When it was written.
    pub created: StoredInstant,
    /// The entry that it undid.
    pub undoes: Option<i64>,
}

/// A row of `audit_log_details`: what a request did to one order.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Detail {
    /// The order.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// Its effective state before.
    pub previous_state: String,
    /// Its effective state after.
    pub new_state: String,
    /// The mark that was set.
    pub mark: Option<String>,
    /// Whether a kill of its job was requested.
    pub kill: bool,
    /// The selected ancestor through which it was affected.
    pub via_parent: Option<String>,
    /// What the request changed, as it was: a JSON object of columns. `None`: written before it was kept.
    pub before: Option<String>,
}

/// A request's effect on one order, from the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Touch {
    /// `audit_logs.id` of the request.
    pub audit_log_id: i64,
    /// When it was written.
    pub created: StoredInstant,
    /// The account that sent the request.
    pub account: String,
    /// The request: `./orders/cancel`.
    pub request: String,
    /// The comment.
    pub comment: Option<String>,
    /// The ticket link.
    pub ticket_link: Option<String>,
    /// The order's effective state before.
    pub previous_state: String,
    /// The order's effective state after.
    pub new_state: String,
    /// The mark that was set.
    pub mark: Option<String>,
    /// Whether a kill of its job was requested.
    pub kill: bool,
}
