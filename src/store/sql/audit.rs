//! The statements that read the audit trail, built from a filter and from what the account can
//! see, for both databases.
//!
//! `l` is a row of `audit_logs`, `d` one of `audit_log_details`. An account that is limited to
//! folders sees an entry only through a detail row in one of them. So every condition on orders
//! applies to rows that the account can see, and to one row at a time.

use super::folders::{MANY_FOLDERS, push_among_folders, push_in_few_folders};
use super::list::push_limit;
use super::search::{is_pattern, push_matches};
use super::selection::push_within;
use super::{Dialect, Sql};
use crate::model::audit::{AuditEntry, AuditFilter, Category, Outcome};
use crate::model::folders::Folders;
use crate::model::permission::{Extent, Visible};
use crate::model::workflow_id::folder_of;

/// The name of the workflow of `d`: what follows its folder and the `/` after that.
const NAME: &str = "substr(d.workflow_path, \
                    length(d.folder) + CASE WHEN d.folder = '/' THEN 1 ELSE 2 END)";

/// The query for the entries, the newest first.
pub(in crate::store) fn entries<DB: Dialect>(filter: &AuditFilter, limit: Option<u64>) -> Sql<DB> {
    let extent = &filter.extent;
    let mut sql = Sql::new();
    sql.push(
        "SELECT l.id, l.controller_id, l.account, l.request, l.category, l.comment,\n    \
             l.time_spent, l.ticket_link, l.outcome, l.request_id, l.client_address, l.created,\n    \
             l.undoes, ",
    );
    push_by_extent(&mut sql, extent, "CAST(l.parameters AS text)", |sql, _, _| {
        sql.push("NULL");
    });
    sql.push(" AS parameters,\n    ");
    push_affected(&mut sql, extent);
    sql.push(" AS affected");
    push_matching(&mut sql, filter);
    sql.push("\nORDER BY l.created DESC, l.id DESC");
    push_limit(&mut sql, limit);
    sql
}

/// Adds how many of the orders that the entry `l` affected the account can see.
pub(super) fn push_affected<DB: Dialect>(sql: &mut Sql<DB>, extent: &Extent) {
    push_by_extent(sql, extent, "l.affected", |sql, controller, folders| {
        sql.push("(SELECT count(*) FROM audit_log_details d WHERE ");
        sql.push("d.controller_id = l.controller_id AND d.audit_log_id = l.id AND ");
        push_in_folders(sql, DetailScope::Controller(controller), folders);
        sql.push(")");
    });
}

/// Adds FROM and WHERE: the entries `l` that match a filter.
pub(super) fn push_matching<DB: Dialect>(sql: &mut Sql<DB>, filter: &AuditFilter) {
    let AuditFilter { extent, window, categories, .. } = filter;
    sql.push("\nFROM audit_logs l\nWHERE ");
    push_within_extent(sql, extent, "l", |sql, controller, visible| {
        push_about(sql, filter, controller, visible);
    });
    push_within(sql, "l.created", window);
    if let Some(outcome) = filter.outcome {
        sql.push(format_args!("\n  AND l.outcome = '{}'", outcome.as_str()));
    }
    if let Some(request) = &filter.request {
        push_matches(sql.push("\n  AND "), "l.request", request);
    }
    if let Some(request_id) = &filter.request_id {
        sql.push("\n  AND l.request_id = ").text(request_id);
    }
    if let Some(id) = filter.id {
        sql.push("\n  AND l.id = ").integer(id);
    }
    if !categories.is_empty() {
        let words = categories.iter().copied().map(Category::as_str);
        sql.push("\n  AND l.category").among(words.collect());
    }
    match (&filter.account, &filter.pseudonym) {
        (Some(account), Some(pseudonym)) if !is_pattern(account) => {
            sql.push("\n  AND l.account").among(vec![account, pseudonym]);
        }
        (Some(account), _) => push_matches(sql.push("\n  AND "), "l.account", account),
        (None, _) => {}
    }
    for (column, text) in [("l.comment", &filter.comment), ("l.ticket_link", &filter.ticket_link)] {
        if let Some(text) = text {
            push_matches(sql.push("\n  AND "), column, text);
        }
    }
}

