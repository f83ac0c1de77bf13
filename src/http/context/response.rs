//! What the bodies of answers have in common.

use std::borrow::Cow;

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::http::context::call::Call;
use crate::http::context::service::Service;
use crate::http::error::ApiError;
use crate::http::transport::{prometheus, stream};
use crate::model::texts;
use crate::model::window::iso;
use crate::store;

/// An instant as answers have it.
#[derive(Debug, Clone, Copy)]
pub struct Instant(pub DateTime<Utc>);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&iso(&self.0))
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> Cow<'static, str> {
        texts::Instant::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        texts::Instant::json_schema(generator)
    }
}

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
