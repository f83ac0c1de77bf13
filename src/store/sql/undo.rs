//! The queries about the undo of a cancel. The undo itself is a change like any other.

use super::fate::push_fate;
use super::selection::push_in_sight;
use super::{Dialect, Sql, quoted};
use crate::model::selection::{Selection, Sight};
use crate::model::undo::Fate;

/// The query for how an entry can be undone: its request and outcome, whether the account can see
/// one of its orders, and which entry has undone it.
pub(in crate::store) fn entry<DB: Dialect>(
    controller_id: &str,
    audit_log_id: i64,
    sight: &[Sight],
) -> Sql<DB> {
    let mut sql = Sql::of("SELECT l.request, l.outcome, EXISTS ");
    sql.nested(|sql| push_details_in_sight(sql, controller_id, audit_log_id, "1", sight));
    sql.push(" AS is_seen,\n    ");
    sql.nested(|sql| push_undone_by(sql, controller_id, audit_log_id));
    sql.push(" AS undone_by\nFROM audit_logs l\nWHERE l.controller_id = ").key(controller_id);
    sql.push(" AND l.id = ").integer(audit_log_id);
    sql
}

/// Adds a query of the entry that has undone an entry, which is null if none has.
pub(in crate::store) fn push_undone_by<DB: Dialect>(
    sql: &mut Sql<DB>,
    controller_id: &str,
    audit_log_id: i64,
) {
    sql.push("SELECT max(u.id) FROM audit_logs u\nWHERE u.controller_id = ").key(controller_id);
    sql.push(" AND u.undoes = ").integer(audit_log_id).push(" AND u.outcome = 'DONE'");
}

/// Adds a query of the details of an entry that the account can see.
fn push_details_in_sight<DB: Dialect>(
    sql: &mut Sql<DB>,
    controller_id: &str,
    audit_log_id: i64,
    columns: &str,
    sight: &[Sight],
) {
    // Named as an order: its folder is asked for in the same way.
    sql.push(format_args!("SELECT {columns} FROM audit_log_details o\nWHERE o.controller_id = "));
    sql.key(controller_id).push(" AND o.audit_log_id = ").integer(audit_log_id);
    push_in_sight(sql, controller_id, sight);
}

/// The query for the orders of an entry that an undo with this selection leaves alone, or has left
/// alone if it is given: counts by reason, without an order id, and the first orders.
pub(in crate::store) fn left<DB: Dialect>(
    selection: &Selection,
    audit_log_id: i64,
    undone_by: Option<i64>,
    limit: u32,
) -> Sql<DB> {
    let controller_id = selection.controller_id.as_str();
    let mut sql = Sql::at(selection.now);
    sql.with("judged", |sql| {
        sql.push(
            "SELECT d.order_id, d.workflow_path, d.workflow_version_id, o.effective_state,\n    ",
        );
        push_fate(sql, selection, audit_log_id);
        sql.push(" AS fate\nFROM ").nested(|sql| {
            push_details_in_sight(sql, controller_id, audit_log_id, "o.*", &selection.sight);
        });
        sql.push(" d LEFT JOIN ").orders(selection.now);
        sql.push(" ON o.order_id = d.order_id AND o.controller_id = ").key(controller_id);
        if let Some(undo) = undone_by {
            sql.push("\nWHERE d.order_id NOT IN ").nested(|sql| {
                sql.push("SELECT u.order_id FROM audit_log_details u\nWHERE u.controller_id = ");
                sql.key(controller_id).push(" AND u.audit_log_id = ").integer(undo);
            });
        }
    });
    let reasons = quoted(Fate::reasons().map(Fate::as_str));
    sql.push(format_args!(
        "\nSELECT '' AS order_id, '' AS workflow_path, '' AS workflow_version_id,\n    \
             NULL AS effective_state, fate, count(*) AS orders\n\
         FROM judged\nWHERE fate IN ({reasons})\nGROUP BY fate\nUNION ALL\nSELECT f.* FROM "
    ));
    sql.nested(|sql| {
        sql.push(format_args!(
            "SELECT order_id, workflow_path, workflow_version_id, effective_state, fate, 1\n\
             FROM judged\nWHERE fate IN ({reasons})\nORDER BY order_id\nLIMIT {limit}"
        ));
    });
    sql.push(" f");
    sql
}
