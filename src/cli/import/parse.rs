//! Checks one workflow or order of the input, and maps JOC's words to those of the database; see
//! docs/import.md.

use chrono::{DateTime, Datelike, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::model::arguments::{check_arguments, check_position};
use crate::model::checks::{check_name, check_stored_controller_id, check_stored_folder};
use crate::model::invalid::{Invalid, displayable};
use crate::model::json::Json;
use crate::model::order::{Mark, State};
use crate::store::{Item, NewOrder};

/// Maximum characters of a message of serde to show: it may quote values of any length.
const MAX_REASON: usize = 200;
/// Precedes a column number.
pub(super) const COLUMN: &str = "column ";
/// The longest reason of an order to wait.
const MAX_WORD: usize = 100;

/// The result of a line, or of an order in a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) item: Item,
    /// How many further orders of its cycle the export hides behind this one.
    pub(super) hidden_cyclic: u64,
}

/// A line: a workflow or an order, and the controller that it belongs to.
///
/// Fields are checked one by one, since serde's messages do not name them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Line {
    controller_id: Option<Json>,
    workflow: Option<Json>,
    order: Option<Order>,
    /// Only to recognise a whole JOC response, which is not a line.
    orders: Option<IgnoredAny>,
}

/// The fields of a JOC order that are imported.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub(super) struct Order {
    order_id: Option<Json>,
    workflow_id: Option<Json>,
    state: Option<Json>,
    marked: Option<Json>,
    position: Option<Json>,
    arguments: Option<Json>,
    priority: Option<Json>,
    scheduled_for: Option<Json>,
    scheduled_never: Option<Json>,
    cyclic_order: Option<Json>,
}

/// Parses and checks a line.
///
/// # Errors
///
/// Why it is bad; begins with the field or the [`COLUMN`], if one is to blame.
pub(super) fn parse_line(text: &[u8]) -> Result<Parsed, String> {
    let text = str::from_utf8(text)
        .map_err(|error| format!("{COLUMN}{}: is not UTF-8", error.valid_up_to() + 1))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let line: Line = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        match error.into_inner() {
            error if error.is_data() && field != "." => format!("{field}: {}", reason(&error)),
            error => not_json(&error),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    line.parse().map_err(|invalid| invalid.to_string())
}

fn not_json(error: &serde_json::Error) -> String {
    format!("{COLUMN}{}: {}", error.column(), reason(error))
}

/// An error's message without its line number, which is always 1.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    shortened(message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message))
}

/// As much of a message of serde as is fit for display.
pub(super) fn shortened(message: &str) -> String {
    message.chars().take(MAX_REASON).collect()
}

impl Line {
    fn parse(self) -> Result<Parsed, Invalid> {
        if self.orders.is_some() && self.workflow.is_none() && self.order.is_none() {
            return Err(Invalid::new("orders", "this line is a whole JOC response"));
        }
        let controller_id = required("controllerId", self.controller_id.as_deref(), text)?;
        check_stored_controller_id(controller_id)?;
        match (self.workflow, self.order) {
            (Some(workflow), None) => {
                let item = parse_workflow(controller_id, "workflow", &workflow)?;
                Ok(Parsed { item, hidden_cyclic: 0 })
            }
            (None, Some(order)) => order.parse(controller_id).map_err(|invalid| {
                Invalid::new(format!("order.{}", invalid.field), invalid.problem)
            }),
            (Some(_), Some(_)) => {
                Err(Invalid::new("workflow, order", "a line has one of them, not both"))
            }
            (None, None) => Err(Invalid::new("workflow, order", "one of them is expected")),
        }
    }
}

