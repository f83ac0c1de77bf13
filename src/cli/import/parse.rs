//! Checks one workflow or order of the input, and maps JOC's words to those of the database; see
//! docs/import.md.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_ignored::Path;
use serde_json::Value;

use self::fields::{
    Faults, LINE, MARKED, ORDER, STATE, WORKFLOW, WORKFLOW_ID, boolean, list, number_of_32_bits,
    object, optional, required, text,
};
use self::instants::{date, instant};
use self::life::life;
use self::order::Order;
use self::state::{Stored, mark_of};
use crate::model::arguments::{check_arguments, check_position};
use crate::model::checks::{check_name, check_stored_controller_id, check_stored_folder};
use crate::model::invalid::{Invalid, displayable};
use crate::model::json::Json;
use crate::model::order::Mark;
use crate::store::{Item, NewOrder};

mod fields;
mod instants;
mod life;
mod order;
mod state;

/// Maximum characters of a message of serde to show: it may quote values of any length.
const MAX_REASON: usize = 200;
/// Precedes a column number.
const COLUMN: &str = "column ";
/// The longest reason of an order to wait.
const MAX_WORD: usize = 100;

/// The result of a line, or of an order in a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) item: Item,
    /// How many further orders of its cycle the export hides behind this one.
    pub(super) hidden_cyclic: u64,
}

/// What a line is taken for, or why it is bad: messages that begin with the field or the
/// [`COLUMN`], if one is to blame.
pub(super) type Read = Result<Parsed, Vec<String>>;

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

/// Parses and checks a line, but for the fields to ignore.
pub(super) fn parse_line(text: &[u8], ignored: &[String]) -> Read {
    let mut faults = Faults::default();
    let line: Line = from_json(text, |path| match path {
        [name] if !LINE.has(name) && !ignored.contains(name) => {
            faults.unknown("", name, LINE.taken.iter().copied());
        }
        [parent, name] if parent == "order" => {
            unknown_of_order("order.", name, ignored, &mut faults)
        }
        _ => {}
    })
    .map_err(|reason| vec![reason])?;
    let parsed = line.parse(ignored, &mut faults);
    parsed.filter(|_| faults.texts.is_empty()).ok_or(faults.texts)
}

/// Parses and checks an order of a response, as [`parse_line`] does a line.
pub(super) fn parse_order(text: &[u8], controller_id: &str, ignored: &[String]) -> Read {
    let mut faults = Faults::default();
    let order: Order = from_json(text, |path| {
        if let [name] = path {
            unknown_of_order("", name, ignored, &mut faults);
        }
    })
    .map_err(|reason| vec![without_column(&reason).to_owned()])?;
    let parsed = order.parse(controller_id, ignored, &mut faults);
    parsed.filter(|_| faults.texts.is_empty()).ok_or(faults.texts)
}

fn unknown_of_order(parent: &str, name: &String, ignored: &[String], faults: &mut Faults) {
    if !ORDER.has(name) && !ignored.contains(name) {
        faults.unknown(parent, name, ORDER.taken.iter().copied());
    }
}

