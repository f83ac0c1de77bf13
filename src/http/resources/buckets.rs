//! Numbers by time, as responses show them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::date::Instant;
use crate::model::window::buckets::Bounds;

/// What lies in one hour or day.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BucketOf{T}")]
pub struct Bucket<T> {
    /// The first instant of it.
    from: Instant,
    /// The first instant after it.
    to: Instant,
    #[serde(flatten)]
    counted: T,
}

/// The buckets with what was counted in each.
pub fn buckets<T>(bounds: &Bounds, counted: impl IntoIterator<Item = T>) -> Vec<Bucket<T>> {
    let buckets = bounds.buckets().zip(counted);
    buckets
        .map(|([from, to], counted)| Bucket { from: Instant(from), to: Instant(to), counted })
        .collect()
}
