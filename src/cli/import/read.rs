//! Reads the input on its own thread: JSON lines, or a JOC response as a stream. Good items go out
//! in batches; after the first bad line, the rest is only checked.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::{fmt, mem};

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tokio::sync::mpsc::Sender;

use super::parse::{Order, Parsed, parse_line, shortened};
use super::report::ImportReport;
use crate::store::Item;

/// Items per batch.
const BATCH: usize = 5_000;
/// The longest line, and the longest order of a response, in bytes.
const MAX_LINE: u64 = 16 * 1024 * 1024;
const TOO_LONG: &str = "is longer than 16 MiB";

/// The format of the input.
#[derive(Debug)]
pub enum InputFormat {
    /// JSON lines, each of which names its controller.
    Lines,
    /// A whole JOC `/orders` response.
    Response {
        /// The controller, which the response does not name.
        controller_id: String,
    },
}

/// Messages of the reader.
#[derive(Debug)]
pub(super) enum ReaderMessage {
    /// Items to add.
    Batch(ImportBatch),
    /// There is a bad line: nothing will be imported, and no batch follows.
    Refused,
}

/// Items without two of the same order.
#[derive(Debug)]
pub(super) struct ImportBatch {
    pub(super) items: Vec<Item>,
    unit: Unit,
    first: u64,
    last: u64,
}

impl ImportBatch {
    /// Where in the input its items are.
    pub(super) fn places(&self) -> String {
        match self.unit {
            Unit::Line => format!("lines {} to {}", self.first, self.last),
            Unit::Order => format!("orders[{}] to orders[{}]", self.first, self.last),
        }
    }
}

/// Reads the input until its end, or until the receiver is dropped.
pub(super) fn read(
    input: impl Read,
    format: InputFormat,
    replace: bool,
    messages: Sender<ReaderMessage>,
) -> ImportReport {
    let unit = match format {
        InputFormat::Lines => Unit::Line,
        InputFormat::Response { .. } => Unit::Order,
    };
    let mut sink = Sink {
        messages,
        replace,
        unit,
        items: Vec::new(),
        places: (0, 0),
        orders: HashMap::new(),
        report: ImportReport::default(),
    };
    let budget = Budget::default();
    let mut input =
        BufReader::with_capacity(1 << 16, Metered { inner: input, budget: budget.clone() });
    // Tools of Windows put a byte order mark before UTF-8.
    if input.fill_buf().is_ok_and(|start| start.starts_with(b"\xef\xbb\xbf")) {
        input.consume(3);
    }
    if let (InputFormat::Lines, Ok(start)) = (&format, input.fill_buf()) {
        sink.report.instead = instead_of_lines(start);
    }
    let flow = match format {
        InputFormat::Lines => read_lines(input, &mut sink),
        InputFormat::Response { controller_id } => {
            read_response(input, budget, &controller_id, &mut sink)
        }
    };
    if flow.is_continue() {
        let _ = sink.flush();
    }
    sink.report
}

/// What the input probably is if all of its lines are bad.
fn instead_of_lines(start: &[u8]) -> Option<&'static str> {
    const RESPONSE: &str =
        "this looks like a JOC /orders response: name its controller with --controller-id";
    const LIST: &str = "this looks like one JSON list: import takes an object a line (jq -c '.[]')";
    const OBJECTS: &str =
        "this looks like JSON objects over several lines: import takes an object a line (jq -c .)";
    let start = String::from_utf8_lossy(start.trim_ascii_start());
    let first = start.lines().next().unwrap_or_default().trim_end();
    let has = |field: &str| start.contains(&format!("\"{field}\""));
    if start.starts_with('[') {
        Some(LIST)
    } else if !start.starts_with('{') {
        None
    } else if has("deliveryDate") || has("surveyDate") || (has("orders") && !has("order")) {
        Some(RESPONSE)
    } else {
        (first == "{").then_some(OBJECTS)
    }
}

fn read_lines(mut input: impl BufRead, sink: &mut Sink) -> ControlFlow<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = match input.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.len() as u64 > MAX_LINE && !line.ends_with(b"\n") => {
                sink.take(number, Err(TOO_LONG.into()))?;
                input.skip_until(b'\n').map(drop)
            }
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => {
                sink.take(number, parse_line(line.trim_ascii_end()))?;
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            return sink.take(number, Err(error.to_string()));
        }
    }
    ControlFlow::Continue(())
}

fn read_response(
    input: impl Read,
    budget: Budget,
    controller_id: &str,
    sink: &mut Sink,
) -> ControlFlow<()> {
    let mut json = serde_json::Deserializer::from_reader(input);
    let mut stream = ResponseReader { controller_id, budget: &budget, next: 0, sink };
    let result = (&mut json).deserialize_map(&mut stream).and_then(|()| json.end());
    let next = stream.next;
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) if sink.is_alone() => ControlFlow::Break(()),
        // After invalid JSON, the rest cannot be parsed.
        Err(error) if budget.get().is_some() => sink.take(next, Err(shortened(&error.to_string()))),
        Err(error) => sink.refuse(None, format!("the response: {}", shortened(&error.to_string()))),
    }
}

