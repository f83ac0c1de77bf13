//! What a [`Selection`] means: the expressions up to `chosen`, and the conditions that lists and
//! changes share.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::effect::assigned;
use super::fate::push_fate;
use super::folders::push_in_folders;
use super::{DESCENDS, Dialect, HISTORY_AT, LIVING, STATE_SINCE, Sql, TERMINAL, quoted};
use crate::model::action::Action;
use crate::model::audit::Outcome;
use crate::model::order::{EffectiveState, State};
use crate::model::permission::Visible;
use crate::model::selection::{Reach, Selection, Sight, Subject};
use crate::model::window::Window;
use crate::model::workflow_id::WorkflowId;
use crate::store::tables::ColumnType::Text;
use crate::store::tables::{TableColumn, Use, list, of_orders};

/// Whether one plan fits all selections of this kind, so that it can be kept: true for a single id.
pub(in crate::store) fn plans_alike(selection: &Selection) -> bool {
    matches!(&selection.subject, Subject::Orders(ids) if ids.len() == 1) && !selection.has_cycles()
}

/// Adds the expressions up to `chosen`, for a change.
pub(in crate::store) fn push_chosen<DB: Dialect>(
    sql: &mut Sql<DB>,
    selection: &Selection,
    action: &Action,
) {
    let names = changed_columns(action).map(|column| column.name).chain(DB::PLACE);
    push_expressions(sql, selection, &columns(names));
}

/// Adds the expressions up to `chosen`, for a preview.
pub(in crate::store) fn push_judged<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection) {
    push_expressions(sql, selection, &columns(of_orders(Use::Judged).map(|column| column.name)));
}

/// The columns of an order that a change looks at.
pub(in crate::store) fn changed_columns(
    action: &Action,
) -> impl Iterator<Item = &'static TableColumn> {
    let written = of_orders(Use::Assigned);
    let written = written.filter(|column| assigned(action).contains(&column.name));
    of_orders(Use::Chosen).chain(written)
}

/// Adds the expressions up to `chosen`, which has these columns of the order `o`.
fn push_expressions<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection, columns: &str) {
    if selection.has_cycles() {
        sql.with("cycles", |sql| push_cycles(sql, selection));
    }
    if selection.deep {
        sql.with("base", |sql| push_base(sql, selection, columns));
        sql.with("below", |sql| push_below(sql, selection));
        sql.with("chosen", |sql| push_family(sql, selection, columns));
    } else {
        sql.with("chosen", |sql| push_base(sql, selection, columns));
    }
}

/// Adds a query that counts the orders that may be chosen, up to a limit. It reads an index and no
/// orders: what narrows the selection further, except a deep one, is left out.
#[cfg(feature = "sqlite")]
pub(in crate::store) fn push_rough_count<DB: Dialect>(
    sql: &mut Sql<DB>,
    selection: &Selection,
    limit: u32,
) {
    let mut rough = selection.clone();
    rough.states.clear();
    rough.sight = vec![Sight { states: &[], visible: Visible::Everything }];
    rough.state_window = Window::UNBOUNDED;
    rough.horizon = None;
    if rough.subject != Subject::Everything {
        rough.window = Window::UNBOUNDED;
    }
    sql.push("SELECT count(*) FROM ").nested(|sql| {
        sql.push("SELECT 1\nFROM orders o\nWHERE ");
        push_in_reach(sql, &rough);
        push_selected(sql, &rough);
        sql.push(format_args!("\nLIMIT {limit}"));
    });
}

fn columns<'a>(names: impl Iterator<Item = &'a str>) -> String {
    list(names, |name| format!("o.{name}")) + ", o.effective_state"
}

