//! The baseline: statements that a person would type into sqlite3 or psql for the same work.

use crate::data::{CONTROLLER, LIVING};
use crate::set::Set;

/// Runs before the statements in sqlite3.
pub const PREPARED: &str = "CREATE TEMP TABLE chosen (order_id TEXT PRIMARY KEY, workflow_path, workflow_version_id, \
     folder, effective_state) WITHOUT ROWID;\nPRAGMA foreign_keys = on;\n\
     PRAGMA synchronous = full;\nSELECT count(*) FROM controllers;\n";

fn chosen(set: Set) -> String {
    format!(
        "FROM orders_effective WHERE controller_id = '{CONTROLLER}' AND {LIVING} AND {}",
        set.condition()
    )
}

/// Cancels a set and audits that, in one transaction.
pub fn cancel(set: Set) -> Vec<String> {
    let now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
    vec![
        "BEGIN IMMEDIATE".into(),
        format!(
            "INSERT INTO chosen SELECT order_id, workflow_path, workflow_version_id, folder, \
             effective_state {}",
            chosen(set)
        ),
        format!(
            "UPDATE orders AS o SET state = 'CANCELLED', suspended = false, mark = NULL, \
             reason = NULL, kill_requested = NULL, sigkill_at = NULL, state_since = {now}, \
             modified = {now} WHERE o.controller_id = '{CONTROLLER}' \
             AND o.order_id IN (SELECT order_id FROM chosen)"
        ),
        format!(
            "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome, \
             affected, request_id, client_address) SELECT '{CONTROLLER}', 'dba', \
             './orders/cancel', '{{}}', 'DONE', count(*), 'raw', '127.0.0.1' FROM chosen"
        ),
        format!(
            "INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, \
             workflow_path, workflow_version_id, folder, previous_state, new_state) \
             SELECT '{CONTROLLER}', last_insert_rowid(), order_id, workflow_path, \
             workflow_version_id, folder, effective_state, 'CANCELLED' FROM chosen"
        ),
        "COMMIT".into(),
    ]
}

/// Counts a set by state and selects its first thousand orders.
pub fn preview(set: Set) -> Vec<String> {
    let chosen = chosen(set);
    vec![
        format!("SELECT effective_state, count(*) {chosen} GROUP BY effective_state"),
        format!(
            "SELECT order_id, workflow_path, workflow_version_id, effective_state {chosen} \
             ORDER BY order_id LIMIT 1000"
        ),
    ]
}

/// Selects the orders of a set, and which of them have living children.
pub fn list(set: Set) -> Vec<String> {
    vec![format!(
        "SELECT order_id, workflow_path, workflow_version_id, effective_state, mark, \
         kill_requested, reason, scheduled_for, priority, arguments, position, \
         EXISTS (SELECT 1 FROM orders c WHERE c.controller_id = '{CONTROLLER}' \
         AND c.root_id = orders_effective.root_id AND c.parent_id IS NOT NULL \
         AND c.order_id > orders_effective.order_id || '|' \
         AND c.order_id < orders_effective.order_id || '}}' AND c.{LIVING}) {} \
         ORDER BY order_id",
        chosen(set)
    )]
}

/// Counts every order by state.
pub fn snapshot() -> Vec<String> {
    vec![format!(
        "SELECT effective_state, count(*) FROM orders_effective \
         WHERE controller_id = '{CONTROLLER}' GROUP BY effective_state"
    )]
}
