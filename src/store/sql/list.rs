//! The statements that show orders: lists, single orders, histories and counts.

use strum::VariantArray;

use super::search::push_matches;
use super::selection::{
    HALVES, is_of_workflows, push_in_reach, push_in_sight, push_orders, push_selected, push_within,
    reaches,
};
use super::{Dialect, HISTORY_AT, LIVING, STATE_SINCE, Sql, TERMINAL, quoted};
use crate::model::order::State;
use crate::model::selection::{Reach, Selection, Subject};
use crate::model::window::Window;
use crate::store::list::{Family, HistoryFilter};
use crate::store::tables::ColumnType::Text;
use crate::store::tables::{ColumnType, Use, list, of_orders};

/// When the order `o` started; when it was created, if it never did.
const STARTED: &str = "coalesce(o.started, o.created)";

/// The fields of the order `o` that are shown, as [`packed`](crate::store::packed) has them.
fn shown(of: Use) -> String {
    list(of_orders(of), |column| match (column.name, column.holds) {
        (name, ColumnType::Text) => format!("coalesce(o.{name}, '')"),
        (name, _) => format!("coalesce(CAST(o.{name} AS text), '')"),
    })
}

/// The query of the orders that a selection means, by id.
pub(in crate::store) fn orders<DB: Dialect>(selection: &Selection, limit: Option<u64>) -> Sql<DB> {
    let mut sql = Sql::at(selection.now);
    let sorted = if is_of_workflows(selection) { DB::SORTED } else { "" };
    let order = [&*format!("{sorted}o.order_id"), "order_id"];
    push_parts(&mut sql, &reached(selection), order, limit, |sql, selection, merged| {
        // A living descendant, as DESCENDS has it. Each table's controller is a value, by which
        // Citus finds its node.
        sql.push("SELECT ").packed(|sql| {
            sql.push(format_args!(
                "{}, o.effective_state,\n    \
                     EXISTS (\n        \
                         SELECT 1 FROM orders c\n        \
                         WHERE c.root_id = o.root_id AND c.parent_id IS NOT NULL\n          \
                           AND c.order_id > o.order_id || '|' AND c.order_id < o.order_id || '}}'\n          \
                           AND c.state NOT IN ('FINISHED', 'CANCELLED')\n          \
                           AND c.controller_id = ",
                shown(Use::Listed),
            ));
            sql.key(&selection.controller_id).push("\n    )");
        });
        sql.push(if merged { ", o.order_id" } else { "" });
        push_reached(sql, selection);
    });
    sql
}

/// The query of the numbers of orders by effective state.
pub(in crate::store) fn snapshot<DB: Dialect>(selection: &Selection) -> Sql<DB> {
    counts(selection, "o.effective_state")
}

/// The query of the numbers of orders by the path of their workflow and effective state.
pub(in crate::store) fn counts_by_workflow<DB: Dialect>(selection: &Selection) -> Sql<DB> {
    counts(selection, "o.workflow_path, o.effective_state")
}

/// The query of the numbers of orders by these columns.
fn counts<DB: Dialect>(selection: &Selection, columns: &str) -> Sql<DB> {
    let mut sql = Sql::at(selection.now);
    sql.push(format_args!("SELECT {columns}, count(*) AS orders"));
    let has_window = !(selection.window.is_unbounded() && selection.state_window.is_unbounded());
    let parts = match (&selection.subject, selection.reach) {
        (Subject::Everything, Reach::InSight) if !has_window => of(selection, &HALVES),
        _ => reached(selection),
    };
    match parts.as_slice() {
        [selection] => push_reached(&mut sql, selection),
        parts => {
            sql.push("\nFROM ").nested(|sql| {
                for (i, selection) in parts.iter().enumerate() {
                    sql.push(if i == 0 { "" } else { "\nUNION ALL\n" });
                    sql.push(format_args!("SELECT {columns}"));
                    push_reached(sql, selection);
                }
            });
            sql.push(" o");
        }
    }
    sql.push(format_args!("\nGROUP BY {columns}"));
    sql
}

/// A selection for each of its [`reaches`].
fn reached(selection: &Selection) -> Vec<Selection> {
    of(selection, &reaches(selection))
}

/// A selection for each of these reaches.
fn of(selection: &Selection, reaches: &[Reach]) -> Vec<Selection> {
    reaches.iter().map(|&reach| Selection { reach, ..selection.clone() }).collect()
}

/// Adds FROM and WHERE: the selected orders.
pub(super) fn push_reached<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection) {
    push_orders(sql.push("\nFROM "), selection.reach, selection.now);
    push_in_reach(sql.push("\nWHERE "), selection);
    push_selected(sql, selection);
}

