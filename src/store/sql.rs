//! The statements that are built from a [`Selection`] and an [`Action`], as common table
//! expressions that both databases understand. Cancel and preview share every line of it.
//!
//! The expressions, in their order:
//! - `base`: the orders that the request's own fields select;
//! - `chosen`: those and, if it goes deep, their living descendants, each with the nearest
//!   selected ancestor in `via_parent`;
//! - `held`: chosen orders with a living descendant that the call does not end;
//! - `affected`: chosen orders that a rule of the action gives an effect.
//!
//! Where one expression is looked up in another it is by IN, which both databases hash whatever
//! they guess of its size, and never by a join that a wrong guess makes quadratic. CROSS JOIN
//! keeps SQLite to the order of the tables.
//!
//! No value is ever formatted into the text; words of the model's enums are.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use crate::model::order::{Action, Change, Condition, Effect, EffectiveState, Mark, Rule, State};
use crate::model::permission::Visible;
use crate::model::selection::{Folder, Selection, Subject, WorkflowId};

/// What differs between the two databases in these statements.
pub(super) trait Dialect: sqlx::Database {
    /// Adds a table expression `o`: the orders with their effective state at an instant.
    fn push_orders(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>);
    /// Adds a bound text.
    fn push_text(sql: &mut QueryBuilder<Self>, text: &str);
    /// Adds a bound instant.
    fn push_instant(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>);
    /// Adds a one-column table of bound texts in parentheses: one parameter, however many.
    fn push_texts(sql: &mut QueryBuilder<Self>, texts: Vec<&str>);
    /// Adds a table expression `r` of bound rows with the columns `a`, `b` and `c`: one or three
    /// parameters, however many rows.
    fn push_rows(sql: &mut QueryBuilder<Self>, rows: Vec<[Option<&str>; 3]>);
}

/// What the statements need to know of an order.
const COLUMNS: &str = "o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state, \
                       o.suspended, o.mark, o.kill_requested, o.scheduled_for, o.effective_state";

/// Living orders; word for word the condition of the partial indexes.
const LIVING: &str = "o.state NOT IN ('FINISHED', 'CANCELLED')";

/// That the order `o` is a descendant of `p`: '}' follows '|', so they are one range of ids.
/// The root narrows the search by an index over living children, of which there are few.
const DESCENDS: &str = "o.root_id = p.root_id AND o.parent_id IS NOT NULL \
                        AND o.order_id > p.order_id || '|' AND o.order_id < p.order_id || '}'";

/// From this many folders on, orders are found by way of their workflows, since a long chain
/// of OR is more than a database plans or even parses.
const MANY_FOLDERS: usize = 32;

/// Adds the expressions up to `chosen`.
pub(super) fn push_chosen<DB: Dialect>(sql: &mut QueryBuilder<DB>, selection: &Selection) {
    sql.push(format_args!("base AS MATERIALIZED (SELECT {COLUMNS}, NULL AS via_parent FROM "));
    DB::push_orders(sql, selection.now);
    sql.push(" WHERE ");
    push_in_reach(sql, selection);
    push_selected(sql, selection);
    if !selection.deep {
        sql.push("), chosen AS MATERIALIZED (SELECT * FROM base)");
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
    DB::push_text(sql, &selection.controller_id);
    sql.push(")");
}

/// Adds the expressions `held` and `affected`, which follow `chosen`.
pub(super) fn push_affected<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    selection: &Selection,
    action: Action,
) {
    let rules = action.rules();
    let (holding, others): (Vec<Rule>, Vec<Rule>) =
        rules.iter().partition(|rule| rule.condition == Condition::HeldByChildren);
    let holding: Vec<EffectiveState> =
        holding.iter().flat_map(|rule| rule.states).copied().collect();
    // A child holds its parent unless this call ends it. A child that is held itself is so by
    // a descendant of its own, which holds the parent just as well.
    let ends: Vec<Rule> = others
        .into_iter()
        .map(|rule| Rule { effect: rule.effect.filter(|effect| effect.ends()), ..rule })
        .collect();
    sql.push(format_args!(
        ", held AS MATERIALIZED (SELECT DISTINCT p.order_id FROM chosen p CROSS JOIN orders o \
         WHERE p.effective_state IN ({}) AND {DESCENDS} AND {LIVING} \
         AND o.order_id NOT IN (SELECT c.order_id FROM chosen c WHERE {} IS NOT NULL) \
         AND o.controller_id = ",
        words(&holding),
        effect_of(&ends),
    ));
    DB::push_text(sql, &selection.controller_id);
    sql.push(format_args!(
        "), affected AS MATERIALIZED (SELECT e.* FROM (SELECT c.*, {} AS effect FROM chosen c) e \
         WHERE e.effect IS NOT NULL)",
        effect_of(rules),
    ));
}

