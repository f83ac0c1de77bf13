//! Whether sealing keeps up with the audit trail, as this replica sees it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::seals::Unsealed;

/// How many sealing intervals an entry may wait for its seal.
pub const INTERVALS: u32 = 3;

/// The state of sealing. An entry's age is how long this replica has seen it unsealed: its `created`
/// is no proof.
#[derive(Debug, Default)]
pub struct Sealing(Mutex<SealingState>);

#[derive(Debug, Default)]
struct SealingState {
    /// How long an entry may wait; `None` if sealing is off.
    max_age: Option<Duration>,
    unsealed: Unsealed,
    /// An instant and the highest ID that was unsealed then; at least one of those entries still is.
    since: Option<(Instant, i64)>,
}

/// How far behind sealing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealingProgress {
    /// The number of unsealed entries.
    pub entries: i64,
    /// The minimum age of the oldest of them.
    pub waiting: Duration,
    /// Whether that is too long.
    pub overdue: bool,
    /// When the last seal was made, in seconds since 1970.
    pub last_seal: Option<i64>,
}

impl Sealing {
    /// Notes what the database reports, given the sealing interval.
    pub fn update(&self, every: Duration, unsealed: Unsealed, now: Instant) -> SealingProgress {
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.max_age = Some(every * INTERVALS);
            state.unsealed = unsealed;
            state.since = match (unsealed.lowest, state.since) {
                (None, _) => None,
                (Some(lowest), Some((_, upto))) if lowest <= upto => state.since,
                (Some(lowest), _) => Some((now, unsealed.highest.unwrap_or(lowest))),
            };
        }
        self.progress(now)
    }

    /// The progress at this instant.
    pub fn progress(&self, now: Instant) -> SealingProgress {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = state.since.map_or(Duration::ZERO, |(since, _)| now - since);
        SealingProgress {
            entries: state.unsealed.entries,
            waiting,
            overdue: state.max_age.is_some_and(|max_age| waiting > max_age),
            last_seal: state.unsealed.last_seal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_that_stay_unsealed_become_overdue() {
        let sealing = Sealing::default();
        let (start, every) = (Instant::now(), Duration::from_secs(5));
        let unsealed = |lowest, highest| Unsealed { entries: 1, lowest, highest, last_seal: None };
        for i in 1..100_u32 {
            let id = Some(i64::from(i));
            let progress = sealing.update(every, unsealed(id, id), start + every * i);
            assert_eq!((progress.waiting, progress.overdue), (Duration::ZERO, false));
        }
        // From here on nothing is sealed; then the first entry is, while others arrive.
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