/// Adds a query of parts, each read in the order of an index of its own, up to the limit. The order
/// is that of a part and that of their columns, which a part has only if there are others.
fn push_parts<DB: Dialect, P>(
    sql: &mut Sql<DB>,
    parts: &[P],
    [order, merged]: [&str; 2],
    limit: Option<u64>,
    mut push_part: impl FnMut(&mut Sql<DB>, &P, bool),
) {
    let mut push = |sql: &mut Sql<DB>, part: &P| {
        push_part(sql, part, parts.len() > 1);
        sql.push("\nORDER BY ").push(order);
        push_limit(sql, limit);
    };
    if let [part] = parts {
        return push(sql, part);
    }
    for (i, part) in parts.iter().enumerate() {
        sql.push(if i == 0 { "SELECT * FROM " } else { "\nUNION ALL\nSELECT * FROM " });
        sql.nested(|sql| push(sql, part)).push(" h");
    }
    sql.push("\nORDER BY ").push(merged);
    push_limit(sql, limit);
}

/// The query of a history, the latest first. `selections`, at least one, differ in the controller
/// and in what the account can see there.
pub(in crate::store) fn history<DB: Dialect>(
    selections: &[Selection],
    filter: &HistoryFilter,
    limit: Option<u64>,
) -> Sql<DB> {
    let mut sql = Sql::at(selections[0].now);
    let parts: Vec<(&Selection, Part)> = selections
        .iter()
        .flat_map(|selection| Part::of(filter).into_iter().map(move |part| (selection, part)))
        .collect();
    let since = parts[0].1.since();
    let order = format!("{since} DESC, o.order_id");
    let merged = "state_since DESC, order_id, controller_id";
    push_parts(&mut sql, &parts, [&order, merged], limit, |sql, (selection, part), merged| {
        let state = match part {
            Part::Terminal => "o.state",
            Part::Started | Part::Family => "o.effective_state",
        };
        sql.push("SELECT ").packed(|sql| {
            sql.push(format_args!("{}, {state}, {STARTED}, {since}", shown(Use::Past)));
        });
        if merged {
            sql.push(format_args!(", {since} AS state_since, o.order_id, o.controller_id"));
        }
        push_past(sql, *part, selection, filter);
    });
    sql
}

/// A part of a history: orders that one index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Terminal orders.
    Terminal,
    /// Living orders that have started.
    Started,
    /// One order, or its descendants, in any state.
    Family,
}

impl Part {
    /// The parts that a filter needs, at least one.
    fn of(filter: &HistoryFilter) -> Vec<Self> {
        if filter.family != Family::Heads {
            return vec![Self::Family];
        }
        // No living order is completed.
        let started = filter.completed.is_unbounded()
            && filter.states.iter().any(|state| !state.is_terminal());
        let terminal = !started || filter.states.iter().any(|state| state.is_terminal());
        let parts = [(terminal, Self::Terminal), (started, Self::Started)];
        parts.into_iter().filter(|(is_needed, _)| *is_needed).map(|(_, part)| part).collect()
    }

    /// Since when an order has its state.
    fn since(self) -> &'static str {
        match self {
            Self::Terminal | Self::Started => HISTORY_AT,
            Self::Family => STATE_SINCE,
        }
    }
}

/// The query of the numbers of terminal orders by state.
pub(in crate::store) fn past_counts<DB: Dialect>(
    selection: &Selection,
    filter: &HistoryFilter,
) -> Sql<DB> {
    let mut sql = Sql::at(selection.now);
    sql.push("SELECT o.state, count(*) AS orders");
    push_past(&mut sql, Part::Terminal, selection, filter);
    sql.push("\nGROUP BY o.state");
    sql
}

/// Adds FROM and WHERE: a part of the history.
fn push_past<DB: Dialect>(
    sql: &mut Sql<DB>,
    part: Part,
    selection: &Selection,
    filter: &HistoryFilter,
) {
    sql.push("\nFROM ");
    match part {
        Part::Terminal => sql.push("orders o"),
        Part::Started | Part::Family => sql.orders(selection.now),
    };
    sql.push("\nWHERE o.controller_id = ").key(&selection.controller_id);
    match part {
        Part::Terminal => {
            sql.push(format_args!("\n  AND {TERMINAL}"));
            for state in [State::Finished, State::Cancelled] {
                if !filter.states.contains(&state) {
                    sql.push(format_args!("\n  AND o.state <> '{}'", state.as_str()));
                }
            }
        }
        Part::Started => {
            let started = State::VARIANTS.iter().filter(|state| state.may_wait());
            let started = quoted(started.map(|state| state.as_str()));
            sql.push(format_args!("\n  AND {LIVING}\n  AND o.state IN ({started})"));
        }
        Part::Family => {}
    }
    match &filter.family {
        Family::Heads => {
            sql.push("\n  AND ").push(DB::IS_HEAD);
        }
        Family::Only(order_id) => {
            sql.push("\n  AND o.order_id = ").text(order_id);
        }
        Family::Numbered(history_id) => {
            sql.push("\n  AND o.history_id = ").integer(*history_id);
        }
        Family::Below(parent) => {
            sql.push("\n  AND o.order_id > ").text(&format!("{parent}|"));
            sql.push(" AND o.order_id < ").text(&format!("{parent}}}"));
            sql.push("\n  AND o.state <> 'FRESH'");
        }
    }
    push_in_sight(sql, &selection.controller_id, &selection.sight);
    let others = Selection { window: Window::UNBOUNDED, ..selection.clone() };
    push_selected(sql, &others);
    push_within(sql, STARTED, &selection.window);
    push_within(sql, part.since(), &filter.completed);
    if let Some(id) = &filter.order_id {
        push_matches(sql.push("\n  AND "), "o.order_id", id);
    }
    // No path begins otherwise, but a name may.
    let is_path = |text: &&String| text.starts_with(['/', '*']);
    let (path, name) = (filter.workflow_path.as_ref(), filter.workflow_name.as_ref());
    if let Some(path) = path.filter(is_path) {
        push_matches(sql.push("\n  AND "), "o.workflow_path", path);
    }
    let controller_id = &selection.controller_id;
    for name in [name, path.filter(|text| !is_path(text))].into_iter().flatten() {
        sql.push("\n  AND o.workflow_path IN ").nested(|sql| {
            push_paths(sql, controller_id, |sql| push_matches(sql, "w.name", name));
        });
    }
    if !filter.exclude_workflows.is_empty() {
        let workflows: Vec<&str> = filter.exclude_workflows.iter().map(String::as_str).collect();
        sql.push("\n  AND NOT ");
        push_of_workflows(sql, controller_id, &workflows);
    }
    push_named(sql, controller_id, &filter.orders);
}

