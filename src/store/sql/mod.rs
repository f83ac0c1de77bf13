//! The statements that are built from a [`Selection`], as common table expressions that both
//! databases understand. Changes, previews and lists share every line of it.
//!
//! The expressions, in their order:
//! - `base`, if it goes deep: the orders that the request's own fields select;
//! - `chosen`: those and, if it goes deep, their living descendants, each with the nearest
//!   selected ancestor in `via_parent`;
//! - what [`change`] adds for an action.
//!
//! Where one expression is looked up in another it is by IN, which both databases hash whatever
//! they guess of its size, and never by a join that a wrong guess makes quadratic. CROSS JOIN
//! keeps SQLite to the order of the tables.
//!
//! No value is ever formatted into the text; words of the model's enums are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use crate::model::folders::Folders;
use crate::model::order::{EffectiveState, State};
use crate::model::permission::Visible;
use crate::model::selection::{Reach, Selection, Sight, Subject};
use crate::model::window::Window;
use crate::model::workflow_id::WorkflowId;

pub(super) mod audit;
pub(super) mod change;
pub(super) mod check;
pub(super) mod list;
pub(super) mod search;

pub(super) mod workflows;

/// What differs between the two databases in these statements.
pub(super) trait Dialect: sqlx::Database {
    /// Whether a statement that is kept is planned anew for values that matter to its plan.
    const PLANS_ANEW: bool;
    /// Sees to it that what the connection works on ends soon after somebody says so, if closing
    /// the connection does not.
    fn end_once(
        connection: &mut Self::Connection,
        is_abandoned: Arc<AtomicBool>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// Adds a table expression `o`: the orders with their effective state at an instant.
    fn push_orders(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>);
    /// Adds a bound text.
    fn push_text(sql: &mut QueryBuilder<Self>, text: &str);
    /// Adds a bound text that the best plan does not depend on: a controller's id or one order's.
    /// (SQLite looks at other values and plans anew for each.)
    fn push_key(sql: &mut QueryBuilder<Self>, text: &str);
    /// Adds a bound instant.
    fn push_instant(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>);
    /// Adds the condition, after a column, that it is among bound texts: one parameter, however
    /// many.
    fn push_among(sql: &mut QueryBuilder<Self>, texts: Vec<&str>);
    /// The condition that a column, which may be null, holds something that is no instant of the
    /// years 1 to 9999.
    fn is_no_instant(column: &str) -> String;
    /// Adds a table expression `r` of bound rows with the columns `a`, `b` and `c`: one or three
    /// parameters, however many rows.
    fn push_rows(sql: &mut QueryBuilder<Self>, rows: Vec<[Option<&str>; 3]>);
    /// Adds a bound number.
    fn push_integer(sql: &mut QueryBuilder<Self>, number: i64);
    /// Adds an operator and its bound pattern: `*` stands for any text, `?` for one character,
    /// and upper and lower case differ.
    fn push_like(sql: &mut QueryBuilder<Self>, pattern: &str);
    /// Adds a bound JSON text as a value of a column.
    fn push_json(sql: &mut QueryBuilder<Self>, json: &str);
    /// Adds `column`, which holds a JSON object, with the members of a bound one put into it.
    fn push_merged(sql: &mut QueryBuilder<Self>, column: &str, json: &str);
    /// Adds the effective state that the order of `affected a` has after a change, given
    /// expressions for its new stored state and flag.
    fn push_new_state(
        sql: &mut QueryBuilder<Self>,
        controller_id: &str,
        at: DateTime<Utc>,
        state: &str,
        suspended: &str,
    );
}

/// Whether the plan for one selection of this kind fits all others, so that it need not be made
/// anew for each: that is so for the one order of an id, whichever it is.
#[cfg(feature = "postgres")]
pub(super) fn plans_alike(selection: &Selection) -> bool {
    matches!(&selection.subject, Subject::Orders(ids) if ids.len() == 1)
}

/// What the statements need to know of an order.
const COLUMNS: &str = "o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, \
                       o.state, o.suspended, o.mark, o.kill_requested, o.scheduled_for, \
                       o.reason, o.remove_when_terminated, o.effective_state";

/// Living orders; word for word the condition of the partial indexes.
const LIVING: &str = "o.state NOT IN ('FINISHED', 'CANCELLED')";

/// Since when an order has its state; word for word what the indexes over terminal orders have.
const STATE_SINCE: &str = "coalesce(o.state_since, o.created)";

/// That the order `o` is a descendant of `p`: '}' follows '|', so they are one range of ids.
/// The root narrows the search by an index over living children, of which there are few.
const DESCENDS: &str = "o.root_id = p.root_id AND o.parent_id IS NOT NULL \
                        AND o.order_id > p.order_id || '|' AND o.order_id < p.order_id || '}'";

/// From this many folders on, orders are found by way of their workflows, since a long chain
/// of OR is more than a database plans or even parses.
const MANY_FOLDERS: usize = 32;

/// Adds the expressions up to `chosen`.
pub(super) fn push_chosen<DB: Dialect>(sql: &mut QueryBuilder<DB>, selection: &Selection) {
    sql.push(if selection.deep { "base" } else { "chosen" });
    sql.push(format_args!(" AS MATERIALIZED (SELECT {COLUMNS}, NULL AS via_parent FROM "));
    DB::push_orders(sql, selection.now);
    sql.push(" WHERE ");
    push_in_reach(sql, selection);
    push_selected(sql, selection);
    if !selection.deep {
        sql.push(")");
        return;
    }
    sql.push(format_args!(
        "), below AS MATERIALIZED (SELECT o.order_id, max(p.order_id) AS via_parent \
         FROM base p CROSS JOIN orders o WHERE {DESCENDS} \
         AND o.order_id NOT IN (SELECT b.order_id FROM base b) AND "
    ));
    push_in_reach(sql, selection);
    sql.push(format_args!(
        " GROUP BY o.order_id), chosen AS MATERIALIZED (SELECT * FROM base \
         UNION ALL SELECT {COLUMNS}, l.via_parent FROM below l JOIN "
    ));
    DB::push_orders(sql, selection.now);
    sql.push(" ON o.order_id = l.order_id WHERE o.controller_id = ");
    DB::push_key(sql, &selection.controller_id);
    sql.push(")");
}

fn words(states: &[EffectiveState]) -> String {
    let words: BTreeSet<&str> = states.iter().map(|state| state.as_str()).collect();
    let quoted: Vec<String> = words.into_iter().map(|word| format!("'{word}'")).collect();
    quoted.join(", ")
}

/// Orders of the controller that the account can see and the call may touch at all.
fn push_in_reach<DB: Dialect>(sql: &mut QueryBuilder<DB>, selection: &Selection) {
    sql.push("o.controller_id = ");
    DB::push_key(sql, &selection.controller_id);
    sql.push(" AND ");
    push_reach(sql, selection.reach);
    if selection.fresh_only {
        sql.push(" AND o.state = 'FRESH'");
    }
    push_in_sight(sql, &selection.controller_id, &selection.sight);
}

fn push_reach<DB: Dialect>(sql: &mut QueryBuilder<DB>, reach: Reach) {
    match reach {
        Reach::Living => sql.push(LIVING),
        Reach::InSight => sql.push(format_args!("({LIVING} OR NOT o.remove_when_terminated)")),
        Reach::NotRemoved => sql.push("NOT o.remove_when_terminated"),
    };
}

fn push_in_sight<DB: Dialect>(sql: &mut QueryBuilder<DB>, controller_id: &str, sight: &[Sight]) {
    if sight.iter().any(|s| s.states.is_empty() && s.visible == Visible::Everything) {
        return;
    }
    if sight.is_empty() {
        sql.push(" AND FALSE");
        return;
    }
    for (i, Sight { states, visible }) in sight.iter().enumerate() {
        sql.push(if i == 0 { " AND ((" } else { " OR (" });
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

/// The conditions of the request's own fields.
fn push_selected<DB: Dialect>(sql: &mut QueryBuilder<DB>, selection: &Selection) {
    match &selection.subject {
        Subject::Orders(ids) => match ids.as_slice() {
            [id] => {
                sql.push(" AND o.order_id = ");
                DB::push_key(sql, id);
            }
            ids => {
                sql.push(" AND o.order_id");
                DB::push_among(sql, ids.iter().map(String::as_str).collect());
            }
        },
        Subject::Workflows(workflows) => {
            sql.push(" AND ");
            push_of_workflows(sql, &selection.controller_id, workflows);
        }
        Subject::Folders(folders) => {
            sql.push(" AND ");
            push_in_folders(sql, &selection.controller_id, &selection.in_sight(folders));
        }
        Subject::Everything => {}
    }
    if !selection.states.is_empty() {
        sql.push(format_args!(" AND o.effective_state IN ({})", words(&selection.states)));
        push_stored(sql, &selection.states);
    }
    // An order that is never scheduled has NULL, which no comparison accepts.
    push_within(sql, "o.scheduled_for", &selection.window);
    push_within(sql, STATE_SINCE, &selection.state_window);
}

/// The stored states that effective ones presuppose, which an index knows.
fn push_stored<DB: Dialect>(sql: &mut QueryBuilder<DB>, states: &[EffectiveState]) {
    let stored: Option<BTreeSet<&str>> =
        states.iter().map(|state| state.stored().map(State::as_str)).collect();
    if let Some(stored) = stored {
        let stored: Vec<String> = stored.into_iter().map(|word| format!("'{word}'")).collect();
        sql.push(format_args!(" AND o.state IN ({})", stored.join(", ")));
    }
}

/// That an instant lies within a window.
pub(super) fn push_within<DB: Dialect>(sql: &mut QueryBuilder<DB>, instant: &str, window: &Window) {
    if let Some(from) = window.from {
        sql.push(format_args!(" AND {instant} >= "));
        DB::push_instant(sql, from);
    }
    if let Some(to) = window.to {
        sql.push(format_args!(" AND {instant} < "));
        DB::push_instant(sql, to);
    }
}

fn push_of_workflows<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    controller_id: &str,
    workflows: &[WorkflowId],
) {
    let rows = |bare: bool| -> Vec<[Option<&str>; 3]> {
        let of_kind = workflows.iter().filter(|workflow| workflow.is_bare_name() == bare);
        of_kind.map(|w| [Some(w.path.as_str()), w.version_id.as_deref(), None]).collect()
    };
    sql.push("(o.workflow_path, o.workflow_version_id) IN (");
    let mut first = true;
    for (column, rows) in [("path", rows(false)), ("name", rows(true))] {
        if rows.is_empty() {
            continue;
        }
        if !std::mem::take(&mut first) {
            sql.push(" UNION ");
        }
        sql.push("SELECT w.path, w.version_id FROM ");
        DB::push_rows(sql, rows);
        sql.push(format_args!(
            " JOIN workflows w ON w.{column} = r.a AND (r.b IS NULL OR w.version_id = r.b) \
             WHERE w.controller_id = "
        ));
        DB::push_key(sql, controller_id);
    }
    sql.push(")");
}

/// Adds the query of the versions of the workflows that paths or bare names mean, the newest
/// first.
pub(super) fn push_current_workflows<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    controller_id: &str,
    visible: &Visible,
    asked: &[&str],
) {
    let (paths, names): (Vec<&str>, Vec<&str>) = asked.iter().partition(|a| a.starts_with('/'));
    for (i, (column, asked)) in [("workflow_path", paths), ("name", names)].into_iter().enumerate()
    {
        sql.push(if i == 0 { "" } else { " UNION ALL " });
        sql.push("SELECT r.a AS asked, o.workflow_path AS path, o.version_id, o.created FROM ");
        DB::push_rows(sql, asked.into_iter().map(|asked| [Some(asked), None, None]).collect());
        sql.push(format_args!(
            " JOIN (SELECT controller_id, path AS workflow_path, version_id, folder, name, \
             created FROM workflows) o ON o.{column} = r.a WHERE o.controller_id = "
        ));
        DB::push_key(sql, controller_id);
        if let Visible::Folders(folders) = visible {
            sql.push(" AND ");
            push_in_folders(sql, controller_id, folders);
        }
    }
    sql.push(" ORDER BY created DESC, version_id DESC");
}

/// Adds the condition that an order, or a workflow named alike, is in one of the folders.
fn push_in_folders<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    controller_id: &str,
    folders: &Folders,
) {
    if folders.len() < MANY_FOLDERS || folders.are_all() {
        return push_in_few_folders(sql, "o.folder", folders);
    }
    sql.push("o.workflow_path IN (SELECT w.path FROM workflows w WHERE w.folder");
    push_among_folders(sql, folders, |sql| {
        sql.push("SELECT DISTINCT w.folder FROM workflows w WHERE w.controller_id = ");
        DB::push_key(sql, controller_id);
    });
    sql.push(" AND w.controller_id = ");
    DB::push_key(sql, controller_id);
    sql.push(")");
}

