//! What a change found: `audit_log_details.before`, a JSON object of the columns that get another
//! value, with their old ones.

use serde_json::{Map, Value};

use super::effect::{assigned, named, new_mark, new_state, new_suspended};
use super::{Dialect, Sql};
use crate::model::action::Action;
use crate::model::effect::Assign;
use crate::model::secrets::{MASKED, is_secret};

/// Adds the object for the affected order `a`.
pub(super) fn push_before<DB: Dialect>(sql: &mut Sql<DB>, action: &Action) {
    sql.push("'{' || concat_ws(','");
    push_columns(sql, action);
    for column in assigned(action) {
        match action {
            Action::Resume { variables: Some(variables), .. } if *column == "arguments" => {
                sql.push(",\n        '\"arguments\":{' || concat_ws(','");
                push_arguments(sql, variables);
                sql.push(") || '}'");
            }
            Action::Change { priority } => push_member(
                sql,
                column,
                "CAST(a.priority AS text)",
                &format!("a.priority <> {priority}"),
            ),
            Action::RemoveWhenTerminated => {
                push_member(sql, column, &flag(column), "NOT a.remove_when_terminated");
            }
            _ => push_member(
                sql,
                column,
                &format!("coalesce(CAST(a.{column} AS text), 'null')"),
                "TRUE",
            ),
        }
    }
    sql.push(") || '}'");
}

/// Adds the members for what effects change.
fn push_columns<DB: Dialect>(sql: &mut Sql<DB>, action: &Action) {
    let effects = action.effects();
    if let Some(new) = new_state(&effects, "a") {
        push_member(sql, "state", "'\"' || a.state || '\"'", &format!("a.state <> {new}"));
    }
    if let Some(new) = new_suspended(&effects, "a") {
        push_member(sql, "suspended", &flag("suspended"), &format!("a.suspended <> {new}"));
    }
    if let Some(new) = new_mark(&effects, "a") {
        push_member(sql, "mark", &word("mark"), &format!("a.mark IS DISTINCT FROM {new}"));
    }
    if let Some(moved) = named(&effects, |effect| effect.state.is_some()) {
        let changes = format!("a.reason IS NOT NULL AND a.effect IN ({moved})");
        push_member(sql, "reason", &word("reason"), &changes);
    }
    let killed = named(&effects, |effect| effect.kill == Assign::Set(()));
    let settled = named(&effects, |effect| effect.kill == Assign::Clear);
    for column in ["kill_requested", "sigkill_at"] {
        let text = DB::iso(&format!("a.{column}"));
        let instant = format!("coalesce('\"' || {text} || '\"', 'null')");
        if let Some(killed) = &killed {
            push_member(sql, column, &instant, &format!("a.effect IN ({killed})"));
        }
        if let Some(settled) = &settled {
            let changes = format!("a.{column} IS NOT NULL AND a.effect IN ({settled})");
            push_member(sql, column, &instant, &changes);
        }
    }
}

/// Adds the old values of the arguments that a request sets. As in its own parameters, secrets are
/// masked, and of an argument that is no single value, everything.
fn push_arguments<DB: Dialect>(sql: &mut Sql<DB>, variables: &str) {
    let variables: Map<String, Value> = serde_json::from_str(variables).unwrap_or_default();
    for name in variables.keys() {
        let key = Value::from(name.as_str()).to_string() + ":";
        sql.push(",\n            ").text(&key).push(" || CASE WHEN ");
        if is_secret(name) {
            sql.member("a.arguments", name)
                .push(" IS NOT NULL THEN '\"")
                .push(MASKED)
                .push("\"' END");
            continue;
        }
        sql.push("substr(").member("a.arguments", name);
        sql.push(", 1, 1) IN ('{', '[') THEN '\"").push(MASKED).push("\"' ELSE ");
        sql.member("a.arguments", name).push(" END");
    }
}

/// Adds a member, which is null for an order whose column keeps its value.
fn push_member<DB: Dialect>(sql: &mut Sql<DB>, column: &str, value: &str, changes: &str) {
    sql.push(format_args!(",\n        CASE WHEN {changes} THEN '\"{column}\":' || {value} END"));
}

/// A column that holds a word, which needs no escapes.
fn word(column: &str) -> String {
    format!("coalesce('\"' || a.{column} || '\"', 'null')")
}

fn flag(column: &str) -> String {
    format!("CASE WHEN a.{column} THEN 'true' ELSE 'false' END")
}
