//! What goes to standard output: tables for people, JSON and CSV for scripts.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};

use chrono::DateTime;
use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::failure::Failure;
use crate::model::window::iso;

/// How data are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people: lines that may change with a version of this program.
    Table,
    /// The answer of the service, for jq and the like.
    Json,
    /// With a header line, for spreadsheets.
    Csv,
}

/// How to show what comes out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// How to show what comes out
    #[arg(long = "output", value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// A column: its name in CSV, and where its value is in an item.
pub(super) struct Column {
    name: &'static str,
    pointer: &'static str,
    /// Whether only CSV shows it.
    wide: bool,
}

impl Column {
    /// A column that tables and CSV show.
    pub(super) const fn new(name: &'static str, pointer: &'static str) -> Self {
        Self { name, pointer, wide: false }
    }

    /// A column that only CSV shows.
    pub(super) const fn wide(name: &'static str, pointer: &'static str) -> Self {
        Self { name, pointer, wide: true }
    }

    fn of(&self, item: &Value) -> String {
        match item.pointer(self.pointer) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            // The only instant that the API writes as a number.
            Some(Value::Number(number)) if self.pointer == "/scheduledFor" => {
                let at = number.as_i64().and_then(DateTime::from_timestamp_millis);
                at.map_or_else(|| number.to_string(), |at| iso(&at))
            }
            Some(value) => value.to_string(),
        }
    }
}

/// Prints items as CSV or as a table.
pub(super) fn items(format: Format, columns: &[Column], items: &Value) -> anyhow::Result<()> {
    match format {
        Format::Csv => write(&csv(columns, items)?),
        Format::Table | Format::Json => write(table(columns, items).as_bytes()),
    }
}

/// Prints an answer as JSON.
pub(super) fn json(answer: &Value) -> anyhow::Result<()> {
    let text = if io::stdout().is_terminal() {
        escaped_json(&format!("{answer:#}"))
    } else {
        answer.to_string()
    };
    write(format!("{text}\n").as_bytes())
}

/// Writes to standard output, which may be closed.
pub(in crate::cli) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::OutputClosed.into()),
        result => Ok(result?),
    }
}

/// Writes to standard error, if anybody reads it.
pub(in crate::cli) fn tell(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Items as a table without lines.
pub(super) fn table(columns: &[Column], items: &Value) -> String {
    let columns: Vec<&Column> = columns.iter().filter(|column| !column.wide).collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.name.to_uppercase().replace('_', " ")));
    for item in items.as_array().into_iter().flatten() {
        table.add_row(columns.iter().map(|column| visible(&column.of(item))));
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim()));
    lines.collect()
}

fn csv(columns: &[Column], items: &Value) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|column| column.name))?;
    for item in items.as_array().into_iter().flatten() {
        writer.write_record(columns.iter().map(|column| harmless(column.of(item))))?;
    }
    Ok(writer.into_inner()?)
}

/// A cell that no spreadsheet takes for a formula: one that could be one gets a `'` before it,
/// but for numbers.
fn harmless(cell: String) -> String {
    let may_be_formula =
        cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let is_number = cell.strip_prefix('-').is_some_and(|digits| {
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok()
    });
    if may_be_formula && !is_number { format!("'{cell}") } else { cell }
}

/// A text that does nothing to a terminal: control characters, and those that turn the
/// direction of what follows, are written as `\u{1b}` and the like.
pub(in crate::cli) fn visible(text: &str) -> String {
    let escaped = |c: char| if acts(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// JSON text, which stays the same JSON, for a terminal.
fn escaped_json(text: &str) -> String {
    let escaped = |c: char| -> Cow<'_, str> {
        if c != '\n' && acts(c) {
            format!("\\u{:04x}", u32::from(c)).into()
        } else {
            c.to_string().into()
        }
    };
    text.chars().map(escaped).collect()
}

fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] =
        &[Column::new("order_id", "/orderId"), Column::wide("priority", "/priority")];

    #[test]
    fn a_table_shows_what_would_act_on_a_terminal() {
        let items = json!([{"orderId": "a\u{1b}[2J\r\n\u{9b}b\u{202e}c"}, {"orderId": "überlang"}]);
        let table = table(COLUMNS, &items);
        assert_eq!(table, "ORDER ID\na\\u{1b}[2J\\r\\n\\u{9b}b\\u{202e}c\nüberlang\n");
    }

    #[test]
    fn csv_has_no_formulas() {
        let items = json!([
            {"orderId": "=1+1", "priority": -10}, {"orderId": "-2+cmd|'x'!A1"}, {"orderId": "@a,\"b\"\n"},
            {"orderId": "+1", "priority": 2}, {"orderId": "-inf"}, {"orderId": "#2026-11-23#P1"},
        ]);
        let csv = String::from_utf8(csv(COLUMNS, &items).unwrap()).unwrap();
        assert_eq!(
            csv,
            "order_id,priority\n'=1+1,-10\n'-2+cmd|'x'!A1,\n\"'@a,\"\"b\"\"\n\",\n'+1,2\n'-inf,\n\
             #2026-11-23#P1,\n"
        );
    }

    #[test]
    fn json_for_a_terminal_is_the_same_json() {
        let value = json!({"a": "\u{1b}\u{9b}\u{202e}\n\\"});
        let text = escaped_json(&format!("{value:#}"));
        assert!(!text.contains('\u{9b}') && !text.contains('\u{202e}'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn instants_are_dates() {
        let column = Column::new("scheduled_for", "/scheduledFor");
        let at = |value| column.of(&json!({ "scheduledFor": value }));
        assert_eq!(at(json!(1001)), "1970-01-01T00:00:01.001Z");
        assert_eq!(at(json!(null)), "");
        assert_eq!(at(json!("never")), "never");
    }
}