/// The first rule that fits the order `c`, as a CASE that gives its effect.
fn effect_of(rules: &[Rule]) -> String {
    let mut case = String::from("CASE");
    for rule in rules {
        let states = words(rule.states);
        let condition = match rule.condition {
            Condition::Always => String::new(),
            Condition::Marked(mark) => format!(" AND c.mark = '{}'", mark.as_str()),
            Condition::NotKilledYet => " AND c.kill_requested IS NULL".into(),
            Condition::HeldByChildren => {
                " AND c.order_id IN (SELECT h.order_id FROM held h)".into()
            }
        };
        let effect = match rule.effect {
            Some(effect) => format!("'{}'", effect.as_str()),
            None => "NULL".into(),
        };
        case += &format!(" WHEN c.effective_state IN ({states}){condition} THEN {effect}");
    }
    case + " END"
}

fn words(states: &[EffectiveState]) -> String {
    let quoted: Vec<String> = states.iter().map(|state| format!("'{}'", state.as_str())).collect();
    quoted.join(", ")
}

/// Living orders of the controller that the account can see and the call may touch at all.
fn push_in_reach<DB: Dialect>(sql: &mut QueryBuilder<DB>, selection: &Selection) {
    sql.push("o.controller_id = ");
    DB::push_text(sql, &selection.controller_id);
    sql.push(format_args!(" AND {LIVING}"));
    if selection.fresh_only {
        sql.push(" AND o.state = 'FRESH'");
    }
    if let Visible::Folders(folders) = &selection.visible {
        sql.push(" AND ");
        push_in_folders(sql, &selection.controller_id, folders);
    }
}

/// The conditions of the request's own fields.
fn push_selected<DB: Dialect>(sql: &mut QueryBuilder<DB>, selection: &Selection) {
    match &selection.subject {
        Subject::Orders(ids) => {
            sql.push(" AND o.order_id IN ");
            DB::push_texts(sql, ids.iter().map(String::as_str).collect());
        }
        Subject::Workflows(workflows) => {
            sql.push(" AND ");
            push_of_workflows(sql, &selection.controller_id, workflows);
        }
        Subject::Folders(folders) => {
            sql.push(" AND ");
            push_in_folders(sql, &selection.controller_id, folders);
        }
        Subject::Everything => {}
    }
    if !selection.states.is_empty() {
        sql.push(format_args!(" AND o.effective_state IN ({})", words(&selection.states)));
    }
    // An order that is never scheduled has NULL, which no comparison accepts.
    if let Some(from) = selection.window.from {
        sql.push(" AND o.scheduled_for >= ");
        DB::push_instant(sql, from);
    }
    if let Some(to) = selection.window.to {
        sql.push(" AND o.scheduled_for < ");
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
        DB::push_text(sql, controller_id);
    }
    sql.push(")");
}

fn push_in_folders<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    controller_id: &str,
    folders: &[Folder],
) {
    if folders.iter().any(|folder| folder.recursive && folder.folder == "/") {
        sql.push("TRUE");
        return;
    }
    if folders.len() < MANY_FOLDERS {
        sql.push("(");
        for (i, folder) in folders.iter().enumerate() {
            sql.push(if i == 0 { "o.folder = " } else { " OR o.folder = " });
            DB::push_text(sql, &folder.folder);
            if folder.recursive {
                let [low, high] = below(&folder.folder);
                sql.push(" OR (o.folder >= ");
                DB::push_text(sql, &low);
                sql.push(" AND o.folder < ");
                DB::push_text(sql, &high);
                sql.push(")");
            }
        }
        sql.push(")");
        return;
    }
    let ranges: Vec<(&str, Option<[String; 2]>)> = folders
        .iter()
        .map(|f| (f.folder.as_str(), f.recursive.then(|| below(&f.folder))))
        .collect();
    let rows = ranges.iter().map(|(folder, range)| {
        let [low, high] = range.as_ref().map_or([None, None], |r| [Some(&*r[0]), Some(&*r[1])]);
        [Some(*folder), low, high]
    });
    sql.push("o.workflow_path IN (SELECT w.path FROM ");
    DB::push_rows(sql, rows.collect());
    sql.push(
        " JOIN workflows w ON w.folder = r.a OR (w.folder >= r.b AND w.folder < r.c) \
         WHERE w.controller_id = ",
    );
    DB::push_text(sql, controller_id);
    sql.push(")");
}