fn push_in_few_folders<DB: Dialect>(sql: &mut QueryBuilder<DB>, column: &str, folders: &Folders) {
    if folders.is_empty() || folders.are_all() {
        sql.push(if folders.is_empty() { "FALSE" } else { "TRUE" });
        return;
    }
    sql.push("(");
    for (i, folder) in folders.iter().enumerate() {
        sql.push(if i == 0 { "" } else { " OR " });
        if folder.recursive {
            // The folder and those below it are no single range, for `/sos-x` is between
            // them; but an index is read by a single range.
            let [low, high] = below(&folder.folder);
            sql.push(format_args!("({column} >= "));
            DB::push_text(sql, &folder.folder);
            sql.push(format_args!(" AND {column} < "));
            DB::push_text(sql, &high);
            sql.push(format_args!(" AND ({column} >= "));
            DB::push_text(sql, &low);
            sql.push(format_args!(" OR {column} = "));
            DB::push_text(sql, &folder.folder);
            sql.push("))");
        } else {
            sql.push(format_args!("{column} = "));
            DB::push_text(sql, &folder.folder);
        }
    }
    sql.push(")");
}

/// Adds the condition, after a column that holds the folder of a workflow, that it is among these
/// folders, however many they are and however many workflows. `push_known` adds the query of the
/// folders that the column can have.
///
/// A join of folders with ranges would compare each with each. But the ranges do not overlap, so
/// they and the folders are merged in one order: a folder is in a range if it is below the highest
/// end of those that begin before it.
fn push_among_folders<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    folders: &Folders,
    push_known: impl FnOnce(&mut QueryBuilder<DB>),
) {
    let ranges: Vec<(&str, Option<[String; 2]>)> = folders
        .iter()
        .map(|f| (f.folder.as_str(), f.recursive.then(|| below(&f.folder))))
        .collect();
    let rows = ranges.iter().map(|(folder, range)| {
        let [low, high] = range.as_ref().map_or([None, None], |r| [Some(&*r[0]), Some(&*r[1])]);
        [Some(*folder), low, high]
    });
    sql.push(" IN (WITH r AS MATERIALIZED (SELECT r.a, r.b, r.c FROM ");
    DB::push_rows(sql, rows.collect());
    sql.push("), f AS MATERIALIZED (");
    push_known(sql);
    sql.push(
        ") SELECT r.a FROM r UNION ALL SELECT m.folder FROM (SELECT s.folder, s.is_folder, \
         max(s.high) OVER (ORDER BY s.folder) AS high FROM (SELECT f.folder, f.folder AS high, \
         TRUE AS is_folder FROM f UNION ALL SELECT r.b, r.c, FALSE FROM r WHERE r.b IS NOT NULL) s) m \
         WHERE m.is_folder AND m.folder < m.high)",
    );
}

/// The folders below a folder as a half-open range: '0' follows '/'.
fn below(folder: &str) -> [String; 2] {
    let folder = folder.trim_end_matches('/');
    [format!("{folder}/"), format!("{folder}0")]
}