/// Adds the outcome of a request that affects no order, as a value: whether it would have selected
/// orders where the account may not look. Nothing is queried for an account without limits.
pub(in crate::store) fn push_without_effect<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection) {
    let [outside, none] = [Outcome::Outside, Outcome::NoOrders].map(Outcome::as_str);
    if !selection.is_limited() {
        sql.push(format_args!("'{none}'"));
        return;
    }
    if selection.names_hidden() {
        sql.push(format_args!("'{outside}'"));
        return;
    }
    let everything = Sight { states: &[], visible: Visible::Everything };
    let unlimited = Selection { sight: vec![everything], ..selection.clone() };
    sql.push("CASE WHEN EXISTS ").nested(|sql| {
        sql.push("SELECT 1\nFROM ").orders(selection.now).push("\nWHERE ");
        push_in_reach(sql, &unlimited);
        push_selected(sql, &unlimited);
        sql.push("\n  AND NOT (TRUE");
        push_in_sight(sql, &selection.controller_id, &selection.sight);
        sql.push(")");
    });
    sql.push(format_args!(" THEN '{outside}' ELSE '{none}' END"));
}

/// The orders that the request's own fields select.
fn push_base<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection, columns: &str) {
    if let Subject::Entry(id) = selection.subject {
        return push_of_entry(sql, selection, columns, id);
    }
    sql.push(format_args!("SELECT {columns}, NULL AS via_parent\nFROM "));
    sql.orders(selection.now).push("\nWHERE ");
    push_in_reach(sql, selection);
    push_selected(sql, selection);
    if selection.has_cycles() {
        push_of_cycles(sql, selection, columns);
    }
}

/// Adds a query of the orders that an entry changed, with these columns of `o` and their fate.
fn push_of_entry<DB: Dialect>(
    sql: &mut Sql<DB>,
    selection: &Selection,
    columns: &str,
    audit_log_id: i64,
) {
    sql.push(format_args!("SELECT {columns}, NULL AS via_parent,\n    "));
    push_fate(sql, selection, audit_log_id);
    sql.push(" AS fate\nFROM audit_log_details d CROSS JOIN ").orders(selection.now);
    sql.push("\nWHERE d.controller_id = ").key(&selection.controller_id);
    sql.push("\n  AND d.audit_log_id = ").integer(audit_log_id);
    sql.push("\n  AND o.order_id = d.order_id\n  AND ");
    push_in_reach(sql, selection);
}

/// The cycles that the request names by a fresh order in reach, as ranges of ids.
fn push_cycles<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection) {
    let cycles: Vec<_> = selection.cycles().collect();
    let past: Vec<String> = cycles.iter().map(|(_, cycle)| cycle.past()).collect();
    let rows = cycles.iter().zip(&past);
    let rows = rows.map(|((id, cycle), past)| [Some(*id), Some(cycle.common()), Some(&**past)]);
    sql.push("SELECT DISTINCT r.first_id, r.past_id\nFROM ");
    sql.rows(&[("order_id", Text), ("first_id", Text), ("past_id", Text)], rows);
    sql.push(" CROSS JOIN ").orders(selection.now);
    sql.push("\nWHERE o.order_id = r.order_id AND o.state = 'FRESH'\n  AND ");
    push_in_reach(sql, selection);
}

/// Their fresh orders. UNION, since the named ones are among them.
fn push_of_cycles<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection, columns: &str) {
    sql.push(format_args!("\nUNION\nSELECT {columns}, NULL AS via_parent\n"));
    sql.push("FROM cycles y CROSS JOIN ").orders(selection.now);
    sql.push(
        "\nWHERE o.order_id >= y.first_id AND o.order_id < y.past_id\n  \
           AND o.parent_id IS NULL AND o.state = 'FRESH'\n  \
           AND ",
    );
    push_in_reach(sql, selection);
    push_limits(sql, selection);
}

/// Their living descendants.
fn push_below<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection) {
    sql.push(format_args!(
        "SELECT o.order_id, max(p.order_id) AS via_parent\n\
         FROM base p CROSS JOIN orders o\n\
         WHERE {DESCENDS}\n  \
           AND o.order_id NOT IN (SELECT b.order_id FROM base b)\n  \
           AND "
    ));
    push_in_reach(sql, selection);
    sql.push("\nGROUP BY o.order_id");
}

