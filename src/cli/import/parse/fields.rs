//! Fields of the input: their types, which of them there are, and what is wrong with a line.

use serde_json::{Map, Value};

use crate::model::invalid::{Invalid, quoted};
use crate::model::suggest::closest;

/// Maximum faults of one line to tell.
const MAX_FAULTS: usize = 20;

/// What is wrong with a line.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Precedes every field.
    pub(super) within: &'static str,
    pub(super) texts: Vec<String>,
}

impl Faults {
    /// The value, or `None` and a fault.
    pub(super) fn ok<T>(&mut self, result: Result<T, Invalid>) -> Option<T> {
        result.map_err(|invalid| self.add(&invalid.field, &invalid.problem)).ok()
    }

    pub(super) fn add(&mut self, field: &str, problem: &str) {
        match self.texts.len() {
            MAX_FAULTS => self.texts.push("and more".into()),
            faults if faults > MAX_FAULTS => {}
            _ => self.texts.push(format!("{}{field}: {problem}", self.within)),
        }
    }

    /// Adds that a field is unknown; `known` are the names to suggest.
    pub(super) fn unknown<'a>(
        &mut self,
        parent: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let meant = match closest(name, known, '.') {
            Some(meant) => format!("unknown field; did you mean {}?", quoted(meant)),
            None => "unknown field; --ignore drops it".into(),
        };
        let shown = quoted(name);
        let shown = shown.trim_matches('\'');
        self.add(&format!("{parent}{shown}"), &meant);
    }
}

/// The fields that an object may have.
#[derive(Debug)]
pub(super) struct Known {
    /// Those that import takes.
    pub(super) taken: &'static [&'static str],
    /// Those of JOC that it does not need.
    pub(super) dropped: &'static [&'static str],
}

/// A line. (`orders` is only there to recognise a whole response.)
pub(super) const LINE: Known =
    Known { taken: &["controllerId", "workflow", "order"], dropped: &["orders"] };

/// A workflow of a line: those of JOC's `Workflow`, for the controller and in the inventory.
pub(super) const WORKFLOW: Known = Known {
    taken: &["path", "versionId", "versionDate", "version"],
    dropped: &[
        "workflowTags",
        "isCurrentVersion",
        "state",
        "suspended",
        "fileOrderSources",
        "forkListVariables",
        "hasExpectedNoticeBoards",
        "hasPostNoticeBoards",
        "hasConsumeNoticeBoards",
        "hasAddOrderDependencies",
        "numOfStoppedInstructions",
        "numOfSkippedInstructions",
        "valid",
        "deployed",
        "hasNote",
        "TYPE",
        "timeZone",
        "title",
        "documentationName",
        "orderPreparation",
        "jobResourceNames",
        "instructions",
        "jobs",
    ],
};

/// The workflow of an order.
pub(super) const WORKFLOW_ID: Known =
    Known { taken: &["path", "versionId", "versionDate", "version"], dropped: &[] };

/// An order: those of JOC's `OrderV`, and ours.
pub(super) const ORDER: Known = Known {
    taken: &[
        "orderId",
        "workflowId",
        "state",
        "suspended",
        "marked",
        "position",
        "arguments",
        "priority",
        "scheduledFor",
        "scheduledNever",
        "startTime",
        "endTime",
        "stateSince",
        "created",
        "killRequested",
        "sigkillAt",
        "removeWhenTerminated",
    ],
    dropped: &[
        "deliveryDate",
        "surveyDate",
        "attachedState",
        "agentId",
        "subagentId",
        "planId",
        "cycleState",
        "cyclicOrder",
        "retryState",
        "sleepState",
        "expectedNotices",
        "label",
        "tags",
        "positionString",
        "positionIsImplicitEnd",
        "endPositions",
        "question",
        "lastOutcome",
        "historicOutcome",
        "requirements",
        "hasChildOrders",
        "canLeave",
        "isContinuable",
        "isResumable",
        "isSuspendible",
    ],
};

/// The state of an order.
pub(super) const STATE: Known =
    Known { taken: &["_text", "_reason", "_marked"], dropped: &["severity"] };

/// The mark of an order.
pub(super) const MARKED: Known = Known { taken: &["_text"], dropped: &["severity"] };

impl Known {
    pub(super) fn has(&self, name: &str) -> bool {
        self.taken.contains(&name) || self.dropped.contains(&name)
    }

    /// Adds a fault for each other field of an object.
    pub(super) fn check(
        &self,
        field: &str,
        object: &Map<String, Value>,
        ignored: &[String],
        faults: &mut Faults,
    ) {
        for name in object.keys() {
            if !self.has(name) && !ignored.contains(name) {
                faults.unknown(&format!("{field}."), name, self.taken.iter().copied());
            }
        }
    }
}

/// A field that must be there, read by one of the functions below.
pub(super) fn required<'a, T>(
    field: &str,
    value: Option<&'a Value>,
    read: impl FnOnce(&str, &'a Value) -> Result<T, Invalid>,
) -> Result<T, Invalid> {
    optional(field, value, read)?.ok_or_else(|| Invalid::new(field, "is missing"))
}

/// A field that may be absent, or null, which is the same.
pub(super) fn optional<'a, T>(
    field: &str,
    value: Option<&'a Value>,
    read: impl FnOnce(&str, &'a Value) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    value.filter(|value| !value.is_null()).map(|value| read(field, value)).transpose()
}

pub(super) fn text<'a>(field: &str, value: &'a Value) -> Result<&'a str, Invalid> {
    value.as_str().ok_or_else(|| Invalid::new(field, "is not a string"))
}

pub(super) fn boolean(field: &str, value: &Value) -> Result<bool, Invalid> {
    value.as_bool().ok_or_else(|| Invalid::new(field, "is neither true nor false"))
}

pub(super) fn number_of_32_bits(field: &str, value: &Value) -> Result<i32, Invalid> {
    let number = value.as_i64().and_then(|number| number.try_into().ok());
    number.ok_or_else(|| Invalid::new(field, "is not a whole number of 32 bits"))
}

pub(super) fn list<'a>(field: &str, value: &'a Value) -> Result<&'a [Value], Invalid> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| Invalid::new(field, "is not a list"))
}

pub(super) fn object<'a>(field: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Invalid> {
    value.as_object().ok_or_else(|| Invalid::new(field, "is not an object"))
}
