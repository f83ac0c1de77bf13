//! The statements that show orders: lists, single orders, histories and counts.

use strum::VariantArray;

use super::search::push_matches;
use super::selection::{push_in_reach, push_in_sight, push_selected, push_within};
use super::{Dialect, LIVING, STATE_SINCE, Sql, quoted};
use crate::model::order::State;
use crate::model::selection::Selection;
use crate::model::window::Window;
use crate::store::list::{Family, HistoryFilter};
use crate::store::tables::ColumnType::Text;
use crate::store::tables::{ColumnType, Use, list, of_orders};

/// When the order `o` started; when it was created, if it never did.
const STARTED: &str = "coalesce(o.started, o.created)";

/// The columns of the order `o` that are shown, JSON as the text that it is.
fn shown(of: Use) -> String {
    list(of_orders(of), |column| match (column.name, column.holds) {
        (name, ColumnType::Json) => format!("CAST(o.{name} AS text) AS {name}"),
        (name, _) => format!("o.{name}"),
    })
}

/// The query of the orders that a selection means, by id.
pub(in crate::store) fn orders<DB: Dialect>(selection: &Selection, limit: Option<u64>) -> Sql<DB> {
    let mut sql = Sql::at(selection.now);
    // A living descendant, as DESCENDS has it. Each table's controller is a value, by which Citus
    // finds its node.
    sql.push(format_args!(
        "SELECT {}, o.effective_state,\n    \
             EXISTS (\n        \
                 SELECT 1 FROM orders c\n        \
                 WHERE c.root_id = o.root_id AND c.parent_id IS NOT NULL\n          \
                   AND c.order_id > o.order_id || '|' AND c.order_id < o.order_id || '}}'\n          \
                   AND c.state NOT IN ('FINISHED', 'CANCELLED')\n          \
                   AND c.controller_id = ",
        shown(Use::Listed),
    ));
    sql.key(&selection.controller_id).push("\n    ) AS has_children\nFROM ");
    sql.orders(selection.now).push("\nWHERE ");
    push_in_reach(&mut sql, selection);
    push_selected(&mut sql, selection);
    sql.push("\nORDER BY o.order_id");
    push_limit(&mut sql, limit);
    sql
}

/// The query of the numbers of orders by effective state.
pub(in crate::store) fn snapshot<DB: Dialect>(selection: &Selection) -> Sql<DB> {
    let mut sql = Sql::at(selection.now);
    sql.push("SELECT o.effective_state, count(*) AS orders\nFROM ").orders(selection.now);
    sql.push("\nWHERE ");
    push_in_reach(&mut sql, selection);
    push_selected(&mut sql, selection);
    sql.push("\nGROUP BY o.effective_state");
    sql
}

/// The query of a history, the latest first. `selections`, at least one, differ in the controller
/// and in what the account can see there.
pub(in crate::store) fn history<DB: Dialect>(
    selections: &[Selection],
    filter: &HistoryFilter,
    limit: Option<u64>,
) -> Sql<DB> {
    let mut sql = Sql::at(selections[0].now);
    let parts =
        || selections.iter().flat_map(|s| Part::of(filter).into_iter().map(move |p| (s, p)));
    let is_single = parts().count() == 1;
    for (i, (selection, part)) in parts().enumerate() {
        let state =
            if part == Part::Terminal { "o.state AS effective_state" } else { "o.effective_state" };
        let columns = format!(
            "{}, {state}, {STARTED} AS started, {STATE_SINCE} AS state_since",
            shown(Use::Past)
        );
        let push = |sql: &mut Sql<DB>| {
            push_past(sql, &columns, part, selection, filter);
            sql.push(format_args!("\nORDER BY {STATE_SINCE} DESC, o.order_id"));
            push_limit(sql, limit);
        };
        if is_single {
            push(&mut sql);
        } else {
            // Each part is read in the order of an index of its own, up to the limit.
            sql.push(if i == 0 { "SELECT * FROM " } else { "\nUNION ALL\nSELECT * FROM " });
            sql.nested(push).push(" h");
        }
    }
    if !is_single {
        sql.push("\nORDER BY state_since DESC, order_id, controller_id");
        push_limit(&mut sql, limit);
    }
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
}