/// Reads one JSON object; `unknown` is told the names on the way to each field without a place.
fn from_json<T: serde::de::DeserializeOwned>(
    text: &[u8],
    mut unknown: impl FnMut(&[String]),
) -> Result<T, String> {
    let text = str::from_utf8(text)
        .map_err(|error| format!("{COLUMN}{}: is not UTF-8", error.valid_up_to() + 1))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let mut ignored = |path: Path<'_>| unknown(&names(&path));
    let fields = serde_ignored::Deserializer::new(&mut json, &mut ignored);
    let object = serde_path_to_error::deserialize(fields).map_err(|error| {
        let field = error.path().to_string();
        match error.into_inner() {
            error if error.is_data() && field != "." => format!("{field}: {}", reason(&error)),
            error => not_json(&error),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(object)
}

/// The names on a path.
fn names(path: &Path<'_>) -> Vec<String> {
    let (parent, name) = match path {
        Path::Map { parent, key } => (parent, Some(key.clone())),
        Path::Some { parent }
        | Path::Seq { parent, .. }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => (parent, None),
        Path::Root => return Vec::new(),
    };
    let mut names = names(parent);
    names.extend(name);
    names
}

fn not_json(error: &serde_json::Error) -> String {
    format!("{COLUMN}{}: {}", error.column(), reason(error))
}

/// A reason without the column that it begins with.
pub(super) fn without_column(reason: &str) -> &str {
    let rest = reason.strip_prefix(COLUMN).and_then(|rest| rest.split_once(": "));
    rest.map_or(reason, |(_, rest)| rest)
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
    fn parse(self, ignored: &[String], faults: &mut Faults) -> Option<Parsed> {
        if self.orders.is_some() && self.workflow.is_none() && self.order.is_none() {
            faults.add("orders", "this line is a whole JOC response");
            return None;
        }
        let controller_id = faults.ok(controller(self.controller_id.as_deref()));
        // Goes on with some controller, to find the other faults.
        let controller_id = controller_id.as_deref().unwrap_or_default();
        match (self.workflow, self.order) {
            (Some(workflow), None) => {
                if let Value::Object(fields) = &*workflow {
                    WORKFLOW.check("workflow", fields, ignored, faults);
                }
                let item = parse_workflow(controller_id, "workflow", &workflow, faults)?;
                Some(Parsed { item, hidden_cyclic: 0 })
            }
            (None, Some(order)) => {
                faults.within = "order.";
                order.parse(controller_id, ignored, faults)
            }
            (Some(_), Some(_)) => {
                faults.add("workflow, order", "a line has one of them, not both");
                None
            }
            (None, None) => {
                faults.add("workflow, order", "one of them is expected");
                None
            }
        }
    }
}

fn controller(value: Option<&Value>) -> Result<String, Invalid> {
    let id = required("controllerId", value, text)?;
    check_stored_controller_id(id)?;
    Ok(id.to_owned())
}

impl Order {
    /// Checks the order and turns it into an item of the controller; `None` if there are faults.
    fn parse(
        &self,
        controller_id: &str,
        ignored: &[String],
        faults: &mut Faults,
    ) -> Option<Parsed> {
        let order_id = faults.ok(required("orderId", self.order_id.as_deref(), text));
        if let Some(order_id) = order_id {
            faults.ok(check_order_id(order_id));
        }
        let workflow = faults.ok(required("workflowId", self.workflow_id.as_deref(), any));
        if let Some(Value::Object(fields)) = workflow {
            WORKFLOW_ID.check("workflowId", fields, ignored, faults);
        }
        let item = workflow
            .and_then(|workflow| parse_workflow(controller_id, "workflowId", workflow, faults));

        let joc_state = faults.ok(required("state", self.state.as_deref(), object));
        let joc_state = joc_state.inspect(|fields| STATE.check("state", fields, ignored, faults));
        let of_state = |name: &str| joc_state.and_then(|state| state.get(name));
        let joc_text = joc_state
            .and_then(|state| faults.ok(required("state._text", state.get("_text"), text)));
        let joc_reason = faults.ok(optional("state._reason", of_state("_reason"), text)).flatten();
        let position = faults.ok(optional("position", self.position.as_deref(), list)).flatten();
        let suspended = faults.ok(optional("suspended", self.suspended.as_deref(), boolean));
        let stored = joc_text.zip(suspended).and_then(|(text, suspended)| {
            faults.ok(match suspended {
                Some(suspended) => Stored::exactly(text, suspended),
                None => Stored::of(text, joc_reason, position),
            })
        });
        if let Some(reason) = joc_reason {
            faults.ok(check_reason("state._reason", reason));
        }
        let position = position.and(self.position.as_deref());
        if let Some(position) = position {
            faults.ok(check_position("position", position));
        }
        let arguments = faults.ok(optional("arguments", self.arguments.as_deref(), object));
        let mut arguments = arguments.flatten().cloned().unwrap_or_default();
        arguments.retain(|_, value| !value.is_null());
        faults.ok(check_arguments("arguments", &arguments));
        let priority = faults.ok(optional("priority", self.priority.as_deref(), number_of_32_bits));

        let marked = faults.ok(optional("marked", self.marked.as_deref(), object)).flatten();
        let marked = marked.inspect(|fields| MARKED.check("marked", fields, ignored, faults));
        let mark = faults.ok(match marked.and_then(|marked| marked.get("_text")) {
            Some(mark) => optional("marked._text", Some(mark), mark_of),
            // Where old versions of JOC have the mark.
            None => optional("state._marked", of_state("_marked"), mark_of),
        });
        let mark = stored.as_ref().and_then(|stored| {
            let mark = mark.flatten().flatten().or(stored.mark);
            // Only a suspended order can be resuming.
            let fits = |mark: &Mark| *mark != Mark::Resuming || stored.suspended;
            mark.filter(|_| !stored.state.is_terminal()).filter(fits)
        });

        // For "never", JOC sends a distant date and scheduledNever.
        let scheduled_for = self.scheduled_for.as_deref();
        let never = faults.ok(optional("scheduledNever", self.scheduled_never.as_deref(), boolean));
        let is_never = never.flatten() == Some(true) || joc_text == Some("PENDING");
        let scheduled_for =
            faults.ok(optional("scheduledFor", scheduled_for.filter(|_| !is_never), instant));
        let life = life(self, stored.as_ref(), mark, faults);

        // Not stored, so never an error.
        let in_cycle = self.cyclic_order.as_deref().and_then(|cycle| cycle.get("count"));
        let hidden_cyclic = in_cycle.and_then(Value::as_u64).unwrap_or(1).saturating_sub(1);
        let stored = stored?;
        let order = NewOrder {
            order_id: order_id?.to_owned(),
            state: stored.state,
            suspended: stored.suspended,
            mark,
            reason: joc_reason.filter(|_| stored.state.may_wait()).map(Into::into),
            scheduled_for: scheduled_for?,
            priority: priority?.unwrap_or_default(),
            arguments: Value::Object(arguments).to_string(),
            position: position.map(Value::to_string),
            life: life?,
        };
        Some(Parsed { item: Item { order: Some(order), ..item? }, hidden_cyclic })
    }
}

/// The item of a workflow alone; `None` if there are faults.
fn parse_workflow(
    controller_id: &str,
    field: &str,
    value: &Value,
    faults: &mut Faults,
) -> Option<Item> {
    let workflow = faults.ok(object(field, value))?;
    let field = |name: &str| format!("{field}.{name}");
    let path = faults.ok(workflow_path(&field("path"), workflow.get("path")));
    let version = workflow.get("versionId").or_else(|| workflow.get("version"));
    let version = faults.ok(required(&field("versionId"), version, text));
    if let Some(version) = version {
        faults.ok(check_name(&field("versionId"), version));
    }
    let version_date = workflow.get("versionDate");
    let version_date = faults.ok(optional(&field("versionDate"), version_date, date));
    Some(Item {
        controller_id: controller_id.to_owned(),
        workflow_path: path?.to_owned(),
        workflow_version_id: version?.to_owned(),
        version_date: version_date?,
        order: None,
    })
}

fn workflow_path<'a>(field: &str, value: Option<&'a Value>) -> Result<&'a str, Invalid> {
    let path = required(field, value, text)?;
    check_stored_folder(field, path)?;
    if path == "/" {
        return Err(Invalid::new(field, "'/' is a folder, not a workflow"));
    }
    Ok(path)
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

fn any<'a>(_: &str, value: &'a Value) -> Result<&'a Value, Invalid> {
    Ok(value)
}

#[cfg(test)]
mod tests;