/// The selected orders and their living descendants.
fn push_family<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection, columns: &str) {
    sql.push(format_args!(
        "SELECT * FROM base\n\
         UNION ALL\n\
         SELECT {columns}, l.via_parent\n\
         FROM below l JOIN "
    ));
    sql.orders(selection.now).push(" ON o.order_id = l.order_id\nWHERE o.controller_id = ");
    sql.key(&selection.controller_id);
}

/// Adds the condition that an order `o` belongs to the controller, that the account can see it and
/// that the request may touch it.
pub(super) fn push_in_reach<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection) {
    sql.push("o.controller_id = ").key(&selection.controller_id).push("\n  AND ");
    push_reach(sql, selection.reach);
    if selection.fresh_only {
        sql.push("\n  AND o.state = 'FRESH'");
    }
    push_in_sight(sql, &selection.controller_id, &selection.sight);
}

/// The reaches that together are that of a selection. A partial index serves living orders and
/// another terminal ones; where neither helps, the orders are better read once.
pub(super) fn reaches(selection: &Selection) -> Vec<Reach> {
    if selection.reach != Reach::InSight {
        return vec![selection.reach];
    }
    let states = &selection.states;
    if !states.is_empty() && states.iter().all(|state| state.is_terminal()) {
        return vec![Reach::Ended];
    }
    if is_of_workflows(selection) { HALVES.to_vec() } else { vec![Reach::InSight] }
}

/// Whether an index over workflows narrows a selection.
pub(super) fn is_of_workflows(selection: &Selection) -> bool {
    match &selection.subject {
        Subject::Workflows(_) => true,
        Subject::Folders(folders) => !folders.are_all(),
        Subject::Everything => selection.is_limited(),
        Subject::Orders(_) | Subject::Entry(_) | Subject::Nothing => false,
    }
}

/// The reaches that together are [`Reach::InSight`]. Each has an index that counts its orders, but none
/// has due times of many terminal ones.
pub(super) const HALVES: [Reach; 2] = [Reach::Living, Reach::Ended];

/// Adds a table expression `o`: the orders with their effective state. That of an ended one is its
/// stored state, which an index has.
pub(super) fn push_orders<DB: Dialect>(sql: &mut Sql<DB>, reach: Reach, now: DateTime<Utc>) {
    match reach {
        Reach::Ended => sql.push("(SELECT o.*, o.state AS effective_state FROM orders o) o"),
        _ => sql.orders(now),
    };
}

/// Adds the condition that the reach includes the order `o`.
pub(super) fn push_reach<DB: Dialect>(sql: &mut Sql<DB>, reach: Reach) {
    match reach {
        Reach::Living => sql.push(LIVING),
        Reach::Ended => sql.push(format_args!("{TERMINAL} AND NOT o.remove_when_terminated")),
        Reach::InSight => sql.push(format_args!("({LIVING} OR NOT o.remove_when_terminated)")),
        Reach::NotRemoved => sql.push("NOT o.remove_when_terminated"),
        Reach::Any => sql.push("TRUE"),
    };
}

/// Adds the condition that the account can see the order `o`.
pub(super) fn push_in_sight<DB: Dialect>(sql: &mut Sql<DB>, controller_id: &str, sight: &[Sight]) {
    if sight.iter().any(|s| s.states.is_empty() && s.visible == Visible::Everything) {
        return;
    }
    if sight.is_empty() {
        sql.push("\n  AND FALSE");
        return;
    }
    for (i, Sight { states, visible }) in sight.iter().enumerate() {
        sql.push(if i == 0 { "\n  AND ((" } else { "\n    OR (" });
        match visible {
            Visible::Everything => {
                sql.push("TRUE");
            }
            Visible::Folders(folders) => push_in_folders(sql, controller_id, folders),
        }
        if !states.is_empty() {
            sql.push(format_args!(" AND o.effective_state IN ({})", words(states)));
        }
        sql.push(")");
    }
    sql.push(")");
}