impl Order {
    /// Checks the order and turns it into an item of the controller.
    ///
    /// # Errors
    ///
    /// The first field that is refused.
    pub(super) fn parse(&self, controller_id: &str) -> Result<Parsed, Invalid> {
        let order_id = required("orderId", self.order_id.as_deref(), text)?;
        check_order_id(order_id)?;
        let workflow = required("workflowId", self.workflow_id.as_deref(), any)?;
        let item = parse_workflow(controller_id, "workflowId", workflow)?;

        let joc_state = required("state", self.state.as_deref(), object)?;
        let joc_text = required("state._text", joc_state.get("_text"), text)?;
        let joc_reason = optional("state._reason", joc_state.get("_reason"), text)?;
        let position = optional("position", self.position.as_deref(), list)?;
        let stored = Stored::of(joc_text, joc_reason, position)?;
        if let Some(reason) = joc_reason {
            check_reason("state._reason", reason)?;
        }
        let position = self.position.as_deref().filter(|position| !position.is_null());
        if let Some(position) = position {
            check_position("position", position)?;
        }
        let arguments = optional("arguments", self.arguments.as_deref(), object)?;
        let mut arguments = arguments.cloned().unwrap_or_default();
        arguments.retain(|_, value| !value.is_null());
        check_arguments("arguments", &arguments)?;
        let priority = optional("priority", self.priority.as_deref(), number_of_32_bits)?;

        let marked = optional("marked", self.marked.as_deref(), object)?;
        let mark = match marked.and_then(|marked| marked.get("_text")) {
            Some(mark) => optional("marked._text", Some(mark), mark_of)?,
            // Where old versions of JOC have the mark.
            None => optional("state._marked", joc_state.get("_marked"), mark_of)?,
        };
        let mark = mark.flatten().or(stored.mark).filter(|_| !stored.state.is_terminal());
        // Only a suspended order can be resuming.
        let mark = mark.filter(|mark| *mark != Mark::Resuming || stored.suspended);

        // For "never", JOC sends a distant date and scheduledNever.
        let scheduled_for = optional("scheduledFor", self.scheduled_for.as_deref(), whole_number)?;
        let never = optional("scheduledNever", self.scheduled_never.as_deref(), boolean)?;
        let scheduled_for = match scheduled_for {
            Some(_) if never == Some(true) || joc_text == "PENDING" => None,
            Some(millis) => Some(instant("scheduledFor", millis)?),
            None => None,
        };

        // Not stored, so never an error.
        let in_cycle = self.cyclic_order.as_deref().and_then(|cycle| cycle.get("count"));
        let hidden_cyclic = in_cycle.and_then(Value::as_u64).unwrap_or(1).saturating_sub(1);
        let order = NewOrder {
            order_id: order_id.to_owned(),
            state: stored.state,
            suspended: stored.suspended,
            mark,
            reason: joc_reason.filter(|_| stored.state.may_wait()).map(Into::into),
            scheduled_for,
            priority: priority.unwrap_or_default(),
            arguments: Value::Object(arguments).to_string(),
            position: position.map(Value::to_string),
        };
        Ok(Parsed { item: Item { order: Some(order), ..item }, hidden_cyclic })
    }
}

/// How a JOC state is stored.
struct Stored {
    state: State,
    suspended: bool,
    /// A mark that old versions of JOC have in the state's name.
    mark: Option<Mark>,
}

impl Stored {
    fn of(text: &str, reason: Option<&str>, position: Option<&[Value]>) -> Result<Self, Invalid> {
        let at_start = position.is_some_and(|p| matches!(p, [first] if first.as_u64() == Some(0)));
        let stored = |state| Self { state, suspended: false, mark: None };
        Ok(match text {
            "PLANNED" | "PENDING" | "SCHEDULED" | "BLOCKED" => stored(State::Fresh),
            // A due order that has not started, outside the admission times of its job.
            "INPROGRESS" if reason == Some("WAITING_FOR_ADMISSION") && at_start => {
                stored(State::Fresh)
            }
            "INPROGRESS" | "RESUMED" => stored(State::InProgress),
            "RUNNING" => stored(State::Running),
            "WAITING" | "CALLING" => stored(State::Waiting),
            // A state of a newer controller; cancelling ends a waiting order at once.
            "UNKNOWN" => stored(State::Waiting),
            "PROMPTING" => stored(State::Prompting),
            "FAILED" | "BROKEN" => stored(State::Failed),
            "FINISHED" => stored(State::Finished),
            "CANCELLED" => stored(State::Cancelled),
            // JOC does not show the state before suspension.
            "SUSPENDED" if at_start || position.is_none() => {
                Self { suspended: true, ..stored(State::Fresh) }
            }
            "SUSPENDED" => Self { suspended: true, ..stored(State::Waiting) },
            "SUSPENDMARKED" => Self { mark: Some(Mark::Suspending), ..stored(State::Running) },
            "RESUMEMARKED" => {
                Self { state: State::Waiting, suspended: true, mark: Some(Mark::Resuming) }
            }
            _ => {
                let problem = format!("'{}' is no state of an order", displayable(text));
                return Err(Invalid::new("state._text", problem));
            }
        })
    }
}

fn mark_of(field: &str, value: &Value) -> Result<Option<Mark>, Invalid> {
    match text(field, value)? {
        "CANCELLING" => Ok(Some(Mark::Cancelling)),
        "SUSPENDING" => Ok(Some(Mark::Suspending)),
        "RESUMING" => Ok(Some(Mark::Resuming)),
        // There is a newer version of its workflow; requests nothing.
        "OUTDATED" => Ok(None),
        other => {
            let problem = format!("'{}' is no mark of an order", displayable(other));
            Err(Invalid::new(field, problem))
        }
    }
}

