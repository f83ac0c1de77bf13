//! Maps the states and marks of JOC to those of the database.

use serde_json::Value;

use super::fields::text;
use crate::model::invalid::{Invalid, displayable};
use crate::model::order::{Mark, State};

/// How a JOC state is stored.
pub(super) struct Stored {
    pub(super) state: State,
    pub(super) suspended: bool,
    /// A mark that old versions of JOC have in the state's name.
    pub(super) mark: Option<Mark>,
}

impl Stored {
    /// A state in the words of the database.
    pub(super) fn exactly(text: &str, suspended: bool) -> Result<Self, Invalid> {
        let state: State = text.parse().map_err(|_| {
            let problem =
                format!("'{}' is no stored state, which it is beside suspended", displayable(text));
            Invalid::new("state._text", problem)
        })?;
        if suspended && (state == State::Running || state.is_terminal()) {
            let problem = format!("no order is {} and suspended", state.as_str());
            return Err(Invalid::new("suspended", problem));
        }
        Ok(Self { state, suspended, mark: None })
    }

    pub(super) fn of(
        text: &str,
        reason: Option<&str>,
        position: Option<&[Value]>,
    ) -> Result<Self, Invalid> {
        let at_start = position.is_some_and(|p| matches!(p, [first] if first.as_u64() == Some(0)));
        let stored = |state| Self { state, suspended: false, mark: None };
        Ok(match text {
            "PLANNED" | "PENDING" | "SCHEDULED" | "BLOCKED" | "FRESH" => stored(State::Fresh),
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

pub(super) fn mark_of(field: &str, value: &Value) -> Result<Option<Mark>, Invalid> {
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
