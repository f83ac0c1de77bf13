#![allow(clippy::unwrap_used)]

use chrono::DateTime;
use serde_json::json;

use super::*;
use crate::model::order::State::*;
use crate::store::Life;

fn order(fields: Value) -> Result<Parsed, String> {
    let mut order = json!({
        "orderId": "#2026-11-23#P1-eod",
        "workflowId": {"path": "/sos/eod", "versionId": "1"},
        "state": {"_text": "SCHEDULED"},
    });
    for (name, value) in fields.as_object().unwrap() {
        order[name] = value.clone();
    }
    read(&json!({"controllerId": "js7", "order": order}).to_string())
}

/// The result of a line, with its faults as one text.
fn read(line: &str) -> Result<Parsed, String> {
    parse_line(line.as_bytes(), &["ignored".into()]).map_err(|faults| faults.join("; "))
}

fn new_order(fields: Value) -> NewOrder {
    order(fields).unwrap().item.order.unwrap()
}

#[test]
fn states_become_the_stored_ones() {
    let start = || json!([0]);
    let later = || json!([1, "fork+east", 0]);
    let table = [
        ("PLANNED", None, Value::Null, Fresh, false, None),
        ("PENDING", None, start(), Fresh, false, None),
        ("SCHEDULED", None, start(), Fresh, false, None),
        ("BLOCKED", Some("WORKFLOW_IS_SUSPENDED"), start(), Fresh, false, None),
        ("INPROGRESS", None, start(), InProgress, false, None),
        ("INPROGRESS", Some("WAITING_FOR_ADMISSION"), start(), Fresh, false, None),
        ("INPROGRESS", Some("WAITING_FOR_ADMISSION"), later(), InProgress, false, None),
        ("INPROGRESS", Some("WAITING_FOR_ADMISSION"), Value::Null, InProgress, false, None),
        ("RESUMED", None, later(), InProgress, false, None),
        ("RUNNING", None, start(), Running, false, None),
        ("SUSPENDMARKED", None, later(), Running, false, Some(Mark::Suspending)),
        ("RESUMEMARKED", None, start(), Waiting, true, Some(Mark::Resuming)),
        ("WAITING", Some("FORKED"), later(), Waiting, false, None),
        ("CALLING", None, later(), Waiting, false, None),
        ("UNKNOWN", None, start(), Waiting, false, None),
        ("PROMPTING", None, later(), Prompting, false, None),
        ("SUSPENDED", None, Value::Null, Fresh, true, None),
        ("SUSPENDED", None, start(), Fresh, true, None),
        ("SUSPENDED", None, json!([0, "try", 0]), Waiting, true, None),
        ("SUSPENDED", None, later(), Waiting, true, None),
        ("FAILED", None, later(), Failed, false, None),
        ("BROKEN", None, later(), Failed, false, None),
        ("FINISHED", None, later(), Finished, false, None),
        ("CANCELLED", None, start(), Cancelled, false, None),
    ];
    for (text, reason, position, state, suspended, mark) in table {
        let shown = json!({"_text": text, "_reason": reason});
        let order = new_order(json!({"state": shown, "position": position}));
        assert_eq!((order.state, order.suspended, order.mark), (state, suspended, mark), "{shown}");
    }
}

#[test]
fn marks_are_kept_on_living_orders() {
    let running = |marked: Value| json!({"state": {"_text": "RUNNING"}, "marked": marked});
    let finished = |marked: Value| json!({"state": {"_text": "FINISHED"}, "marked": marked});
    let old = |text: &str| json!({"state": {"_text": text, "_marked": "SUSPENDING"}});
    let table = [
        (running(json!({"_text": "CANCELLING"})), Some(Mark::Cancelling)),
        (running(json!({"_text": "SUSPENDING", "severity": 5})), Some(Mark::Suspending)),
        (running(json!({"_text": "RESUMING"})), None),
        (running(json!({"_text": "OUTDATED"})), None),
        (running(Value::Null), None),
        (old("RUNNING"), Some(Mark::Suspending)),
        (finished(json!({"_text": "CANCELLING"})), None),
        (old("CANCELLED"), None),
    ];
    for (fields, mark) in table {
        let shown = fields.to_string();
        assert_eq!(new_order(fields).mark, mark, "{shown}");
    }
}

