//! Instants in responses.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use crate::model::texts;
use crate::model::window::iso;

/// An instant as responses show it.
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
