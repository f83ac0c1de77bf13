//! Numbers of orders as JOC's responses name them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::order::EffectiveState::{self, *};

/// Numbers of orders by effective state.
pub type CountsByState = BTreeMap<EffectiveState, u64>;

/// How many orders are in each effective state.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Summary {
    #[serde(flatten)]
    living: LivingSummary,
    /// Finished or cancelled, and not removed.
    terminated: u64,
}

/// How many orders that are not terminal are in each effective state.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LivingSummary {
    pending: u64,
    scheduled: u64,
    in_progress: u64,
    running: u64,
    prompting: u64,
    suspended: u64,
    waiting: u64,
    blocked: u64,
    failed: u64,
}

/// The sums of some counts.
pub fn sum_of<'a>(counts: impl IntoIterator<Item = &'a CountsByState>) -> CountsByState {
    let mut sums = CountsByState::new();
    for (state, orders) in counts.into_iter().flatten() {
        *sums.entry(*state).or_default() += orders;
    }
    sums
}

impl Summary {
    /// The sums of some counts.
    pub fn of<'a>(counts: impl IntoIterator<Item = &'a CountsByState>) -> Self {
        let sums = sum_of(counts);
        let terminated = [Finished, Cancelled].iter().filter_map(|state| sums.get(state)).sum();
        Self { living: LivingSummary::of(&sums), terminated }
    }
}

impl LivingSummary {
    /// As counted.
    pub fn of(counts: &CountsByState) -> Self {
        let sum = |state: EffectiveState| counts.get(&state).copied().unwrap_or_default();
        Self {
            pending: sum(Pending),
            scheduled: sum(Scheduled),
            in_progress: sum(InProgress),
            running: sum(Running),
            prompting: sum(Prompting),
            suspended: sum(Suspended),
            waiting: sum(Waiting),
            blocked: sum(Blocked),
            failed: sum(Failed),
        }
    }
}
