//! Results on standard output: tables for people, JSON and CSV for scripts.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::escape::{escaped_json, visible};
use super::table::{Column, Screen, table};
use super::terminal::{tell, write};
use super::yaml::yaml;
use crate::model::counted::counted;

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// For people; the layout may change between versions.
    Table,
    /// For scripts.
    Json,
    /// What `json` shows, for people and for tools that read YAML.
    Yaml,
    /// With a header line, for spreadsheets.
    Csv,
    /// Only the first column, a line each, for other commands.
    Name,
}

impl OutputFormat {
    /// Whether it shows all of a response, instead of columns.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

/// The output format.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Output format
    #[arg(short = 'o', long = "output", value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

/// Prints items as CSV or as a table.
pub(super) fn items(format: OutputFormat, columns: &[Column], items: &Value) -> anyhow::Result<()> {
    match format {
        OutputFormat::Csv => write(&csv(columns, items)?),
        OutputFormat::Name => write(names(columns, items).as_bytes()),
        OutputFormat::Table | OutputFormat::Json | OutputFormat::Yaml => {
            write(table(columns, items, &Screen::stdout()).as_bytes())
        }
    }
}

/// Tells a person the total below a table.
pub(super) fn footer(format: OutputFormat, text: &str) {
    if format == OutputFormat::Table {
        tell(&format!("{text}\n"));
    }
}

/// Tells a person what the formats for scripts leave out.
pub(super) fn aside(format: OutputFormat, text: &str) {
    if format != OutputFormat::Table {
        tell(&format!("{text}\n"));
    }
}

/// Prints all of a value: as YAML, or as JSON, which is indented on a terminal.
pub(super) fn whole(format: OutputFormat, value: &Value) -> anyhow::Result<()> {
    if format == OutputFormat::Yaml {
        let text = yaml(value)?;
        let is_for_people = io::stdout().is_terminal();
        let shown = |line| if is_for_people { visible(line) } else { String::from(line) };
        let lines: String = text.lines().map(|line| shown(line) + "\n").collect();
        return write(lines.as_bytes());
    }
    let text = if io::stdout().is_terminal() {
        escaped_json(&format!("{value:#}"))
    } else {
        value.to_string()
    };
    write(format!("{text}\n").as_bytes())
}

/// `3 orders: 1 RUNNING, 2 SCHEDULED`, from the words at `pointer` in each item.
pub(super) fn totals(items: &Value, noun: &str, pointer: &str) -> String {
    let mut words = BTreeMap::<&str, u64>::new();
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    for word in items.iter().filter_map(|item| item.pointer(pointer)?.as_str()) {
        *words.entry(word).or_default() += 1;
    }
    total(items.len() as u64, noun, words)
}

/// `3 orders: 1 RUNNING, 2 SCHEDULED`.
pub(super) fn total<'a>(
    number: u64,
    noun: &str,
    parts: impl IntoIterator<Item = (&'a str, u64)>,
) -> String {
    let parts = parts.into_iter().map(|(word, count)| format!("{count} {}", visible(word)));
    let parts = parts.collect::<Vec<_>>().join(", ");
    let number = counted(number, noun);
    if parts.is_empty() { number } else { format!("{number}: {parts}") }
}

/// The values of the first column. Rows that belong together, such as a role's permissions, have it
/// in common.
fn names(columns: &[Column], items: &Value) -> String {
    let items = items.as_array().into_iter().flatten();
    let mut names: Vec<String> = items.map(|item| columns[0].of(item)).collect();
    names.dedup();
    names.iter().map(|name| format!("{}\n", visible(name))).collect()
}

fn csv(columns: &[Column], items: &Value) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|column| column.name))?;
    for item in items.as_array().into_iter().flatten() {
        writer.write_record(columns.iter().map(|column| harmless(column.of(item))))?;
    }
    Ok(writer.into_inner()?)
}

/// A cell that no spreadsheet evaluates: what may be a formula, and is not a number, gets a
/// leading `'`.
fn harmless(cell: String) -> String {
    let first = cell.chars().find(|&c| starts_formula(c) || !is_skipped(c));
    let may_be_formula = cell.starts_with(['\t', '\r', '\n']) || first.is_some_and(starts_formula);
    let is_number = cell.strip_prefix('-').is_some_and(|digits| {
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok()
    });
    if may_be_formula && !is_number { format!("'{cell}") } else { cell }
}

fn starts_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '﹢' | '﹣' | '﹦' | '﹫' | '−')
}

/// Whether a spreadsheet may skip this character before a formula. No spreadsheet documents which,
/// so this covers white space, invisible characters and symbols beyond ASCII.
fn is_skipped(c: char) -> bool {
    let is_filler = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
    c.is_whitespace() || c.is_control() || is_filler || !(c.is_ascii() || c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] =
        &[Column::new("order_id", "/orderId"), Column::wide("priority", "/priority")];

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
    fn csv_has_no_formulas_behind_what_nobody_sees() {
        for before in [
            " ",
            "\u{a0}",
            "  \u{a0} ",
            "\u{ad}",
            "\u{200b}",
            "\u{200d}",
            "\u{2060}",
            "\u{feff}",
            "\u{3000}",
            "\u{180e}",
            "\u{202e}",
            "\u{3164}",
            "\u{2800}",
            "\t",
            "\u{b}",
            "\0",
            "\u{85}",
            "\u{fe0f}",
            "\u{e0001}",
            "\u{34f}",
        ] {
            for formula in ["=1+1", "+1", "-1", "@SUM(1)", "＝1"] {
                let cell = format!("{before}{formula}");
                assert_eq!(harmless(cell.clone()), format!("'{cell}"), "{cell:?}");
            }
        }
        for plain in
            [" a=1", "#2026-11-23#P1", "/sos/a-b", "ü=1", "日本-", "(-1)", "'=1", "", " ", "-1.5"]
        {
            assert_eq!(harmless(plain.into()), plain);
        }
    }

    #[test]
    fn totals_count_words() {
        let items = json!([{"s": "B"}, {"s": "A"}, {"s": "B"}, {}]);
        assert_eq!(totals(&items, "order", "/s"), "4 orders: 1 A, 2 B");
        assert_eq!(totals(&json!([]), "order", "/s"), "0 orders");
    }
}
