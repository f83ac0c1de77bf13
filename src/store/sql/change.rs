//! The SQL for an [`Action`] in the statements of a selection, generated from its rules:
//! - `held`: chosen orders with a living descendant that the request does not end;
//! - `affected`: chosen orders that a rule of the action gives an effect.

use chrono::{DateTime, Utc};
use strum::VariantArray;

use super::before::push_before;
use super::effect::{case, named, new_mark, new_state, new_suspended};
use super::selection::{push_without_effect, words};
use super::{DESCENDS, Dialect, LIVING, Sql, quoted};
use crate::model::action::{Action, Condition, Rule};
use crate::model::audit::{AuditEntry, Outcome};
use crate::model::effect::{Assign, Effect};
use crate::model::order::EffectiveState;
use crate::model::selection::{Selection, Subject};
use crate::store::packed::ROW;

/// Adds the expressions `held`, if a rule asks for it, and `affected`, which follow `chosen`.
pub(in crate::store) fn push_affected<DB: Dialect>(
    sql: &mut Sql<DB>,
    selection: &Selection,
    action: &Action,
) {
    let rules = action.rules();
    push_holding(sql, selection, &rules);
    sql.with("affected", |sql| {
        let effect = effect_of(&rules);
        sql.push("SELECT a.*,\n    ");
        push_before(sql, action);
        sql.push(" AS before\nFROM ").nested(|sql| {
            sql.push(format_args!("SELECT c.*, {effect} AS effect\nFROM chosen c"));
        });
        sql.push(" a\nWHERE a.effect IS NOT NULL");
    });
}

/// Adds the expression `held`, if a rule asks for it.
fn push_holding<DB: Dialect>(sql: &mut Sql<DB>, selection: &Selection, rules: &[Rule]) {
    let (holding, others): (Vec<Rule>, Vec<Rule>) =
        rules.iter().partition(|rule| rule.condition == Condition::HeldByChildren);
    let holding: Vec<EffectiveState> =
        holding.iter().flat_map(|rule| rule.states).copied().collect();
    if !holding.is_empty() {
        sql.with("held", |sql| push_held(sql, selection, &holding, others));
    }
}

fn push_held<DB: Dialect>(
    sql: &mut Sql<DB>,
    selection: &Selection,
    holding: &[EffectiveState],
    others: Vec<Rule>,
) {
    // A child holds its parent unless this request ends it. A child that is itself held is held
    // by a descendant, which holds the parent too.
    let ends: Vec<Rule> = others
        .into_iter()
        .map(|rule| Rule { effect: rule.effect.filter(Effect::ends), ..rule })
        .collect();
    sql.push(format_args!(
        "SELECT DISTINCT p.order_id\n\
         FROM chosen p CROSS JOIN orders o\n\
         WHERE p.effective_state IN ({})\n  \
           AND {DESCENDS}\n  \
           AND {LIVING}",
        words(holding),
    ));
    if ends.iter().any(|rule| rule.effect.is_some()) {
        sql.push("\n  AND o.order_id NOT IN ").nested(|sql| {
            let effect = effect_of(&ends);
            sql.push(format_args!("SELECT c.order_id\nFROM chosen c\nWHERE {effect} IS NOT NULL"));
        });
    }
    sql.push("\n  AND o.controller_id = ").key(&selection.controller_id);
}

/// The first rule that fits the order `c`, as a CASE that gives its effect.
fn effect_of(rules: &[Rule]) -> String {
    let mut case = String::from("CASE");
    for rule in rules {
        let of_state = match rule.states.len() {
            all if all == EffectiveState::VARIANTS.len() => "TRUE".into(),
            _ => format!("c.effective_state IN ({})", words(rule.states)),
        };
        let condition = match rule.condition {
            Condition::Always => String::new(),
            Condition::Marked(mark) => format!(" AND c.mark = '{}'", mark.as_str()),
            Condition::NotKilledYet => " AND c.kill_requested IS NULL".into(),
            Condition::MarkedNotKilled(mark) => {
                format!(" AND c.mark = '{}' AND c.kill_requested IS NULL", mark.as_str())
            }
            Condition::HeldByChildren => {
                " AND c.order_id IN (SELECT h.order_id FROM held h)".into()
            }
            Condition::Fated(fate) => format!(" AND c.fate = '{}'", fate.as_str()),
            Condition::WaitsFor(reasons) => {
                format!(" AND c.reason IN ({})", quoted(reasons.iter().copied()))
            }
        };
        let effect = match rule.effect {
            Some(effect) => format!("'{}'", effect.name),
            None => "NULL".into(),
        };
        case += &format!("\n    WHEN {of_state}{condition}\n    THEN {effect}");
    }
    case + "\nEND"
}

