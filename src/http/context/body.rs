//! Request bodies: read up to a limit, parsed strictly, and rejected with the name of the field.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use actix_web::web::{Bytes, Payload};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{F64Deserializer, I64Deserializer, MapAccessDeserializer, U64Deserializer};
use serde::de::{DeserializeOwned, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_ignored::Path;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::http::error::ApiError;
use crate::model::invalid::{Invalid, displayable, displayable_quoting};
use crate::model::json::{Json, JsonObject};

/// Up to here a float is exact.
const MAX_EXACT: f64 = (1_u64 << 53) as f64;

/// Reads a body of at most `limit` bytes.
pub async fn read(payload: Payload, limit: usize) -> Result<Bytes, ApiError> {
    match payload.to_bytes_limited(limit).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(ApiError::BadRequest(format!("body: {error}"))),
        Err(_) => Err(ApiError::TooLarge(limit)),
    }
}

/// What a request body is parsed into, and how strictly.
pub trait RequestBody: DeserializeOwned + JsonSchema {
    /// The fields of the body that are ignored; any other unknown field is rejected, since a
    /// misspelt selector must not select more. `None`: every unknown field is ignored.
    const IGNORED: Option<&'static [&'static str]> = None;
    /// JOC's filters that the service does not have. A request that uses one is rejected, since its
    /// response would list more than was asked for. From JOC's schemas of 2.7.3 and 2.8.4.
    const UNSUPPORTED: &'static [&'static str] = &[];
    /// Whether the body may be empty, which means `{}`.
    const OPTIONAL: bool = false;
}

/// Parses a body, which is one JSON object.
pub fn parse<B: RequestBody>(bytes: &[u8]) -> Result<B, ApiError> {
    let bytes = if B::OPTIONAL && bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
    let mut unknown = None;
    let mut unsupported = false;
    let body = deserialize(bytes, |path| {
        let is_one_of = |names: &[&str]| matches!(path, Path::Map { parent: Path::Root, key } if names.contains(&key.as_str()));
        unsupported |= is_one_of(B::UNSUPPORTED);
        let Some(ignored) = B::IGNORED else { return };
        if unknown.is_none() && !is_one_of(ignored) {
            unknown = Some(in_words(path));
        }
    })?;
    if unsupported {
        reject_filters(bytes, B::UNSUPPORTED)?;
    }
    match unknown {
        None => Ok(body),
        Some(field) => Err(ApiError::BadRequest(format!("{field}: there is no such field"))),
    }
}

/// Rejects a body that uses one of these filters.
fn reject_filters(body: &[u8], filters: &[&str]) -> Result<(), ApiError> {
    let JsonObject(members) = serde_json::from_slice(body).map_err(not_json)?;
    let used = |name: &&&str| members.get(**name).is_some_and(|value| !is_empty(value));
    match filters.iter().find(used) {
        None => Ok(()),
        Some(name) => Err(Invalid::new(*name, "this filter is not supported").into()),
    }
}

/// Whether a value filters nothing: `null`, `false`, or an empty text, list or object.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn deserialize<T: DeserializeOwned>(
    body: &[u8],
    mut ignored: impl FnMut(&Path<'_>),
) -> Result<T, ApiError> {
    let text =
        std::str::from_utf8(body).map_err(|_| ApiError::BadRequest("body: is not UTF-8".into()))?;
    if text.trim_ascii().is_empty() {
        return Err(ApiError::BadRequest("body: is empty, expected a JSON object".into()));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut ignored = |path: Path<'_>| ignored(&path);
    let deserializer = serde_ignored::Deserializer::new(&mut json, &mut ignored);
    let parsed: Object<T> = serde_path_to_error::deserialize(deserializer)
        .map_err(|error| ApiError::BadRequest(explained(&place(error.path()), error.inner())))?;
    json.end().map_err(not_json)?;
    Ok(parsed.0)
}

/// The field and the problem. serde reports only text: a line and a column, which mean nothing to a
/// client that serialised values, and for a missing field the object without it.
fn explained(path: &str, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let placed = message.rsplit_once(" at line ").filter(|_| error.is_data());
    let message = fit(placed.map_or(message.as_str(), |(message, _)| message));
    let missing = message.strip_prefix("missing field `").and_then(|name| name.strip_suffix('`'));
    match (missing, path) {
        (Some(name), "") => format!("{name}: is missing"),
        (Some(name), path) => format!("{path}.{name}: is missing"),
        (None, "") => format!("body: {message}"),
        (None, path) => format!("{path}: {message}"),
    }
}

/// A message of serde, fit for display: it quotes the client's text, of any length, before it says
/// what was expected.
fn fit(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((found, expected)) => format!("{}, expected {expected}", displayable_quoting(found)),
        None => displayable_quoting(message),
    }
}

