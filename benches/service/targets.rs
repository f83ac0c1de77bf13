//! What is measured, and the target of each.

use self::Table::{Calls, Edges, Largest, Peers, Thousands};
use self::Target::{AtLeast, AtMost};
use self::Unit::{Mebibytes, Milliseconds, Ratio};

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// Measured only to be known.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The service compared with the baseline.
    Ratio,
    Milliseconds,
    Mebibytes,
}

/// The table in which a result stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// By database and number of stored orders.
    Thousands,
    /// At the largest size, beside the baseline.
    Largest,
    /// Every endpoint, by database.
    Calls,
    /// Many clients, and TLS.
    Edges,
    /// Other schedulers.
    Peers,
}

/// Results that share a target.
#[derive(Debug, PartialEq)]
pub struct Topic {
    pub name: &'static str,
    pub table: Table,
    pub unit: Unit,
    pub target: Target,
}

impl Topic {
    const fn new(name: &'static str, table: Table, unit: Unit, target: Target) -> Self {
        Self { name, table, unit, target }
    }

    pub fn is_met(&self, value: f64) -> bool {
        match self.target {
            Target::AtMost(limit) => value <= limit,
            Target::AtLeast(limit) => value >= limit,
            Target::None => true,
        }
    }

    /// The target as the tables show it.
    pub fn shown_target(&self) -> String {
        match self.target {
            Target::AtMost(limit) => format!("≤ {}", self.limit(limit)),
            Target::AtLeast(limit) => format!("≥ {}", self.limit(limit)),
            Target::None => "-".into(),
        }
    }

    fn limit(&self, limit: f64) -> String {
        match self.unit {
            Unit::Ratio => limit.to_string(),
            Unit::Milliseconds => format!("{} ms", grouped(limit as usize)),
            Unit::Mebibytes => format!("{limit} MiB"),
        }
    }

    /// A value as the tables show it.
    pub fn shown(&self, value: f64) -> String {
        match self.unit {
            Unit::Ratio => format!("{value:.2}"),
            Unit::Milliseconds => format!("{} ms", digits(value)),
            Unit::Mebibytes => format!("{value:.0} MiB"),
        }
    }
}

/// Two decimals below ten, otherwise none.
pub fn digits(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { grouped(value.round() as usize) }
}

/// 1,000,000 for 1000000.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

pub const CANCELS: Topic =
    Topic::new("cancel 1,000 orders: time / typed statement", Thousands, Ratio, AtMost(1.2));
pub const READS: Topic = Topic::new(
    "preview or list 1,000 orders: time / typed statement",
    Thousands,
    Ratio,
    AtMost(1.3),
);
pub const IMPORT: Topic = Topic::new("import: time / copy of a CSV", Largest, Ratio, AtMost(2.0));
pub const SINGLES: Topic =
    Topic::new("cancel one order: rate / pgbench", Largest, Ratio, AtLeast(0.85));
pub const ONE_CLIENT: Topic =
    Topic::new("cancel one order, 1 client: rate / bare loop", Largest, Ratio, AtLeast(0.95));
pub const MANY_CLIENTS: Topic = Topic::new(
    "cancel one order, 8 and 32 clients: rate / bare loop",
    Largest,
    Ratio,
    AtLeast(1.0),
);
pub const FEW: Topic =
    Topic::new("cancel up to 100 orders: time / typed statement", Largest, Ratio, Target::None);
pub const BULK: Topic = Topic::new(
    "cancel 1,000 to 100,000 orders: time / typed statement",
    Largest,
    Ratio,
    AtMost(1.2),
);
pub const LISTED: Topic =
    Topic::new("list 100,000 orders: time / typed statement", Largest, Ratio, AtMost(1.3));
pub const SNAPSHOT: Topic =
    Topic::new("count all orders: time / typed statement", Largest, Ratio, AtMost(1.3));
pub const WAITING: Topic = Topic::new(
    "cancel one order during a long cancel: 99th percentile",
    Largest,
    Milliseconds,
    AtMost(1000.0),
);
pub const READING: Topic = Topic::new(
    "list 1,000 orders during a long cancel: 99th percentile",
    Largest,
    Milliseconds,
    AtMost(1000.0),
);
pub const START: Topic =
    Topic::new("cold start to the first response", Largest, Milliseconds, AtMost(200.0));
pub const MEMORY: Topic =
    Topic::new("peak memory of a cancel of all orders", Largest, Mebibytes, AtMost(150.0));
pub const DURATION: Topic =
    Topic::new("duration of that cancel", Largest, Milliseconds, Target::None);
pub const ROWS: Topic =
    Topic::new("each endpoint, up to 100 rows: time", Calls, Milliseconds, AtMost(20.0));
pub const LONG: Topic =
    Topic::new("each endpoint, a long response: first byte", Calls, Milliseconds, AtMost(50.0));
pub const ALL: Topic =
    Topic::new("each endpoint, counts of everything: time", Calls, Milliseconds, AtMost(400.0));
pub const LOGIN: Topic = Topic::new("logins, 64 clients", Edges, Milliseconds, Target::None);
pub const LOGIN_MEMORY: Topic =
    Topic::new("peak memory of 64 clients that log in", Edges, Mebibytes, AtMost(150.0));
pub const IDLE_MEMORY: Topic =
    Topic::new("memory with 10,000 idle connections", Edges, Mebibytes, Target::None);
pub const IDLE: Topic = Topic::new(
    "a request beside 10,000 idle connections: time / without them",
    Edges,
    Ratio,
    Target::None,
);
pub const TLS: Topic = Topic::new("TLS: time / plain HTTP", Edges, Ratio, Target::None);
pub const PEER: Topic = Topic::new("other schedulers", Peers, Ratio, Target::None);
