#![allow(clippy::unwrap_used)]

use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::cli::import::sink::ImportBatch;
use crate::model::order::State;

const FIXTURE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/orders.json"));

fn reading(format: InputFormat, replace: bool) -> Reading {
    Reading { format, ignored: Vec::new(), replace, is_lenient: false }
}

/// Batches as the database gets them, whether the input was refused, and the report.
fn run(
    input: impl Read,
    format: InputFormat,
    replace: bool,
) -> (Vec<ImportBatch>, bool, ImportReport) {
    let (sender, mut messages) = mpsc::channel(1_000);
    let report = read(input, &reading(format, replace), sender);
    let (mut batches, mut refused) = (Vec::new(), false);
    while let Ok(message) = messages.try_recv() {
        match message {
            ReaderMessage::Batch(batch) => batches.push(batch),
            ReaderMessage::Refused => refused = true,
        }
    }
    (batches, refused, report)
}

fn answer() -> InputFormat {
    InputFormat::Response { controller_id: "js7".into() }
}

fn line(id: &str, state: &str, path: &str) -> String {
    let order = json!({
        "orderId": id,
        "workflowId": {"path": path, "versionId": "1"},
        "state": {"_text": state},
    });
    json!({"controllerId": "js7", "order": order}).to_string() + "\n"
}

#[test]
fn an_answer_of_joc_is_read_whole() {
    let (batches, refused, report) = run(FIXTURE.as_bytes(), answer(), false);
    assert!(!refused && report.complaint().is_none(), "{report:?}");
    let items: Vec<_> = batches.iter().flat_map(|batch| &batch.items).collect();
    let fixture: serde_json::Value = serde_json::from_str(FIXTURE).unwrap();
    let orders = fixture["orders"].as_array().unwrap();
    assert_eq!(items.len(), orders.len());
    for (item, order) in items.iter().zip(orders) {
        assert_eq!(item.order.as_ref().unwrap().order_id, order["orderId"]);
        assert_eq!(item.workflow_path, order["workflowId"]["path"]);
    }
    assert_eq!(report.orders, orders.len() as u64);
    assert!(report.hidden_cyclic > report.cycles);
}

#[test]
fn lines_come_in_batches_that_know_their_places() {
    let mut input = String::from("\u{feff}\r\n");
    for i in 0..12_000 {
        input += &line(&format!("o{i}"), "SCHEDULED", "/w");
    }
    // The last line needs no end.
    let (batches, _, report) = run(input.trim_end().as_bytes(), InputFormat::Lines, false);
    let places: Vec<_> = batches.iter().map(ImportBatch::places).collect();
    assert_eq!(places, ["lines 2 to 5001", "lines 5002 to 10001", "lines 10002 to 12001"]);
    assert_eq!(report.complaint(), None);
    assert_eq!(report.orders, 12_000);
}

#[test]
fn a_batch_has_an_order_once() {
    let input = [
        line("a", "SCHEDULED", "/first"),
        line("a", "FINISHED", "/second"),
        line("b", "SCHEDULED", "/w"),
        line("a", "RUNNING", "/third"),
    ]
    .concat();
    let states = |replace| {
        let (batches, _, report) = run(input.as_bytes(), InputFormat::Lines, replace);
        let items = &batches[0].items;
        // Every workflow that a line names is made, whichever order stays.
        let paths: Vec<_> = items.iter().map(|item| item.workflow_path.clone()).collect();
        assert_eq!(paths, ["/first", "/second", "/w", "/third"]);
        let states: Vec<_> =
            items.iter().map(|item| item.order.as_ref().map(|order| order.state)).collect();
        (states, report.repeated.updated, report.repeated.skipped)
    };
    assert_eq!(states(false), (vec![Some(State::Fresh), None, Some(State::Fresh), None], 0, 2));
    // As in the database, nothing replaces an order that is finished.
    assert_eq!(states(true), (vec![None, Some(State::Finished), Some(State::Fresh), None], 1, 1));
}

#[test]
fn bad_lines_are_counted_and_the_first_ones_shown() {
    let mut input = line("a", "SCHEDULED", "/w");
    for i in 0..60 {
        input += "\n";
        input += &line("x", &format!("STATE{i}"), "/w");
    }
    let (batches, refused, report) = run(input.as_bytes(), InputFormat::Lines, false);
    assert!(batches.is_empty() && refused);
    let complaint = report.complaint().unwrap();
    let lines: Vec<_> = complaint.lines().collect();
    assert_eq!(lines.len(), 52);
    assert_eq!(lines[0], "nothing was imported: the input has 60 bad lines");
    assert_eq!(lines[1], "  line 3: order.state._text: 'STATE0' is no state of an order");
    assert_eq!(lines[51], "  and 10 more");
}

#[test]
fn the_same_problem_is_reported_once() {
    let mut input = line("a", "SCHEDULED", "/w");
    for i in 0..60 {
        input += &line("", "SCHEDULED", "/w");
        // In another column each time.
        input += &format!("{{}} {} x\n", " ".repeat(i));
    }
    input += &line("a", "FINSHED", "/w");
    input += &line("a", "FINSHED", "/w");
    let complaint = run(input.as_bytes(), InputFormat::Lines, false).2.complaint().unwrap();
    assert_eq!(
        complaint,
        "nothing was imported: the input has 122 bad lines\n\
         \u{20} line 2: order.orderId: is empty (also 4, 6, 8, 10, 12 and 54 more)\n\
         \u{20} line 3: column 5: trailing characters (also 5, 7, 9, 11, 13 and 54 more)\n\
         \u{20} line 122: order.state._text: 'FINSHED' is no state of an order (also 123)"
    );
}

