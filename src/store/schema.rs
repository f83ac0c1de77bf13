//! Compares a schema with the one that the migrations create.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::capture::Capture;

/// A table, column or other part of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct SchemaPart {
    /// Its kind: `table`, `column`, `constraint`, `index`, `trigger`, `rule`, `view`,
    /// `function`.
    pub kind: String,
    /// The table that it belongs to, if any.
    pub of: String,
    /// Its name.
    pub name: String,
    /// Its definition, as the database reports it.
    pub definition: String,
}

/// The end of the definition of a disabled trigger.
const DISABLED: &str = ", disabled";

/// How a schema differs from the expected one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// One sentence for each difference.
    pub problems: Vec<String>,
    /// Whether every table and column exists.
    pub is_complete: bool,
    /// Whether plain SQL is captured, whose triggers are then expected, too.
    pub capture: Capture,
}

impl SchemaPart {
    fn is(&self, other: &Self) -> bool {
        (&self.kind, &self.of, &self.name) == (&other.kind, &other.of, &other.name)
    }

    fn described(&self) -> String {
        match &*self.kind {
            "column" => format!("the column {}.{}", self.of, self.name),
            // On SQLite, the name of an unnamed constraint is its text.
            "constraint" => format!("the constraint {} of {}", self.name, self.of),
            kind => format!("the {kind} {}", self.name),
        }
    }
}

/// Compares a schema with the expected one. Additional parts are ignored; with `strict`, triggers and
/// rules on expected tables are not, since they change what is written.
pub(super) fn compare(expected: &[SchemaPart], actual: &[SchemaPart], strict: bool) -> Differences {
    let mut differences = Differences { is_complete: true, ..Differences::default() };
    let problems = &mut differences.problems;
    for part in expected {
        let found: Vec<_> = actual.iter().filter(|other| other.is(part)).collect();
        let [first, ..] = found[..] else {
            problems.push(format!("{} is missing", part.described()));
            differences.is_complete &= !matches!(&*part.kind, "table" | "column");
            continue;
        };
        if found.iter().all(|other| other.definition != part.definition) {
            let is_disabled = first.definition.strip_suffix(DISABLED) == Some(&part.definition);
            let how = if is_disabled { "is disabled" } else { "differs from the migrations" };
            problems.push(format!("{} {how}", part.described()));
        }
    }
    if strict {
        let is_ours =
            |table: &str| expected.iter().any(|part| part.kind == "table" && part.name == table);
        let acts =
            |part: &&SchemaPart| matches!(&*part.kind, "trigger" | "rule") && is_ours(&part.of);
        for part in actual.iter().filter(acts) {
            if !expected.iter().any(|other| other.is(part)) {
                let described = part.described();
                problems.push(format!("{described} on {} is not from the migrations", part.of));
            }
        }
    }
    differences
}

/// The last migration whose schema matches, and how the actual schema differs from the next one.
/// `stages` are the migrations' numbers and the schemas after them.
pub(super) fn proved(
    stages: &[(i64, Vec<SchemaPart>)],
    actual: &[SchemaPart],
) -> (i64, Vec<String>) {
    let problems: Vec<_> = stages
        .iter()
        .map(|(version, parts)| (*version, compare(parts, actual, false).problems))
        .collect();
    match problems.iter().rposition(|(_, problems)| problems.is_empty()) {
        Some(last) => {
            let next = problems.get(last + 1).map(|(_, problems)| problems.clone());
            (problems[last].0, next.unwrap_or_default())
        }
        // Without a match, compare with the closest stage.
        None => {
            let nearest = problems.into_iter().min_by_key(|(_, problems)| problems.len());
            (0, nearest.map(|(_, problems)| problems).unwrap_or_default())
        }
    }
}