/// Adds the query of the paths of the workflows `w` that meet a condition.
fn push_paths<DB: Dialect>(
    sql: &mut Sql<DB>,
    controller_id: &str,
    push_condition: impl FnOnce(&mut Sql<DB>),
) {
    sql.push("SELECT w.path FROM workflows w WHERE ");
    push_condition(sql);
    sql.push(" AND w.controller_id = ").key(controller_id);
}

/// Adds the condition that the order is one of these workflows, by path or name.
fn push_of_workflows<DB: Dialect>(sql: &mut Sql<DB>, controller_id: &str, workflows: &[&str]) {
    let (paths, names): (Vec<&str>, Vec<&str>) =
        workflows.iter().partition(|workflow| workflow.starts_with('/'));
    sql.push("o.workflow_path IN ").nested(|sql| {
        for (i, (column, among)) in [("path", paths), ("name", names)]
            .into_iter()
            .filter(|(_, a)| !a.is_empty())
            .enumerate()
        {
            sql.push(if i == 0 { "" } else { "\nUNION\n" });
            push_paths(sql, controller_id, |sql| {
                sql.push(format_args!("w.{column}")).among(among);
            });
        }
    });
}

/// Adds the condition that the order matches one of these, if there are any: its workflow, by path
/// or name, and its id if given.
fn push_named<DB: Dialect>(
    sql: &mut Sql<DB>,
    controller_id: &str,
    orders: &[(String, Option<String>)],
) {
    if orders.is_empty() {
        return;
    }
    let (single, all): (Vec<_>, Vec<_>) = orders.iter().partition(|(_, id)| id.is_some());
    sql.push("\n  AND (");
    if !all.is_empty() {
        let workflows: Vec<&str> = all.iter().map(|(workflow, _)| workflow.as_str()).collect();
        push_of_workflows(sql, controller_id, &workflows);
    }
    if !single.is_empty() {
        sql.push(if all.is_empty() { "" } else { "\n    OR " });
        let (paths, names): (Vec<_>, Vec<_>) =
            single.into_iter().partition(|(workflow, _)| workflow.starts_with('/'));
        let columns = [("workflow", Text), ("order_id", Text)];
        sql.push("(o.workflow_path, o.order_id) IN ").nested(|sql| {
            if !paths.is_empty() {
                sql.push("SELECT r.workflow, r.order_id FROM ").rows(&columns, values(&paths));
            }
            if !names.is_empty() {
                sql.push(if paths.is_empty() { "" } else { "\nUNION ALL\n" });
                sql.push("SELECT w.path, r.order_id FROM ").rows(&columns, values(&names));
                sql.push("\nJOIN workflows w ON w.name = r.workflow\nWHERE w.controller_id = ");
                sql.key(controller_id);
            }
        });
    }
    sql.push(")");
}

/// The rows of a workflow and an order's id.
fn values<'a>(
    orders: &'a [&'a (String, Option<String>)],
) -> impl Iterator<Item = [Option<&'a str>; 2]> {
    orders.iter().map(|(workflow, id)| [Some(&**workflow), id.as_deref()])
}

/// Adds the limit, if there is one.
pub(super) fn push_limit<DB: Dialect>(sql: &mut Sql<DB>, limit: Option<u64>) {
    match limit {
        Some(limit) => sql.push("\nLIMIT ").integer(limit.try_into().unwrap_or(i64::MAX)),
        None => sql.push(DB::NO_LIMIT),
    };
}
