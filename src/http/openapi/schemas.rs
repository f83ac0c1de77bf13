//! The schemas of bodies and answers, made of the types that they are read into and written
//! from.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::http::context::response::Dated;

/// Makes schemas, and collects those that have names.
pub struct Schemas {
    bodies: SchemaGenerator,
    answers: SchemaGenerator,
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
            answers: settings()
                .for_serialize()
                .with_transform(RecursiveTransform(bound_integers))
                .with_transform(RecursiveTransform(without_nulls))
                .with_transform(RecursiveTransform(close))
                .into_generator(),
        }
    }

    /// A body in which unknown fields are ignored.
    pub fn body<T: JsonSchema>(&mut self) -> Schema {
        self.bodies.subschema_for::<T>()
    }

    /// A body in which unknown fields are refused.
    pub fn closed_body<T: JsonSchema>(&mut self) -> Schema {
        let mut schema = T::json_schema(&mut self.bodies);
        RecursiveTransform(bound_integers).transform(&mut schema);
        RecursiveTransform(close).transform(&mut schema);
        schema
    }

    /// An answer.
    pub fn answer<T: JsonSchema>(&mut self) -> Schema {
        self.answers.subschema_for::<T>()
    }

    /// An answer that is not the same for every call, to be completed.
    pub fn own_answer<T: JsonSchema>(&mut self) -> Schema {
        let mut schema = T::json_schema(&mut self.answers);
        for transform in self.answers.transforms_mut() {
            transform.transform(&mut schema);
        }
        schema
    }

    /// What [`Service::list`](crate::http::Service::list) answers.
    pub fn list<T: JsonSchema>(&mut self, name: &str) -> Schema {
        #[derive(JsonSchema)]
        struct Nothing {}

        let mut schema = self.own_answer::<Dated<Nothing>>();
        let items = self.answer::<T>();
        add_property(&mut schema, name, json!({ "type": "array", "items": items }), true);
        schema
    }

    /// Every schema that has a name.
    pub fn named(mut self) -> Map<String, Value> {
        let mut named = self.bodies.take_definitions(true);
        named.append(&mut self.answers.take_definitions(true));
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

/// Says the limits of integers that their formats imply.
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

/// Refuses properties that are not named.
fn close(schema: &mut Schema) {
    if let Some(object) = schema.as_object_mut()
        && object.contains_key("properties")
    {
        object.entry("additionalProperties").or_insert(false.into());
    }
}

/// Lets a property that may be missing from an answer not be `null`, since it is left out then.
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
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_schema() {
        let mut schemas = Schemas::new();
        crate::http::server::all(&mut schemas);
        let bodies = schemas.bodies.take_definitions(true);
        let answers = schemas.answers.take_definitions(true);
        let both: Vec<&String> = bodies.keys().filter(|name| answers.contains_key(*name)).collect();
        assert!(!both.is_empty());
        for name in both {
            assert_eq!(bodies[name], answers[name], "{name}");
        }
    }
}
