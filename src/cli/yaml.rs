//! JSON as YAML.

use anyhow::Context;
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

/// The YAML text. It quotes every text that a reader of any YAML takes for something else, such as
/// a date.
///
/// # Errors
///
/// If YAML cannot say it.
pub(super) fn yaml(value: &Value) -> anyhow::Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(&Yaml(value), options).context("YAML")
}

struct Yaml<'a>(&'a Value);

impl Serialize for Yaml<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(is_true) => serializer.serialize_bool(*is_true),
            Value::Number(number) => serialize_number(number, serializer),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Yaml)),
            Value::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, Yaml(value))))
            }
        }
    }
}

/// A number; its digits as text if it would lose some.
fn serialize_number<S: Serializer>(number: &Number, serializer: S) -> Result<S::Ok, S::Error> {
    let text = number.as_str();
    if let Ok(number) = text.parse::<i128>() {
        return match i64::try_from(number) {
            Ok(number) => serializer.serialize_i64(number),
            Err(_) => serializer.serialize_i128(number),
        };
    }
    match number.as_f64().filter(|float| float.to_string() == text) {
        Some(float) => serializer.serialize_f64(float),
        None => serializer.serialize_str(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts_and_numbers_keep_their_digits() {
        let text = r##"{"a": ["yes", "2026-11-23", "#1", "12", "a\nb", "\u001b[2J", "'"], "yes": null, "b": {}, "c": [],
            "n": [1, -9223372036854775809, 1.5, 1.50, 1e400, 0.1000000000000000055], "t": true}"##;
        let value = serde_json::from_str(text).unwrap();
        let expected = r##"a:
- "yes"
- "2026-11-23"
- "#1"
- "12"
- "a\nb"
- "\e[2J"
- "'"
b: {}
c: []
"n":
- 1
- -9223372036854775809
- 1.5
- "1.50"
- "1e+400"
- "0.1000000000000000055"
t: true
"yes": null
"##;
        assert_eq!(yaml(&value).unwrap(), expected);
    }
}
