//! JSON Schemas of the texts in requests and responses. These types are never constructed; bodies
//! name them beside the plain types that hold the values.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use crate::model::checks::{MAX_CONTROLLER_ID, MAX_NAME};
use crate::model::order_name::MAX_ORDER_NAME;
use crate::model::window;

/// What every name, path, id and version consists of.
const NAME: &str = r"^[^\x00-\x1f\x7f]+$";
/// As [`NAME`], or empty.
const OPTIONAL_NAME: &str = r"^[^\x00-\x1f\x7f]*$";

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $schema:tt;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

texts! {
    /// A controller's id.
    ControllerId = {
        "description": "The id of a controller",
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_CONTROLLER_ID,
        "pattern": r#"^[^/\\<>?!&:;()"|*^\x00-\x1f\x7f]+$"#,
        "examples": ["prod"],
    };
    /// As [`ControllerId`], and empty for none.
    OptionalControllerId = {
        "description": "The id of a controller; empty is none",
        "type": "string",
        "maxLength": MAX_CONTROLLER_ID,
        "pattern": r#"^[^/\\<>?!&:;()"|*^\x00-\x1f\x7f]*$"#,
        "examples": ["prod"],
    };
    /// An order's id.
    OrderId = {
        "description": "The id of an order, unique on its controller; `|` and a name after it \
                        make the id of a child order",
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_NAME,
        "pattern": NAME,
        "examples": ["#2026-11-23#P1-eod", "#2026-11-23#P1-eod|east"],
    };
    /// Any other name, id or version.
    Name = {
        "description": "Any name, without control characters",
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_NAME,
        "pattern": NAME,
    };
    /// As [`Name`], and empty for none.
    OptionalName = {
        "description": "Any name, without control characters; empty is none",
        "type": "string",
        "maxLength": MAX_NAME,
        "pattern": OPTIONAL_NAME,
    };
    /// A filter with JOC's wildcards.
    Wildcards = {
        "description": "A text in which `*` is any text and `?` any character; empty is none",
        "type": "string",
        "maxLength": MAX_NAME,
        "pattern": OPTIONAL_NAME,
        "examples": ["*eod*"],
    };
    /// A workflow's path or its name.
    WorkflowPath = {
        "description": "An absolute path, or, without any `/`, the name of workflows in any folder",
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_NAME,
        "pattern": r"^(?:[^/\x00-\x1f\x7f]+|(?:/[^/\x00-\x1f\x7f]+)+)$",
        "examples": ["/sos/billing/eod", "eod"],
    };
    /// A folder's path.
    FolderPath = {
        "description": "An absolute path without a `/` at its end; `/` alone is the root",
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_NAME,
        "pattern": r"^(?:/|(?:/[^/\x00-\x1f\x7f]+)+)$",
        "examples": ["/", "/sos/billing"],
    };
    /// One bound of a window.
    DateOrPeriod = {
        "description": "A date with a time of day, or a period from now: numbers with the units \
                        `s m h` (exactly that long) or `d w M y` (whole days, weeks, months, \
                        years, from their beginning in a lower bound and to their end in an upper \
                        one). `0` is now. Either may end with an offset, which `timeZone` \
                        overrides. Instants are those of the years 1 to 9999",
        "type": "string",
        "pattern": window::PATTERN,
        "examples": ["2026-11-23T10:00:00+01:00", "-2h", "0d", "1d6h", "0"],
    };
    /// A name of the time zone database, or empty for none.
    TimeZone = {
        "description": "A name of the IANA time zone database; empty is none",
        "type": "string",
        "enum": std::iter::once("").chain(window::time_zones()).collect::<Vec<_>>(),
        "examples": ["Europe/Berlin"],
    };
    /// When an order that is added is due.
    ScheduledFor = {
        "description": "Empty or `now`; `now + SECONDS`; `now + HH:MM[:SS]`; `never`; or \
                        `YYYY-MM-DD HH:MM[:SS]` in `timeZone`. Instants are those of the years 1 \
                        to 9999",
        "type": "string",
        "pattern": window::scheduled::PATTERN,
        "examples": ["now + 01:30", "2026-11-24 18:30", "never"],
    };
    /// The name of an added order, or empty.
    OptionalOrderName = {
        "description": "Letters, digits and `_`, with `-` and `.` between them, neither twice in \
                        a row; empty means none",
        "type": "string",
        "maxLength": MAX_ORDER_NAME,
        "pattern": format!("^$|{}", crate::model::order_name::PATTERN),
        "examples": ["nightly"],
    };
    /// An instant.
    Instant = {
        "description": "ISO 8601 in UTC with milliseconds",
        "type": "string",
        "format": "date-time",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        "examples": ["2026-11-23T12:34:56.789Z"],
    };
}

/// Documents that a property has an alias; a request must not have both.
pub fn alias(schema: &mut Schema, name: &str, alias: &str) {
    let object = schema.ensure_object();
    if let Some(properties) = object.get_mut("properties") {
        properties[alias] = properties[name].clone();
        properties[alias]["description"] = format!("Alias of `{name}`").into();
    }
    object.insert("not".into(), json!({ "required": [name, alias] }));
}

#[cfg(test)]
mod tests {
    use jsonschema::Validator;
    use proptest::prelude::*;

    use super::*;
    use crate::model::checks::{
        check_controller_id, check_folder, check_name, check_workflow_path,
    };
    use crate::model::invalid::Invalid;

    /// Paths and names, some of them spoilt.
    const ALMOST: &str = "/?([a-zß]{0,3}[/<.|\\x00 \\x1f\\x7f\u{85}\u{a0}]?){0,4}";
    /// About as long as they may be.
    const LONG: &str = "/?[aß]{98,101}|/?[aß]{252,256}";

    fn schema<T: JsonSchema>() -> Validator {
        let schema = T::json_schema(&mut SchemaGenerator::default());
        jsonschema::draft202012::new(schema.as_value()).unwrap()
    }

    type Check = Box<dyn Fn(&str) -> bool>;

    /// A check that takes the empty text for none.
    fn given(check: fn(&str) -> Result<(), Invalid>) -> impl Fn(&str) -> bool {
        move |text| text.is_empty() || check(text).is_ok()
    }

    #[test]
    fn the_checks_take_what_the_schemas_say() {
        let name = |text: &str| check_name("f", text);
        let same: [(Validator, Check); 8] = [
            (schema::<ControllerId>(), Box::new(|text| check_controller_id(text).is_ok())),
            (schema::<OptionalControllerId>(), Box::new(given(check_controller_id))),
            (schema::<OrderId>(), Box::new(move |text| name(text).is_ok())),
            (schema::<Name>(), Box::new(move |text| name(text).is_ok())),
            (schema::<OptionalName>(), Box::new(given(name))),
            (schema::<Wildcards>(), Box::new(given(name))),
            (schema::<WorkflowPath>(), Box::new(|text| check_workflow_path("f", text).is_ok())),
            (schema::<FolderPath>(), Box::new(|text| check_folder("f", text).is_ok())),
        ];
        proptest!(|(text in prop_oneof![any::<String>(), ALMOST, ALMOST, LONG])| {
            for (i, (schema, is_taken)) in same.iter().enumerate() {
                prop_assert_eq!(schema.is_valid(&json!(text)), is_taken(&text), "{}: {:?}", i, text);
            }
        });
    }
}