#[test]
fn never_is_absent_or_said_or_pending() {
    let pending = json!({"_text": "PENDING"});
    // Beyond year 9999: what JOC writes for never may be anything.
    let far = 9_999_999_999_999_999_i64;
    let table = [
        (json!({}), None),
        (json!({"scheduledFor": null}), None),
        (json!({"scheduledFor": far, "scheduledNever": true}), None),
        (json!({"scheduledFor": far, "state": pending}), None),
        (
            json!({"scheduledFor": 1_795_437_600_123_i64, "scheduledNever": false}),
            Some(1_795_437_600_123),
        ),
        (json!({"scheduledFor": 0}), Some(0)),
        (json!({"scheduledFor": "2026-11-23T12:40:00Z"}), Some(1_795_437_600_000)),
        (json!({"scheduledFor": "2026-11-23t13:40:00.1239+01:00"}), Some(1_795_437_600_123)),
        (json!({"scheduledFor": "2026-11-23 12:40:00+00"}), Some(1_795_437_600_000)),
        // The last before what looks like seconds, and the first after.
        (json!({"scheduledFor": 315_532_799}), Some(315_532_799)),
        (json!({"scheduledFor": 253_402_300_800_i64}), Some(253_402_300_800)),
        (json!({"scheduledFor": -1_795_437_600}), Some(-1_795_437_600)),
        (json!({"scheduledFor": -62_135_596_800_000_i64}), Some(-62_135_596_800_000)),
        (json!({"scheduledFor": 253_402_300_799_999_i64}), Some(253_402_300_799_999)),
    ];
    for (fields, millis) in table {
        let shown = fields.to_string();
        let scheduled = new_order(fields).scheduled_for.map(|at| at.timestamp_millis());
        assert_eq!(scheduled, millis, "{shown}");
    }
}

