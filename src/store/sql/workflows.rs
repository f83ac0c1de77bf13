//! The statements about workflows. Columns are named as those of orders, so that both share
//! what says which folders are meant.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use super::{Dialect, LIVING, push_in_folders, push_reach};
use crate::model::permission::Visible;
use crate::model::selection::Reach;
use crate::model::workflow_id::WorkflowId;
use crate::store::workflows::WorkflowFilter;

/// Adds the query of the folders that have workflows in themselves.
pub(in crate::store) fn push_workflow_folders<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    controller_id: &str,
    visible: &Visible,
) {
    sql.push("SELECT DISTINCT o.folder ");
    push_visible(sql, controller_id, visible);
}

/// Adds the query of the workflows, the newest version first.
pub(in crate::store) fn push_workflows<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    filter: &WorkflowFilter,
) {
    push_known(sql, filter);
    sql.push(
        "SELECT k.workflow_path AS path, k.workflow_version_id AS version_id, k.created, \
         k.is_current FROM known k ORDER BY k.created DESC, path, version_id DESC",
    );
}

/// Adds the query of counts: rows of workflows, without a state, and rows of counts.
pub(in crate::store) fn push_order_counts<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    filter: &WorkflowFilter,
    now: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
) {
    push_known(sql, filter);
    sql.push(
        "SELECT k.workflow_path AS path, k.workflow_version_id AS version_id, \
         NULL AS state, 0 AS orders FROM known k \
         UNION ALL SELECT o.workflow_path, o.workflow_version_id, o.effective_state, count(*) FROM ",
    );
    DB::push_orders(sql, now);
    sql.push(" WHERE o.controller_id = ");
    DB::push_key(sql, &filter.controller_id);
    sql.push(
        " AND (o.workflow_path, o.workflow_version_id) IN \
         (SELECT k.workflow_path, k.workflow_version_id FROM known k) AND ",
    );
    push_reach(sql, Reach::InSight);
    if let Some(until) = until {
        sql.push(" AND (o.effective_state <> 'SCHEDULED' OR o.scheduled_for < ");
        DB::push_instant(sql, until);
        sql.push(")");
    }
    sql.push(" GROUP BY o.workflow_path, o.workflow_version_id, o.effective_state");
}

/// Adds `known`: the workflows that are meant.
fn push_known<DB: Dialect>(sql: &mut QueryBuilder<DB>, filter: &WorkflowFilter) {
    // All versions of a path share its folder, so what is invisible takes no version away.
    sql.push(
        "WITH versions AS MATERIALIZED (SELECT o.controller_id, o.workflow_path, \
         o.version_id AS workflow_version_id, o.name, o.folder, o.created, row_number() OVER \
         (PARTITION BY o.workflow_path ORDER BY o.created DESC, o.version_id DESC) = 1 \
         AS is_current ",
    );
    push_visible(sql, &filter.controller_id, &filter.visible);
    sql.push("), known AS MATERIALIZED (SELECT o.* FROM versions o WHERE ");
    if !filter.named.is_empty() {
        push_named(sql, &filter.named);
        sql.push(") ");
        return;
    }
    sql.push(
        "(o.is_current OR (o.workflow_path, o.workflow_version_id) IN \
         (SELECT o.workflow_path, o.workflow_version_id FROM orders o WHERE o.controller_id = ",
    );
    DB::push_key(sql, &filter.controller_id);
    sql.push(format_args!(" AND {LIVING}))"));
    if !filter.folders.is_empty() {
        sql.push(" AND ");
        push_in_folders(sql, &filter.controller_id, &filter.folders);
    }
    sql.push(") ");
}

/// Adds FROM and WHERE: the workflows `o` of a controller that the account can see.
fn push_visible<DB: Dialect>(sql: &mut QueryBuilder<DB>, controller_id: &str, visible: &Visible) {
    sql.push(
        "FROM (SELECT w.*, w.path AS workflow_path FROM workflows w) o WHERE o.controller_id = ",
    );
    DB::push_key(sql, controller_id);
    if let Visible::Folders(folders) = visible {
        sql.push(" AND ");
        push_in_folders(sql, controller_id, folders);
    }
}

/// Adds the condition that the version `o` is named: the current one where no version is.
fn push_named<DB: Dialect>(sql: &mut QueryBuilder<DB>, named: &[WorkflowId]) {
    sql.push("(FALSE");
    for (column, bare) in [("workflow_path", false), ("name", true)] {
        let (versioned, current): (Vec<&WorkflowId>, Vec<&WorkflowId>) = named
            .iter()
            .filter(|workflow| workflow.is_bare_name() == bare)
            .partition(|workflow| workflow.version_id.is_some());
        if !current.is_empty() {
            sql.push(format_args!(" OR o.is_current AND o.{column}"));
            DB::push_among(sql, current.iter().map(|w| w.path.as_str()).collect());
        }
        if !versioned.is_empty() {
            sql.push(format_args!(
                " OR (o.{column}, o.workflow_version_id) IN (SELECT r.a, r.b FROM "
            ));
            let rows =
                versioned.iter().map(|w| [Some(w.path.as_str()), w.version_id.as_deref(), None]);
            DB::push_rows(sql, rows.collect());
            sql.push(")");
        }
    }
    sql.push(")");
}