/// A path as messages show it: `folders[0].recursive`; empty for the body itself.
fn place(path: &serde_path_to_error::Path) -> String {
    let mut place = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => place += &format!("[{index}]"),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !place.is_empty() {
                    place.push('.');
                }
                place += &displayable(key);
            }
            Segment::Unknown => {}
        }
    }
    place
}

/// Like [`place`], for a field that serde ignored.
fn in_words(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", in_words(parent)),
        Path::Map { parent: Path::Root, key } => displayable(key),
        Path::Map { parent, key } => format!("{}.{}", in_words(parent), displayable(key)),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => in_words(parent),
    }
}

pub fn not_json(error: serde_json::Error) -> ApiError {
    ApiError::BadRequest(format!("body: {error}"))
}

/// A `T` that must be an object. (Structs that derive `Deserialize` also accept an array.)
#[derive(Debug, Clone)]
pub struct Object<T>(
    /// The value.
    pub T,
);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Object<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A whole number. As in JOC, JSON may also write it as `3.0`.
#[derive(Debug, Clone, Copy)]
pub struct Whole<T>(
    /// The number.
    pub T,
);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Json(value) = Json::deserialize(deserializer)?;
        let number = match &value {
            Value::Number(number) => number,
            other => return Err(D::Error::invalid_type(unexpected(other), &"a JSON number")),
        };
        let read = if let Some(number) = number.as_u64() {
            T::deserialize(U64Deserializer::new(number))
        } else if let Some(number) = number.as_i64() {
            T::deserialize(I64Deserializer::new(number))
        } else {
            let float = number.as_f64().ok_or_else(|| D::Error::custom("number out of range"))?;
            if float.fract() == 0.0 && float.abs() <= MAX_EXACT {
                #[expect(clippy::cast_possible_truncation, reason = "whole, not beyond 2^53")]
                T::deserialize(I64Deserializer::new(float as i64))
            } else {
                T::deserialize(F64Deserializer::new(float))
            }
        };
        read.map(Whole)
    }
}

/// The name of a value's type in serde's messages.
fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(flag) => Unexpected::Bool(*flag),
        Value::Number(_) => Unexpected::Other("number"),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

impl<T: JsonSchema> JsonSchema for Whole<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A field of JOC's that is not supported. JOC's Java clients write every list, so what is empty
/// counts as absent; anything else is rejected.
#[derive(Debug)]
pub struct Unsupported;

impl<'de> Deserialize<'de> for Unsupported {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Json(value) = Json::deserialize(deserializer)?;
        match value {
            Value::Null => Ok(Self),
            Value::Array(values) if values.is_empty() => Ok(Self),
            Value::Object(members) if members.is_empty() => Ok(Self),
            _ => Err(D::Error::custom("is not supported")),
        }
    }
}

impl JsonSchema for Unsupported {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Unsupported".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["array", "object"], "maxItems": 0, "maxProperties": 0 })
    }
}

/// The values of a list of objects; none without a list.
pub fn inner<T>(objects: Option<impl IntoIterator<Item = Object<T>>>) -> Vec<T> {
    objects.into_iter().flatten().map(|Object(inner)| inner).collect()
}

/// The schema of `limit`, which [`check_limit`] checks.
pub struct Limit;

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "anyOf": [{ "minimum": 1, "maximum": i64::MAX }, { "const": -1 }] })
    }
}

/// `limit`: `None` if it is absent, `Some(None)` if it is -1, which is no limit.
pub fn check_limit(limit: Option<Whole<i64>>) -> Result<Option<Option<u64>>, Invalid> {
    match limit {
        None => Ok(None),
        Some(Whole(-1)) => Ok(Some(None)),
        Some(Whole(limit)) => match u64::try_from(limit) {
            Ok(limit) if limit > 0 => Ok(Some(Some(limit))),
            _ => Err(Invalid::new("limit", "a positive number is expected, or -1 for no limit")),
        },
    }
}

/// The text unless it is empty, as an unset variable of a script is.
pub fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
