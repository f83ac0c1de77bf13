//! The statements of overviews: counts by time, and the orders that an executor is to cancel.

use chrono::{DateTime, Utc};

use super::list::push_reached;
use super::selection::{is_of_workflows, push_within, words};
use super::{Dialect, Sql, audit};
use crate::model::audit::AuditFilter;
use crate::model::order::EffectiveState;
use crate::model::selection::Selection;
use crate::model::window::Window;
use crate::model::window::buckets::Bounds;
use crate::store::overview::{NEVER, OVERDUE};

/// The query of the numbers of orders by bucket.
pub(in crate::store) fn schedule<DB: Dialect>(selection: &Selection, bounds: &Bounds) -> Sql<DB> {
    let mut sql = Sql::at(selection.now);
    // The states are no part of the selection, which would name the stored ones, too: an index that
    // has these is not the one that is wanted.
    let at = if is_of_workflows(selection) { DB::SORTED } else { "" };
    let push = |sql: &mut Sql<DB>, states: &[EffectiveState], window| {
        push_reached(sql, &Selection { window: Window::UNBOUNDED, ..selection.clone() });
        sql.push(format_args!("\n  AND o.effective_state IN ({})", words(states)));
        push_within(sql, &format!("{at}o.scheduled_for"), &window);
    };
    sql.push("SELECT b.bucket, count(*) AS orders\nFROM ").nested(|sql| {
        sql.push("SELECT ");
        push_bucket(sql, "o.scheduled_for", bounds.cuts(), 0);
        sql.push(" AS bucket");
        push(sql, &[EffectiveState::Scheduled, EffectiveState::Blocked], bounds.window());
        sql.push(format_args!("\nUNION ALL\nSELECT {OVERDUE}"));
        // What is due is scheduled before now: a range of an index.
        let due = Window { from: None, to: Some(selection.now) };
        push(sql, &[EffectiveState::Blocked], due);
        sql.push(format_args!("\nUNION ALL\nSELECT {NEVER}"));
        push(sql, &[EffectiveState::Pending], Window::UNBOUNDED);
        sql.push(format_args!("\n  AND {at}o.scheduled_for IS NULL"));
    });
    sql.push(" b\nGROUP BY b.bucket");
    sql
}

/// The query of the orders that have the mark `CANCELLING`: their number, without an order id, and
/// those that have had it longest.
///
/// The entry that set the mark is the last one that changed it. One older than the column `before`
/// may only have asked for a kill. To look an order's details up once, `changed` is twice the entry's
/// id, and one more if the entry set this mark.
pub(in crate::store) fn cancelling<DB: Dialect>(selection: &Selection, limit: u32) -> Sql<DB> {
    let controller_id = selection.controller_id.as_str();
    let mut sql = Sql::at(selection.now);
    sql.with("marked", |sql| {
        sql.push(
            "SELECT o.order_id, o.workflow_path, o.workflow_version_id, o.effective_state,\n    \
                 o.kill_requested IS NOT NULL AS kill, o.modified, ",
        );
        sql.nested(|sql| {
            sql.push(
                "SELECT max(2 * d.audit_log_id + CASE d.mark WHEN 'CANCELLING' THEN 1 ELSE 0 END)\n\
                 FROM audit_log_details d\n\
                 WHERE d.order_id = o.order_id\n  \
                   AND (d.before -> 'mark' IS NOT NULL OR d.before IS NULL AND d.mark = 'CANCELLING')\n  \
                   AND d.controller_id = ",
            );
            sql.key(controller_id);
        });
        sql.push(" AS changed");
        push_reached(sql, selection);
        sql.push("\n  AND o.mark = 'CANCELLING'");
    });
    sql.push(
        "\nSELECT '' AS order_id, '' AS workflow_path, '' AS workflow_version_id,\n    \
             NULL AS effective_state, FALSE AS kill, NULL AS since, NULL AS audit_log_id,\n    \
             NULL AS account, count(*) AS orders\n\
         FROM marked\nUNION ALL\nSELECT f.* FROM ",
    );
    sql.nested(|sql| {
        sql.push(
            "SELECT m.order_id, m.workflow_path, m.workflow_version_id, m.effective_state, m.kill,\n    \
                 coalesce(l.created, m.modified) AS since, l.id, l.account, 1\n\
             FROM marked m\n\
             LEFT JOIN audit_logs l\n    \
                 ON l.id = m.changed / 2 AND m.changed % 2 = 1 AND l.controller_id = ",
        );
        sql.key(controller_id);
        sql.push(format_args!("\nORDER BY since, m.order_id\nLIMIT {limit}"));
    });
    sql.push(" f");
    sql
}

/// The query of the numbers of entries and of the orders that they affected, by bucket.
pub(in crate::store) fn requests<DB: Dialect>(filter: &AuditFilter, bounds: &Bounds) -> Sql<DB> {
    let mut sql = Sql::new();
    sql.push(
        "SELECT b.bucket, count(*) AS requests, CAST(sum(b.affected) AS bigint) AS orders\nFROM ",
    );
    sql.nested(|sql| {
        sql.push("SELECT ");
        push_bucket(sql, "l.created", bounds.cuts(), 0);
        sql.push(" AS bucket,\n    ");
        audit::push_affected(sql, &filter.extent);
        sql.push(" AS affected");
        audit::push_matching(sql, &AuditFilter { window: bounds.window(), ..filter.clone() });
    });
    sql.push(" b\nGROUP BY b.bucket");
    sql
}

/// Adds the number of the bucket that an instant of the window lies in, by halving.
fn push_bucket<DB: Dialect>(
    sql: &mut Sql<DB>,
    instant: &str,
    cuts: &[DateTime<Utc>],
    first: usize,
) {
    let middle = cuts.len() / 2;
    let Some(cut) = cuts.get(middle) else {
        sql.push(first);
        return;
    };
    sql.push(format_args!("CASE WHEN {instant} < ")).instant(*cut).push(" THEN ");
    push_bucket(sql, instant, &cuts[..middle], first);
    sql.push(" ELSE ");
    push_bucket(sql, instant, &cuts[middle + 1..], first + middle + 1);
    sql.push(" END");
}
