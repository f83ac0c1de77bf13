//! Tables (CSV): a row of names, then an order per row. Each cell becomes a field of a JSON line, which
//! is read like any other.

use std::io::BufRead;
use std::ops::ControlFlow;

use csv::{ByteRecord, ReaderBuilder};
use serde_json::{Map, Value, json};

use self::column::{Field, field};
use super::format::{Budget, MAX_LINE, Mapping, TOO_LONG};
use super::parse::{Read as Parsing, parse_line};
use super::rejects::ERRORS;
use super::sink::Sink;
use crate::model::invalid::{displayable, quoted};
use crate::model::suggest::closest;

mod column;

/// Whether this is the name of a field.
pub(super) fn knows(name: &str) -> bool {
    field(name).is_some()
}

/// A column with a field, or a default without a column.
struct Source {
    field: Field,
    /// Its place and its name.
    column: Option<(usize, String)>,
    default: Option<String>,
}

pub(super) fn read_table(
    mut input: impl BufRead,
    budget: &Budget,
    mapping: &Mapping,
    ignored: &[String],
    sink: &mut Sink,
) -> ControlFlow<()> {
    budget.set(Some(MAX_LINE));
    // The csv crate leaves the \n of \r\n to the next row.
    let has_cr = input.fill_buf().is_ok_and(|start| {
        let end = start.iter().position(|byte| *byte == b'\n');
        end.and_then(|end| start.get(..end)).is_some_and(|row| row.ends_with(b"\r"))
    });
    let end: &[u8] = if has_cr { b"\r\n" } else { b"\n" };
    let unread = u64::from(!has_cr);
    let input = input.chain(end);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(mapping.delimiter)
        .from_reader(input);
    let (mut names, mut row) = (ByteRecord::new(), ByteRecord::new());
    match reader.read_byte_record(&mut names) {
        Ok(true) => {}
        Ok(false) => return sink.end(None, "the table has no row of names".into()),
        Err(error) => return sink.end(Some(1), reason(error)),
    }
    let sources = match sources(&names, mapping, ignored) {
        Ok(sources) => sources,
        Err(reason) => return sink.end(Some(1), reason),
    };
    let mut has_rejects = false;
    loop {
        budget.set(Some(MAX_LINE));
        let before = reader.position().line();
        match reader.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) => return ControlFlow::Continue(()),
            Err(error) => return sink.end(Some(before), reason(error)),
        }
        // The position before it may be that of a blank line.
        let inside = row.iter().flatten().filter(|byte| **byte == b'\n').count() as u64;
        let line = reader.position().line().saturating_sub(inside + unread);
        let parsed = parse_row(&names, &row, &sources, mapping);
        sink.take_with(line, parsed, |rejects, _, _, errors| {
            if !has_rejects {
                has_rejects = true;
                rejects.row(mapping.delimiter, &names_of(&names), ERRORS)?;
            }
            rejects.row(mapping.delimiter, &cut(&row, &names), &errors.join("; "))
        })?;
    }
}

fn reason(error: csv::Error) -> String {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.to_string() == TOO_LONG => TOO_LONG.into(),
        csv::ErrorKind::Io(error) => error.to_string(),
        _ => "cannot be read as a row of a table".into(),
    }
}

/// The columns of the names without that of earlier errors.
fn names_of(names: &ByteRecord) -> ByteRecord {
    names.iter().filter(|name| *name != ERRORS.as_bytes()).collect()
}

/// The cells of a row without those of earlier errors.
fn cut(row: &ByteRecord, names: &ByteRecord) -> ByteRecord {
    let is_error = |i: usize| names.get(i) == Some(ERRORS.as_bytes());
    row.iter().enumerate().filter(|(i, _)| !is_error(*i)).map(|(_, cell)| cell).collect()
}

