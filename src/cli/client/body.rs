//! The body of a request, built from flags.

use serde_json::{Map, Value};

/// The fields of a request that are not empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Adds a field, unless its value is `null`, `false` or empty, which means the same.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let is_given = match &value {
            Value::Null => false,
            Value::Bool(yes) => *yes,
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            Value::Number(_) | Value::String(_) => true,
        };
        if is_given {
            self.0.insert(name.into(), value);
        }
    }
}

impl From<Body> for Value {
    fn from(body: Body) -> Self {
        Self::Object(body.0)
    }
}
