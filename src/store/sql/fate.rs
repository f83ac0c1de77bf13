//! What becomes of an order when the cancel that changed it is undone: [`Fate`] in SQL.
//!
//! [`Fate`]: crate::model::undo::Fate

use super::{Dialect, Sql};
use crate::model::selection::Selection;

/// Adds the fate of the order `o`, which an entry changed as the detail `d` says.
pub(super) fn push_fate<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection, audit_log_id: i64) {
    sql.push(
        "CASE\n        \
         WHEN o.order_id IS NULL THEN 'GONE'\n        \
         WHEN d.before IS NULL THEN 'UNRECORDED'\n        \
         WHEN d.kill THEN 'KILLED'\n        \
         WHEN d.mark IS NULL AND d.before ->> 'state' <> 'FRESH' THEN 'STARTED'\n        \
         WHEN o.modified <> d.created OR o.created > d.created THEN 'CHANGED'\n        \
         WHEN d.mark IS NULL AND o.state = 'CANCELLED' THEN CASE\n            \
             WHEN o.parent_id IS NOT NULL AND EXISTS ",
    );
    sql.nested(|sql| push_continued_parent(sql, &selection.controller_id, audit_log_id));
    sql.push(
        " THEN 'PARENT_CONTINUED'\n            \
             WHEN CAST(d.before ->> 'suspended' AS boolean) IS TRUE\n                \
                 AND coalesce(d.before ->> 'mark', '') <> 'RESUMING' THEN 'FRESH_SUSPENDED'\n            \
             WHEN o.scheduled_for <= ",
    );
    sql.instant(selection.now).push(
        " THEN 'OVERDUE'\n            \
             WHEN d.before ->> 'mark' = 'RESUMING' THEN 'FRESH_RESUMING'\n            \
             WHEN d.before ->> 'mark' = 'SUSPENDING' THEN 'FRESH_SUSPENDING'\n            \
             ELSE 'FRESH' END\n        \
         WHEN d.mark = o.mark THEN CASE coalesce(d.before ->> 'mark', '')\n            \
             WHEN 'SUSPENDING' THEN 'MARKED_SUSPENDING'\n            \
             WHEN 'RESUMING' THEN 'MARKED_RESUMING'\n            \
             ELSE CASE WHEN o.kill_requested IS NULL THEN 'MARKED' ELSE 'CHANGED' END END\n        \
         ELSE 'CHANGED' END",
    );
}

/// Adds a query of the parent of `o`, if it does not wait for its child, nor was cancelled with it
/// before it had started.
fn push_continued_parent<DB: Dialect>(sql: &mut Sql<DB>, controller_id: &str, audit_log_id: i64) {
    sql.push("SELECT 1 FROM orders p\nWHERE p.controller_id = ").key(controller_id);
    sql.push(
        " AND p.order_id = o.parent_id AND p.state NOT IN ('FRESH', 'WAITING')\n  \
           AND NOT EXISTS ",
    );
    sql.nested(|sql| {
        sql.push("SELECT 1 FROM audit_log_details e\nWHERE e.controller_id = ").key(controller_id);
        sql.push(" AND e.audit_log_id = ").integer(audit_log_id);
        sql.push(
            " AND e.order_id = p.order_id\n  \
               AND p.state = 'CANCELLED' AND e.before ->> 'state' = 'FRESH'",
        );
    });
}
