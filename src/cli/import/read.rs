//! Reads the input on its own thread: JSON lines, a JOC response as a stream, or a table. It is read
//! twice: the first time it is only checked, the second time good items go out in batches.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokio::sync::mpsc::Sender;

use super::format::{Budget, InputFormat, MAX_LINE, Reading, TOO_LONG};
use super::parse::{parse_line, parse_order, shortened};
use super::rejects::Rejects;
use super::report::ImportReport;
use super::sink::{ReaderMessage, Sink};
use super::table::read_table;

/// Checks the input until its end; bad lines go to `rejects`.
pub(super) fn check(
    input: impl Read,
    reading: &Reading,
    rejects: Option<Rejects>,
) -> io::Result<ImportReport> {
    let mut sink = Sink::of_check(reading, rejects);
    let _ = read_into(input, reading, &mut sink);
    sink.finish()
}

/// Reads the input until its end, or until the receiver is dropped.
pub(super) fn read(
    input: impl Read,
    reading: &Reading,
    messages: Sender<ReaderMessage>,
) -> ImportReport {
    let mut sink = Sink::of_import(reading, messages);
    if read_into(input, reading, &mut sink).is_continue() {
        let _ = sink.flush();
    }
    sink.report
}

fn read_into(input: impl Read, reading: &Reading, sink: &mut Sink) -> ControlFlow<()> {
    let budget = Budget::default();
    let mut input =
        BufReader::with_capacity(1 << 16, Metered { inner: input, budget: budget.clone() });
    // Tools of Windows put a byte order mark before UTF-8.
    if input.fill_buf().is_ok_and(|start| start.starts_with(b"\xef\xbb\xbf")) {
        input.consume(3);
    }
    if let (InputFormat::Lines, Ok(start)) = (&reading.format, input.fill_buf()) {
        sink.report.instead = instead_of_lines(start);
    }
    match &reading.format {
        InputFormat::Lines => read_lines(input, &reading.ignored, sink),
        InputFormat::Response { controller_id } => {
            read_response(input, budget, controller_id, &reading.ignored, sink)
        }
        InputFormat::Table(mapping) => read_table(input, &budget, mapping, &reading.ignored, sink),
    }
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

fn read_lines(mut input: impl BufRead, ignored: &[String], sink: &mut Sink) -> ControlFlow<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = match input.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.len() as u64 > MAX_LINE && !line.ends_with(b"\n") => {
                sink.take_long(number, &line, &mut input)?
            }
            // A comment is what --rejects writes.
            Ok(_) if line.trim_ascii().is_empty() || line.starts_with(b"#") => continue,
            Ok(_) => {
                let text = line.trim_ascii_end();
                sink.take(number, text, parse_line(text, ignored))?;
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            return sink.end(Some(number), error.to_string());
        }
    }
    ControlFlow::Continue(())
}

fn read_response(
    input: impl Read,
    budget: Budget,
    controller_id: &str,
    ignored: &[String],
    sink: &mut Sink,
) -> ControlFlow<()> {
    let mut json = serde_json::Deserializer::from_reader(input);
    let mut stream = ResponseReader { controller_id, ignored, budget: &budget, next: 0, sink };
    let result = (&mut json).deserialize_map(&mut stream).and_then(|()| json.end());
    let next = stream.next;
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) if sink.is_alone() => ControlFlow::Break(()),
        // After invalid JSON, the rest cannot be parsed.
        Err(error) => {
            let reason = shortened(&error.to_string());
            match budget.get() {
                Some(_) => sink.end(Some(next), reason),
                None => sink.end(None, format!("the response: {reason}")),
            }
        }
    }
}

/// Reads a response, one order at a time.
struct ResponseReader<'a> {
    controller_id: &'a str,
    ignored: &'a [String],
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
            // Whole, so that the next order is found after a bad one.
            let Some(order) = seq.next_element::<Box<RawValue>>()? else { break };
            let order = order.get().as_bytes();
            let parsed = parse_order(order, answer.controller_id, answer.ignored);
            if answer.sink.take(answer.next, order, parsed).is_break() {
                return Err(de::Error::custom("nobody listens"));
            }
            answer.next += 1;
        }
        answer.budget.set(None);
        Ok(())
    }
}

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

#[cfg(test)]
mod tests;
