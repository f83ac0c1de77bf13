//! Tables for people, as wide as the terminal.

use std::borrow::Cow;

use chrono::DateTime;
use console::{Color, Style, Term, measure_text_width};
use serde_json::Value;

use super::escape::visible;
use crate::model::order::{EffectiveState, Mark};
use crate::model::window::iso;

/// A column: its name in CSV, and where its value is in an item.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pointer: &'static str,
    kind: ColumnKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ColumnKind {
    /// Always shown in full.
    Plain,
    /// Shortened where a terminal is too narrow.
    Text,
    /// A random id, shortened first: a part identifies it as well.
    Version,
    /// A state or a mark, with its colour.
    State,
    /// In CSV only.
    Wide,
}

impl Column {
    /// A column that is always shown in full.
    pub(super) const fn new(name: &'static str, pointer: &'static str) -> Self {
        Self { name, pointer, kind: ColumnKind::Plain }
    }

    /// A column of texts of any length.
    pub(super) const fn text(name: &'static str, pointer: &'static str) -> Self {
        Self { name, pointer, kind: ColumnKind::Text }
    }

    /// A column of versions of workflows.
    pub(super) const fn version(name: &'static str, pointer: &'static str) -> Self {
        Self { name, pointer, kind: ColumnKind::Version }
    }

    /// A column of states or marks.
    pub(super) const fn state(name: &'static str, pointer: &'static str) -> Self {
        Self { name, pointer, kind: ColumnKind::State }
    }

    /// A column that only CSV shows.
    pub(super) const fn wide(name: &'static str, pointer: &'static str) -> Self {
        Self { name, pointer, kind: ColumnKind::Wide }
    }

    fn is_elastic(&self) -> bool {
        matches!(self.kind, ColumnKind::Text | ColumnKind::Version)
    }

    fn header(&self) -> String {
        self.name.to_uppercase().replace('_', " ")
    }

