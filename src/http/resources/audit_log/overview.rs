//! `/audit_log/overview`: how many requests changed how many orders, by hour or day. JOC has no such
//! endpoint.

use actix_web::web::{Json, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EntriesOf, extent, named};
use crate::http::context::body::RequestBody;
use crate::http::context::request::Request;
use crate::http::context::response::Dated;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::http::resources::buckets::{Bucket, buckets};
use crate::model::audit::{AuditFilter, Outcome};
use crate::model::permission::VIEW_AUDIT_LOG;
use crate::model::texts::{self, OptionalControllerId};
use crate::model::window::Fields;
use crate::model::window::buckets::{MAX_BUCKETS, Unit};

/// Selects the entries that match every field, and says how to cut the window. Absent, `null` and
/// empty mean the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverviewOf {
    /// Entries of this controller; without it of every one that the account may see.
    #[schemars(with = "Option<OptionalControllerId>")]
    controller_id: Option<String>,
    /// The request, as `/audit_log` shows it.
    #[schemars(with = "Option<texts::Wildcards>", example = "./orders/cancel")]
    request: Option<String>,
    /// Who sent it.
    #[schemars(with = "Option<texts::Wildcards>")]
    account: Option<String>,
    /// Where the first bucket begins; a relative date without a sign is in the past.
    #[schemars(with = "texts::DateOrPeriod")]
    date_from: String,
    /// Where the last bucket ends.
    #[schemars(with = "texts::DateOrPeriod")]
    date_to: String,
    /// Time zone of the dates, which overrides their offsets, and of the buckets; without it these are
    /// cut by the offset of `dateFrom`, or in UTC.
    #[schemars(with = "Option<texts::TimeZone>")]
    time_zone: Option<String>,
    unit: Unit,
}

impl RequestBody for OverviewOf {}

/// Numbers of requests.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RequestsByTime {
    /// Without a gap, from the first to the last.
    buckets: Vec<Bucket<Requests>>,
}

/// The requests of that time that changed something.
#[derive(Debug, Serialize, JsonSchema)]
struct Requests {
    requests: u64,
    /// How many orders they changed.
    orders: u64,
}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::post("/audit_log/overview", post().to(overview), "Count audit entries by time")
            .describe(&format!(
                "Counts entries whose outcome is `DONE`. The window is cut at full hours or at the \
                 beginning of each day, into at most {MAX_BUCKETS} buckets. Not in JOC"
            ))
            .needs(&[VIEW_AUDIT_LOG])
            .takes::<OverviewOf>(schemas)
            .returns::<Dated<RequestsByTime>>(schemas),
    ];
    with_examples(endpoints, include_str!("overview.json"))
}

/// `POST /audit_log/overview`
async fn overview(
    Request { context, body }: Request<OverviewOf>,
) -> Result<Json<Dated<RequestsByTime>>, ApiError> {
    let controller_id = named(body.controller_id)?;
    let window = [&*body.date_from, &*body.date_to];
    let zone = body.time_zone.as_deref();
    let bounds = Fields::PAST_DATES.buckets(window, zone, body.unit, context.now)?;
    let entries =
        EntriesOf { request: body.request, account: body.account, ..EntriesOf::default() };
    let resolve = entries.resolve(context.now)?;
    let filter = resolve(extent(&context, controller_id).await?);
    let filter = AuditFilter { outcome: Some(Outcome::Done), ..filter };
    let counted = context.read(|store| store.requests(&filter, &bounds)).await?;
    let counted = counted
        .into_iter()
        .map(|counted| Requests { requests: counted.requests, orders: counted.orders });
    Ok(context.dated(RequestsByTime { buckets: buckets(&bounds, counted) }))
}
