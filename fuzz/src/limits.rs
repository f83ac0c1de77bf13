//! What the API and the database schema guarantee of every value that reaches the store, written
//! down independently.

use std::collections::HashSet;

use chrono::{DateTime, Datelike, Utc};
use joc_orders::model::action::Action;
use joc_orders::model::audit::{AuditEntry, Outcome};
use joc_orders::model::folders::Folder;
use joc_orders::model::json::Json;
use joc_orders::model::selection::{Selection, Subject};
use joc_orders::model::window::Window;
use joc_orders::model::window::buckets::Bounds;
use joc_orders::model::workflow_id::WorkflowId;
use joc_orders::store::add::AddedOrder;
use joc_orders::store::{Item, NewOrder};
use serde_json::Value;
use strum::VariantArray;

pub fn text(text: &str, max: usize) {
    assert!((1..=max).contains(&text.chars().count()), "{text:?}");
    assert!(!text.chars().any(|c| c.is_ascii_control()), "{text:?}");
}

pub fn name(name: &str) {
    text(name, 255);
}

pub fn controller(id: &str) {
    text(id, 100);
    assert!(
        !id.contains(['/', '\\', '<', '>', '?', '!', '&', ':', ';', '(', ')', '"', '|', '*', '^'])
    );
}

/// `/a/b`, or `/` alone.
pub fn folder(path: &str) {
    name(path);
    let is_well_formed = path == "/" || path.split('/').skip(1).all(|name| !name.is_empty());
    assert!(path.starts_with('/') && is_well_formed, "{path:?}");
}

/// A workflow's path, or its name.
pub fn workflow(path: &str) {
    name(path);
    assert_ne!(path, "/");
    if path.contains('/') {
        folder(path);
    }
}

pub fn instant(at: &DateTime<Utc>) {
    assert!((1..=9999).contains(&at.year()), "{at}");
}

pub fn window(window: &Window) {
    assert!(window.from.zip(window.to).is_none_or(|(from, to)| from < to));
    window.from.iter().chain(&window.to).for_each(instant);
}

pub fn bounds(bounds: &Bounds) {
    window(&bounds.window());
    let buckets: Vec<_> = bounds.buckets().collect();
    assert!((1..=1000).contains(&buckets.len()));
    assert!(buckets.iter().all(|[from, to]| from < to));
}

pub fn folders(folders: &[Folder]) {
    folders.iter().for_each(|f| folder(&f.folder));
}

pub fn workflows(ids: &[WorkflowId]) {
    for id in ids {
        workflow(&id.path);
        id.version_id.iter().for_each(|version| name(version));
    }
}

pub fn selection(selection: &Selection) {
    controller(&selection.controller_id);
    assert!(!selection.sight.is_empty());
    match &selection.subject {
        Subject::Orders(ids) => {
            ids.iter().for_each(|id| name(id));
            assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
            assert!(!ids.is_empty() && selection.states.is_empty());
        }
        Subject::Workflows(ids) => {
            assert!(!ids.is_empty());
            workflows(ids);
        }
        Subject::Folders(chosen) => {
            assert!(!chosen.is_empty());
            folders(chosen);
        }
        Subject::Entry(id) => assert!(*id >= 0),
        Subject::Everything => {}
        Subject::Nothing => assert!(selection.states.is_empty()),
    }
    window(&selection.window);
    selection.horizon.iter().for_each(instant);
    window(&selection.state_window);
}

/// Without any selector, a change would affect every order.
pub fn limited(selection: &Selection) {
    let everything = selection.subject == Subject::Everything;
    assert!(!everything || !selection.states.is_empty() || !selection.window.is_unbounded());
}

pub fn audit(entry: &AuditEntry) {
    controller(&entry.controller_id);
    for (text, max) in [(&entry.comment, 2000), (&entry.ticket_link, 255)] {
        let text = text.as_deref().unwrap_or_default();
        assert!(text.chars().count() <= max && !text.contains(['<', '>', '\0']), "{text:?}");
    }
    assert!(entry.time_spent.is_none_or(|minutes| minutes >= 0));
    for &outcome in Outcome::VARIANTS {
        let kept = entry.parameters.kept(outcome);
        let parameters = json(&kept);
        assert!(parameters.is_object() && !kept.contains('\n'));
        masked(&parameters);
    }
}

fn json(text: &str) -> Value {
    let Json(value) = serde_json::from_str(text).unwrap();
    value
}

fn masked(value: &Value) {
    match value {
        Value::Array(values) => values.iter().for_each(masked),
        Value::Object(fields) => {
            for (key, value) in fields {
                if key.to_lowercase().contains("password") {
                    assert_eq!(value, "********");
                }
                masked(value);
            }
        }
        _ => {}
    }
}

pub fn action(action: &Action) {
    if let Action::Resume { position: place, variables } = action {
        place.iter().for_each(|place| position(&json(place)));
        variables.iter().for_each(|variables| arguments(&json(variables)));
    }
}

/// An object of texts, numbers, flags, or objects and lists of objects of these.
pub fn arguments(value: &Value) {
    for (key, value) in value.as_object().unwrap() {
        name(key);
        match value {
            Value::Array(items) => items.iter().for_each(members),
            Value::Object(_) => members(value),
            value => scalar(value),
        }
    }
}

fn members(value: &Value) {
    for (key, value) in value.as_object().unwrap() {
        name(key);
        scalar(value);
    }
}

fn scalar(value: &Value) {
    assert!(value.is_string() || value.is_number() || value.is_boolean(), "{value}");
    assert!(!value.as_str().unwrap_or_default().contains('\0'));
}

/// `[2, "then", 0]`
pub fn position(value: &Value) {
    let steps = value.as_array().unwrap();
    assert!(steps.len() % 2 == 1 && steps.len() <= 100, "{value}");
    for (i, step) in steps.iter().enumerate() {
        match step.as_str() {
            Some(branch) => name(branch),
            None => assert!(i32::try_from(step.as_u64().unwrap()).is_ok(), "{value}"),
        }
        assert_eq!(step.is_string(), i % 2 == 1, "{value}");
    }
}

pub fn added(order: &AddedOrder) {
    text(&order.name, 30);
    assert!(order.name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)), "{}", order.name);
    workflow(&order.workflow_path);
    order.scheduled_for.iter().for_each(instant);
    arguments(&order.arguments);
    order.position.iter().for_each(position);
}

pub fn item(item: &Item) {
    controller(&item.controller_id);
    folder(&item.workflow_path);
    workflow(&item.workflow_path);
    name(&item.workflow_version_id);
    item.version_date.iter().for_each(instant);
    item.order.iter().for_each(imported);
}

fn imported(order: &NewOrder) {
    name(&order.order_id);
    assert!(order.order_id.split('|').all(|part| !part.is_empty()), "{}", order.order_id);
    let state = order.state.as_str();
    assert!(!(order.suspended && state == "RUNNING"));
    if order.state.is_terminal() {
        assert!(!order.suspended && order.mark.is_none() && order.reason.is_none());
    }
    if let Some(reason) = &order.reason {
        text(reason, 100);
        assert!(
            reason.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !reason.starts_with('_')
        );
    }
    order.scheduled_for.iter().for_each(instant);
    arguments(&json(&order.arguments));
    order.position.iter().for_each(|place| position(&json(place)));
}