/// The folders below a folder as a half-open range: '0' follows '/'.
fn below(folder: &str) -> [String; 2] {
    [format!("{folder}/"), format!("{folder}0")]
}

/// Adds what an effect writes: the SET list of an update of `orders o` from `affected a`.
pub(super) fn push_assignments<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    now: DateTime<Utc>,
    sigkill_at: DateTime<Utc>,
) {
    let state = case_of_effects(|change| change.state.map(State::as_str));
    let mark = case_of_effects(|change| change.mark.map(Mark::as_str));
    let ended = effects(|effect| effect.ends());
    let killed = effects(|effect| effect.change().kill);
    sql.push(format_args!(
        "state = coalesce({state}, o.state), \
         suspended = (o.suspended AND a.effect NOT IN ({ended})), \
         mark = CASE WHEN a.effect IN ({ended}) THEN NULL ELSE coalesce({mark}, o.mark) END"
    ));
    for (column, at) in [("kill_requested", now), ("sigkill_at", sigkill_at)] {
        sql.push(format_args!(
            ", {column} = CASE WHEN a.effect IN ({ended}) THEN NULL \
             WHEN a.effect IN ({killed}) THEN "
        ));
        DB::push_instant(sql, at);
        sql.push(format_args!(" ELSE o.{column} END"));
    }
    sql.push(", modified = ");
    DB::push_instant(sql, now);
}

/// Adds the insert of one detail row for each row of `affected a`; `audit` is an expression
/// for the entry's id and `from` what else it needs in FROM.
pub(super) fn push_details<DB: Dialect>(
    sql: &mut QueryBuilder<DB>,
    controller_id: &str,
    now: DateTime<Utc>,
    audit: impl FnOnce(&mut QueryBuilder<DB>),
    from: &str,
) {
    let state = case_of_effects(|change| change.state.map(State::as_str));
    let mark = case_of_effects(|change| change.mark.map(Mark::as_str));
    let killed = effects(|effect| effect.change().kill);
    sql.push(
        "INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path, \
         workflow_version_id, folder, previous_state, new_state, mark, kill, via_parent, created) \
         SELECT ",
    );
    DB::push_text(sql, controller_id);
    sql.push(", ");
    audit(sql);
    sql.push(format_args!(
        ", a.order_id, a.workflow_path, a.workflow_version_id, a.folder, a.effective_state, \
         coalesce({state}, a.effective_state), {mark}, a.effect IN ({killed}), a.via_parent, "
    ));
    DB::push_instant(sql, now);
    sql.push(format_args!(" FROM affected a{from}"));
}

/// Adds the query of a preview, which follows `affected`: rows of counts, without an order
/// id, and rows of the first orders.
pub(super) fn push_preview<DB: Dialect>(sql: &mut QueryBuilder<DB>, limit: u32) {
    sql.push(format_args!(
        " SELECT NULL AS order_id, NULL AS workflow_path, NULL AS workflow_version_id, \
         effective_state, effect, count(*) AS orders FROM affected \
         GROUP BY effective_state, effect \
         UNION ALL SELECT * FROM (SELECT order_id, workflow_path, workflow_version_id, \
         effective_state, effect, 1 FROM affected ORDER BY order_id LIMIT {limit}) f"
    ));
}

/// The effects that mark an order, whose runner has to be told.
#[cfg(feature = "postgres")]
pub(super) fn marking_effects() -> String {
    effects(|effect| effect.change().mark.is_some())
}

fn effects(which: impl Fn(Effect) -> bool) -> String {
    let quoted: Vec<String> = Effect::ALL
        .into_iter()
        .filter(|effect| which(*effect))
        .map(|effect| format!("'{}'", effect.as_str()))
        .collect();
    quoted.join(", ")
}

fn case_of_effects(word: impl Fn(Change) -> Option<&'static str>) -> String {
    let cases: Vec<String> = Effect::ALL
        .into_iter()
        .filter_map(|effect| {
            let word = word(effect.change())?;
            Some(format!(" WHEN '{}' THEN '{word}'", effect.as_str()))
        })
        .collect();
    format!("CASE a.effect{} END", cases.concat())
}