/// Adds the conditions of the request's own fields.
pub(super) fn push_selected<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection) {
    match &selection.subject {
        Subject::Orders(ids) => match ids.as_slice() {
            [id] => {
                sql.push("\n  AND o.order_id = ").key(id);
            }
            ids => {
                sql.push("\n  AND o.order_id").among(ids.iter().map(String::as_str).collect());
            }
        },
        Subject::Workflows(workflows) => {
            sql.push("\n  AND (o.workflow_path, o.workflow_version_id) IN ").nested(|sql| {
                push_versions(sql, &selection.controller_id, workflows);
            });
        }
        Subject::Folders(folders) => {
            let folders = selection.in_sight(folders);
            push_in_folders(sql.push("\n  AND "), &selection.controller_id, &folders);
        }
        Subject::Entry(id) => {
            sql.push("\n  AND o.order_id IN ").nested(|sql| {
                sql.push("SELECT d.order_id FROM audit_log_details d\nWHERE d.controller_id = ");
                sql.key(&selection.controller_id).push(" AND d.audit_log_id = ").integer(*id);
            });
        }
        Subject::Everything => {}
        Subject::Nothing => {
            sql.push("\n  AND FALSE");
        }
    }
    push_limits(sql, selection);
}

/// Adds the conditions besides the subject.
fn push_limits<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection) {
    if !selection.states.is_empty() {
        sql.push(format_args!("\n  AND o.effective_state IN ({})", words(&selection.states)));
        // The stored states behind the effective ones, which an index has.
        let stored: Option<BTreeSet<&str>> =
            selection.states.iter().map(|state| state.stored().map(State::as_str)).collect();
        if let Some(stored) = stored {
            sql.push(format_args!("\n  AND o.state IN ({})", quoted(stored)));
        }
    }
    // A never-scheduled order has NULL, which fails every comparison.
    push_within(sql, "o.scheduled_for", &selection.window);
    push_horizon(sql, selection.reach, selection.horizon);
    let since = if selection.reach == Reach::Ended { HISTORY_AT } else { STATE_SINCE };
    push_within(sql, since, &selection.state_window);
}

/// Adds the condition that an order `o` is not scheduled at the horizon or later, if there is one.
/// An order is `SCHEDULED` if it is fresh, not suspended and not yet due.
pub(super) fn push_horizon<DB: Dialect>(
    sql: &mut Sql<DB>,
    reach: Reach,
    horizon: Option<DateTime<Utc>>,
) {
    if let Some(horizon) = horizon.filter(|_| reach != Reach::Ended) {
        sql.push("\n  AND (o.effective_state <> 'SCHEDULED' OR o.scheduled_for < ");
        sql.instant(horizon).push(")");
    }
}

/// The versions of these workflows.
fn push_versions<DB: Dialect>(sql: &mut Sql<DB>, controller_id: &str, workflows: &[WorkflowId]) {
    let (names, paths): (Vec<_>, Vec<_>) =
        workflows.iter().partition(|workflow| workflow.is_bare_name());
    let kinds = [("path", paths), ("name", names)];
    for (i, (column, workflows)) in
        kinds.into_iter().filter(|(_, workflows)| !workflows.is_empty()).enumerate()
    {
        sql.push(if i == 0 { "" } else { "\nUNION\n" }).push("SELECT w.path, w.version_id FROM ");
        let rows = workflows.iter().map(|w| [Some(w.path.as_str()), w.version_id.as_deref()]);
        sql.rows(&[("path", Text), ("version_id", Text)], rows);
        sql.push(format_args!(
            "\nJOIN workflows w\n    \
                 ON w.{column} = r.path AND (r.version_id IS NULL OR w.version_id = r.version_id)\n\
             WHERE w.controller_id = "
        ));
        sql.key(controller_id);
    }
}

/// Adds the condition that an instant lies within a window.
pub(super) fn push_within<DB: Dialect>(sql: &mut Sql<DB>, instant: &str, window: &Window) {
    if let Some(from) = window.from {
        sql.push(format_args!("\n  AND {instant} >= ")).instant(from);
    }
    if let Some(to) = window.to {
        sql.push(format_args!("\n  AND {instant} < ")).instant(to);
    }
}

/// States, as a list in SQL.
pub(super) fn words(states: &[EffectiveState]) -> String {
    quoted(states.iter().map(|state| state.as_str()).collect::<BTreeSet<_>>())
}
