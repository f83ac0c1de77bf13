//! What the bodies of answers have in common.

use actix_web::HttpResponse;
use futures_util::stream::BoxStream;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::http::context::call::Call;
use crate::http::context::service::Service;
use crate::http::date::Instant;
use crate::http::error::ApiError;
use crate::http::transport::{prometheus, stream};
use crate::store;

/// An answer with its dates.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Dated{T}")]
pub struct Dated<T> {
    /// When the answer was made.
    delivery_date: Instant,
    /// When the data were read.
    survey_date: Instant,
    #[serde(flatten)]
    fields: T,
}

/// An answer with its date, where JOC does not say when the data were read.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Delivered{T}")]
pub struct Delivered<T> {
    /// When the answer was made.
    delivery_date: Instant,
    #[serde(flatten)]
    fields: T,
}

/// The success of a call that has nothing else to tell.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Done {
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

/// The answer to a call that has changed orders, whose numbers are in its header fields.
pub fn changed(
    action: &'static str,
    audit_log_id: i64,
    affected: u64,
    body: impl Serialize,
) -> HttpResponse {
    prometheus::affected(action, affected);
    HttpResponse::Ok()
        .insert_header(("X-Audit-Log-Id", audit_log_id.to_string()))
        .insert_header(("X-Orders-Affected", affected.to_string()))
        .json(body)
}

impl Service {
    /// Puts the dates of the answer beside its fields.
    pub fn dated<T>(&self, call: &Call, fields: T) -> Dated<T> {
        let delivery_date = Instant(self.clock.now());
        Dated { delivery_date, survey_date: Instant(call.now), fields }
    }

    /// Puts the date of the answer beside its fields.
    pub fn delivered<T>(&self, fields: T) -> Delivered<T> {
        Delivered { delivery_date: Instant(self.clock.now()), fields }
    }

    /// A response with its dates and the items of a list as the field `name`.
    pub async fn list<T: Serialize + 'static>(
        &self,
        call: &Call,
        name: &str,
        items: BoxStream<'static, store::Result<T>>,
    ) -> Result<HttpResponse, ApiError> {
        let (delivered, surveyed) = (iso(&self.clock.now()), iso(&call.now));
        let (delivered, surveyed, name) = (json!(delivered), json!(surveyed), json!(name));
        let head = format!(r#"{{"deliveryDate":{delivered},"surveyDate":{surveyed},{name}:["#);
        stream::respond(head, items, "]}").await
    }
}
