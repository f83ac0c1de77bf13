//! Request bodies: read up to a limit, parsed strictly, and refused with the field's name.

use std::fmt;
use std::marker::PhantomData;

use actix_web::web::{Bytes, Payload};
use serde::de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::http::error::ApiError;

/// What stands for a masked value in the audit trail.
const MASKED: &str = "********";
/// Keys whose values are masked, wherever they stand; in lower case.
const SECRETS: [&str; 5] = ["password", "passwd", "secret", "token", "credential"];

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(payload: Payload, limit: usize) -> Result<Bytes, ApiError> {
    match payload.to_bytes_limited(limit).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(ApiError::BadRequest(format!("body: {error}"))),
        Err(_) => Err(ApiError::TooLarge(limit)),
    }
}

/// Parses a body that must be one JSON object.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let text =
        std::str::from_utf8(body).map_err(|_| ApiError::BadRequest("body: is not UTF-8".into()))?;
    if text.trim_ascii().is_empty() {
        return Err(ApiError::BadRequest("body: is empty, expected a JSON object".into()));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed: Object<T> =
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { "body" } else { path.as_str() };
            let problem = error.inner().to_string();
            // serde would list what is expected, also what is only ignored.
            if problem.starts_with("unknown field") {
                ApiError::BadRequest(format!("{field}: there is no such field"))
            } else {
                ApiError::BadRequest(format!("{field}: {problem}"))
            }
        })?;
    deserializer.end().map_err(not_json)?;
    Ok(parsed.0)
}

/// A body as the audit trail keeps it: JSON on one line, with secrets masked.
pub(super) fn for_audit(body: &[u8]) -> Result<String, ApiError> {
    let mut value: Value = serde_json::from_slice(body).map_err(not_json)?;
    mask(&mut value);
    Ok(value.to_string())
}

fn not_json(error: serde_json::Error) -> ApiError {
    ApiError::BadRequest(format!("body: {error}"))
}

fn mask(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.to_lowercase();
                if SECRETS.iter().any(|secret| key.contains(secret)) {
                    *value = MASKED.into();
                } else {
                    mask(value);
                }
            }
        }
        _ => {}
    }
}

/// A `T` that is written as an object. (What serde derives for a struct also takes an array.)
#[derive(Debug)]
pub(super) struct Object<T>(
    /// What was in it.
    pub T,
);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let body =
            br#"{"controllerId":"c","variables":[{"dbPassword":"x","n":{"accessToken":[1]}}]}"#;
        let kept = for_audit(body).unwrap();
        assert!(kept.contains(r#""dbPassword":"********""#), "{kept}");
        assert!(kept.contains(r#""accessToken":"********""#), "{kept}");
        assert!(kept.contains(r#""controllerId":"c""#), "{kept}");
    }
}
