//! Responses: their dates, lists and changes.

use actix_web::HttpResponse;
use actix_web::web::Json;
use futures_util::stream::BoxStream;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::http::context::request::Context;
use crate::http::date::Instant;
use crate::http::error::ApiError;
use crate::http::transport::{prometheus, stream};
use crate::model::window::iso;
use crate::store;

/// A response with its dates.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Dated{T}")]
pub struct Dated<T> {
    /// When the response was made.
    delivery_date: Instant,
    /// The instant to which the data are current.
    survey_date: Instant,
    #[serde(flatten)]
    fields: T,
}

/// A response with its date, where JOC does not say when the data were read.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Delivered{T}")]
pub struct Delivered<T> {
    /// When the response was made.
    delivery_date: Instant,
    #[serde(flatten)]
    fields: T,
}

/// A success without further data.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Done")]
pub struct Acknowledged {
    /// Always true.
    pub ok: bool,
}

/// A workflow in one version.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowItem {
    pub path: String,
    pub version_id: String,
}

impl Context {
    /// The response to a change of orders, whose numbers are in headers.
    pub fn changed<T: Serialize>(
        &self,
        action: &'static str,
        audit_log_id: i64,
        affected: u64,
        Json(body): Json<T>,
    ) -> HttpResponse {
        if self.repeats().is_none() {
            prometheus::affected(action, affected);
            tracing::info!(audit_log_id, affected, request = self.name(), "orders changed");
        }
        HttpResponse::Ok()
            .insert_header(("X-Audit-Log-Id", audit_log_id.to_string()))
            .insert_header(("X-Orders-Affected", affected.to_string()))
            .json(body)
    }

    /// The response to a request that is recorded but has found nothing to change.
    pub fn unchanged(&self, reason: &ApiError) -> HttpResponse {
        reason.response_at(self.delivered_at())
    }

    /// Adds the dates of the response.
    pub fn dated<T>(&self, fields: T) -> Json<Dated<T>> {
        let delivery_date = Instant(self.delivered_at());
        Json(Dated { delivery_date, survey_date: Instant(self.surveyed()), fields })
    }

    /// Adds the date of the response.
    pub fn delivered<T>(&self, fields: T) -> Json<Delivered<T>> {
        Json(Delivered { delivery_date: Instant(self.delivered_at()), fields })
    }

    /// Streams a response with its dates and, in the field `name`, the items as they are read.
    pub async fn list<T: Serialize + 'static>(
        &self,
        name: &str,
        items: BoxStream<'static, store::Result<T>>,
    ) -> Result<HttpResponse, ApiError> {
        let (delivered, surveyed) = (iso(&self.service.clock.now()), iso(&self.surveyed()));
        let (delivered, surveyed, name) = (json!(delivered), json!(surveyed), json!(name));
        let head = format!(r#"{{"deliveryDate":{delivered},"surveyDate":{surveyed},{name}:["#);
        stream::respond(head, items, "]}").await
    }
}