/// The query of the numbers of terminal orders by state.
pub(in crate::store) fn past_counts<DB: Dialect>(
    selection: &Selection,
    filter: &HistoryFilter,
) -> Sql<DB> {
    let mut sql = Sql::at(selection.now);
    push_past(&mut sql, "o.state, count(*) AS orders", Part::Terminal, selection, filter);
    sql.push("\nGROUP BY o.state");
    sql
}

/// Adds the query of these columns of a part of the history.
fn push_past<DB: Dialect>(
    sql: &mut Sql<DB>,
    columns: &str,
    part: Part,
    selection: &Selection,
    filter: &HistoryFilter,
) {
    const WORKFLOW_NAME: &str = "substr(o.workflow_path, length(rtrim(o.workflow_path, replace(o.workflow_path, '/', ''))) + 1)";
    sql.push(format_args!("SELECT {columns}\nFROM "));
    match part {
        Part::Terminal => sql.push("orders o"),
        Part::Started | Part::Family => sql.orders(selection.now),
    };
    sql.push("\nWHERE o.controller_id = ").key(&selection.controller_id);
    match part {
        Part::Terminal => {
            // Must match the condition of the indexes over terminal orders verbatim.
            sql.push("\n  AND o.state IN ('FINISHED', 'CANCELLED')");
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
            sql.push("\n  AND o.parent_id IS NULL");
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
    push_within(sql, STATE_SINCE, &filter.completed);
    // No path begins otherwise, but a name may.
    let is_path = |path: &str| path.starts_with(['/', '*']);
    let workflow = |path: &String| if is_path(path) { "o.workflow_path" } else { WORKFLOW_NAME };
    for (column, text) in [
        ("o.order_id", &filter.order_id),
        (WORKFLOW_NAME, &filter.workflow_name),
        (filter.workflow_path.as_ref().map_or("", workflow), &filter.workflow_path),
    ] {
        if let Some(text) = text {
            push_matches(sql.push("\n  AND "), column, text);
        }
    }
    if !filter.exclude_workflows.is_empty() {
        let texts = || filter.exclude_workflows.iter().map(String::as_str).collect();
        sql.push("\n  AND NOT o.workflow_path").among(texts());
        sql.push(format_args!("\n  AND NOT {WORKFLOW_NAME}")).among(texts());
    }
    push_named(sql, &filter.orders, WORKFLOW_NAME);
}

/// Adds the condition that the order matches one of these, if there are any: its workflow, by path
/// or name, and its id if given.
fn push_named<DB: Dialect>(
    sql: &mut Sql<DB>,
    orders: &[(String, Option<String>)],
    workflow_name: &str,
) {
    if orders.is_empty() {
        return;
    }
    sql.push("\n  AND (FALSE");
    for (column, bare) in [("o.workflow_path", false), (workflow_name, true)] {
        let of_kind = orders.iter().filter(|(workflow, _)| workflow.starts_with('/') != bare);
        let (single, all): (Vec<_>, Vec<_>) = of_kind.partition(|(_, id)| id.is_some());
        if !all.is_empty() {
            sql.push(format_args!("\n    OR {column}"));
            sql.among(all.iter().map(|(workflow, _)| &**workflow).collect());
        }
        if !single.is_empty() {
            sql.push(format_args!("\n    OR ({column}, o.order_id) IN "));
            let rows = single.iter().map(|(workflow, id)| [Some(&**workflow), id.as_deref()]);
            sql.push("(SELECT r.workflow, r.order_id FROM ");
            sql.rows(&[("workflow", Text), ("order_id", Text)], rows).push(")");
        }
    }
    sql.push(")");
}

/// Adds the limit, if there is one.
pub(super) fn push_limit<DB: Dialect>(sql: &mut Sql<DB>, limit: Option<u64>) {
    if let Some(limit) = limit {
        sql.push("\nLIMIT ").integer(limit.try_into().unwrap_or(i64::MAX));
    }
}