#[test]
fn an_input_that_is_no_json_lines_is_recognised() {
    let response: serde_json::Value = serde_json::from_str(FIXTURE).unwrap();
    let list = &response["orders"];
    let object = json!({"controllerId": "js7", "workflow": {"path": "/w", "versionId": "1"}});
    let hint = "this looks like a JOC /orders response: name its controller with --controller-id";
    let lines = "import takes an object a line";
    for (input, expected) in [
        (FIXTURE.to_owned(), hint),
        (response.to_string(), hint),
        (format!("{response:#}"), hint),
        (format!("\n{response:#}\n"), hint),
        (json!({"orders": []}).to_string(), hint),
        (format!("{list:#}"), lines),
        (list.to_string(), lines),
        (format!("{object:#}"), lines),
    ] {
        let complaint = run(input.as_bytes(), InputFormat::Lines, false).2.complaint().unwrap();
        assert!(complaint.starts_with("nothing was imported: this looks like "), "{complaint}");
        assert!(complaint.contains(expected) && complaint.lines().count() == 1, "{complaint}");
    }
    // One good line, and it is what was meant.
    let input = "{\n".to_owned() + &line("a", "SCHEDULED", "/w");
    let complaint = run(input.as_bytes(), InputFormat::Lines, false).2.complaint().unwrap();
    assert!(complaint.contains("1 bad line\n  line 1: column 1: EOF"), "{complaint}");
    let complaint = run("orders\n".as_bytes(), InputFormat::Lines, false).2.complaint().unwrap();
    assert!(complaint.contains("1 bad line\n  line 1: "), "{complaint}");
}

#[test]
fn a_line_without_end_is_not_kept() {
    let mut input = line("a", "SCHEDULED", "/w").into_bytes();
    input.extend(vec![b' '; MAX_LINE as usize]);
    input.extend(b"x\n{}\n");
    let complaint = run(&*input, InputFormat::Lines, false).2.complaint().unwrap();
    assert!(complaint.contains("\n  line 2: is longer than 16 MiB\n  line 3: "), "{complaint}");

    let list =
        format!(r#"{{"orders": [{{"orderId": "{}"}}]}}"#, "x".repeat(MAX_LINE as usize + 70_000));
    let complaint = run(list.as_bytes(), answer(), false).2.complaint().unwrap();
    assert!(complaint.contains("\n  orders[0]: is longer than 16 MiB"), "{complaint}");
}

#[test]
fn broken_answers_are_refused() {
    let good = json!({
        "orderId": "a",
        "workflowId": {"path": "/w", "versionId": "1"},
        "state": {"_text": "SCHEDULED"},
    });
    let table = [
        (String::new(), "the response: EOF while parsing a value at line 1 column 0"),
        ("[]".into(), "the response: invalid type: sequence, expected a JOC /orders response"),
        (
            r#"{"ok": true}"#.into(),
            "the response: it has no orders; JSON lines are read without --controller-id",
        ),
        (
            r#"{"orders": 7}"#.into(),
            "the response: invalid type: integer `7`, expected a list of orders",
        ),
        (r#"{"orders": [], "orders": []}"#.into(), "the response: duplicate field `orders`"),
        (format!(r#"{{"orders": [{good}"#), "orders[1]: EOF while parsing a list"),
        (
            format!(r#"{{"orders": [{good}, 7]}}"#),
            "orders[1]: invalid type: integer `7`, expected an object",
        ),
        (format!(r#"{{"orders": [{good}, {{}}]}}"#), "orders[1]: orderId: is missing"),
        // What follows a bad order is checked, too.
        (format!(r#"{{"orders": [{{}}, 7, {good}, 8]}}"#), "orders[3]: invalid type: integer `8`"),
        (format!(r#"{{"orders": [{good}]}} x"#), "the response: trailing characters"),
    ];
    for (input, reason) in table {
        let complaint = run(input.as_bytes(), answer(), false).2.complaint().unwrap();
        assert!(complaint.contains(reason), "{input}: {complaint}");
    }
    let bad = r#"{"more": {"orders": 1}, "orders": [{"orderId": "|"}, {}, {"orderId": 7}]}"#;
    let complaint = run(bad.as_bytes(), answer(), false).2.complaint().unwrap();
    assert!(
        complaint.starts_with("nothing was imported: the input has 3 bad lines"),
        "{complaint}"
    );
}

#[test]
fn nothing_more_is_read_when_nobody_listens() {
    let (sender, messages) = mpsc::channel(1);
    drop(messages);
    // An endless input: this test ends only if reading does.
    struct Endless;
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let line = line("a", "SCHEDULED", "/w");
            buffer[..line.len()].copy_from_slice(line.as_bytes());
            Ok(line.len())
        }
    }
    assert_eq!(read(Endless, &reading(InputFormat::Lines, false), sender).complaint(), None);
}
