//! The body of a request, made of flags.

use serde_json::{Map, Value};

/// The fields of a request that say something.
#[derive(Debug, Clone, Default)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Adds a field, unless its value means the same as none: `null`, `false` or empty.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let says_something = match &value {
            Value::Null => false,
            Value::Bool(yes) => *yes,
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            Value::Number(_) | Value::String(_) => true,
        };
        if says_something {
            self.0.insert(name.into(), value);
        }
    }
}

impl From<Body> for Value {
    fn from(body: Body) -> Self {
        Self::Object(body.0)
    }
}