/// Reads a response, one order at a time.
struct ResponseReader<'a> {
    controller_id: &'a str,
    budget: &'a Budget,
    next: u64,
    sink: &'a mut Sink,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Orders,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for &mut ResponseReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOC /orders response")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = false;
        while let Some(key) = map.next_key()? {
            match key {
                Key::Orders if seen => return Err(de::Error::duplicate_field("orders")),
                Key::Orders => {
                    seen = true;
                    map.next_value_seed(OrdersSeed(&mut *self))?;
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let hint = "it has no orders; JSON lines are read without --controller-id";
        if seen { Ok(()) } else { Err(de::Error::custom(hint)) }
    }
}

struct OrdersSeed<'a, 'b>(&'a mut ResponseReader<'b>);

impl<'de> DeserializeSeed<'de> for OrdersSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for OrdersSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of orders")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self(answer) = self;
        loop {
            answer.budget.set(Some(MAX_LINE));
            let Some(order) = seq.next_element::<Order>()? else { break };
            let parsed = order.parse(answer.controller_id).map_err(|invalid| invalid.to_string());
            if answer.sink.take(answer.next, parsed).is_break() {
                return Err(de::Error::custom("nobody listens"));
            }
            answer.next += 1;
        }
        answer.budget.set(None);
        Ok(())
    }
}

/// How many bytes may still be read for the current order; `None`: no limit.
type Budget = Rc<Cell<Option<u64>>>;

/// Fails when the budget is exceeded: serde_json has no limit for an order or a string.
struct Metered<R> {
    inner: R,
    budget: Budget,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(left) = self.budget.get() {
            let left = left.checked_sub(read as u64).ok_or_else(|| io::Error::other(TOO_LONG))?;
            self.budget.set(Some(left));
        }
        Ok(read)
    }
}

/// The unit of places in the input.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Line,
    Order,
}

/// Collects good items into batches, and reports bad ones.
struct Sink {
    messages: Sender<ReaderMessage>,
    replace: bool,
    unit: Unit,
    items: Vec<Item>,
    /// The first and the last place of `items`.
    places: (u64, u64),
    /// The index in `items` of each order, by controller and id.
    orders: HashMap<(String, String), usize>,
    report: ImportReport,
}

impl Sink {
    /// Whether the receiver is gone, since the database refused a batch.
    fn is_alone(&self) -> bool {
        self.messages.is_closed()
    }

    fn take(&mut self, at: u64, parsed: Result<Parsed, String>) -> ControlFlow<()> {
        if self.is_alone() {
            return ControlFlow::Break(());
        }
        match (parsed, self.unit) {
            (Ok(parsed), _) => self.accept(at, parsed),
            (Err(reason), Unit::Line) => self.refuse(Some((&format!("line {at}"), at)), reason),
            (Err(reason), Unit::Order) => self.refuse(Some((&format!("orders[{at}]"), at)), reason),
        }
    }

    fn refuse(&mut self, place: Option<(&str, u64)>, reason: String) -> ControlFlow<()> {
        self.report.add(place, reason);
        if self.report.bad_count == 1 {
            self.items = Vec::new();
            self.orders = HashMap::new();
            return self.send(ReaderMessage::Refused);
        }
        ControlFlow::Continue(())
    }

    fn accept(&mut self, at: u64, parsed: Parsed) -> ControlFlow<()> {
        self.report.good += 1;
        if self.report.bad_count > 0 {
            return ControlFlow::Continue(());
        }
        self.report.orders += u64::from(parsed.item.order.is_some());
        self.report.cycles += u64::from(parsed.hidden_cyclic > 0);
        self.report.hidden_cyclic = self.report.hidden_cyclic.saturating_add(parsed.hidden_cyclic);
        if self.items.is_empty() {
            self.places.0 = at;
        }
        self.places.1 = at;
        self.push(parsed.item);
        if self.items.len() < BATCH { ControlFlow::Continue(()) } else { self.flush() }
    }

    /// Adds an item to the batch. If the batch already has the order, one of the two is reduced to
    /// its workflow, as if they were in different batches.
    fn push(&mut self, mut item: Item) {
        if let Some(order) = &item.order {
            let key = (item.controller_id.clone(), order.order_id.clone());
            match self.orders.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(self.items.len());
                }
                Entry::Occupied(mut entry) => {
                    let earlier = &mut self.items[*entry.get()].order;
                    let is_final = earlier.as_ref().is_some_and(|order| order.state.is_terminal());
                    if self.replace && !is_final {
                        *earlier = None;
                        entry.insert(self.items.len());
                        self.report.repeated.updated += 1;
                    } else {
                        item.order = None;
                        self.report.repeated.skipped += 1;
                    }
                }
            }
        }
        self.items.push(item);
    }

    fn flush(&mut self) -> ControlFlow<()> {
        if self.items.is_empty() {
            return ControlFlow::Continue(());
        }
        self.orders.clear();
        let items = mem::take(&mut self.items);
        let (first, last) = self.places;
        self.send(ReaderMessage::Batch(ImportBatch { items, unit: self.unit, first, last }))
    }

    fn send(&mut self, message: ReaderMessage) -> ControlFlow<()> {
        match self.messages.blocking_send(message) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

#[cfg(test)]
mod tests;
