//! The statements about workflows. Their columns are named like those of orders, so that both share
//! the conditions on folders.

use chrono::{DateTime, Utc};

use super::folders::push_in_folders;
use super::selection::{HALVES, push_horizon, push_orders, push_reach, push_within};
use super::{Dialect, Sql};
use crate::model::permission::Visible;
use crate::model::selection::Reach;
use crate::model::window::Window;
use crate::model::workflow_id::WorkflowId;
use crate::store::tables::ColumnType::Text;
use crate::store::workflows::WorkflowFilter;

/// That the order `o` is of a known workflow.
const OF_KNOWN: &str = "(o.workflow_path, o.workflow_version_id) IN\n      \
                        (SELECT k.workflow_path, k.workflow_version_id FROM known k)";

/// The query of the folders that directly contain workflows.
pub(in crate::store) fn folders<DB: Dialect>(controller_id: &str, visible: &Visible) -> Sql<DB> {
    let mut sql = Sql::new();
    sql.push("SELECT DISTINCT o.folder\n");
    push_visible(&mut sql, controller_id, visible);
    sql
}

/// The query of the workflows, the newest version first.
pub(in crate::store) fn workflows<DB: Dialect>(filter: &WorkflowFilter) -> Sql<DB> {
    let mut sql = Sql::new();
    push_known(&mut sql, filter);
    sql.push(
        "\nSELECT k.workflow_path AS path, k.workflow_version_id AS version_id, k.created,\n    \
             k.is_current\n\
         FROM known k\n\
         ORDER BY k.created DESC, path, version_id DESC",
    );
    sql
}

/// The query of counts: rows of workflows, without a state, and rows of counts.
pub(in crate::store) fn order_counts<DB: Dialect>(
    filter: &WorkflowFilter,
    now: DateTime<Utc>,
    window: &Window,
    horizon: Option<DateTime<Utc>>,
) -> Sql<DB> {
    let mut sql = Sql::at(now);
    push_known(&mut sql, filter);
    sql.push(
        "\nSELECT k.workflow_path AS path, k.workflow_version_id AS version_id, NULL AS state,\n    \
             0 AS orders\n\
         FROM known k",
    );
    let is_narrow = !filter.named.is_empty() || !filter.folders.is_empty();
    let reaches: &[Reach] =
        if is_narrow || window.is_unbounded() { &HALVES } else { &[Reach::InSight] };
    for &reach in reaches {
        sql.push(
            "\nUNION ALL\n\
             SELECT o.workflow_path, o.workflow_version_id, o.effective_state, count(*)\n\
             FROM ",
        );
        push_orders(&mut sql, reach, now);
        sql.push("\nWHERE o.controller_id = ").key(&filter.controller_id).push("\n  AND ");
        push_reach(&mut sql, reach);
        if is_narrow {
            sql.push("\n  AND ").push(OF_KNOWN);
        }
        push_within(&mut sql, "o.scheduled_for", window);
        push_horizon(&mut sql, reach, horizon);
        sql.push("\nGROUP BY o.workflow_path, o.workflow_version_id, o.effective_state");
        // A look-up for each count is cheaper than one for each order.
        if !is_narrow {
            sql.push("\nHAVING ").push(OF_KNOWN);
        }
    }
    sql
}

/// The query of the versions of workflows, by path or bare name, newest first.
pub(in crate::store) fn current<DB: Dialect>(
    controller_id: &str,
    visible: &Visible,
    asked: &[&str],
) -> Sql<DB> {
    let mut sql = Sql::new();
    let (paths, names): (Vec<&str>, Vec<&str>) = asked.iter().partition(|a| a.starts_with('/'));
    for (i, (column, asked)) in [("workflow_path", paths), ("name", names)].into_iter().enumerate()
    {
        sql.push(if i == 0 { "" } else { "\nUNION ALL\n" });
        sql.push("SELECT r.asked, o.workflow_path AS path, o.version_id, o.created\nFROM ");
        sql.rows(&[("asked", Text)], asked.into_iter().map(|asked| [Some(asked)]));
        sql.push("\nJOIN ").nested(|sql| {
            sql.push(
                "SELECT controller_id, path AS workflow_path, version_id, folder, name, created\n\
                 FROM workflows",
            );
        });
        sql.push(format_args!(" o ON o.{column} = r.asked\nWHERE o.controller_id = "));
        sql.key(controller_id);
        push_if_limited(&mut sql, controller_id, visible);
    }
    sql.push("\nORDER BY created DESC, version_id DESC");
    sql
}

