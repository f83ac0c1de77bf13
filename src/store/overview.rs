//! Overviews: counts by folder and by time, and the orders that an executor is to cancel.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Result, StoredInstant};
use crate::model::audit::AuditFilter;
use crate::model::order::EffectiveState;
use crate::model::selection::Selection;
use crate::model::window::buckets::Bounds;

/// Numbers of orders by the path of their workflow and by effective state.
pub type WorkflowCounts = BTreeMap<String, BTreeMap<EffectiveState, u64>>;

/// When orders are scheduled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// How many are `BLOCKED`.
    pub overdue: u64,
    /// How many are `PENDING`.
    pub never: u64,
    /// How many in each bucket.
    pub buckets: Vec<u64>,
}

/// How many requests changed how many orders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// Audit entries.
    pub requests: u64,
    /// The orders that they affected.
    pub orders: u64,
}

/// An order with the mark `CANCELLING`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancellingOrder {
    /// The order's id.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// Its effective state.
    pub effective_state: EffectiveState,
    /// Whether a kill of its job is requested.
    pub kill: bool,
    /// Since when it has the mark, as far as is known.
    pub since: StoredInstant,
    /// The entry that set the mark; `None`: none did.
    pub audit_log_id: Option<i64>,
    /// Who sent that request.
    pub account: Option<String>,
}

/// A row of the query for them: an order, or without one how many there are.
#[derive(sqlx::FromRow)]
pub(super) struct CancellingRow {
    order_id: String,
    workflow_path: String,
    workflow_version_id: String,
    effective_state: Option<EffectiveState>,
    kill: bool,
    since: Option<StoredInstant>,
    audit_log_id: Option<i64>,
    account: Option<String>,
    orders: i64,
}

/// Counts orders and requests.
#[async_trait]
pub trait Overviews {
    /// How many of the selected orders each workflow has.
    async fn counts_by_workflow(&self, selection: &Selection) -> Result<WorkflowCounts>;
    /// How many of the selected orders are scheduled in each bucket. The selection's own window is
    /// not used.
    async fn schedule(&self, selection: &Selection, bounds: &Bounds) -> Result<Schedule>;
    /// How many of the selected orders have the mark `CANCELLING`, and those of them that have had it
    /// longest, at most `limit`.
    async fn cancelling(
        &self,
        selection: &Selection,
        limit: u32,
    ) -> Result<(u64, Vec<CancellingOrder>)>;
    /// How many entries were written in each bucket. The filter's own window is not used.
    async fn requests(&self, filter: &AuditFilter, bounds: &Bounds) -> Result<Vec<Requests>>;
}

/// The bucket of orders that are `BLOCKED`.
pub(super) const OVERDUE: i32 = -1;
/// The bucket of orders that are `PENDING`.
pub(super) const NEVER: i32 = -2;

impl Schedule {
    /// From rows of a bucket and how many orders it has.
    pub(super) fn of(rows: &[(i32, i64)], bounds: &Bounds) -> Self {
        let mut schedule = Self { buckets: vec![0; bounds.buckets().len()], ..Self::default() };
        for &(bucket, orders) in rows {
            let count = match bucket {
                OVERDUE => &mut schedule.overdue,
                NEVER => &mut schedule.never,
                _ => match place(&mut schedule.buckets, bucket) {
                    Some(count) => count,
                    None => continue,
                },
            };
            *count = orders.unsigned_abs();
        }
        schedule
    }
}

/// From a row of their number, and the orders.
pub(super) fn cancelling(rows: Vec<CancellingRow>) -> (u64, Vec<CancellingOrder>) {
    let (mut total, mut orders) = (0, Vec::new());
    for row in rows {
        match (row.effective_state, row.since) {
            (Some(effective_state), Some(since)) => orders.push(CancellingOrder {
                order_id: row.order_id,
                workflow_path: row.workflow_path,
                workflow_version_id: row.workflow_version_id,
                effective_state,
                kill: row.kill,
                since,
                audit_log_id: row.audit_log_id,
                account: row.account,
            }),
            _ => total = row.orders.unsigned_abs(),
        }
    }
    orders.sort_by(|a, b| (a.since.0, &a.order_id).cmp(&(b.since.0, &b.order_id)));
    (total, orders)
}

/// From rows of a bucket and its numbers.
pub(super) fn requests(rows: &[(i32, i64, i64)], bounds: &Bounds) -> Vec<Requests> {
    let mut buckets = vec![Requests::default(); bounds.buckets().len()];
    for &(bucket, requests, orders) in rows {
        if let Some(counted) = place(&mut buckets, bucket) {
            let [requests, orders] = [requests, orders].map(i64::unsigned_abs);
            *counted = Requests { requests, orders };
        }
    }
    buckets
}

fn place<T>(buckets: &mut [T], bucket: i32) -> Option<&mut T> {
    buckets.get_mut(usize::try_from(bucket).ok()?)
}
