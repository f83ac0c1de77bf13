//! The statements that show orders: lists, single orders, histories and counts.

use sqlx::QueryBuilder;

use super::search::push_matches;
use super::{Dialect, STATE_SINCE, push_in_reach, push_in_sight, push_selected, push_within};
use crate::model::order::State;
use crate::model::selection::Selection;
use crate::model::window::Window;
use crate::store::list::{Family, HistoryFilter};

/// What a list shows of the order `o`.
const SHOWN: &str = "o.order_id, o.workflow_path, o.workflow_version_id, \
     o.effective_state, o.mark, o.kill_requested IS NOT NULL AS kill_requested, o.reason, \
     o.scheduled_for, o.priority, CAST(o.arguments AS text) AS arguments, \
     CAST(o.position AS text) AS position";

/// Adds the query of the orders that a selection means, by id.
pub(in crate::store) fn push_list<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    selection: &Selection,
    limit: Option<u64>,
) {
    // A living descendant, as DESCENDS has it.
    sql.push(format_args!(
        "SELECT {SHOWN}, EXISTS (SELECT 1 FROM orders c WHERE c.controller_id = o.controller_id \
         AND c.root_id = o.root_id AND c.parent_id IS NOT NULL \
         AND c.order_id > o.order_id || '|' AND c.order_id < o.order_id || '}}' \
         AND c.state NOT IN ('FINISHED', 'CANCELLED')) AS has_children FROM "
    ));
    DB::push_orders(sql, selection.now);
    sql.push(" WHERE ");
    push_in_reach(sql, selection);
    push_selected(sql, selection);
    sql.push(" ORDER BY o.order_id");
    push_limit(sql, limit);
}

/// Adds the query of the numbers of orders by effective state. Only scheduled orders are limited
/// by the window, as in JOC.
pub(in crate::store) fn push_snapshot<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    selection: &Selection,
) {
    sql.push("SELECT o.effective_state, count(*) AS orders FROM ");
    DB::push_orders(sql, selection.now);
    sql.push(" WHERE ");
    push_in_reach(sql, selection);
    let unlimited = Selection { window: Window::UNBOUNDED, ..selection.clone() };
    push_selected(sql, &unlimited);
    if !selection.window.is_unbounded() {
        sql.push(" AND (o.effective_state <> 'SCHEDULED' OR (TRUE");
        push_within(sql, "o.scheduled_for", &selection.window);
        sql.push("))");
    }
    sql.push(" GROUP BY o.effective_state");
}

/// Adds the query of terminal orders, the latest first.
pub(in crate::store) fn push_history<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    selection: &Selection,
    filter: &HistoryFilter,
    limit: Option<u64>,
) {
    const STARTED: &str = "coalesce(o.started, o.created)";
    const WORKFLOW_NAME: &str = "substr(o.workflow_path, length(rtrim(o.workflow_path, replace(o.workflow_path, '/', ''))) + 1)";
    sql.push(format_args!(
        "SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, \
         o.state, o.scheduled_for, {STARTED} AS started, {STATE_SINCE} AS ended, o.modified, \
         CAST(o.arguments AS text) AS arguments, CAST(o.position AS text) AS position \
         FROM orders o WHERE o.controller_id = "
    ));
    DB::push_key(sql, &selection.controller_id);
    // Word for word the condition of the indexes over terminal orders.
    sql.push(" AND o.state IN ('FINISHED', 'CANCELLED')");
    for state in [State::Finished, State::Cancelled] {
        if !filter.states.contains(&state) {
            sql.push(format_args!(" AND o.state <> '{}'", state.as_str()));
        }
    }
    match &filter.family {
        Family::Heads => {
            sql.push(" AND o.parent_id IS NULL");
        }
        Family::Only(order_id) => {
            sql.push(" AND o.order_id = ");
            DB::push_text(sql, order_id);
        }
        Family::Below(parent) => {
            sql.push(" AND o.order_id > ");
            DB::push_text(sql, &format!("{parent}|"));
            sql.push(" AND o.order_id < ");
            DB::push_text(sql, &format!("{parent}}}"));
        }
    }
    push_in_sight(sql, &selection.controller_id, &selection.sight);
    let others = Selection { window: Window::UNBOUNDED, ..selection.clone() };
    push_selected(sql, &others);
    push_within(sql, STARTED, &selection.window);
    push_within(sql, STATE_SINCE, &filter.completed);
    for (column, text) in [("o.order_id", &filter.order_id), (WORKFLOW_NAME, &filter.workflow_name)]
    {
        if let Some(text) = text {
            sql.push(" AND ");
            push_matches(sql, column, text);
        }
    }
    match &filter.workflow_path {
        Some(path) if path.starts_with(['/', '*']) => {
            sql.push(" AND ");
            push_matches(sql, "o.workflow_path", path);
        }
        // No path begins like that, but a name may.
        Some(name) => {
            sql.push(" AND ");
            push_matches(sql, WORKFLOW_NAME, name);
        }
        None => {}
    }
    if !filter.exclude_workflows.is_empty() {
        let texts = || filter.exclude_workflows.iter().map(String::as_str).collect();
        sql.push(" AND NOT o.workflow_path");
        DB::push_among(sql, texts());
        sql.push(format_args!(" AND NOT {WORKFLOW_NAME}"));
        DB::push_among(sql, texts());
    }
    push_named(sql, &filter.orders, WORKFLOW_NAME);
    sql.push(format_args!(" ORDER BY {STATE_SINCE} DESC, o.order_id"));
    push_limit(sql, limit);
}

/// Adds that the order is one of these, if there are any: of a workflow, by its path or its name,
/// or the one with an id.
fn push_named<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    orders: &[(String, Option<String>)],
    workflow_name: &str,
) {
    if orders.is_empty() {
        return;
    }
    sql.push(" AND (FALSE");
    for (column, bare) in [("o.workflow_path", false), (workflow_name, true)] {
        let of_kind = orders.iter().filter(|(workflow, _)| workflow.starts_with('/') != bare);
        let (single, all): (Vec<_>, Vec<_>) = of_kind.partition(|(_, id)| id.is_some());
        if !all.is_empty() {
            sql.push(format_args!(" OR {column}"));
            DB::push_among(sql, all.iter().map(|(workflow, _)| &**workflow).collect());
        }
        if !single.is_empty() {
            sql.push(format_args!(" OR ({column}, o.order_id) IN (SELECT r.a, r.b FROM "));
            let rows = single.iter().map(|(workflow, id)| [Some(&**workflow), id.as_deref(), None]);
            DB::push_rows(sql, rows.collect());
            sql.push(")");
        }
    }
    sql.push(")");
}

/// Adds the limit, if there is one.
pub(super) fn push_limit<DB: Dialect>(sql: &mut QueryBuilder<DB>, limit: Option<u64>) {
    if let Some(limit) = limit {
        sql.push(" LIMIT ");
        DB::push_integer(sql, limit.try_into().unwrap_or(i64::MAX));
    }
}