/// Adds `known`: the workflows that are meant.
fn push_known<DB: Dialect>(sql: &mut Sql<DB>, filter: &WorkflowFilter) {
    // All versions of a path share its folder, so the account sees all of them or none.
    sql.with("versions", |sql| {
        sql.push(
            "SELECT o.controller_id, o.workflow_path, o.version_id AS workflow_version_id,\n    \
                 o.name, o.folder, o.created,\n    \
                 row_number() OVER (\n        \
                     PARTITION BY o.workflow_path ORDER BY o.created DESC, o.version_id DESC\n    \
                 ) = 1 AS is_current\n",
        );
        push_visible(sql, &filter.controller_id, &filter.visible);
    });
    sql.with("known", |sql| {
        sql.push("SELECT o.*\nFROM versions o\nWHERE ");
        if !filter.named.is_empty() {
            return push_named(sql, &filter.named);
        }
        sql.push(
            "(o.is_current OR EXISTS (\n    \
                 SELECT 1 FROM orders l\n    \
                 WHERE l.workflow_path = o.workflow_path\n      \
                   AND l.workflow_version_id = o.workflow_version_id\n      \
                   AND l.state NOT IN ('FINISHED', 'CANCELLED')\n      \
                   AND l.controller_id = ",
        );
        sql.key(&filter.controller_id).push("\n))");
        if !filter.folders.is_empty() {
            push_in_folders(sql.push("\n  AND "), &filter.controller_id, &filter.folders);
        }
    });
}

/// Adds FROM and WHERE: the workflows `o` of a controller that the account can see.
fn push_visible<DB: Dialect>(sql: &mut Sql<DB>, controller_id: &str, visible: &Visible) {
    sql.push(
        "FROM (SELECT w.*, w.path AS workflow_path FROM workflows w) o\nWHERE o.controller_id = ",
    );
    sql.key(controller_id);
    push_if_limited(sql, controller_id, visible);
}

/// Adds the condition that the account can see the folder of the workflow `o`.
fn push_if_limited<DB: Dialect>(sql: &mut Sql<DB>, controller_id: &str, visible: &Visible) {
    if let Visible::Folders(folders) = visible {
        push_in_folders(sql.push("\n  AND "), controller_id, folders);
    }
}

/// Adds the condition that the version `o` is named; without a version, the current one is meant.
fn push_named<DB: Dialect>(sql: &mut Sql<DB>, named: &[WorkflowId]) {
    sql.push("(FALSE");
    for (column, bare) in [("workflow_path", false), ("name", true)] {
        let (versioned, current): (Vec<&WorkflowId>, Vec<&WorkflowId>) = named
            .iter()
            .filter(|workflow| workflow.is_bare_name() == bare)
            .partition(|workflow| workflow.version_id.is_some());
        if !current.is_empty() {
            sql.push(format_args!("\n    OR o.is_current AND o.{column}"));
            sql.among(current.iter().map(|w| w.path.as_str()).collect());
        }
        if !versioned.is_empty() {
            sql.push(format_args!("\n    OR (o.{column}, o.workflow_version_id) IN "));
            let rows = versioned.iter().map(|w| [Some(w.path.as_str()), w.version_id.as_deref()]);
            sql.push("(SELECT r.path, r.version_id FROM ");
            sql.rows(&[("path", Text), ("version_id", Text)], rows).push(")");
        }
    }
    sql.push(")");
}
