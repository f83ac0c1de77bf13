//! States and marks of an order, and what an action does to it.
//! The rules of an action are data: the store turns them into SQL, so a new action on orders
//! is a new list of rules here.

use serde::Deserialize;

/// The state that an order row stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not started yet.
    Fresh,
    /// A job of the order runs.
    Running,
    /// Started, between two jobs.
    InProgress,
    /// Waits for a lock, a notice, a retry, or its child orders.
    Waiting,
    /// Waits for a person's answer.
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
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "FRESH",
            Self::Running => "RUNNING",
            Self::InProgress => "INPROGRESS",
            Self::Waiting => "WAITING",
            Self::Prompting => "PROMPTING",
            Self::Failed => "FAILED",
            Self::Finished => "FINISHED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Whether nothing changes an order in this state any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

/// The states that a request can filter by: the effective states of orders that are not
/// terminal, as JOC's documentation lists them for `states` of `/orders/cancel`.
///
/// Which order has which effective state is said once, in the database (`orders_effective`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EffectiveState {
    /// Fresh and never scheduled.
    Pending,
    /// Fresh and scheduled for now or later.
    Scheduled,
    /// Fresh and due, and nothing has taken it.
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
}

impl EffectiveState {
    /// The word that the database and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Scheduled => "SCHEDULED",
            Self::Blocked => "BLOCKED",
            Self::Suspended => "SUSPENDED",
            Self::InProgress => "INPROGRESS",
            Self::Running => "RUNNING",
            Self::Waiting => "WAITING",
            Self::Prompting => "PROMPTING",
            Self::Failed => "FAILED",
        }
    }
}

/// What whoever runs an order is asked to do with it at the next opportunity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// End it as cancelled.
    Cancelling,
    /// Stop it until it is resumed.
    Suspending,
    /// Let it go on.
    Resuming,
}

impl Mark {
    /// The word that the database and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelling => "CANCELLING",
            Self::Suspending => "SUSPENDING",
            Self::Resuming => "RESUMING",
        }
    }
}

/// What happens to one order in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It becomes `CANCELLED`.
    Cancelled,
    /// It keeps its state and gets the mark `CANCELLING`.
    Cancelling,
    /// As [`Effect::Cancelling`], and its running job is to be killed.
    Kill,
}

/// What an effect writes; `None` leaves a column as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The stored state; a terminal one also clears `suspended`, the mark and a kill request.
    pub state: Option<State>,
    /// The mark.
    pub mark: Option<Mark>,
    /// Whether a kill is requested.
    pub kill: bool,
}

impl Effect {
    /// Every effect there is.
    pub const ALL: [Self; 3] = [Self::Cancelled, Self::Cancelling, Self::Kill];

    /// The word that previews show.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::Cancelling => "CANCELLING",
            Self::Kill => "KILL",
        }
    }

    /// What it writes.
    pub const fn change(self) -> Change {
        let marked = Change { state: None, mark: Some(Mark::Cancelling), kill: false };
        match self {
            Self::Cancelled => Change { state: Some(State::Cancelled), mark: None, kill: false },
            Self::Cancelling => marked,
            Self::Kill => Change { kill: true, ..marked },
        }
    }

    /// Whether an order is terminal after it.
    pub const fn ends(self) -> bool {
        match self.change().state {
            Some(state) => state.is_terminal(),
            None => false,
        }
    }
}

/// A condition beside the effective state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// None.
    Always,
    /// The order has this mark already.
    Marked(Mark),
    /// No kill has been requested for its job yet.
    NotKilledYet,
    /// It has a living descendant that is not ended by the same call.
    HeldByChildren,
}

/// One line of an action's table: orders in one of these states that meet the condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The effective states it is about.
    pub states: &'static [EffectiveState],
    /// What else must hold.
    pub condition: Condition,
    /// What happens to such an order; `None`: it is not affected.
    pub effect: Option<Effect>,
}

/// What a call does to the orders that it selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `/orders/cancel`
    Cancel {
        /// Whether running jobs are killed.
        kill: bool,
    },
}

impl Action {
    /// The action's table, of which the first line that fits an order counts.
    ///
    /// For cancel: a running job is never taken away from whoever runs it, only marked; a
    /// waiting order whose children go on is marked too, since they join it; an order that
    /// is marked already is affected only by a kill that is news.
    pub fn rules(self) -> &'static [Rule] {
        use EffectiveState::*;
        const ANY: &[EffectiveState] = &[
            Pending, Scheduled, Blocked, Suspended, InProgress, Running, Waiting, Prompting, Failed,
        ];
        const CANCEL: &[Rule] = &[
            Rule { states: ANY, condition: Condition::Marked(Mark::Cancelling), effect: None },
            Rule {
                states: &[Running, InProgress],
                condition: Condition::Always,
                effect: Some(Effect::Cancelling),
            },
            Rule {
                states: &[Waiting],
                condition: Condition::HeldByChildren,
                effect: Some(Effect::Cancelling),
            },
            Rule { states: ANY, condition: Condition::Always, effect: Some(Effect::Cancelled) },
        ];
        const KILL: &[Rule] = &[
            Rule {
                states: &[Running],
                condition: Condition::NotKilledYet,
                effect: Some(Effect::Kill),
            },
            CANCEL[0],
            CANCEL[1],
            CANCEL[2],
            CANCEL[3],
        ];
        match self {
            Self::Cancel { kill: false } => CANCEL,
            Self::Cancel { kill: true } => KILL,
        }
    }
}
