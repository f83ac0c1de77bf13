//! What the audit trail keeps of a request's body: JSON on one line, with secrets masked.

use serde_json::Value;

use crate::http::context::body::not_json;
use crate::http::error::ApiError;
use crate::model::arguments::check_number;
use crate::model::audit::Parameters;
use crate::model::invalid::{Invalid, displayable};
use crate::model::json::Json;
use crate::model::secrets::{MASKED, is_secret};

/// The fields for the name, in an object that holds a name and a value.
const NAMES: [&str; 2] = ["key", "name"];
/// The fields for the value.
const VALUES: [&str; 2] = ["value", "values"];

/// A body as the audit trail keeps it; an empty one means `{}`.
pub fn for_audit(body: &[u8]) -> Result<Parameters, ApiError> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let Json(mut value) = serde_json::from_slice(body).map_err(not_json)?;
    mask(&mut value).map_err(|invalid| Invalid {
        field: invalid.field.trim_start_matches('.').into(),
        ..invalid
    })?;
    Ok(Parameters::new(value.to_string()))
}

/// Masks secrets, and rejects numbers that queries of the audit trail could not read.
fn mask(value: &mut Value) -> Result<(), Invalid> {
    let within = |place: String| {
        move |invalid: Invalid| Invalid { field: place + &invalid.field, ..invalid }
    };
    match value {
        Value::Array(values) => {
            for (i, value) in values.iter_mut().enumerate() {
                mask(value).map_err(|invalid| within(format!("[{i}]"))(invalid))?;
            }
        }
        Value::Object(fields) => {
            let is_one_of = |key: &str, keys: [&str; 2]| {
                keys.iter().any(|known| known.eq_ignore_ascii_case(key))
            };
            let names_secret = fields
                .iter()
                .any(|(key, value)| is_one_of(key, NAMES) && value.as_str().is_some_and(is_secret));
            for (key, value) in fields {
                if is_secret(key) || names_secret && is_one_of(key, VALUES) {
                    *value = MASKED.into();
                } else {
                    mask(value)
                        .map_err(|invalid| within(format!(".{}", displayable(key)))(invalid))?;
                }
            }
        }
        Value::Number(number) => check_number("", number)?,
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::audit::Outcome;

    fn kept(body: &str) -> String {
        for_audit(body.as_bytes()).unwrap().kept(Outcome::Done).into_owned()
    }

    #[test]
    fn an_empty_body_is_kept_as_an_object() {
        assert_eq!(kept(""), "{}");
        assert_eq!(kept(" \n"), "{}");
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let body =
            r#"{"controllerId":"c","variables":[{"dbPassword":"x","n":{"accessToken":[1]}}]}"#;
        let masked = r#"{"controllerId":"c","variables":[{"dbPassword":"********","n":{"accessToken":"********"}}]}"#;
        assert_eq!(kept(body), masked);
    }

    #[test]
    fn values_beside_the_name_of_a_secret_are_masked() {
        for (name, value) in
            [("name", "value"), ("key", "value"), ("Name", "VALUE"), ("key", "values")]
        {
            let body =
                json!({"list": [{name: "db-password", value: ["x"]}, {name: "db", value: "y"}]});
            let masked =
                json!({"list": [{name: "db-password", value: MASKED}, {name: "db", value: "y"}]});
            assert_eq!(kept(&body.to_string()), masked.to_string());
        }
        // Neither their order nor the other fields matter.
        let body = r#"{"value":1,"type":"t","name":"pass","nested":{"value":2}}"#;
        let masked = r#"{"value":"********","type":"t","name":"pass","nested":{"value":2}}"#;
        let sorted = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(sorted(&kept(body)), sorted(masked));
        assert_eq!(
            kept(r#"{"name":["password"],"value":1}"#),
            r#"{"name":["password"],"value":1}"#
        );
    }

    #[test]
    fn numbers_beside_secrets_stay_as_they_are_written() {
        let body = r#"{"a":1.50,"n":12345678901234567890123,"pass":1.50,"x":[-0,1e-7]}"#;
        let masked = r#"{"a":1.50,"n":12345678901234567890123,"pass":"********","x":[-0,1e-7]}"#;
        assert_eq!(kept(body), masked);
    }
}
