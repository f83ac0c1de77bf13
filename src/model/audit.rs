//! What the audit trail keeps of a call.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::permission::Extent;
use crate::model::selection::Folder;
use crate::model::window::Window;

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
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Done, Self::NoOrders, Self::Denied];

    /// The word that `audit_logs.outcome` stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::NoOrders => "NO_ORDERS",
            Self::Denied => "DENIED",
        }
    }
}

/// JOC's categories of audit entries, of which the first two occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Category {
    /// A call about a controller's objects.
    Controller,
    /// A login.
    Identity,
    /// What is of no other.
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
    /// Anything else.
    Others,
}

impl Category {
    /// The word that `audit_logs.category` stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "CONTROLLER",
            Self::Identity => "IDENTITY",
            Self::Unknown => "UNKNOWN",
            Self::Inventory => "INVENTORY",
            Self::DailyPlan => "DAILYPLAN",
            Self::Deployment => "DEPLOYMENT",
            Self::Documentations => "DOCUMENTATIONS",
            Self::Certificates => "CERTIFICATES",
            Self::Settings => "SETTINGS",
            Self::Monitoring => "MONITORING",
            Self::Others => "OTHERS",
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

/// Which entries of the audit trail a request means: those that meet all of its fields. Texts
/// may have JOC's wildcards, `*` and `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFilter {
    /// Where the account can see entries.
    pub extent: Extent,
    /// When the call was.
    pub window: Window,
    /// Who called.
    pub account: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// The ticket that asked for it.
    pub ticket_link: Option<String>,
    /// The kinds of calls; empty: any.
    pub categories: Vec<Category>,
    /// Whether only calls that touched orders are meant, and of them those for which the
    /// following two hold of one and the same order.
    pub touched_orders: bool,
    /// The folders of the order's workflow; empty: any.
    pub folders: Vec<Folder>,
    /// The order's id, or the path or the name of its workflow.
    pub object_name: Option<String>,
}
