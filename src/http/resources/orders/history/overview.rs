//! `/orders/overview/summary`: how many orders have ended, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FilterHistory, select};
use crate::http::context::body::{Object, RequestBody};
use crate::http::context::lists::Names;
use crate::http::context::request::Request;
use crate::http::context::response::Dated;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::http::resources::summary::CountsByState;
use crate::model::folders::Folder;
use crate::model::order::EffectiveState;
use crate::model::permission::VIEW_ORDERS;
use crate::model::texts;
use actix_web::web::{Json, post};

/// Selects the terminal orders to count. Absent, `null` and empty mean the same.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountHistory {
    /// Only this controller; by default every controller for which the account has the permission.
    #[schemars(with = "Option<texts::OptionalControllerId>")]
    controller_id: Option<String>,
    /// Orders of the workflows in these folders.
    folders: Option<Names<Object<Folder>>>,
    /// Started at this instant or later; a relative date without a sign is in the past.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_from: Option<String>,
    /// Started before this instant.
    #[schemars(with = "Option<texts::DateOrPeriod>")]
    date_to: Option<String>,
    /// Time zone of the dates, which overrides their offsets; UTC by default.
    #[schemars(with = "Option<texts::TimeZone>")]
    time_zone: Option<String>,
}

/// JOC's `OrdersOverView`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Overview {
    orders: Ended,
}

/// Numbers of orders.
#[derive(Debug, Serialize, JsonSchema)]
struct Ended {
    /// Finished.
    successful: u64,
    /// Cancelled.
    failed: u64,
}

impl RequestBody for CountHistory {
    const UNSUPPORTED: &'static [&'static str] = &[
        "orders",
        "excludeWorkflows",
        "orderId",
        "workflowPath",
        "workflowName",
        "completedDateFrom",
        "completedDateTo",
        "historyStates",
        "historyIds",
        "orderTags",
        "workflowTags",
    ];
}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::post(
            "/orders/overview/summary",
            post().to(summary),
            "Count finished and cancelled orders",
        )
        .describe("Counts what `/orders/history` lists as `SUCCESSFUL` or `FAILED`")
        .needs(&[VIEW_ORDERS])
        .takes::<CountHistory>(schemas)
        .returns::<Dated<Overview>>(schemas),
    ];
    with_examples(endpoints, include_str!("overview.json"))
}

/// `POST /orders/overview/summary`
async fn summary(
    Request { context, body }: Request<CountHistory>,
) -> Result<Json<Dated<Overview>>, ApiError> {
    let filter = FilterHistory {
        controller_id: body.controller_id,
        folders: body.folders,
        date_from: body.date_from,
        date_to: body.date_to,
        time_zone: body.time_zone,
        ..FilterHistory::default()
    };
    let (selections, filter) = select(&context, filter).await?;
    let mut counts = CountsByState::new();
    for selection in &selections {
        let counted = context.read(|store| store.past_counts(selection, &filter)).await?;
        for (state, orders) in counted {
            *counts.entry(state).or_default() += orders;
        }
    }
    let sum = |state: EffectiveState| counts.get(&state).copied().unwrap_or_default();
    let (successful, failed) = (sum(EffectiveState::Finished), sum(EffectiveState::Cancelled));
    Ok(context.dated(Overview { orders: Ended { successful, failed } }))
}
