//! The environment of a job. It has only what the file gives, `PATH`, `HOME`, `LANG` and what the
//! agent says about the order, so that the agent's own settings reach no job.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::jobs::Job;
use crate::model::window::iso;
use crate::store::runs::Taken;

/// What a job has from the agent's environment.
const KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];

/// The longest value of a variable, in bytes. Linux allows 128 KiB for one.
const LONGEST: usize = 32 * 1024;

/// How much all arguments may take as variables.
const TOGETHER: usize = 256 * 1024;

/// The variables of a job, and the arguments that it finds on standard input only.
pub(super) fn of(
    job: &Job,
    controller_id: &str,
    order: &Taken,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut variables = BTreeMap::new();
    for name in KEPT {
        if let Ok(value) = std::env::var(name) {
            variables.insert(name.to_owned(), value);
        }
    }
    variables.extend(job.environment.clone());
    let mut say = |name: &str, value: String| variables.insert(name.to_owned(), value);
    say("JOC_CONTROLLER_ID", controller_id.to_owned());
    say("JOC_ORDER_ID", order.order_id.clone());
    say("JOC_RUN", order.run.to_string());
    say("JOC_WORKFLOW_PATH", order.workflow_path.clone());
    say("JOC_WORKFLOW_VERSION_ID", order.workflow_version_id.clone());
    if let Some(at) = &order.scheduled_for {
        say("JOC_SCHEDULED_FOR", iso(at));
    }
    let (arguments, left_out) = arguments(&order.arguments);
    variables.extend(arguments);
    (variables, left_out)
}

/// Arguments as variables. Left out are those whose variables would have the same name, values with
/// a NUL byte, and what is too long.
fn arguments(json: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let arguments: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for name in arguments.keys().map(|name| variable(name)) {
        if !seen.insert(name.clone()) {
            twice.insert(name);
        }
    }
    let (mut variables, mut left_out, mut size) = (BTreeMap::new(), Vec::new(), 0);
    for (argument, value) in arguments {
        let name = variable(&argument);
        let value = match value {
            Value::String(text) => text,
            value => value.to_string(),
        };
        let length = name.len() + value.len();
        if twice.contains(&name)
            || value.contains('\0')
            || length > LONGEST
            || size + length > TOGETHER
        {
            left_out.push(argument);
        } else {
            size += length;
            variables.insert(name, value);
        }
    }
    (variables, left_out)
}

/// The variable of an argument.
fn variable(argument: &str) -> String {
    let letters = argument.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
        _ => '_',
    });
    format!("JOC_ARG_{}", letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_no_variable_can_hold() {
        let json = format!(
            r#"{{"customer": "ACME", "a-b": 1, "a.b": 2, "nul": "x\u0000y", "long": "{}", "o": {{"x": [true]}}}}"#,
            "x".repeat(LONGEST)
        );
        let (variables, mut left_out) = arguments(&json);
        left_out.sort();
        assert_eq!(left_out, ["a-b", "a.b", "long", "nul"]);
        let expected = [("JOC_ARG_CUSTOMER", "ACME"), ("JOC_ARG_O", r#"{"x":[true]}"#)];
        assert_eq!(variables, expected.map(|(a, b)| (a.into(), b.into())).into());
    }

    #[test]
    fn many_arguments_stay_within_the_limit() {
        let many: Vec<String> =
            (0..20).map(|i| format!(r#""a{i}": "{}""#, "x".repeat(30_000))).collect();
        let (variables, left_out) = arguments(&format!("{{{}}}", many.join(",")));
        assert_eq!((variables.len(), left_out.len()), (8, 12));
    }
}
