//! How a change begins on PostgreSQL: it selects, locks and judges orders.

use sqlx::Postgres;

use crate::model::action::Action;
use crate::model::selection::Selection;
use crate::store::sql::Sql;
use crate::store::sql::change::push_affected;
use crate::store::sql::selection::push_chosen;

/// The highest number of orders that a change may affect.
pub(super) fn limit(max_orders: Option<u64>) -> i64 {
    max_orders.map_or(i64::MAX, |max| i64::try_from(max).unwrap_or(i64::MAX))
}

/// Begins a statement with the expressions up to `affected`, and `gate`, which says how many orders
/// that are, and whether a chosen one changed before it was locked.
pub(super) fn judged(selection: &Selection, action: &Action) -> Sql<Postgres> {
    let mut sql = Sql::new();
    push_chosen(&mut sql, selection, action);
    sql.with("locked", |sql| push_locked(sql, &selection.controller_id, ""));
    push_affected(&mut sql, selection, action);
    sql.with("gate", |sql| {
        sql.push(
            "SELECT (SELECT count(*) FROM affected) AS affected,\n    \
                 (SELECT count(*) FROM chosen) <> (SELECT count(*) FROM locked WHERE same) AS stale",
        );
    });
    sql
}

/// Locks the chosen orders, and says of each whether it is still as the snapshot shows it: a changed
/// row lies elsewhere. Citus refuses the lock in an expression of WITH, but not below one. `option`
/// belongs to FOR UPDATE.
pub(super) fn push_locked(sql: &mut Sql<Postgres>, controller_id: &str, option: &str) {
    sql.push("SELECT l.order_id, l.same\nFROM ").nested(|sql| {
        sql.push(
            "SELECT o.order_id, o.ctid = c.place AS same\n\
             FROM chosen c JOIN orders o ON o.ctid = c.place\n\
             WHERE o.controller_id = ",
        );
        // In the order of the key, so that two requests for the same orders do not deadlock.
        sql.key(controller_id).push("\nORDER BY o.order_id\nFOR NO KEY UPDATE OF o").push(option);
    });
    sql.push(" l");
}
