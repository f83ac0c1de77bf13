//! The audit trail: recording and reading it.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::{Result, StoredInstant};
use crate::model::audit::{AuditEntry, AuditFilter, Outcome};
use crate::model::permission::Extent;

/// The audit trail.
#[async_trait]
pub trait Audit {
    /// Writes an entry about no orders.
    async fn record(&self, entry: &AuditEntry, outcome: Outcome) -> Result<()>;
    /// What has been done to an order, the newest first.
    async fn trail(&self, controller_id: &str, order_id: &str) -> Result<Vec<Touch>>;
    /// The entries that a filter means, the newest first, at most `limit` of them.
    fn entries(
        &self,
        filter: &AuditFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<Entry>>;
    /// What the entry with this id did to the orders within reach, by order id.
    fn details(&self, audit_log_id: i64, extent: &Extent) -> BoxStream<'static, Result<Detail>>;
}

/// A row of `audit_logs`, as far as an account may see it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// The controller, or [`crate::model::checks::NO_CONTROLLER`].
    pub controller_id: String,
    /// Who called.
    pub account: String,
    /// What was called: `./orders/cancel`.
    pub request: String,
    /// The request's body; `None` if it may name what the account cannot see.
    pub parameters: Option<String>,
    /// What kind of call it was.
    pub category: String,
    /// Why.
    pub comment: Option<String>,
    /// Minutes.
    pub time_spent: Option<i64>,
    /// The ticket that asked for it.
    pub ticket_link: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// How many orders it affected that the account can see.
    pub affected: i64,
    /// The request's `X-Request-Id`.
    pub request_id: String,
    /// The address that the call came from.
    pub client_address: Option<String>,
    /// When it was.
    pub created: StoredInstant,
}

/// A row of `audit_log_details`: what a call did to one order.
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
    /// The mark that it got.
    pub mark: Option<String>,
    /// Whether its job was to be killed.
    pub kill: bool,
    /// The selected ancestor that took it along.
    pub via_parent: Option<String>,
}

/// One call's effect on one order, from the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Touch {
    /// `audit_logs.id` of the call.
    pub audit_log_id: i64,
    /// When it was.
    pub created: StoredInstant,
    /// Who called.
    pub account: String,
    /// What was called: `./orders/cancel`.
    pub request: String,
    /// Why.
    pub comment: Option<String>,
    /// The ticket that asked for it.
    pub ticket_link: Option<String>,
    /// The order's effective state before.
    pub previous_state: String,
    /// The order's effective state after.
    pub new_state: String,
    /// The mark that it got.
    pub mark: Option<String>,
    /// Whether its job was to be killed.
    pub kill: bool,
}