/// The item of a workflow alone.
fn parse_workflow(controller_id: &str, field: &str, value: &Value) -> Result<Item, Invalid> {
    let workflow = object(field, value)?;
    let field = |name: &str| format!("{field}.{name}");
    let path = required(&field("path"), workflow.get("path"), text)?;
    check_stored_folder(&field("path"), path)?;
    if path == "/" {
        return Err(Invalid::new(field("path"), "'/' is a folder, not a workflow"));
    }
    let version = workflow.get("versionId").or_else(|| workflow.get("version"));
    let version = required(&field("versionId"), version, text)?;
    check_name(&field("versionId"), version)?;
    let version_date = workflow.get("versionDate");
    Ok(Item {
        controller_id: controller_id.to_owned(),
        workflow_path: path.to_owned(),
        workflow_version_id: version.to_owned(),
        version_date: optional(&field("versionDate"), version_date, date)?,
        order: None,
    })
}

fn check_order_id(id: &str) -> Result<(), Invalid> {
    check_name("orderId", id)?;
    if id.split('|').all(|name| !name.is_empty()) {
        return Ok(());
    }
    let problem = format!("'{}' has an empty name before or after a '|'", displayable(id));
    Err(Invalid::new("orderId", problem))
}

/// Rejects reasons that the database would refuse.
fn check_reason(field: &str, reason: &str) -> Result<(), Invalid> {
    let is_word = reason.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    if is_word && reason.len() <= MAX_WORD && !reason.is_empty() && !reason.starts_with('_') {
        return Ok(());
    }
    Err(Invalid::new(field, format!("'{}' is no reason such as FORKED", displayable(reason))))
}

fn instant(field: &str, millis: i64) -> Result<DateTime<Utc>, Invalid> {
    DateTime::from_timestamp_millis(millis)
        .filter(|instant| (1..=9999).contains(&instant.year()))
        .ok_or_else(|| Invalid::new(field, format!("{millis} leaves the years 1 to 9999")))
}

/// A field that must be there, read by one of the functions below.
fn required<'a, T>(
    field: &str,
    value: Option<&'a Value>,
    read: impl FnOnce(&str, &'a Value) -> Result<T, Invalid>,
) -> Result<T, Invalid> {
    optional(field, value, read)?.ok_or_else(|| Invalid::new(field, "is missing"))
}

/// A field that may be absent, or null, which is the same.
fn optional<'a, T>(
    field: &str,
    value: Option<&'a Value>,
    read: impl FnOnce(&str, &'a Value) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    value.filter(|value| !value.is_null()).map(|value| read(field, value)).transpose()
}

fn any<'a>(_: &str, value: &'a Value) -> Result<&'a Value, Invalid> {
    Ok(value)
}

fn text<'a>(field: &str, value: &'a Value) -> Result<&'a str, Invalid> {
    value.as_str().ok_or_else(|| Invalid::new(field, "is not a string"))
}

fn boolean(field: &str, value: &Value) -> Result<bool, Invalid> {
    value.as_bool().ok_or_else(|| Invalid::new(field, "is neither true nor false"))
}

fn whole_number(field: &str, value: &Value) -> Result<i64, Invalid> {
    value.as_i64().ok_or_else(|| Invalid::new(field, "is not a whole number of milliseconds"))
}

fn number_of_32_bits(field: &str, value: &Value) -> Result<i32, Invalid> {
    let number = value.as_i64().and_then(|number| number.try_into().ok());
    number.ok_or_else(|| Invalid::new(field, "is not a whole number of 32 bits"))
}

fn date(field: &str, value: &Value) -> Result<DateTime<Utc>, Invalid> {
    DateTime::parse_from_rfc3339(text(field, value)?)
        .map(|date| date.to_utc())
        .ok()
        .filter(|date| (1..=9999).contains(&date.year()))
        .ok_or_else(|| Invalid::new(field, "is not a date such as 2026-11-23T12:34:56.789Z"))
}

fn list<'a>(field: &str, value: &'a Value) -> Result<&'a [Value], Invalid> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| Invalid::new(field, "is not a list"))
}

fn object<'a>(field: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Invalid> {
    value.as_object().ok_or_else(|| Invalid::new(field, "is not an object"))
}

#[cfg(test)]
mod tests;
