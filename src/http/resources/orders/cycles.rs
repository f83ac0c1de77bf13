//! Cycles in lists: their fresh orders are shown as one, as JOC does.

use futures_util::stream::{self, BoxStream, StreamExt};
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::date::Instant;
use crate::model::cycle::Cycle;
use crate::model::order::State;
use crate::store::Result;
use crate::store::list::ListedOrder;

/// The fresh orders of a cycle that the request selects, as JOC's `CyclicOrderInfos`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CyclicOrder {
    /// How many.
    count: u64,
    /// The first of them, by id.
    first_order_id: String,
    /// The last of them, by id.
    last_order_id: String,
    /// When the first is scheduled; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_start: Option<Instant>,
    /// When the last is scheduled; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_start: Option<Instant>,
}

/// An order, with the cycle for which it stands.
type Shown = (ListedOrder, Option<CyclicOrder>);

/// Orders sorted by id, with the fresh orders of each cycle as one: the first, which comes after the
/// cycle's other orders, so that none of those has to wait in memory.
pub fn collapsed(
    orders: BoxStream<'static, Result<ListedOrder>>,
) -> BoxStream<'static, Result<Shown>> {
    let mut cycle = None;
    let orders = orders.map(Some).chain(stream::once(async { None }));
    orders.flat_map(move |next| stream::iter(shown(&mut cycle, next))).boxed()
}

/// What the next order, or the end, makes ready to be shown; `cycle` is the one being counted.
fn shown(cycle: &mut Option<Shown>, next: Option<Result<ListedOrder>>) -> Vec<Result<Shown>> {
    let order = match next {
        Some(Ok(order)) => order,
        Some(Err(error)) => return vec![Err(error)],
        None => return cycle.take().map(Ok).into_iter().collect(),
    };
    let mut ready = Vec::new();
    let common = cycle.as_ref().and_then(|(first, _)| Cycle::of(&first.order_id));
    if common.is_some_and(|cycle| !order.order_id.starts_with(cycle.common())) {
        ready.extend(cycle.take().map(Ok));
    }
    if order.state != State::Fresh.as_str() || Cycle::of(&order.order_id).is_none() {
        ready.push(Ok((order, None)));
        return ready;
    }
    let start = |order: &ListedOrder| order.scheduled_for.map(|at| Instant(*at));
    if let Some((_, Some(known))) = cycle {
        known.count += 1;
        known.last_start = start(&order);
        known.last_order_id = order.order_id;
    } else {
        let known = CyclicOrder {
            count: 1,
            first_order_id: order.order_id.clone(),
            last_order_id: order.order_id.clone(),
            first_start: start(&order),
            last_start: start(&order),
        };
        *cycle = Some((order, Some(known)));
    }
    ready
}
