//! The fields that a column can have, and how its cells are read.

use serde_json::Value;

use crate::model::json::Json;

/// The fields that every order needs, by the names of their database columns.
pub(super) const REQUIRED: [&str; 5] =
    ["controller_id", "order_id", "workflow_path", "workflow_version_id", "state"];
/// Precedes the name of a single argument.
const ARGUMENT: &str = "arguments.";

/// What cells hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holds {
    Text,
    Integer,
    Flag,
    Instant,
    Json,
}

/// A field of an order.
pub(super) struct Field {
    /// The names on the way to it.
    pub(super) path: Vec<String>,
    pub(super) holds: Holds,
}

/// The fields: the way to each in a JSON line, and its other names: that of the database column, and
/// that of `orders list --output csv`.
const FIELDS: &[(&str, &[&str], Holds)] = &[
    ("controllerId", &["controller_id"], Holds::Text),
    ("orderId", &["order_id"], Holds::Text),
    ("workflowId.path", &["workflow_path", "workflow"], Holds::Text),
    ("workflowId.versionId", &["workflow_version_id", "version"], Holds::Text),
    ("state._text", &["state"], Holds::Text),
    ("state._reason", &["reason"], Holds::Text),
    ("suspended", &[], Holds::Flag),
    ("marked._text", &["mark", "marked"], Holds::Text),
    ("position", &[], Holds::Json),
    ("arguments", &[], Holds::Json),
    ("priority", &[], Holds::Integer),
    ("scheduledFor", &["scheduled_for"], Holds::Instant),
    ("scheduledNever", &["scheduled_never"], Holds::Flag),
    ("startTime", &["started", "start_time"], Holds::Instant),
    ("endTime", &["end_time"], Holds::Instant),
    ("stateSince", &["state_since"], Holds::Instant),
    ("created", &[], Holds::Instant),
    ("killRequested", &["kill_requested"], Holds::Instant),
    ("sigkillAt", &["sigkill_at"], Holds::Instant),
    ("removeWhenTerminated", &["remove_when_terminated"], Holds::Flag),
];

/// The field of this name.
pub(super) fn field(name: &str) -> Option<Field> {
    if let Some(argument) = name.strip_prefix(ARGUMENT).filter(|argument| !argument.is_empty()) {
        let path = vec!["arguments".to_owned(), argument.to_owned()];
        return Some(Field { path, holds: Holds::Text });
    }
    let (path, _, holds) =
        FIELDS.iter().find(|(path, names, _)| *path == name || names.contains(&name))?;
    Some(Field { path: path.split('.').map(Into::into).collect(), holds: *holds })
}

impl Holds {
    /// What a cell stands for; a text if it is not what it should be, which is refused later.
    pub(super) fn value(self, cell: &str) -> Value {
        let trimmed = cell.trim();
        let json = || serde_json::from_str(trimmed).ok().map(|Json(value)| value);
        let value = match self {
            Self::Text => None,
            Self::Integer | Self::Instant => json().filter(Value::is_number),
            Self::Flag => match &*trimmed.to_ascii_lowercase() {
                "true" | "t" | "1" => Some(true.into()),
                "false" | "f" | "0" => Some(false.into()),
                _ => None,
            },
            Self::Json => json(),
        };
        match self {
            Self::Text => cell.into(),
            _ => value.unwrap_or_else(|| trimmed.into()),
        }
    }
}
