//! Files to import, each read as lines and as a response of JOC, with and without `--replace`.

#![no_main]

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::LazyLock;

use joc_orders::cli::import::{InputFormat, import};
use joc_orders::model::json::Json;
use joc_orders::store::{Imported, Item};
use joc_orders_fuzz::NoDatabase;
use libfuzzer_sys::fuzz_target;
use regex::Regex;
use serde::Deserialize;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());
/// The message about an invalid line: place and reason.
static COMPLAINT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^  (line [1-9][0-9]*: .|orders\[[0-9]+\]: .|the response: .|and [0-9]+ more$)")
        .unwrap()
});
const CONTROLLER: &str = "prod";

/// The part of a line that is compared. The rest may be JSON that cannot be parsed as a value, such
/// as very deeply nested lists.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    controller_id: Json,
    workflow: Option<Json>,
    order: Option<LineOrder>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LineOrder {
    order_id: Json,
    workflow_id: Json,
    state: Json,
    #[serde(default)]
    priority: Json,
    #[serde(default)]
    scheduled_for: Json,
    #[serde(default)]
    suspended: Json,
}

fuzz_target!(|file: &[u8]| {
    let skip = read(file, lines(), false);
    let replace = read(file, lines(), true);
    assert_eq!(skip.as_ref().err(), replace.as_ref().err());
    if let (Ok((items, imported)), Ok((_, replaced))) = (skip, replace) {
        same(items.len(), imported, replaced);
        // A comment may be any bytes.
        let lines = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file).split(|b| *b == b'\n');
        let lines: Vec<Line> = lines
            .filter(|line| !line.trim_ascii().is_empty() && !line.starts_with(b"#"))
            .map(|line| serde_json::from_slice(line.trim_ascii_end()).unwrap())
            .collect();
        assert_eq!(items.len(), lines.len());
        for (item, line) in items.iter().zip(&lines) {
            stands_for(item, line);
        }
    }

    let skip = read(file, answer(), false);
    let replace = read(file, answer(), true);
    assert_eq!(skip.as_ref().err(), replace.as_ref().err());
    if let (Ok((items, imported)), Ok((_, replaced))) = (skip, replace) {
        same(items.len(), imported, replaced);
        for item in &items {
            assert_eq!(item.controller_id, CONTROLLER);
        }
    }
});

fn lines() -> InputFormat {
    InputFormat::Lines
}

fn answer() -> InputFormat {
    InputFormat::Response { controller_id: CONTROLLER.into() }
}

fn read(file: &[u8], format: InputFormat, replace: bool) -> Result<(Vec<Item>, Imported), String> {
    let store = NoDatabase::default();
    let input = Cursor::new(file.to_vec());
    match RUNTIME.block_on(import(&store, input, format, replace)) {
        Ok((imported, report)) => {
            assert_eq!(report.complaint(), None);
            let items = std::mem::take(&mut *store.items.lock().unwrap());
            let orders = items.iter().filter(|item| item.order.is_some()).count() as u64;
            assert_eq!(imported.inserted, orders);
            assert_eq!(imported.inserted + imported.updated + imported.skipped, report.orders);
            let mut seen = HashMap::new();
            for item in &items {
                if let Some(order) = &item.order {
                    let before = seen.insert((&item.controller_id, &order.order_id), ());
                    assert!(before.is_none(), "{} is there twice", order.order_id);
                }
            }
            Ok((items, imported))
        }
        Err(error) => {
            let text = format!("{error:#}");
            let mut said = text.lines();
            let first = said.next().unwrap();
            let mut said = said.peekable();
            if first.starts_with("nothing was imported: this looks like ") {
                assert_eq!(said.peek(), None);
                return Err(text);
            }
            assert!(first.starts_with("nothing was imported: the input has "), "{text:?}");
            assert!(said.peek().is_some(), "{text:?}");
            for line in said {
                assert!(COMPLAINT.is_match(line), "{text:?}");
                assert!(!line.chars().any(char::is_control), "{text:?}");
                assert!(line.chars().count() < 1000, "{text:?}");
            }
            Err(text)
        }
    }
}

/// `--replace` does not change how many orders are new; repeated ones replace each other or are
/// skipped.
fn same(items: usize, skipping: Imported, replacing: Imported) {
    assert!(skipping.inserted as usize <= items);
    assert_eq!(skipping.inserted, replacing.inserted);
    assert_eq!(skipping.updated, 0);
    assert_eq!(skipping.skipped, replacing.updated + replacing.skipped);
}

/// The item matches its line.
fn stands_for(item: &Item, line: &Line) {
    assert_eq!(*line.controller_id, item.controller_id);
    let workflow = line.order.as_ref().map(|order| &order.workflow_id);
    let workflow = workflow.or(line.workflow.as_ref()).unwrap();
    assert_eq!(workflow["path"], item.workflow_path);
    if let Some(kept) = &item.order {
        let order = line.order.as_ref().unwrap();
        assert_eq!(*order.order_id, kept.order_id);
        assert_eq!(order.priority.as_i64().unwrap_or_default(), i64::from(kept.priority));
        let at = kept.scheduled_for.map(|at| at.timestamp_millis());
        let is_text = order.scheduled_for.is_string();
        assert!(at.is_none() || is_text || order.scheduled_for.as_i64() == at);
        let is_suspended = ["SUSPENDED", "RESUMEMARKED"].iter().any(|s| order.state["_text"] == *s);
        assert_eq!(kept.suspended, order.suspended.as_bool().unwrap_or(is_suspended));
    }
}
