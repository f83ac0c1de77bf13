//! The schemas of request and response bodies, derived from the types that they are parsed into and
//! serialised from.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::http::context::body::RequestBody;
use crate::http::context::response::Dated;

/// Derives schemas, and collects those that have names.
pub struct Schemas {
    bodies: SchemaGenerator,
    responses: SchemaGenerator,
}

impl Schemas {
    pub fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            bodies: settings().with_transform(RecursiveTransform(bound_integers)).into_generator(),
            responses: settings()
                .for_serialize()
                .with_transform(RecursiveTransform(bound_integers))
                .with_transform(RecursiveTransform(without_nulls))
                .with_transform(RecursiveTransform(close))
                .into_generator(),
        }
    }

    /// A request body. One that rejects unknown fields has no name, since none shares it.
    pub fn body<B: RequestBody>(&mut self) -> Schema {
        if B::IGNORED.is_none() {
            let schema = self.bodies.subschema_for::<B>();
            let named = self.bodies.definitions_mut().get_mut(&*B::schema_name());
            if let Some(named) = named.and_then(|named| <&mut Schema>::try_from(named).ok()) {
                for filter in B::UNSUPPORTED {
                    let nothing = json!([null, false, "", [], {}]);
                    let property = json!({ "description": "Not supported.", "enum": nothing });
                    add_property(named, filter, property, false);
                }
            }
            return schema;
        }
        let mut schema = B::json_schema(&mut self.bodies);
        RecursiveTransform(bound_integers).transform(&mut schema);
        RecursiveTransform(close).transform(&mut schema);
        schema
    }

    /// The body of a response.
    pub fn response<T: JsonSchema>(&mut self) -> Schema {
        self.responses.subschema_for::<T>()
    }

    /// The body of a response, to be completed.
    pub fn open_response<T: JsonSchema>(&mut self) -> Schema {
        let mut schema = T::json_schema(&mut self.responses);
        for transform in self.responses.transforms_mut() {
            transform.transform(&mut schema);
        }
        schema
    }

    /// The body of a response that lists items in the field `name`.
    pub fn list<T: JsonSchema>(&mut self, name: &str) -> Schema {
        #[derive(JsonSchema)]
        struct Nothing {}

        let mut schema = self.open_response::<Dated<Nothing>>();
        let items = self.response::<T>();
        add_property(&mut schema, name, json!({ "type": "array", "items": items }), true);
        schema
    }

    /// Every schema that has a name.
    pub fn named(mut self) -> Map<String, Value> {
        let mut named = self.bodies.take_definitions(true);
        named.append(&mut self.responses.take_definitions(true));
        named
    }
}

/// Adds a property to an object's schema.
pub fn add_property(schema: &mut Schema, name: &str, property: Value, required: bool) {
    let object = schema.ensure_object();
    object.entry("properties").or_insert_with(|| json!({}))[name] = property;
    if required
        && let Some(names) = object.entry("required").or_insert_with(|| json!([])).as_array_mut()
    {
        names.push(name.into());
    }
}

/// Adds the limits of integers that their formats imply.
fn bound_integers(schema: &mut Schema) {
    let (min, max): (Value, Value) = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("uint32") => (0.into(), u32::MAX.into()),
        Some("int64") => (i64::MIN.into(), i64::MAX.into()),
        Some("uint64" | "uint") => (0.into(), u64::MAX.into()),
        _ => return,
    };
    let object = schema.ensure_object();
    object.entry("minimum").or_insert(min);
    object.entry("maximum").or_insert(max);
}

/// Rejects unknown properties.
fn close(schema: &mut Schema) {
    if let Some(object) = schema.as_object_mut()
        && object.contains_key("properties")
    {
        object.entry("additionalProperties").or_insert(false.into());
    }
}

/// An optional property of a response is left out rather than `null`.
fn without_nulls(schema: &mut Schema) {
    let required = schema.get("required").cloned().unwrap_or_else(|| json!([]));
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        let optional = required.as_array().is_some_and(|names| !names.contains(&json!(name)));
        let Some(property) = property.as_object_mut().filter(|_| optional) else { continue };
        if let Some(types) = property.get_mut("type").and_then(Value::as_array_mut) {
            types.retain(|of_type| of_type != "null");
            if let [only] = &types[..] {
                property["type"] = only.clone();
            }
        }
        if let Some(choices) = property.get_mut("anyOf").and_then(Value::as_array_mut) {
            choices.retain(|choice| choice["type"] != "null");
            if let [only] = &choices[..]
                && let Some(only) = only.as_object().cloned()
            {
                property.remove("anyOf");
                property.extend(only);
            }
        }
    }
}

#[cfg(test)]
impl Schemas {
    /// Asserts that a name stands for one schema, in requests and responses alike.
    pub fn check_names(mut self) {
        let bodies = self.bodies.take_definitions(true);
        let responses = self.responses.take_definitions(true);
        let both = bodies.iter().filter(|(name, _)| responses.contains_key(*name));
        assert!(both.clone().count() > 0);
        for (name, schema) in both {
            assert_eq!(*schema, responses[name], "{name}");
        }
    }
}
