//! The capture of plain SQL: whether it is on, and what it has recorded.

use serde_json::{Map, Value};
use sqlx::FromRow;

use super::StoredInstant;
use crate::model::finding::Finding;
use crate::model::window::iso;

/// Whether changes of orders that the service did not make are recorded in `orders_changes`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Capture {
    /// They are not.
    #[default]
    Off,
    /// They are.
    On {
        /// Whether the reports of executors are recorded, too.
        executors: bool,
    },
}

impl Capture {
    /// The operation that records that it was switched to this.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::Off => "CAPTURE_OFF",
            Self::On { .. } => "CAPTURE_ON",
        }
    }
}

/// The state of capture.
#[derive(Debug)]
pub struct CaptureStatus {
    /// What it was switched to.
    pub capture: Capture,
    /// When, if ever.
    pub since: Option<StoredInstant>,
    /// The recorded changes by source, `SQL` or `EXECUTOR`, with the first and the last instant.
    pub recorded: Vec<(String, u64, StoredInstant, StoredInstant)>,
    /// How its triggers differ from those that it should have.
    pub problems: Vec<String>,
}

/// A change by plain SQL.
#[derive(Debug, FromRow)]
pub(super) struct Captured {
    controller_id: String,
    order_id: Option<String>,
    operation: String,
    old_values: Option<String>,
    new_values: Option<String>,
    database_user: Option<String>,
    application: Option<String>,
    client_address: Option<String>,
    created: StoredInstant,
}

/// Every change by plain SQL.
pub(super) const QUERY: &str = "SELECT controller_id, order_id, operation,
         CAST(old_values AS TEXT) AS old_values, CAST(new_values AS TEXT) AS new_values,
         database_user, application, client_address, created
     FROM orders_changes WHERE source = 'SQL' ORDER BY id";

impl Captured {
    /// The change as a finding of `check --strict`.
    pub(super) fn finding(self) -> Finding {
        let done = match &*self.operation {
            "INSERT" => "inserted",
            "DELETE" => "deleted",
            "TRUNCATE" => "all orders removed",
            _ => "changed",
        };
        let mut problem = format!("{done} by plain SQL at {}", iso(&self.created));
        if let Some(user) = &self.database_user {
            problem += &format!(" by database user {user}");
        }
        let from = self.client_address.map(|address| format!("at {address}"));
        let application = self.application.filter(|name| !name.is_empty());
        let with = application.map(|name| format!("application {name}"));
        let with: Vec<_> = with.into_iter().chain(from).collect();
        if !with.is_empty() {
            problem += &format!(" ({})", with.join(", "));
        }
        let [old, new] = [self.old_values, self.new_values].map(|text| parsed(text.as_deref()));
        let values = differences(&self.operation, &old, &new);
        if !values.is_empty() {
            problem += &format!(": {}", values.join(", "));
        }
        Finding {
            controller_id: Some(self.controller_id),
            seal: None,
            audit_log_id: None,
            order_id: self.order_id,
            problem,
        }
    }
}

fn parsed(text: Option<&str>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// What changed, in words.
fn differences(operation: &str, old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let shown = |values: &Map<String, Value>, name: &str| match values.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "null".into(),
    };
    match operation {
        "UPDATE" => {
            let value =
                |name: &String| format!("{name} {} -> {}", shown(old, name), shown(new, name));
            // Instants that go with any change say something only if nothing else changed.
            let (with, what): (Vec<_>, Vec<_>) =
                new.keys().partition(|name| matches!(&***name, "modified" | "state_since"));
            let told = if what.is_empty() { with } else { what };
            told.into_iter().map(value).collect()
        }
        "TRUNCATE" => vec![format!("orders {}", shown(old, "orders"))],
        "DELETE" => vec![format!("state {}", shown(old, "state"))],
        _ => vec![format!("state {}", shown(new, "state"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(operation: &str, old: Option<&str>, new: Option<&str>) -> Captured {
        let created = StoredInstant("2026-11-23T12:34:56.789Z".parse().unwrap());
        Captured {
            controller_id: "prod".into(),
            order_id: Some("a".into()),
            operation: operation.into(),
            old_values: old.map(Into::into),
            new_values: new.map(Into::into),
            database_user: Some("anna".into()),
            application: Some("psql".into()),
            client_address: Some("10.1.2.3".into()),
            created,
        }
    }

    #[test]
    fn a_finding_names_who_and_what() {
        let old = r#"{"state":"FRESH","modified":"2026-11-23T12:00:00.000Z"}"#;
        let new = r#"{"state":"CANCELLED","modified":"2026-11-23T12:34:56.789Z"}"#;
        assert_eq!(
            captured("UPDATE", Some(old), Some(new)).finding().to_string(),
            "prod, order a: changed by plain SQL at 2026-11-23T12:34:56.789Z by database user anna \
             (application psql, at 10.1.2.3): state FRESH -> CANCELLED"
        );
        let mut deleted = captured("DELETE", Some(r#"{"state":"FRESH"}"#), None);
        (deleted.database_user, deleted.application, deleted.client_address) = (None, None, None);
        assert_eq!(
            deleted.finding().to_string(),
            "prod, order a: deleted by plain SQL at 2026-11-23T12:34:56.789Z: state FRESH"
        );
    }
}
