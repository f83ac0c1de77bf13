//! What an order has been through: its instants, and whether they fit each other and its state.

use super::fields::{Faults, boolean, optional};
use super::instants::instant;
use super::order::Order;
use super::state::Stored;
use crate::model::order::{Mark, State};
use crate::store::Life;

/// The life of an order; `None` if a field of it cannot be read.
pub(super) fn life(
    order: &Order,
    stored: Option<&Stored>,
    mark: Option<Mark>,
    faults: &mut Faults,
) -> Option<Life> {
    let mut read = |field: &str, value: Option<&_>| faults.ok(optional(field, value, instant));
    let started = read("startTime", order.start_time.as_deref());
    let ended = read("endTime", order.end_time.as_deref());
    let since = read("stateSince", order.state_since.as_deref());
    let created = read("created", order.created.as_deref());
    let kill_requested = read("killRequested", order.kill_requested.as_deref());
    let sigkill_at = read("sigkillAt", order.sigkill_at.as_deref());
    let remove = order.remove_when_terminated.as_deref();
    let remove = faults.ok(optional("removeWhenTerminated", remove, boolean));
    let (started, ended, since, created) = (started?, ended?, since?, created?);
    let (kill_requested, sigkill_at) = (kill_requested?, sigkill_at?);
    let state = stored?.state;

    if started.is_some() && state == State::Fresh {
        faults.add("startTime", "an order that has not started has none");
    }
    if ended.is_some() && !state.is_terminal() {
        faults.add("endTime", "only a finished or cancelled order has one");
    }
    if ended < started && ended.is_some() {
        faults.add("endTime", "is before startTime");
    }
    if ended.is_some() && since.is_some() && ended != since {
        faults.add("stateSince", "is endTime on a finished or cancelled order");
    }
    if let Some(created) = created {
        for (field, at) in [("startTime", started), ("endTime", ended), ("stateSince", since)] {
            if at.is_some_and(|at| at < created) {
                faults.add(field, "is before created");
            }
        }
    }
    match (kill_requested, sigkill_at) {
        (Some(_), None) => faults.add("sigkillAt", "is missing beside killRequested"),
        (None, Some(_)) => faults.add("killRequested", "is missing beside sigkillAt"),
        (Some(requested), Some(at)) if at < requested => {
            faults.add("sigkillAt", "is before killRequested");
        }
        _ => {}
    }
    let may_be_killed = matches!(mark, Some(Mark::Cancelling | Mark::Suspending));
    if kill_requested.is_some() && (state == State::Fresh || !may_be_killed) {
        let problem =
            "only an order that has started and is marked CANCELLING or SUSPENDING has one";
        faults.add("killRequested", problem);
    }
    Some(Life {
        created,
        started,
        state_since: since.or(ended),
        kill_requested,
        sigkill_at,
        // With `created`, the whole life is known.
        remove_when_terminated: remove?.or(created.map(|_| false)),
    })
}