/// Adds what an action writes: the SET list of an update of `orders o` from `affected a`.
/// Unaffected columns are omitted: naming them would fire the trigger.
pub(in crate::store) fn push_assignments<DB: Dialect>(
    sql: &mut Sql<DB>,
    action: &Action,
    now: DateTime<Utc>,
    sigkill_at: DateTime<Utc>,
) {
    let effects = action.effects();
    let (state, suspended) = (new_state(&effects, "o"), new_suspended(&effects, "o"));
    // An effect may find the order in the state already that it leads to.
    let values = [("state", &state), ("suspended", &suspended)];
    let other = values
        .iter()
        .filter_map(|(column, value)| Some(format!("o.{column} <> {}", value.as_ref()?)));
    let other = other.collect::<Vec<_>>().join("\n        OR ");
    if !other.is_empty() {
        sql.push(format_args!("state_since = CASE\n        WHEN {other}\n        THEN "));
        push_present(sql, now);
        sql.push("\n        ELSE o.state_since END,\n    ");
    }
    for (column, value) in [
        ("state", state),
        ("suspended", suspended),
        ("mark", new_mark(&effects, "o")),
        ("reason", case(&effects, "o.reason", |effect| effect.state.map(|_| "NULL".into()))),
    ] {
        if let Some(value) = value {
            sql.push(format_args!("{column} = {value},\n    "));
        }
    }
    let killed = named(&effects, |effect| effect.kill == Assign::Set(()));
    let settled = named(&effects, |effect| effect.kill == Assign::Clear);
    if killed.is_some() || settled.is_some() {
        for (column, at) in [("kill_requested", now), ("sigkill_at", sigkill_at)] {
            sql.push(format_args!("{column} = CASE"));
            if let Some(settled) = &settled {
                sql.push(format_args!(" WHEN a.effect IN ({settled}) THEN NULL"));
            }
            if let Some(killed) = &killed {
                sql.push(format_args!(" WHEN a.effect IN ({killed}) THEN ")).instant(at);
            }
            sql.push(format_args!(" ELSE o.{column} END,\n    "));
        }
    }
    push_values(sql, action);
    sql.push("modified = ");
    push_present(sql, now);
}

/// Adds the instant of the request, but not one before the order was created: a clock may have been
/// set back.
fn push_present<DB: Dialect>(sql: &mut Sql<DB>, now: DateTime<Utc>) {
    sql.push("CASE WHEN o.created > ").instant(now);
    sql.push(" AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE ");
    sql.instant(now).push(" END");
}

/// Adds the values from the request.
fn push_values<DB: Dialect>(sql: &mut Sql<DB>, action: &Action) {
    match action {
        Action::Change { priority } => {
            sql.push("priority = ").integer(i64::from(*priority)).push(",\n    ");
        }
        Action::RemoveWhenTerminated => {
            sql.push("remove_when_terminated = TRUE,\n    ");
        }
        Action::Resume { position, variables } => {
            if let Some(position) = position {
                sql.push("position = ").json(position).push(",\n    ");
            }
            if let Some(variables) = variables {
                sql.push("arguments = ").merged("o.arguments", variables).push(",\n    ");
            }
        }
        _ => {}
    }
}

/// Adds the insert of one detail row for each affected order `a`. `push_key` adds the controller
/// and the entry's id, `push_from` the orders.
pub(in crate::store) fn push_details<DB: Dialect>(
    sql: &mut Sql<DB>,
    action: &Action,
    controller_id: &str,
    now: DateTime<Utc>,
    push_key: impl FnOnce(&mut Sql<DB>),
    push_from: impl FnOnce(&mut Sql<DB>),
) {
    let effects = action.effects();
    let killed = named(&effects, |effect| effect.kill == Assign::Set(()));
    let mark = case(&effects, "NULL", |effect| match effect.mark {
        Assign::Set(mark) => Some(format!("'{}'", mark.as_str())),
        Assign::Keep | Assign::Clear => None,
    });
    let state = new_state(&effects, "a").unwrap_or_else(|| "a.state".into());
    let suspended = new_suspended(&effects, "a").unwrap_or_else(|| "a.suspended".into());
    sql.push(
        "INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,\n    \
             workflow_version_id, folder, previous_state, new_state, mark, kill, via_parent, created,\n    \
             before)\n\
         SELECT ",
    );
    push_key(sql);
    sql.push(
        ", a.order_id, a.workflow_path,\n    \
         a.workflow_version_id, a.folder, a.effective_state,\n    ",
    );
    sql.new_state(controller_id, now, &state, &suspended).push(format_args!(
        ",\n    {}, {}, a.via_parent, ",
        mark.as_deref().unwrap_or("NULL"),
        killed.map_or_else(|| "FALSE".into(), |killed| format!("a.effect IN ({killed})")),
    ));
    sql.instant(now).push(", a.before").push(DB::AS_JSON).push("\nFROM ");
    push_from(sql);
}