/// The insert of an entry about `affected` orders, which returns its id. A migration writes one before
/// or after there is the column `undoes`.
pub(in crate::store) fn insert<DB: Dialect>(
    entry: &AuditEntry,
    outcome: Outcome,
    affected: u64,
) -> Sql<DB> {
    let mut sql = Sql::of(
        "INSERT INTO audit_logs (controller_id, account, request, parameters, category, comment,\n    \
             time_spent, ticket_link, outcome, affected, request_id, client_address, created",
    );
    sql.push(if entry.undoes.is_some() { ", undoes)\n" } else { ")\n" });
    sql.push("VALUES (").text(&entry.controller_id).push(", ").text(&entry.account);
    sql.push(", ").text(&entry.request);
    sql.push(", ").text(&entry.parameters.kept(outcome)).push(DB::AS_JSON);
    sql.push(", ").text(entry.category.as_str()).push(", ").optional(entry.comment.as_deref());
    sql.push(",\n    ").integer(entry.time_spent);
    sql.push(", ").optional(entry.ticket_link.as_deref());
    sql.push(", ").text(outcome.as_str()).push(", ").integer(affected.cast_signed());
    sql.push(", ").text(&entry.request_id).push(", ").optional(entry.client_address.as_deref());
    sql.push(", ").instant(entry.created);
    if let Some(undone) = entry.undoes {
        sql.push(", ").integer(undone);
    }
    sql.push(")\nRETURNING id");
    sql
}

/// The query for what an entry did to the orders within the extent, or to this one of them.
pub(in crate::store) fn details<DB: Dialect>(
    audit_log_id: i64,
    extent: &Extent,
    order_id: Option<&str>,
) -> Sql<DB> {
    let mut sql = Sql::new();
    sql.push(
        "SELECT d.order_id, d.workflow_path, d.workflow_version_id, d.previous_state,\n    \
             d.new_state, d.mark, d.kill, d.via_parent, CAST(d.before AS text) AS before\n\
         FROM audit_log_details d\n\
         WHERE ",
    );
    push_of_entry(&mut sql, "d", audit_log_id);
    if let Some(order_id) = order_id {
        sql.push("\n  AND d.order_id = ").key(order_id);
    }
    sql.push("\n  AND ");
    push_within_extent(&mut sql, extent, "d", |sql, _, visible| {
        if let Visible::Folders(folders) = visible {
            push_in_folders(sql.push(" AND "), DetailScope::Entry(audit_log_id), folders);
        }
    });
    sql.push("\nORDER BY d.order_id");
    sql
}

/// The query for what requests did to one order, the latest first.
pub(in crate::store) fn trail<DB: Dialect>(controller_id: &str, order_id: &str) -> Sql<DB> {
    let mut sql = Sql::new();
    sql.push(
        "SELECT l.id AS audit_log_id, l.created, l.account, l.request, l.comment,\n    \
             l.ticket_link, d.previous_state, d.new_state, d.mark, d.kill\n\
         FROM audit_log_details d\n\
         JOIN audit_logs l ON l.controller_id = d.controller_id AND l.id = d.audit_log_id\n\
         WHERE d.controller_id = ",
    );
    sql.key(controller_id).push("\n  AND l.controller_id = ").key(controller_id);
    sql.push("\n  AND d.order_id = ").key(order_id);
    sql.push("\nORDER BY l.id DESC");
    sql
}

/// The parts of an extent; `None` stands for all controllers that are not named.
fn parts(extent: &Extent) -> impl Iterator<Item = (Option<&str>, &Visible)> {
    let named =
        extent.controllers.iter().map(|(controller, visible)| (Some(&**controller), visible));
    named.chain(extent.elsewhere.iter().map(|visible| (None, visible)))
}

/// Adds the condition that a row belongs to a part's controller.
fn push_of_controller<DB: Dialect>(
    sql: &mut Sql<DB>,
    extent: &Extent,
    table: &str,
    controller: Option<&str>,
) {
    match controller {
        Some(controller) => sql.push(format_args!("{table}.controller_id = ")).text(controller),
        None if extent.controllers.is_empty() => sql.push("TRUE"),
        None => {
            let named = extent.controllers.iter().map(|(controller, _)| controller.as_str());
            sql.push(format_args!("NOT {table}.controller_id")).among(named.collect())
        }
    };
}

/// Adds the condition that a row is within the extent; `further` adds conditions for each part.
fn push_within_extent<DB: Dialect>(
    sql: &mut Sql<DB>,
    extent: &Extent,
    table: &str,
    further: impl Fn(&mut Sql<DB>, Option<&str>, &Visible),
) {
    for (i, (controller, visible)) in parts(extent).enumerate() {
        sql.push(if i == 0 { "(" } else { "\n    OR " });
        push_of_controller(sql, extent, table, controller);
        further(sql, controller, visible);
    }
    sql.push(")");
}

/// Adds a value of `l`: `unlimited`, or what `limited` adds where the account is limited to these
/// folders.
fn push_by_extent<DB: Dialect>(
    sql: &mut Sql<DB>,
    extent: &Extent,
    unlimited: &str,
    limited: impl Fn(&mut Sql<DB>, Option<&str>, &Folders),
) {
    if parts(extent).all(|(_, visible)| *visible == Visible::Everything) {
        sql.push(unlimited);
        return;
    }
    sql.push("CASE");
    for (controller, visible) in parts(extent) {
        sql.push(" WHEN ");
        push_of_controller(sql, extent, "l", controller);
        sql.push(" THEN ");
        match visible {
            Visible::Everything => {
                sql.push(unlimited);
            }
            Visible::Folders(folders) => limited(sql, controller, folders),
        }
    }
    sql.push(" END");
}