    pub(super) fn of(&self, item: &Value) -> String {
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

/// The width and colours of the terminal.
pub(super) struct Screen {
    /// `None`: unlimited.
    width: Option<usize>,
    colors: bool,
}

impl Screen {
    /// Standard output.
    pub(super) fn stdout() -> Self {
        Self::of(&Term::stdout(), console::colors_enabled())
    }

    /// Standard error.
    pub(super) fn stderr() -> Self {
        Self::of(&Term::stderr(), console::colors_enabled_stderr())
    }

    fn of(term: &Term, colors: bool) -> Self {
        if !term.is_term() {
            return Self { width: None, colors: false };
        }
        Self { width: term.size_checked().map(|(_, columns)| columns.into()), colors }
    }
}

/// The gap between two columns.
const GAP: &str = "  ";
/// Marks omissions.
const ELLIPSIS: &str = "…";
/// No column is shortened below this width.
const NARROW: usize = 9;

/// Items as a table without lines.
pub(super) fn table(columns: &[Column], items: &Value, screen: &Screen) -> String {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    // A terminal has no room for empty columns.
    let is_blank = |column: &Column| {
        screen.width.is_some() && items.iter().all(|item| column.of(item).is_empty())
    };
    let is_shown = |column: &&Column| {
        column.kind != ColumnKind::Wide && (items.is_empty() || !is_blank(column))
    };
    let mut columns: Vec<&Column> = columns.iter().filter(is_shown).collect();
    let items = items.iter();
    let rows = items.map(|item| columns.iter().map(|c| visible(&c.of(item))).collect::<Vec<_>>());
    let header = columns.iter().map(|column| column.header()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();

    let natural = |i: usize| rows.iter().map(|row| measure_text_width(&row[i])).max();
    let mut widths: Vec<usize> =
        (0..columns.len()).map(|i| natural(i).unwrap_or_default()).collect();
    let all = columns.len();
    if let Some(width) = screen.width {
        // Columns that do not fit even when shortened are dropped from the right.
        let mut room = width;
        while !fit(&columns, &mut widths, room) && columns.len() > 1 {
            columns.pop();
            widths = (0..columns.len()).map(|i| natural(i).unwrap_or_default()).collect();
            room = width.saturating_sub(GAP.len() + measure_text_width(ELLIPSIS));
        }
    }
    let mut table = String::new();
    for (i, row) in rows.iter().enumerate() {
        let mut line = String::new();
        let mut blank = 0;
        for ((cell, column), width) in row.iter().zip(&columns).zip(&widths) {
            let cell = elided(cell, *width);
            if !cell.is_empty() {
                line.extend(std::iter::repeat_n(' ', std::mem::take(&mut blank)));
                line += &painted(&cell, column, screen);
            }
            blank += width - measure_text_width(&cell) + GAP.len();
        }
        table += line.trim_end();
        if i == 0 && columns.len() < all {
            table += GAP;
            table += ELLIPSIS;
        }
        table.push('\n');
    }
    table
}

/// Narrows columns until a row fits, if possible: versions first, the identifying column last.
fn fit(columns: &[&Column], widths: &mut [usize], available: usize) -> bool {
    let least = |i: usize| measure_text_width(&columns[i].header()).max(NARROW);
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let excess = |widths: &[usize]| (widths.iter().sum::<usize>() + gaps).saturating_sub(available);
    for (i, column) in columns.iter().enumerate() {
        if column.kind == ColumnKind::Version && excess(widths) > 0 {
            widths[i] = widths[i].min(least(i));
        }
    }
    for candidates in [1..columns.len(), 0..1] {
        while excess(widths) > 0 {
            let elastic = candidates.clone().filter(|&i| columns[i].is_elastic());
            let widest = elastic.filter(|&i| widths[i] > least(i)).max_by_key(|&i| widths[i]);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
        }
    }
    excess(widths) == 0
}

/// Shortens a text to a width by cutting out its middle.
fn elided(text: &str, width: usize) -> Cow<'_, str> {
    if measure_text_width(text) <= width {
        return text.into();
    }
    let kept = width.saturating_sub(1);
    let within = |limit: usize, chars: &mut dyn Iterator<Item = char>| {
        let mut used = 0;
        let fits = |c: &char| {
            used += measure_text_width(c.encode_utf8(&mut [0; 4]));
            used <= limit
        };
        chars.take_while(fits).collect::<Vec<char>>()
    };
    let start = within(kept / 2, &mut text.chars());
    let end = within(kept - kept / 2, &mut text.chars().rev());
    let (start, end) = (start.into_iter(), end.into_iter().rev());
    start.chain(ELLIPSIS.chars()).chain(end).collect::<String>().into()
}

/// A cell in the colour of its state.
fn painted(cell: &str, column: &Column, screen: &Screen) -> String {
    match color(cell) {
        Some(color) if screen.colors && column.kind == ColumnKind::State => {
            Style::new().force_styling(true).fg(color).apply_to(cell).to_string()
        }
        _ => cell.to_owned(),
    }
}

/// The terminal colour closest to that of JOC's GUI for a state or mark.
fn color(word: &str) -> Option<Color> {
    if word == "KILL" {
        return Some(Color::Red);
    }
    let severity = word.parse().map(EffectiveState::severity).ok();
    match severity.or_else(|| word.parse().map(Mark::severity).ok())? {
        0 | 3 => Some(Color::Green),
        1 | 7 => Some(Color::Yellow),
        2 => Some(Color::Red),
        6 => Some(Color::Blue),
        5 | 12 => Some(Color::Magenta),
        8 => Some(Color::Cyan),
        _ => None,
    }
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
        let table = table(COLUMNS, &items, &Screen { width: None, colors: false });
        assert_eq!(table, "ORDER ID\na\\u{1b}[2J\\r\\n\\u{9b}b\\u{202e}c\nüberlang\n");
    }

    const NARROWED: &[Column] = &[
        Column::text("order_id", "/id"),
        Column::text("workflow", "/path"),
        Column::version("version", "/version"),
        Column::state("state", "/state"),
    ];

    #[test]
    fn a_table_fits_its_terminal() {
        let path = format!("/sos{}/eod", "/folder".repeat(30));
        let items = json!([
            {"id": "#2026-11-23#P1-eod", "path": path, "version": "c86308a3-90f1-4b50-a4d2-7d60f5e45c1f", "state": "RUNNING"},
            {"id": "日本語", "path": "/日本/東京", "version": "1", "state": "FAILED"},
        ]);
        let full = table(NARROWED, &items, &Screen { width: None, colors: false });
        assert!(full.contains(&path) && full.contains("7d60f5e45c1f"), "{full}");
        for width in [60, 80, 120, 250] {
            let table = table(NARROWED, &items, &Screen { width: Some(width), colors: false });
            for line in table.lines() {
                assert!(measure_text_width(line) <= width, "{width}\n{table}");
            }
            assert!(table.contains("#2026-11-23#P1-eod ") && table.contains("/eod"), "{table}");
            assert!(table.contains("c863…5c1f"), "{table}");
            let columns = table.lines().map(|line| {
                let (before, _) = line.split_at(line.rfind("  ").unwrap());
                measure_text_width(before)
            });
            assert_eq!(columns.collect::<std::collections::BTreeSet<_>>().len(), 1, "{table}");
        }
        let (unmarked, marked) = (json!([{"id": "a"}]), json!([{"id": "a", "state": "FAILED"}]));
        for (items, width, header) in [
            (&unmarked, Some(80), "ORDER ID\n"),
            (&marked, Some(80), "ORDER ID  STATE\n"),
            (&unmarked, None, "ORDER ID  WORKFLOW  VERSION  STATE\n"),
            (&json!([]), Some(80), "ORDER ID  WORKFLOW  VERSION  STATE\n"),
        ] {
            let table = table(NARROWED, items, &Screen { width, colors: false });
            assert!(table.starts_with(header), "{table}");
        }
        // The header says that columns are left out.
        let tiny = table(NARROWED, &items, &Screen { width: Some(12), colors: false });
        assert_eq!(tiny, "ORDER ID  …\n#202…-eod\n日本語\n");
    }

    #[test]
    fn states_have_colours_and_nothing_else() {
        let items = json!([{"id": "FAILED", "path": "/a", "version": "1", "state": "FAILED"}]);
        let table = table(NARROWED, &items, &Screen { width: None, colors: true });
        assert!(
            table.ends_with("\nFAILED    /a        1        \u{1b}[31mFAILED\u{1b}[0m\n"),
            "{table}"
        );
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