/// How the insert of an audit entry begins.
pub(in crate::store) const INSERT_ENTRY: &str = "INSERT INTO audit_logs (controller_id, account, request, parameters, category, comment,\n    \
         time_spent, ticket_link, request_id, client_address, created, undoes, outcome, affected)\n\
     SELECT ";

/// Adds the insert of the audit entry, up to FROM; `g` has the number of affected orders.
pub(in crate::store) fn push_entry<DB: Dialect>(
    sql: &mut Sql<DB>,
    audit: &AuditEntry,
    selection: &Selection,
) {
    sql.push(INSERT_ENTRY);
    sql.text(&audit.controller_id).push(", ").text(&audit.account);
    sql.push(", ").text(&audit.request).push(", CASE g.affected WHEN 0 THEN ");
    sql.text(&audit.parameters.kept(Outcome::NoOrders)).push(" ELSE ");
    sql.text(&audit.parameters.kept(Outcome::Done)).push(" END").push(DB::AS_JSON);
    sql.push(",\n    ").text(audit.category.as_str());
    sql.push(", ").optional(audit.comment.as_deref());
    sql.push(", ").integer(audit.time_spent);
    sql.push(", ").optional(audit.ticket_link.as_deref());
    sql.push(", ").text(&audit.request_id);
    sql.push(", ").optional(audit.client_address.as_deref());
    sql.push(", ").instant(audit.created);
    sql.push(", ").integer(audit.undoes);
    sql.push(",\n    CASE g.affected WHEN 0 THEN ");
    push_without_effect(sql, selection);
    sql.push(" ELSE 'DONE' END, g.affected");
}

/// Adds the query of a preview, which follows `chosen`: packed rows of counts, without an order id,
/// and one text of the rows of the first orders.
pub(in crate::store) fn push_preview<DB: Dialect>(
    sql: &mut Sql<DB>,
    selection: &Selection,
    action: &Action,
    limit: u32,
) {
    let rules = action.rules();
    push_holding(sql, selection, &rules);
    // Also the orders without an effect: to leave them out here, SQLite would compute the effect
    // twice.
    sql.with("judged", |sql| {
        sql.push(format_args!(
            "SELECT c.order_id, c.workflow_path, c.workflow_version_id, c.effective_state,\n    \
                 c.via_parent, {} AS effect\n\
             FROM chosen c",
            effect_of(&rules)
        ));
    });
    sql.push("\nSELECT ").packed(|sql| {
        sql.push("'', '', '', effective_state, effect, count(*), ");
        match &selection.subject {
            Subject::Orders(ids) if selection.has_cycles() => {
                // Neither a descendant nor named.
                sql.push("count(*) - count(via_parent)\n    - count(CASE WHEN order_id");
                sql.among(ids.iter().map(String::as_str).collect());
                sql.push(" THEN 1 END)");
            }
            _ => {
                sql.push("0");
            }
        }
    });
    sql.push("\nFROM judged\nWHERE effect IS NOT NULL\nGROUP BY effective_state, effect\n");
    sql.push("UNION ALL\nSELECT string_agg(f.packed, ").character(ROW).push(")\nFROM ");
    sql.nested(|sql| {
        sql.push("SELECT ").packed(|sql| {
            sql.push("order_id, workflow_path, workflow_version_id, effective_state, effect, 1, 0");
        });
        sql.push(format_args!(
            "\nFROM judged\nWHERE effect IS NOT NULL\nORDER BY order_id\nLIMIT {limit}"
        ));
    });
    sql.push(" f\nHAVING count(*) > 0");
}

/// Whether the executor has something to do for an order with this effect.
#[cfg(feature = "postgres")]
pub(in crate::store) fn concerns(action: &Action, effect: &str) -> bool {
    action.effects().iter().any(|of| of.name == effect && of.concerns_runner())
}

/// Adds the column `notified`, whose query notifies executors if one of these orders `a` concerns
/// them. `entry` is the FROM without which there is no notification, or nothing.
#[cfg(feature = "postgres")]
pub(in crate::store) fn push_notified<DB: Dialect>(
    sql: &mut Sql<DB>,
    action: &Action,
    controller_id: &str,
    entry: &str,
    orders: &str,
) {
    let concerned = named(&action.effects(), Effect::concerns_runner);
    let concerned =
        concerned.map_or_else(|| "FALSE".into(), |names| format!("a.effect IN ({names})"));
    sql.push(
        "(SELECT count(*) FROM (\n        \
             SELECT pg_notify('joc_orders_marks', ",
    );
    sql.key(controller_id).push(format_args!(
        ")::text{entry}\n        \
             WHERE EXISTS (SELECT 1 FROM {orders} WHERE {concerned})\n        \
             OFFSET 0\n    \
         ) n) AS notified"
    ));
}
