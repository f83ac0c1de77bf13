//! States and marks of an order. What an action does to it is in [`action`](super::action).

use std::borrow::Cow;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// The state that an order row stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, EnumString, VariantArray)]
#[strum(serialize_all = "UPPERCASE")]
pub enum State {
    /// Not started yet.
    Fresh,
    /// A job of the order runs.
    Running,
    /// Started, between two jobs.
    InProgress,
    /// Waits for a lock, a notice, a retry, or its child orders.
    Waiting,
    /// Waits for a person's confirmation.
    Prompting,
    /// A job failed, and the order stopped there.
    Failed,
    /// Terminal: went through its workflow.
    Finished,
    /// Terminal: cancelled.
    Cancelled,
}

impl State {
    /// The word that the database and the API use.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether an order in this state may have a reason to wait: one that has started and not
    /// ended.
    pub const fn may_wait(self) -> bool {
        !matches!(self, Self::Fresh) && !self.is_terminal()
    }

    /// Whether nothing changes an order in this state any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

/// The states that an API client sees and filters by, as JOC's documentation lists them.
///
/// Only the database decides which order has which effective state (`orders_effective`).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Deserialize,
    IntoStaticStr,
    EnumString,
    VariantArray,
)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum EffectiveState {
    /// Fresh and never scheduled.
    Pending,
    /// Fresh and scheduled for now or later.
    Scheduled,
    /// Fresh and due, but not started.
    Blocked,
    /// Suspended, whatever it did before.
    Suspended,
    /// See [`State::InProgress`].
    InProgress,
    /// See [`State::Running`].
    Running,
    /// See [`State::Waiting`].
    Waiting,
    /// See [`State::Prompting`].
    Prompting,
    /// See [`State::Failed`].
    Failed,
    /// See [`State::Finished`].
    Finished,
    /// See [`State::Cancelled`].
    Cancelled,
}

/// The effective states of orders that are not terminal.
pub const LIVING: &[EffectiveState] = {
    use EffectiveState::*;
    &[Pending, Scheduled, Blocked, Suspended, InProgress, Running, Waiting, Prompting, Failed]
};

impl JsonSchema for EffectiveState {
    fn schema_name() -> Cow<'static, str> {
        "EffectiveState".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = Self::VARIANTS.iter().map(|state| state.as_str()).collect();
        json_schema!({ "description": "The state of an order at the time of the request",
                       "type": "string", "enum": words })
    }
}

impl EffectiveState {
    /// The word that the database and the API use.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The stored state behind this one; `None`: any.
    pub const fn stored(self) -> Option<State> {
        match self {
            Self::Pending | Self::Scheduled | Self::Blocked => Some(State::Fresh),
            Self::Suspended => None,
            Self::InProgress => Some(State::InProgress),
            Self::Running => Some(State::Running),
            Self::Waiting => Some(State::Waiting),
            Self::Prompting => Some(State::Prompting),
            Self::Failed => Some(State::Failed),
            Self::Finished => Some(State::Finished),
            Self::Cancelled => Some(State::Cancelled),
        }
    }

    /// Whether nothing changes an order in this state any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }

    /// The number by which JOC's GUI colours the state (`severity` of JOC's `orderState`).
    pub const fn severity(self) -> u8 {
        match self {
            Self::Running => 0,
            Self::Scheduled => 1,
            Self::Failed | Self::Cancelled => 2,
            Self::InProgress => 3,
            Self::Suspended => 5,
            Self::Finished => 6,
            Self::Blocked => 7,
            Self::Waiting => 8,
            Self::Pending => 10,
            Self::Prompting => 12,
        }
    }
}

/// A word of `states`: JOC's `OrderStateText`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateWord(
    /// `None`: a state that JOC has and no order here.
    pub Option<EffectiveState>,
);

impl StateWord {
    const NEVER: &[&str] = &["PLANNED", "BROKEN", "UNKNOWN"];
}

static STATE_WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let states = EffectiveState::VARIANTS.iter().map(|state| state.as_str());
    states.chain(StateWord::NEVER.iter().copied()).collect()
});

impl<'de> Deserialize<'de> for StateWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<str>::deserialize(deserializer)?;
        match word.parse() {
            Ok(state) => Ok(Self(Some(state))),
            Err(_) if Self::NEVER.contains(&&*word) => Ok(Self(None)),
            Err(_) => Err(D::Error::unknown_variant(&word, &STATE_WORDS)),
        }
    }
}

impl JsonSchema for StateWord {
    fn schema_name() -> Cow<'static, str> {
        "StateWord".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "An effective state, or one that only JOC has and that selects \
                                       nothing",
                       "type": "string", "enum": *STATE_WORDS })
    }
}

/// A request to the executor of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, EnumString, VariantArray)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Mark {
    /// End it as cancelled.
    Cancelling,
    /// Stop it until it is resumed.
    Suspending,
    /// Resume it.
    Resuming,
}

impl Mark {
    /// The word that the database and the API use.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The number by which JOC's GUI colours the mark.
    pub const fn severity(self) -> u8 {
        match self {
            Self::Resuming => 0,
            Self::Cancelling => 2,
            Self::Suspending => 5,
        }
    }
}
