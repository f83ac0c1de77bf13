//! What becomes of the lines that are read: good items are collected into batches, bad lines are
//! reported.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufRead};
use std::mem;
use std::ops::ControlFlow;

use serde_json::json;
use tokio::sync::mpsc::Sender;

use super::format::{InputFormat, Reading, TOO_LONG};
use super::parse::{Parsed, Read as Parsing};
use super::rejects::Rejects;
use super::report::ImportReport;
use crate::store::Item;

/// Items per batch.
const BATCH: usize = 5_000;

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

/// The unit of places in the input.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Line,
    Order,
}

/// Collects good items into batches, and reports bad ones.
pub(super) struct Sink {
    /// Where batches go; `None`: the input is only checked.
    messages: Option<Sender<ReaderMessage>>,
    rejects: Option<Rejects>,
    /// Why bad lines could not be written.
    failure: Option<io::Error>,
    /// The controller of a response.
    controller_id: Option<String>,
    is_lenient: bool,
    replace: bool,
    unit: Unit,
    items: Vec<Item>,
    /// The first and the last place of `items`.
    places: (u64, u64),
    /// The index in `items` of each order, by controller and id.
    orders: HashMap<(String, String), usize>,
    pub(super) report: ImportReport,
}

impl Sink {
    /// One that sends no batches.
    pub(super) fn of_check(reading: &Reading, rejects: Option<Rejects>) -> Self {
        let (unit, controller_id) = match &reading.format {
            InputFormat::Lines | InputFormat::Table(_) => (Unit::Line, None),
            InputFormat::Response { controller_id } => (Unit::Order, Some(controller_id.clone())),
        };
        Self {
            messages: None,
            rejects,
            failure: None,
            controller_id,
            is_lenient: reading.is_lenient,
            replace: reading.replace,
            unit,
            items: Vec::new(),
            places: (0, 0),
            orders: HashMap::new(),
            report: ImportReport::of(reading.is_lenient),
        }
    }

    /// One that sends batches.
    pub(super) fn of_import(reading: &Reading, messages: Sender<ReaderMessage>) -> Self {
        Self { messages: Some(messages), ..Self::of_check(reading, None) }
    }

    /// The result of a check.
    pub(super) fn finish(mut self) -> io::Result<ImportReport> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.rejects.take().map_or(Ok(()), Rejects::finish)?;
        Ok(self.report)
    }

    /// Whether the receiver is gone, since the database refused a batch.
    pub(super) fn is_alone(&self) -> bool {
        self.messages.as_ref().is_some_and(Sender::is_closed)
    }

    /// Takes the result of a line, or of an order of a response, and its text.
    pub(super) fn take(&mut self, at: u64, text: &[u8], parsed: Parsing) -> ControlFlow<()> {
        self.take_with(at, parsed, |rejects, place, controller_id, errors| match controller_id {
            None => rejects.line(place, errors, text),
            Some(controller_id) => {
                // Between its tokens, JSON may have ends of lines.
                let order = String::from_utf8_lossy(text).replace(['\n', '\r'], " ");
                let controller_id = json!(controller_id);
                let line = format!(r#"{{"controllerId":{controller_id},"order":{order}}}"#);
                rejects.line(place, errors, line.as_bytes())
            }
        })
    }

    /// As [`Sink::take`], given how a bad line is written.
    pub(super) fn take_with(
        &mut self,
        at: u64,
        parsed: Parsing,
        reject: impl FnOnce(&mut Rejects, &str, Option<&str>, &[String]) -> io::Result<()>,
    ) -> ControlFlow<()> {
        if self.is_alone() {
            return ControlFlow::Break(());
        }
        match parsed {
            Ok(parsed) => self.accept(at, parsed),
            Err(reasons) => {
                let place = self.place(at);
                if let Some(rejects) = &mut self.rejects
                    && let Err(error) =
                        reject(rejects, &place, self.controller_id.as_deref(), &reasons)
                {
                    self.failure = Some(error);
                    return ControlFlow::Break(());
                }
                self.refuse(Some((&place, at)), &reasons)
            }
        }
    }

    /// Takes a line that is too long, given its start and what follows it.
    pub(super) fn take_long(
        &mut self,
        at: u64,
        start: &[u8],
        input: &mut impl BufRead,
    ) -> ControlFlow<(), io::Result<()>> {
        let reasons = vec![TOO_LONG.to_owned()];
        let mut read = Ok(());
        let mut was_read = false;
        self.take_with(at, Err(reasons), |rejects, place, _, errors| {
            was_read = true;
            let end = b"\n";
            rejects.line(place, errors, b"")?;
            rejects.rest(start)?;
            loop {
                let part = match input.fill_buf() {
                    Ok(part) => part,
                    Err(error) => {
                        read = Err(error);
                        break;
                    }
                };
                let (used, is_last) = match part.iter().position(|byte| *byte == b'\n') {
                    Some(at) => (at + 1, true),
                    None => (part.len(), part.is_empty()),
                };
                let part = part.get(..used).unwrap_or_default();
                rejects.rest(part.strip_suffix(end).unwrap_or(part))?;
                input.consume(used);
                if is_last {
                    break;
                }
            }
            rejects.rest(end)
        })?;
        if !was_read {
            read = input.skip_until(b'\n').map(drop);
        }
        ControlFlow::Continue(read)
    }

    /// Refuses the whole input from a place on, even if bad lines are left out.
    pub(super) fn end(&mut self, at: Option<u64>, reason: String) -> ControlFlow<()> {
        if self.is_alone() {
            return ControlFlow::Break(());
        }
        self.report.is_cut = true;
        let place = at.map(|at| (self.place(at), at));
        self.refuse(place.as_ref().map(|(place, at)| (&**place, *at)), &[reason])
    }

    fn place(&self, at: u64) -> String {
        match self.unit {
            Unit::Line => format!("line {at}"),
            Unit::Order => format!("orders[{at}]"),
        }
    }

    fn refuse(&mut self, place: Option<(&str, u64)>, reasons: &[String]) -> ControlFlow<()> {
        self.report.add(place, reasons);
        let is_first = self.report.bad_count == 1;
        if self.messages.is_some() && (self.report.is_cut || is_first && !self.is_lenient) {
            self.items = Vec::new();
            self.orders = HashMap::new();
            return self.send(ReaderMessage::Refused);
        }
        ControlFlow::Continue(())
    }

    fn accept(&mut self, at: u64, parsed: Parsed) -> ControlFlow<()> {
        self.report.good += 1;
        if self.report.bad_count > 0 && !self.is_lenient {
            return ControlFlow::Continue(());
        }
        self.report.orders += u64::from(parsed.item.order.is_some());
        self.report.cycles += u64::from(parsed.hidden_cyclic > 0);
        self.report.hidden_cyclic = self.report.hidden_cyclic.saturating_add(parsed.hidden_cyclic);
        if self.messages.is_none() {
            return ControlFlow::Continue(());
        }
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

    pub(super) fn flush(&mut self) -> ControlFlow<()> {
        if self.items.is_empty() {
            return ControlFlow::Continue(());
        }
        self.orders.clear();
        let items = mem::take(&mut self.items);
        let (first, last) = self.places;
        self.send(ReaderMessage::Batch(ImportBatch { items, unit: self.unit, first, last }))
    }

    fn send(&mut self, message: ReaderMessage) -> ControlFlow<()> {
        match self.messages.as_ref().map(|messages| messages.blocking_send(message)) {
            Some(Err(_)) => ControlFlow::Break(()),
            Some(Ok(())) | None => ControlFlow::Continue(()),
        }
    }
}
