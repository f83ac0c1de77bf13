//! What an action does to one order: which columns get which value.

use crate::model::order::{Mark, State};

/// What an action does to one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// The word that previews show; unique within an action.
    pub name: &'static str,
    /// The field of a preview that counts such orders.
    pub count: &'static str,
    /// The new stored state, if it changes.
    pub state: Option<State>,
    /// The new value of `suspended`, if it changes.
    pub suspended: Option<bool>,
    /// What happens to the mark.
    pub mark: Assign<Mark>,
    /// What happens to the kill request.
    pub kill: Assign<()>,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assign<T> {
    /// It stays.
    Keep,
    /// It is cleared.
    Clear,
    /// It is set.
    Set(T),
}

impl Effect {
    /// An effect that changes no column yet.
    pub(super) const fn named(name: &'static str, count: &'static str) -> Self {
        Self { name, count, state: None, suspended: None, mark: Assign::Keep, kill: Assign::Keep }
    }

    /// Clears all requests to the executor.
    pub(super) const fn settled(self) -> Self {
        Self { mark: Assign::Clear, kill: Assign::Clear, ..self }
    }

    pub(super) const fn state(self, state: State) -> Self {
        Self { state: Some(state), ..self }
    }

    pub(super) const fn suspended(self, suspended: bool) -> Self {
        Self { suspended: Some(suspended), ..self }
    }

    pub(super) const fn marked(self, mark: Mark) -> Self {
        Self { mark: Assign::Set(mark), ..self }
    }

    pub(super) const fn killed(self) -> Self {
        Self { kill: Assign::Set(()), ..self }
    }

    /// Whether an order is terminal after it.
    pub const fn ends(&self) -> bool {
        match self.state {
            Some(state) => state.is_terminal(),
            None => false,
        }
    }

    /// Whether the executor has something to do afterwards.
    pub const fn concerns_runner(&self) -> bool {
        let goes_on = matches!(self.suspended, Some(false)) || self.state.is_some();
        matches!(self.mark, Assign::Set(_)) || (goes_on && !self.ends())
    }
}
