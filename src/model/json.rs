//! JSON of any shape, with every number exactly as written.
//!
//! serde has no numbers of arbitrary length, so serde_json (feature `arbitrary_precision`) passes
//! them as an object with a private key. [`serde_json::Value`] takes every object with that key for
//! a number, even one from a client. The types here tell the two apart; use them to read text from
//! others.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// The prefix of the private key.
const PRIVATE: &str = "$serde_json::private::";

/// Any JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Json(
    /// What it is.
    pub Value,
);

/// A JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonObject(
    /// Its members.
    pub Map<String, Value>,
);

impl Deref for Json {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JsonPiece::deserialize(deserializer).map(|part| {
            Self(match part {
                JsonPiece::Json(value) => value,
                JsonPiece::Owned(text) => text.into(),
            })
        })
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = JsonObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JsonObject, A::Error> {
                match members(map)? {
                    Value::Object(members) => Ok(JsonObject(members)),
                    _ => Err(A::Error::custom("a map is expected")),
                }
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        Value::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        Value::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Value::json_schema(generator)
    }
}

/// A value, or the digits of a number: serde_json passes digits as an owned text, and texts of its
/// input as borrowed ones.
enum JsonPiece {
    Json(Value),
    Owned(String),
}

impl<'de> Deserialize<'de> for JsonPiece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = JsonPiece;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any valid JSON value")
            }

            fn visit_unit<E>(self) -> Result<JsonPiece, E> {
                Ok(JsonPiece::Json(Value::Null))
            }

            fn visit_none<E>(self) -> Result<JsonPiece, E> {
                Ok(JsonPiece::Json(Value::Null))
            }

            fn visit_some<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<JsonPiece, D::Error> {
                JsonPiece::deserialize(deserializer)
            }

            fn visit_bool<E>(self, value: bool) -> Result<JsonPiece, E> {
                Ok(JsonPiece::Json(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<JsonPiece, E> {
                Ok(JsonPiece::Json(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<JsonPiece, E> {
                Ok(JsonPiece::Json(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<JsonPiece, E> {
                Ok(JsonPiece::Json(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<JsonPiece, E> {
                Ok(JsonPiece::Json(value.into()))
            }

            fn visit_string<E>(self, value: String) -> Result<JsonPiece, E> {
                Ok(JsonPiece::Owned(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<JsonPiece, A::Error> {
                let mut values = Vec::new();
                while let Some(Json(value)) = seq.next_element()? {
                    values.push(value);
                }
                Ok(JsonPiece::Json(values.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JsonPiece, A::Error> {
                members(map).map(JsonPiece::Json)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// The number or the object that a map stands for.
fn members<'de, A: MapAccess<'de>>(mut map: A) -> Result<Value, A::Error> {
    let mut members = Map::new();
    while let Some(key) = map.next_key::<String>()? {
        let value = match map.next_value()? {
            JsonPiece::Json(value) => value,
            JsonPiece::Owned(digits) if key.starts_with(PRIVATE) => {
                return digits.parse::<Number>().map(Value::Number).map_err(A::Error::custom);
            }
            JsonPiece::Owned(text) => text.into(),
        };
        members.insert(key, value);
    }
    Ok(members.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same text once it was read and written again, be it in memory or coming in.
    fn written(text: &str) -> serde_json::Result<String> {
        let Json(value) = serde_json::from_str(text)?;
        let Json(streamed) = serde_json::from_reader(text.as_bytes())?;
        assert_eq!(value, streamed, "{text}");
        Ok(value.to_string())
    }

    #[test]
    fn every_number_stays_as_it_was_written() {
        for number in [
            "0",
            "-0",
            "12345678901234567890123",
            "0.1234567890123456789",
            "1e-400",
            "-1.50",
            "1e+400000",
            "18446744073709551616",
            "1.0",
        ] {
            for text in [
                number.to_owned(),
                format!("[{number},{number}]"),
                format!(r#"{{"a":{number},"b":[{{"c":{number}}}]}}"#),
            ] {
                assert_eq!(written(&text).unwrap(), text);
            }
        }
        // Of an exponent, serde_json spells letter and sign its own way.
        assert_eq!(written("1E5").unwrap(), "1e+5");
        assert_eq!(written("1.0E-07").unwrap(), "1.0e-07");
        for text in ["01", "1.", ".5", "+1", "1e", "NaN", "-", "0x1"] {
            assert!(written(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_taken_for_a_number() {
        for text in [
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"{"$serde_json::private::Number":"x"}"#,
            r#"{"$serde_json::private::Number":{"$serde_json::private::Number":"1"}}"#,
            r#"{"$serde_json::private::Number":1}"#,
            r#"{"$serde_json::private::Number":[1.50],"a":"1"}"#,
            r#"[{"$serde_json::private::RawValue":"[1]"}]"#,
            r#"{"a":{"$serde_json::private::Number":"1","b":null}}"#,
        ] {
            assert_eq!(written(text).unwrap(), text);
        }
        let escaped = r#"{"\u0024serde_json::private::Number":"\u0031"}"#;
        assert_eq!(written(escaped).unwrap(), r#"{"$serde_json::private::Number":"1"}"#);
        let JsonObject(members) = serde_json::from_str(escaped).unwrap();
        assert_eq!(members["$serde_json::private::Number"], "1");
        for text in ["1", "1.5", "1e400", "[]", "null", "\"a\""] {
            assert!(serde_json::from_str::<JsonObject>(text).is_err(), "{text}");
        }
    }
}