/// Where each field comes from, or what is wrong with the names.
fn sources(
    names: &ByteRecord,
    mapping: &Mapping,
    ignored: &[String],
) -> Result<Vec<Source>, String> {
    let mut texts = Vec::new();
    for name in names {
        let name = str::from_utf8(name).map_err(|_| "a name is not UTF-8")?;
        if texts.contains(&name) {
            return Err(format!("two columns have the name {}", quoted(name)));
        }
        texts.push(name);
    }
    let mut sources: Vec<Source> = Vec::new();
    let mut add = |name: &str, column: Option<(usize, String)>| -> Result<(), String> {
        let Some(field) = field(name) else {
            return Err(format!("there is no field {}", quoted(name)));
        };
        if sources.iter().any(|source| source.field.path == field.path) {
            return Err(format!("{} is mapped twice", displayable(name)));
        }
        let default = mapping.defaults.iter().find(|(named, _)| names_same(named, &field));
        let default = default.map(|(_, value)| value.clone());
        sources.push(Source { field, column, default });
        Ok(())
    };
    for (name, column) in &mapping.columns {
        let Some(place) = texts.iter().position(|text| text == column) else {
            let hint = closest(column, texts.iter().copied(), '.');
            let hint = hint.map(|meant| format!("; did you mean {}?", quoted(meant)));
            let hint = hint.unwrap_or_default();
            return Err(format!("there is no column {}{hint}", quoted(column)));
        };
        add(name, Some((place, column.clone())))?;
    }
    let mut unknown = Vec::new();
    for (place, name) in texts.iter().enumerate() {
        let is_ignored = *name == ERRORS || ignored.iter().any(|ignored| ignored == name);
        if is_ignored || mapping.columns.iter().any(|(_, column)| column == name) {
        } else if knows(name) {
            add(name, Some((place, (*name).to_owned())))?;
        } else {
            unknown.push(quoted(name));
        }
    }
    if !unknown.is_empty() {
        unknown.truncate(10);
        return Err(format!(
            "mapped to nothing: {}; --map FIELD=COLUMN maps a column, --ignore COLUMN drops it",
            unknown.join(", ")
        ));
    }
    for (name, _) in &mapping.defaults {
        let is_there = field(name).is_some_and(|f| texts_have(&sources, &f));
        if !is_there {
            let Some(field) = field(name) else {
                return Err(format!("there is no field {}", quoted(name)));
            };
            let default = mapping.defaults.iter().find(|(named, _)| names_same(named, &field));
            let default = default.map(|(_, value)| value.clone());
            sources.push(Source { field, column: None, default });
        }
    }
    let missing = column::REQUIRED.iter().find(|name| {
        let is_given = **name == "controller_id" && mapping.controller_id.is_some();
        !is_given && field(name).is_none_or(|field| !texts_have(&sources, &field))
    });
    // `arguments` as a whole comes before single ones.
    sources.sort_by_key(|source| source.field.path.len());
    match missing {
        None => Ok(sources),
        Some(name) => Err(format!(
            "no column has {name}: --map {name}=COLUMN maps one, --default {name}=VALUE gives all \
             orders the same"
        )),
    }
}

fn texts_have(sources: &[Source], field: &Field) -> bool {
    sources.iter().any(|source| source.field.path == field.path)
}

fn names_same(name: &str, other: &Field) -> bool {
    field(name).is_some_and(|field| field.path == other.path)
}

fn parse_row(
    names: &ByteRecord,
    row: &ByteRecord,
    sources: &[Source],
    mapping: &Mapping,
) -> Parsing {
    if row.len() != names.len() {
        let (cells, columns) = (row.len(), names.len());
        return Err(vec![format!("has {cells} cells, but there are {columns} columns")]);
    }
    let mut faults = Vec::new();
    let mut order = Map::new();
    let mut controller_id = mapping.controller_id.clone();
    for source in sources {
        let cell = match &source.column {
            Some((place, name)) => match str::from_utf8(row.get(*place).unwrap_or_default()) {
                Ok(cell) => Some(cell).filter(|cell| !cell.is_empty()),
                Err(_) => {
                    faults.push(format!("{}: is not UTF-8", displayable(name)));
                    continue;
                }
            },
            None => None,
        };
        let Some(cell) = cell.or(source.default.as_deref()) else { continue };
        match &*source.field.path {
            [only] if only == "controllerId" => controller_id = Some(cell.to_owned()),
            path => {
                if !put(&mut order, path, source.field.holds.value(cell)) {
                    faults.push(format!("{}: is given twice", displayable(&path.join("."))));
                }
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let line = json!({"controllerId": controller_id, "order": order}).to_string();
    parse_line(line.as_bytes(), &[])
        .map_err(|faults| faults.iter().map(|fault| by_column(fault, sources)).collect())
}

/// Puts a value in its place, and says whether that was free. Within what is no object there is none.
fn put(object: &mut Map<String, Value>, path: &[String], value: Value) -> bool {
    match path {
        [] => true,
        [last] => object.insert(last.clone(), value).is_none(),
        [first, rest @ ..] => {
            let inner = object.entry(first.clone()).or_insert_with(|| json!({}));
            let inner = inner.as_object_mut();
            inner.is_none_or(|inner| put(inner, rest, value))
        }
    }
}

/// A fault of the line as one of the row.
fn by_column(fault: &str, sources: &[Source]) -> String {
    let fault = fault.strip_prefix("order.").unwrap_or(fault);
    let found = sources.iter().find_map(|source| {
        let path = source.field.path.join(".");
        let rest = fault.strip_prefix(&*path).filter(|rest| rest.starts_with([':', '.', '[']))?;
        let (_, name) = source.column.as_ref()?;
        let name = displayable(name);
        Some(if knows(&name) { format!("{name}{rest}") } else { format!("{name} ({path}){rest}") })
    });
    found.unwrap_or_else(|| fault.to_owned())
}
