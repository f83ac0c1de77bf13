//! Adding orders.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::import::{IncomingOrder, Life};
use super::{Error, Result};
use crate::model::audit::AuditEntry;
use crate::model::order::State;
use crate::model::permission::Visible;

/// `previous_state` in the audit trail of an added order.
pub const NO_STATE: &str = "NONE";
/// How many numbers the ids of added orders have: 11 digits.
const NUMBERS: i64 = 100_000_000_000;
/// How many times to generate ids, since ids chosen by hand may have taken some.
const ATTEMPTS: u32 = 5;

/// The current version of a workflow that was requested by path or name.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct CurrentWorkflow {
    /// The requested path or name.
    pub asked: String,
    /// The workflow's path.
    pub path: String,
    /// Its newest version.
    pub version_id: String,
}

/// A request that adds orders.
#[derive(Debug, Clone)]
pub struct Addition {
    /// The orders; at least one.
    pub orders: Vec<AddedOrder>,
    /// The audit entry, with the controller and the instant of the request.
    pub audit: AuditEntry,
}

/// An order to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedOrder {
    /// The end of its id.
    pub name: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// When it is due; `None`: never.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// Its priority.
    pub priority: i32,
    /// Its arguments, a JSON object.
    pub arguments: serde_json::Value,
    /// Where in its workflow it starts, a JSON array; `None`: at the beginning.
    pub position: Option<serde_json::Value>,
}

/// What an [`Addition`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// `audit_logs.id` of the request.
    pub audit_log_id: i64,
    /// The ids of the orders, in the order of the request.
    pub order_ids: Vec<String>,
}

/// Adding orders.
#[async_trait]
pub trait Additions {
    /// The current versions of the workflows with these paths or bare names that the account can
    /// see; a name may match several.
    async fn current_workflows(
        &self,
        controller_id: &str,
        visible: &Visible,
        asked: &[&str],
    ) -> Result<Vec<CurrentWorkflow>>;
    /// Adds the orders and writes the audit, all or nothing.
    async fn add_orders(&self, addition: &Addition) -> Result<Added>;
}

impl Addition {
    /// The first number of an attempt. Numbers are the time in hundredths of a millisecond, as in
    /// JOC's ids; each further attempt starts a second later.
    pub(super) fn first_number(&self, attempt: u32) -> i64 {
        (self.audit.created.timestamp_millis() + i64::from(attempt) * 1000) * 100
    }

    /// The ids, such as `#2026-11-23#T26487268900-daily`, for consecutive numbers ending with
    /// `last`.
    pub(super) fn ids(&self, last: i64) -> Vec<String> {
        let date = self.audit.created.date_naive();
        let first = last - self.orders.len() as i64 + 1;
        let numbered = self.orders.iter().zip(first..);
        let id = |(order, number): (&AddedOrder, i64)| {
            format!("#{date}#T{:011}-{}", number.rem_euclid(NUMBERS), order.name)
        };
        numbered.map(id).collect()
    }

    /// The orders with their ids.
    pub(super) fn incoming<'a>(&'a self, ids: &'a [String]) -> Vec<IncomingOrder<'a>> {
        let orders = self.orders.iter().zip(ids).map(|(order, order_id)| IncomingOrder {
            controller_id: &self.audit.controller_id,
            order_id,
            workflow_path: &order.workflow_path,
            workflow_version_id: &order.workflow_version_id,
            state: State::Fresh,
            suspended: false,
            mark: None,
            scheduled_for: order.scheduled_for,
            priority: order.priority,
            arguments: order.arguments.to_string().into(),
            position: order.position.as_ref().map(|position| position.to_string().into()),
            reason: None,
            life: Life::default(),
        });
        orders.collect()
    }
}

/// Whether an attempt found that an id is taken and another one may be made.
pub(super) fn ids_are_taken(error: &Error, attempt: u32) -> bool {
    let taken = matches!(error, Error::Database(sqlx::Error::Database(error))
        if error.is_unique_violation());
    taken && attempt + 1 < ATTEMPTS
}

/// The newest version of each workflow, from rows that have the newest first.
pub(super) fn newest(rows: Vec<CurrentWorkflow>) -> Vec<CurrentWorkflow> {
    let mut seen = std::collections::HashSet::new();
    rows.into_iter().filter(|row| seen.insert((row.asked.clone(), row.path.clone()))).collect()
}