#[test]
fn bad_orders_are_refused_by_field() {
    let long = "x".repeat(256);
    let table = [
        (json!({"orderId": null}), "order.orderId: is missing"),
        (json!({"orderId": 5}), "order.orderId: is not a string"),
        (json!({"orderId": ""}), "order.orderId: is empty"),
        (json!({"orderId": long}), "order.orderId: is longer than 255 characters"),
        (json!({"orderId": "a\u{0}b"}), "order.orderId: 'a\\0b' has a control character"),
        (json!({"orderId": "|a"}), "order.orderId: '|a' has an empty name before or after a '|'"),
        (json!({"orderId": "a|"}), "order.orderId: 'a|' has an empty name before or after a '|'"),
        (
            json!({"orderId": "a||b"}),
            "order.orderId: 'a||b' has an empty name before or after a '|'",
        ),
        (json!({"workflowId": null}), "order.workflowId: is missing"),
        (json!({"workflowId": "/a"}), "order.workflowId: is not an object"),
        (json!({"workflowId": {"versionId": "1"}}), "order.workflowId.path: is missing"),
        (
            json!({"workflowId": {"path": "/", "versionId": "1"}}),
            "order.workflowId.path: '/' is a folder, not a workflow",
        ),
        (
            json!({"workflowId": {"path": "eod", "versionId": "1"}}),
            "order.workflowId.path: 'eod' is not an absolute path such as /sos/billing",
        ),
        (
            json!({"workflowId": {"path": "/a//b", "versionId": "1"}}),
            "order.workflowId.path: '/a//b' is not an absolute path such as /sos/billing",
        ),
        (json!({"workflowId": {"path": "/a"}}), "order.workflowId.versionId: is missing"),
        (json!({"state": {}}), "order.state._text: is missing"),
        (
            json!({"state": {"_text": "FINSHED"}}),
            "order.state._text: 'FINSHED' is no state of an order",
        ),
        (json!({"marked": {"_text": "NO"}}), "order.marked._text: 'NO' is no mark of an order"),
        (json!({"position": 0}), "order.position: is not a list"),
        (
            json!({"scheduledFor": "2026-11-23"}),
            "order.scheduledFor: is not a date such as 2026-11-23T12:34:56.789Z",
        ),
        (
            json!({"scheduledFor": "2026-11-23T12:40:00"}),
            "order.scheduledFor: has no offset: end it with Z or with one such as +01:00",
        ),
        (
            json!({"scheduledFor": "2026-12-31T23:59:60Z"}),
            "order.scheduledFor: is not a date such as 2026-11-23T12:34:56.789Z",
        ),
        (
            json!({"scheduledFor": true}),
            "order.scheduledFor: is neither a whole number of milliseconds nor a date such as \
             2026-11-23T12:34:56Z",
        ),
        (
            json!({"scheduledFor": 1_795_437_600}),
            "order.scheduledFor: 1795437600 looks like seconds: for 2026-11-23T12:40:00Z write \
             1795437600000",
        ),
        (
            json!({"scheduledFor": 315_532_800}),
            "order.scheduledFor: 315532800 looks like seconds: for 1980-01-01T00:00:00Z write \
             315532800000",
        ),
        (
            json!({"scheduledFor": 253_402_300_799_i64}),
            "order.scheduledFor: 253402300799 looks like seconds: for 9999-12-31T23:59:59Z write \
             253402300799000",
        ),
        (
            json!({"startTime": 1_795_437_600_000_i64}),
            "order.startTime: an order that has not started has none",
        ),
        (json!({"priorty": 5}), "order.priorty: unknown field; did you mean 'priority'?"),
        (json!({"more": 5}), "order.more: unknown field; --ignore drops it"),
        (
            json!({"workflowId": {"path": "/a", "versionID": "1"}}),
            "order.workflowId.versionID: unknown field; did you mean 'versionId'?; \
             order.workflowId.versionId: is missing",
        ),
        (
            json!({"orderId": "", "state": {"_text": "NO"}, "priority": "x", "extra\n": 1}),
            "order.extra\\n: unknown field; --ignore drops it; order.orderId: is empty; \
             order.state._text: 'NO' is no state of an order; \
             order.priority: is not a whole number of 32 bits",
        ),
        (json!({"endTime": 1}), "order.endTime: only a finished or cancelled order has one"),
        (
            json!({"state": {"_text": "FINISHED"}, "startTime": 2, "endTime": 1, "created": 3}),
            "order.endTime: is before startTime; order.startTime: is before created; \
             order.endTime: is before created",
        ),
        (
            json!({"state": {"_text": "FINISHED"}, "endTime": 1, "stateSince": 2}),
            "order.stateSince: is endTime on a finished or cancelled order",
        ),
        (
            json!({"state": {"_text": "RUNNING"}, "marked": {"_text": "CANCELLING"}, "killRequested": 2}),
            "order.sigkillAt: is missing beside killRequested",
        ),
        (
            json!({"state": {"_text": "RUNNING"}, "killRequested": 2, "sigkillAt": 1}),
            "order.sigkillAt: is before killRequested; order.killRequested: only an order that has \
             started and is marked CANCELLING or SUSPENDING has one",
        ),
        (
            json!({"suspended": false}),
            "order.state._text: 'SCHEDULED' is no stored state, which it is beside suspended",
        ),
        (
            json!({"suspended": true, "state": {"_text": "RUNNING"}}),
            "order.suspended: no order is RUNNING and suspended",
        ),
        (json!({"scheduledFor": 1.5}), "order.scheduledFor: is not a whole number of milliseconds"),
        (
            json!({"scheduledFor": 253_402_300_800_000_i64}),
            "order.scheduledFor: 253402300800000 leaves the years 1 to 9999",
        ),
        (
            json!({"scheduledFor": i64::MAX}),
            "order.scheduledFor: 9223372036854775807 leaves the years 1 to 9999",
        ),
        (json!({"scheduledNever": "yes"}), "order.scheduledNever: is neither true nor false"),
        (json!({"priority": 1.5}), "order.priority: is not a whole number of 32 bits"),
        (json!({"priority": 1_i64 << 31}), "order.priority: is not a whole number of 32 bits"),
        (json!({"arguments": [1]}), "order.arguments: is not an object"),
        (
            json!({"arguments": {"a": {"b": [1]}}}),
            "order.arguments.a.b: a text, a number or a flag is expected",
        ),
        (
            json!({"position": [0, 1]}),
            "order.position: a list such as [2, \"then\", 0] is expected",
        ),
        (
            json!({"state": {"_text": "WAITING", "_reason": "for Godot"}}),
            "order.state._reason: 'for Godot' is no reason such as FORKED",
        ),
    ];
    for (fields, reason) in table {
        assert_eq!(order(fields).unwrap_err(), reason);
    }
}