/// Adds the conditions on the orders of the entry `l`, if any.
fn push_about<DB: Dialect>(
    sql: &mut Sql<DB>,
    filter: &AuditFilter,
    controller: Option<&str>,
    visible: &Visible,
) {
    if *visible == Visible::Everything && !filter.touched_orders {
        return;
    }
    let folders = match visible {
        Visible::Everything if filter.folders.is_empty() => None,
        Visible::Everything => Some(filter.folders.clone()),
        Visible::Folders(visible) if filter.folders.is_empty() => Some(visible.clone()),
        Visible::Folders(visible) => Some(filter.folders.intersection(visible)),
    };
    if folders.as_ref().is_some_and(|folders| folders.is_empty()) {
        // Citus does not take a subquery that has no rows.
        sql.push(" AND FALSE");
        return;
    }
    let name = filter.object_name.as_deref().filter(|name| !is_pattern(name));
    let folder = name.filter(|name| !is_order_id(name)).and_then(folder_of);
    let indexed = name.filter(|name| is_order_id(name) || folder.is_some());
    if indexed.is_some() {
        // Few rows, which an index finds: start from them.
        sql.push(" AND (l.controller_id, l.id) IN ");
    } else {
        // Maybe very many rows: start from the newest entries.
        sql.push(" AND EXISTS ");
    }
    sql.nested(|sql| {
        let push_key = |sql: &mut Sql<DB>| {
            if let Some(controller) = controller {
                sql.push("d.controller_id = ").text(controller).push(" AND ");
            }
        };
        if let Some(name) = indexed {
            sql.push("SELECT d.controller_id, d.audit_log_id\nFROM audit_log_details d\nWHERE ");
            sql.push(if folder.is_some() { "(" } else { "" });
            push_key(sql);
            sql.push("d.order_id = ").text(name);
            if let Some(folder) = folder {
                push_key(sql.push("\n  OR "));
                // The index has the folder.
                sql.push("d.folder = ").text(folder).push(" AND d.workflow_path = ").text(name);
                sql.push(")");
            }
        } else {
            sql.push("SELECT 1\nFROM audit_log_details d\n");
            sql.push("WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id");
            if let Some(name) = &filter.object_name {
                for (i, column) in ["d.order_id", "d.workflow_path", NAME].into_iter().enumerate() {
                    sql.push(if i == 0 { "\n  AND (" } else { " OR " });
                    push_matches(sql, column, name);
                }
                sql.push(")");
            }
        }
        if let Some(folders) = folders {
            push_in_folders(sql.push("\n  AND "), DetailScope::Controller(controller), &folders);
        }
    });
}

/// Whether an object's name can only be an order's id: JOC's order ids begin with `#`, workflow
/// names do not.
fn is_order_id(name: &str) -> bool {
    name.starts_with('#')
}

/// What is known about the details to search.
enum DetailScope<'a> {
    Entry(i64),
    Controller(Option<&'a str>),
}

/// Adds the condition that a detail row belongs to an entry.
fn push_of_entry<DB: Dialect>(sql: &mut Sql<DB>, table: &str, audit_log_id: i64) {
    sql.push(format_args!("{table}.audit_log_id = ")).integer(audit_log_id);
    // The key begins with the controller, which the entry knows.
    sql.push(format_args!(
        "\n  AND {table}.controller_id IN (SELECT l.controller_id FROM audit_logs l WHERE l.id = "
    ));
    sql.integer(audit_log_id).push(")");
}

/// Adds the condition that the folder of `d` is one of these.
fn push_in_folders<DB: Dialect>(sql: &mut Sql<DB>, of: DetailScope<'_>, folders: &Folders) {
    if folders.len() < MANY_FOLDERS || folders.are_all() {
        return push_in_few_folders(sql, "d.folder", folders);
    }
    sql.push("d.folder");
    // The trail outlives workflows, so only the trail has all its folders.
    push_among_folders(sql, folders, |sql| {
        sql.push("SELECT DISTINCT k.folder FROM audit_log_details k WHERE ");
        match of {
            DetailScope::Entry(id) => push_of_entry(sql, "k", id),
            DetailScope::Controller(Some(controller)) => {
                sql.push("k.controller_id = ").text(controller);
            }
            DetailScope::Controller(None) => {
                sql.push("TRUE");
            }
        }
    });
}
