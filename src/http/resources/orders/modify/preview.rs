//! The response of a preview.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::context::response::WorkflowItem;
use crate::http::date::Instant;
use crate::model::order::EffectiveState;
use crate::model::selection::Selection;
use crate::store::Preview;

/// What a request would do.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Previewed {
    /// The resolved window; absent: it does not limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    date_from: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_to: Option<Instant>,
    /// How many orders it would affect.
    total: u64,
    /// How many of them no field names: they are of the cycle of an order in `orderIds`. Absent
    /// unless the service is set to take whole cycles and the endpoint does.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_cycle: Option<u64>,
    /// How many of them in each effective state.
    by_state: BTreeMap<&'static str, u64>,
    /// The first of them, by id.
    orders: Vec<PreviewItem>,
    /// How many by effect.
    #[serde(flatten)]
    #[schemars(skip)]
    counts: BTreeMap<&'static str, u64>,
}

/// An order, and the effect on it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PreviewedOrder")]
struct PreviewItem {
    order_id: String,
    workflow_id: WorkflowItem,
    #[schemars(with = "EffectiveState")]
    state: &'static str,
    effect: &'static str,
}

impl Previewed {
    pub fn of(counts: &[(&'static str, &str)], selection: &Selection, preview: Preview) -> Self {
        let mut by_state = BTreeMap::<&str, u64>::new();
        for (state, _, orders) in &preview.counts {
            *by_state.entry(state.as_str()).or_default() += orders;
        }
        let sum = |count: &str| {
            let counted = preview.counts.iter().filter(|(_, effect, _)| effect.count == count);
            counted.map(|(_, _, orders)| orders).sum()
        };
        Self {
            date_from: selection.window.from.map(Instant),
            date_to: selection.window.to.map(Instant),
            by_cycle: selection.whole_cycles.then_some(preview.by_cycle),
            total: by_state.values().sum(),
            by_state,
            counts: counts.iter().map(|(count, _)| (*count, sum(count))).collect(),
            orders: preview
                .orders
                .into_iter()
                .map(|order| PreviewItem {
                    order_id: order.order_id,
                    workflow_id: WorkflowItem {
                        path: order.workflow_path,
                        version_id: order.workflow_version_id,
                    },
                    state: order.state.as_str(),
                    effect: order.effect.name,
                })
                .collect(),
        }
    }
}