#[test]
fn bad_lines_are_refused_with_a_reason() {
    let table = [
        (r#"{"controllerId": "js7""#, "column 22: EOF while parsing an object"),
        (r#"{"controllerId": "js7"} {}"#, "column 25: trailing characters"),
        ("7", "column 1: invalid type: integer `7`, expected an object"),
        (
            r#"{"workflow": {}}"#,
            "controllerId: is missing; workflow.path: is missing; workflow.versionId: is missing",
        ),
        (
            r#"{"controllerId": "a/b", "workflow": {"path": "/a", "version": "1"}}"#,
            "controllerId: '/' is not allowed in it",
        ),
        (r#"{"controllerId": "js7"}"#, "workflow, order: one of them is expected"),
        (
            r#"{"controllerId": "js7", "workflow": {}, "order": {}}"#,
            "workflow, order: a line has one of them, not both",
        ),
        (r#"{"controllerId": "js7", "orders": []}"#, "orders: this line is a whole JOC response"),
        (
            r#"{"controllerId": "js7", "order": "x"}"#,
            "order: invalid type: string \"x\", expected an object",
        ),
        (
            r#"{"controllerId": "js7", "workflow": {"path": "/a"}}"#,
            "workflow.versionId: is missing",
        ),
    ];
    for (line, reason) in table {
        assert_eq!(read(line).unwrap_err(), reason, "{line}");
    }
    let line =
        b"{\"controllerId\": \"js7\", \"workflow\": {\"path\": \"/a\", \"title\": \"\xff\"}}";
    assert_eq!(parse_line(line, &[]).unwrap_err(), ["column 62: is not UTF-8"]);
}

#[test]
fn a_workflow_is_an_item_without_an_order() {
    let line =
        r#"{"controllerId": "js7", "workflow": {"path": "/a/b", "version": "2", "title": 7}}"#;
    let item = Item {
        controller_id: "js7".into(),
        workflow_path: "/a/b".into(),
        workflow_version_id: "2".into(),
        version_date: None,
        order: None,
    };
    assert_eq!(read(line), Ok(Parsed { item, hidden_cyclic: 0 }));
    let dated = |date: Value| {
        let workflow = json!({"path": "/a", "versionId": "1", "versionDate": date});
        read(&json!({"controllerId": "js7", "workflow": workflow}).to_string())
    };
    let parsed = dated(json!("2026-11-23T12:34:56.789+01:00")).unwrap();
    let date = "2026-11-23T11:34:56.789Z".parse().unwrap();
    assert_eq!(parsed.item.version_date, Some(date));
    for bad in [json!("soon"), json!(1_795_437_600_000_i64), json!("+10000-01-01T00:00:00Z")] {
        let refused = dated(bad).unwrap_err();
        assert!(refused.starts_with("workflow.versionDate: is not "), "{refused}");
    }
}

#[test]
fn orders_that_a_cycle_hides_are_counted() {
    for (cycle, hidden) in [
        (json!({"count": 68}), 67),
        (json!({"count": 1}), 0),
        (json!({"count": 0}), 0),
        (json!({}), 0),
        (Value::Null, 0),
    ] {
        assert_eq!(order(json!({"cyclicOrder": cycle})).unwrap().hidden_cyclic, hidden);
    }
}

#[test]
fn what_joc_sends_beside_is_dropped() {
    let fields = json!({"planId": {}, "question": "?", "attachedState": {}, "ignored": 1,
        "historicOutcome": [1], "label": "x", "canLeave": true});
    assert_eq!(new_order(fields), new_order(json!({})));
}

#[test]
fn many_faults_of_a_line_are_cut() {
    let mut fields = serde_json::Map::new();
    (0..1000).for_each(|i| drop(fields.insert(format!("xx{i}"), json!(1))));
    let refused = order(fields.into()).unwrap_err();
    assert_eq!(refused.split("; order").count(), 20);
    assert!(refused.ends_with("; and more"), "{refused}");
}

#[test]
fn the_life_of_an_order_is_kept() {
    let at = |millis| DateTime::from_timestamp_millis(millis);
    let finished = |more: Value| {
        let mut fields = json!({"state": {"_text": "FINISHED"}});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        new_order(fields).life
    };
    let life = Life { started: at(1), state_since: at(2), ..Life::default() };
    assert_eq!(finished(json!({"startTime": 1, "endTime": "1970-01-01T00:00:00.002Z"})), life);
    let life =
        Life { created: at(0), state_since: at(2), remove_when_terminated: Some(false), ..life };
    assert_eq!(finished(json!({"startTime": 1, "stateSince": 2, "created": 0})), life);
    // As stored: nothing is inferred.
    let stored = json!({"suspended": false, "position": [0],
        "state": {"_text": "INPROGRESS", "_reason": "WAITING_FOR_ADMISSION"}});
    let stored = new_order(stored);
    assert_eq!((stored.state, stored.suspended), (InProgress, false));
    assert_eq!(stored.reason.as_deref(), Some("WAITING_FOR_ADMISSION"));
}
