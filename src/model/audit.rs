//! What the audit trail keeps of a call.

use chrono::{DateTime, Utc};

/// In [`AuditEntry::controller_id`]: the entry belongs to no controller, as in JOC.
pub const NO_CONTROLLER: &str = "-";

/// How a call ended, as far as the audit trail knows calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It changed orders.
    Done,
    /// It selected no order that the action applies to.
    NoOrders,
    /// The account was not permitted, or a login was refused.
    Denied,
}

impl Outcome {
    /// The word that `audit_logs.outcome` stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::NoOrders => "NO_ORDERS",
            Self::Denied => "DENIED",
        }
    }
}

/// JOC's categories of audit entries, as far as they occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// A call about a controller's objects.
    Controller,
    /// A login.
    Identity,
}

impl Category {
    /// The word that `audit_logs.category` stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "CONTROLLER",
            Self::Identity => "IDENTITY",
        }
    }
}

/// One row of `audit_logs`, all but its outcome and the number of orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The controller, or [`NO_CONTROLLER`].
    pub controller_id: String,
    /// Who called; for a refused login, who it said it was.
    pub account: String,
    /// The call as JOC writes it: `./orders/cancel`.
    pub request: String,
    /// The request's body as JSON, with secrets masked.
    pub parameters: String,
    /// What kind of call it was.
    pub category: Category,
    /// Why: `auditLog.comment`, at most 2000 characters.
    pub comment: Option<String>,
    /// `auditLog.timeSpent`, minutes.
    pub time_spent: Option<i64>,
    /// `auditLog.ticketLink`, at most 255 characters.
    pub ticket_link: Option<String>,
    /// The request's `X-Request-Id`.
    pub request_id: String,
    /// The address that the call came from.
    pub client_address: Option<String>,
    /// The instant of the request.
    pub created: DateTime<Utc>,
}
