//! The field `regex`: a regular expression to search in names. It runs here, not in the database,
//! so that both databases behave the same. Its time is linear in the name: look-around and back
//! references, which would prevent that, are rejected.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::invalid::{Invalid, displayable};

/// The longest expression, in characters.
const MAX_LENGTH: usize = 1000;
/// The maximum size of a compiled expression, in bytes, which also limits its time.
const MAX_SIZE: usize = 1 << 18;

/// The schema of the field, which [`compile`] checks.
pub struct Expression;

impl JsonSchema for Expression {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "regex",
            "maxLength": MAX_LENGTH,
            "examples": ["^%eod"],
        })
    }
}

/// Compiles an expression. As in JOC, it matches anywhere in a name and ignores case; `%` is any
/// text.
pub fn compile(expression: &str) -> Result<Regex, Invalid> {
    if expression.chars().nth(MAX_LENGTH).is_some() {
        return Err(Invalid::new("regex", format!("is longer than {MAX_LENGTH} characters")));
    }
    let regex = expression.replace('%', ".*");
    RegexBuilder::new(&regex).case_insensitive(true).size_limit(MAX_SIZE).build().map_err(|error| {
        let error = error.to_string();
        // The library's message has several lines; the last one says what is wrong.
        let problem = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let expression = displayable(expression);
        Invalid::new("regex", format!("'{expression}' is not a regular expression: {problem}"))
    })
}
