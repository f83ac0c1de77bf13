//! What the reader has found: how many orders, and which lines are bad and why.

use std::collections::HashMap;
use std::fmt::{self, Write};

use super::parse::without_column;
use crate::model::counted::counted;
use crate::store::Imported;

/// Maximum problems to report.
const REPORTED: usize = 50;
/// Maximum further places to name for each problem.
const NAMED: usize = 5;

/// A problem, and where it is.
#[derive(Debug)]
struct InputProblem {
    /// Its place, if it has one, and the reason.
    text: String,
    /// Some of the other places that have it.
    others: Vec<u64>,
    /// How many other places have it.
    count: u64,
}

/// The result of reading.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// The first problems.
    problems: Vec<InputProblem>,
    /// The index in `problems` of each reason.
    reasons: HashMap<String, usize>,
    /// How many bad lines there are.
    pub(super) bad_count: u64,
    /// Whether bad lines are left out.
    pub(super) is_lenient: bool,
    /// Whether the rest of the input could not be read.
    pub(super) is_cut: bool,
    /// How many problems are not kept.
    unreported: u64,
    /// What the input is instead of JSON lines, if it looks like something else.
    pub(super) instead: Option<&'static str>,
    /// How many lines or orders were good.
    pub(super) good: u64,
    /// How many orders were good.
    pub orders: u64,
    /// The outcome of orders repeated within a batch, which the database does not see.
    pub repeated: Imported,
    /// The number of orders that are the first of a cycle.
    pub cycles: u64,
    /// The number of further orders in these cycles.
    pub hidden_cyclic: u64,
}

impl ImportReport {
    pub(super) fn of(is_lenient: bool) -> Self {
        Self { is_lenient, ..Self::default() }
    }

    /// The error message about bad lines, if there are any.
    pub fn complaint(&self) -> Option<String> {
        let may_be_left_out = self.is_lenient && !self.is_cut && self.good > 0;
        if self.bad_count == 0 || may_be_left_out {
            return None;
        }
        if let Some(instead) = self.instead.filter(|_| self.good == 0) {
            // The errors of single lines would not help.
            return Some(format!("nothing was imported: {instead}"));
        }
        let bad = counted(self.bad_count, "bad line");
        Some(format!("nothing was imported: the input has {bad}{}", self.problems()))
    }

    /// The problems, each on a line of its own.
    pub(super) fn problems(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            let _ = write!(text, "\n  {problem}");
        }
        if self.unreported > 0 {
            let _ = write!(text, "\n  and {} more", self.unreported);
        }
        text
    }

    /// Adds a bad line; problems that differ only in their place are merged.
    pub(super) fn add(&mut self, place: Option<(&str, u64)>, reasons: &[String]) {
        self.bad_count += 1;
        for reason in reasons {
            self.add_problem(place, reason);
        }
    }

    fn add_problem(&mut self, place: Option<(&str, u64)>, reason: &str) {
        let kind = without_column(reason);
        match (self.reasons.get(kind), place) {
            (Some(&known), Some((_, at))) => self.problems[known].repeat(at),
            _ if self.problems.len() == REPORTED => self.unreported += 1,
            _ => {
                self.reasons.insert(kind.to_owned(), self.problems.len());
                let text = match place {
                    Some((place, _)) => format!("{place}: {reason}"),
                    None => reason.to_owned(),
                };
                self.problems.push(InputProblem { text, others: Vec::new(), count: 0 });
            }
        }
    }
}

impl InputProblem {
    fn repeat(&mut self, at: u64) {
        self.count += 1;
        if self.others.len() < NAMED {
            self.others.push(at);
        }
    }
}

impl fmt::Display for InputProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.count == 0 {
            return Ok(());
        }
        let others: Vec<String> = self.others.iter().map(u64::to_string).collect();
        write!(f, " (also {}", others.join(", "))?;
        match self.count - others.len() as u64 {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

/// What was imported, for people.
pub(super) fn summary(imported: Imported, replace: bool) -> String {
    let Imported { inserted, updated, unchanged, skipped } = imported;
    let unchanged = if replace { format!(", {unchanged} unchanged") } else { String::new() };
    format!("{inserted} new, {updated} replaced{unchanged}, {skipped} skipped")
}
