//! The values that orders carry: arguments and positions.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Number, Value, json};

use crate::model::checks::check_name;
use crate::model::invalid::{Invalid, displayable};
use crate::model::texts;

/// The maximum number of digits of a number without an exponent, as PostgreSQL writes it. Every
/// double has fewer.
pub const MAX_DIGITS: i64 = 1000;
/// How many steps a position may have.
const MAX_STEPS: usize = 100;
/// The largest number of an instruction.
const MAX_INSTRUCTION: u64 = i32::MAX as u64;

/// The schema of what [`check_arguments`] checks.
#[derive(Debug)]
pub struct Arguments;

impl JsonSchema for Arguments {
    fn schema_name() -> Cow<'static, str> {
        "Arguments".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<texts::Name>();
        let scalar = json!([{ "type": "string", "pattern": r"^[^\x00]*$" }, { "type": ["number", "boolean"] }]);
        let object = json!({
            "type": "object",
            "propertyNames": name,
            "additionalProperties": { "anyOf": scalar },
        });
        json_schema!({
            "description": format!(
                "Texts, numbers, flags, or objects and lists of objects of these; `null` means absent. \
                 Numbers are kept exactly, with up to {MAX_DIGITS} digits when written without \
                 an exponent"
            ),
            "type": "object",
            "propertyNames": name,
            "additionalProperties": { "anyOf": [
                { "anyOf": scalar },
                { "type": "null" },
                object,
                { "type": "array", "items": object },
            ] },
            "examples": [{ "run": "full", "days": 3 }],
        })
    }
}

/// Rejects invalid arguments: each must be a text, a number, a flag, an object of these or a list of
/// such objects. (JOC's types of parameters: `String`, `Number`, `Boolean`, `Map`, `List`.)
pub fn check_arguments(field: &str, arguments: &Map<String, Value>) -> Result<(), Invalid> {
    for (name, value) in arguments {
        check_name(field, name)?;
        let field = format!("{field}.{}", displayable(name));
        match value {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let field = format!("{field}[{i}]");
                    let Value::Object(members) = item else {
                        return Err(Invalid::new(field, "an object is expected"));
                    };
                    check_members(&field, members)?;
                }
            }
            Value::Object(members) => check_members(&field, members)?,
            value => check_scalar(&field, value)?,
        }
    }
    Ok(())
}

fn check_members(field: &str, members: &Map<String, Value>) -> Result<(), Invalid> {
    for (name, value) in members {
        check_name(field, name)?;
        check_scalar(&format!("{field}.{}", displayable(name)), value)?;
    }
    Ok(())
}

fn check_scalar(field: &str, value: &Value) -> Result<(), Invalid> {
    match value {
        Value::String(text) if text.contains('\0') => {
            Err(Invalid::new(field, "U+0000 is not allowed in it"))
        }
        Value::Number(number) => check_number(field, number),
        Value::String(_) | Value::Bool(_) => Ok(()),
        _ => Err(Invalid::new(field, "a text, a number or a flag is expected")),
    }
}

/// Rejects a number with more than [`MAX_DIGITS`] digits.
pub fn check_number(field: &str, number: &Number) -> Result<(), Invalid> {
    if digits(number.as_str()).is_some_and(|digits| digits <= MAX_DIGITS) {
        return Ok(());
    }
    let problem = format!(
        "a number of at most {MAX_DIGITS} digits, written without an exponent, is expected"
    );
    Err(Invalid::new(field, problem))
}

/// How many digits a number has without an exponent; `None` if they cannot be counted.
fn digits(number: &str) -> Option<i64> {
    let number = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = i64::try_from(whole.len()).ok()?.saturating_add(exponent).max(1);
    let fraction = i64::try_from(fraction.len()).ok()?.saturating_sub(exponent).max(0);
    Some(whole.saturating_add(fraction))
}

/// The schema of what [`check_position`] checks.
#[derive(Debug)]
pub struct Position;

impl JsonSchema for Position {
    fn schema_name() -> Cow<'static, str> {
        "Position".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let branch = generator.subschema_for::<texts::Name>();
        json_schema!({
            "description": "A place in a workflow: numbers of instructions and, between them, the \
                            names of branches",
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_STEPS - 1,
            "prefixItems": [{ "type": "integer", "minimum": 0, "maximum": MAX_INSTRUCTION }],
            "items": { "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": MAX_INSTRUCTION },
                branch,
            ] },
            "examples": [[2, "then", 0]],
        })
    }
}

/// Rejects an invalid position. A position is like `[2, "then", 0]`: numbers of instructions and,
/// between them, names of branches. A label, alone or in a list as PowerShell sends it, is none:
/// only the workflow says where it stands, and the service does not have its instructions.
pub fn check_position(field: &str, position: &Value) -> Result<(), Invalid> {
    if position.is_string() || position.get(0).is_some_and(Value::is_string) {
        let problem = "labels are not supported, a list such as [2, \"then\", 0] is expected";
        return Err(Invalid::new(field, problem));
    }
    let expected = || Invalid::new(field, "a list such as [2, \"then\", 0] is expected");
    let steps =
        position.as_array().filter(|steps| steps.len() <= MAX_STEPS).ok_or_else(expected)?;
    let fits = |(i, step): (usize, &Value)| match step {
        Value::Number(number) => {
            i % 2 == 0 && number.as_u64().is_some_and(|n| n <= MAX_INSTRUCTION)
        }
        Value::String(branch) => i % 2 == 1 && check_name(field, branch).is_ok(),
        _ => false,
    };
    if steps.len() % 2 == 1 && steps.iter().enumerate().all(fits) {
        Ok(())
    } else {
        Err(expected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_counted_as_they_are_written_out() {
        for (number, count) in [
            ("0", Some(1)),
            ("-12.50", Some(4)),
            ("1e3", Some(4)),
            ("1.25e1", Some(3)),
            ("1.25E+5", Some(6)),
            ("1e-400", Some(401)),
            ("12.5e-2", Some(4)),
            ("1e-20000", Some(20_001)),
            ("1e400000", Some(400_001)),
            ("1e9223372036854775807", Some(i64::MAX)),
            ("1e9223372036854775808", None),
        ] {
            assert_eq!(digits(number), count, "{number}");
        }
        let number = |text: &str| text.parse::<Number>().unwrap();
        for fits in ["1e999", "-1e999", "1e-999", "1.7976931348623157e308", "5e-324"] {
            check_number("f", &number(fits)).unwrap();
        }
        for beyond in ["1e1000", "1e-1000", "0e1000", "1e99999999999999999999"] {
            assert_eq!(check_number("f", &number(beyond)).unwrap_err().field, "f");
        }
    }
}
