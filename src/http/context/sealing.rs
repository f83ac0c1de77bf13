//! Whether the sealing of the audit trail keeps up, as this replica sees it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::seals::Unsealed;

/// How many intervals an entry may wait for its seal.
pub const INTERVALS: u32 = 3;

/// What is known of the sealing. An entry's age is how long it has been seen unsealed here: what
/// its `created` says is no proof.
#[derive(Debug, Default)]
pub struct Sealing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How long an entry may wait; `None`: nobody seals.
    patience: Option<Duration>,
    unsealed: Unsealed,
    /// An instant at which there were unsealed entries up to this id, of which one still is.
    since: Option<(Instant, i64)>,
}

/// How the sealing is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many entries no seal covers.
    pub entries: i64,
    /// For how long, at least, the first of them has been there.
    pub waiting: Duration,
    /// Whether that is longer than it may be.
    pub overdue: bool,
    /// When the last seal was made, in seconds since 1970.
    pub last_seal: Option<i64>,
}

impl Sealing {
    /// Takes in what the database tells, given the interval at which it is sealed.
    pub fn update(&self, every: Duration, unsealed: Unsealed, now: Instant) -> Progress {
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.patience = Some(every * INTERVALS);
            state.unsealed = unsealed;
            state.since = match (unsealed.lowest, state.since) {
                (None, _) => None,
                (Some(lowest), Some((_, upto))) if lowest <= upto => state.since,
                (Some(lowest), _) => Some((now, unsealed.highest.unwrap_or(lowest))),
            };
        }
        self.progress(now)
    }

    /// How it is doing now.
    pub fn progress(&self, now: Instant) -> Progress {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = state.since.map_or(Duration::ZERO, |(since, _)| now - since);
        Progress {
            entries: state.unsealed.entries,
            waiting,
            overdue: state.patience.is_some_and(|patience| waiting > patience),
            last_seal: state.unsealed.last_seal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_come_and_are_sealed_are_never_overdue() {
        let sealing = Sealing::default();
        let (start, every) = (Instant::now(), Duration::from_secs(5));
        let unsealed = |lowest, highest| Unsealed { entries: 1, lowest, highest, last_seal: None };
        for i in 1..100_u32 {
            let id = Some(i64::from(i));
            let progress = sealing.update(every, unsealed(id, id), start + every * i);
            assert_eq!((progress.waiting, progress.overdue), (Duration::ZERO, false));
        }
        // From now on nothing is sealed, and one is while others come.
        let at = |i: u32| start + every * (100 + i);
        for i in 0..4 {
            let progress =
                sealing.update(every, unsealed(Some(100), Some(100 + i64::from(i))), at(i));
            assert_eq!((progress.waiting, progress.overdue), (every * i, false), "{i}");
        }
        assert!(sealing.progress(at(4)).overdue);
        let progress = sealing.update(every, unsealed(Some(101), Some(105)), at(5));
        assert_eq!((progress.waiting, progress.overdue), (Duration::ZERO, false));
        let progress = sealing.update(every, unsealed(None, Some(105)), at(9));
        assert_eq!((progress.waiting, progress.overdue), (Duration::ZERO, false));
    }
}
