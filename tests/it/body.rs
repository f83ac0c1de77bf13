//! Rejected bodies: the message names the field, and nothing changes.

use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Order, with_controller};

/// Sends each body and expects a rejection that begins with the field's name.
async fn refused(app: &App, cases: &[(Value, &str)]) {
    for (fields, field) in cases {
        for call in ["/orders/cancel", "/orders/cancel/preview"] {
            app.post(call, fields).await.fails_with(&format!("{field}: "));
        }
    }
    assert_eq!(app.db.ids_in("FRESH").await, ["a"]);
    assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 0);
}

fn with(fields: Value) -> Value {
    with_controller(fields)
}

on_both! {
    async fn rejects_a_misspelt_field_by_name(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let ids = json!(["a"]);
        refused(&app, &[
            (with(json!({"orderId": "a"})), "orderId"),
            (with(json!({"state": ["SCHEDULED"]})), "state"),
            (with(json!({"folder": "/"})), "folder"),
            (with(json!({"orderIds": ids, "orderId": "a"})), "orderId"),
            (with(json!({"orderIds": ids, "state": "FAILED"})), "state"),
            (with(json!({"orderIds": ids, "folder": "/"})), "folder"),
            (with(json!({"orderIds": ids, "OrderIds": ids})), "OrderIds"),
            (with(json!({"orderIds": ids, "datefrom": "1d"})), "datefrom"),
            (with(json!({"folders": [{"folder": "/", "recursiv": false}]})), "folders[0].recursiv"),
            (with(json!({"folders": [{"folder": "/", "Recursive": false}]})), "folders[0].Recursive"),
            (with(json!({"workflowIds": [{"path": "x", "versionID": "1"}]})), "workflowIds[0].versionID"),
            (with(json!({"orderIds": ids, "auditLog": {"Comment": "x"}})), "auditLog.Comment"),
        ])
        .await;
    }

    async fn ignores_extra_fields_of_joc_clients(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        let fields = json!({
            "orderIds": ["a"], "orders": [{"orderId": "b"}], "reset": true, "force": 1,
            "fromCurrentBlock": null, "position": [0], "priority": "high",
            "variables": {"x": ["\u{0}"]}, "cycleEndTime": {}, "orderType": "FreshOrStarted",
        });
        assert_eq!(app.cancel(fields).await.affected(), 1);
        assert_eq!(app.db.ids_in("FRESH").await, ["b"]);
    }

    async fn rejects_a_mistyped_or_malformed_field_by_name(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let long = "x".repeat(256);
        let ids = |ids: Value| with(json!({"orderIds": ids}));
        let folder = |folder: &str| with(json!({"folders": [{"folder": folder}]}));
        let path = |path: &str| with(json!({"workflowIds": [{"path": path}]}));
        let also = |field: &str, value: Value| {
            let mut body = with(json!({"orderIds": ["a"]}));
            let (outer, inner) = field.split_once('.').unwrap_or((field, ""));
            if inner.is_empty() { body[outer] = value } else { body[outer] = json!({inner: value}) }
            body
        };
        refused(&app, &[
            (ids(json!("a")), "orderIds"),
            (ids(json!([1])), "orderIds[0]"),
            (ids(json!([null])), "orderIds[0]"),
            (ids(json!(["a", ""])), "orderIds[1]"),
            (ids(json!(["a", "b", "a"])), "orderIds[2]"),
            (ids(json!(["a\u{0}"])), "orderIds[0]"),
            (ids(json!(["a\n"])), "orderIds[0]"),
            (ids(json!([long])), "orderIds[0]"),
            (folder(""), "folders[0].folder"),
            (folder("sos"), "folders[0].folder"),
            (folder("/sos/"), "folders[0].folder"),
            (folder("/sos//a"), "folders[0].folder"),
            (folder("//"), "folders[0].folder"),
            (folder("/sos\u{0}"), "folders[0].folder"),
            (with(json!({"folders": ["/sos"]})), "folders[0]"),
            (with(json!({"folders": [["/"]]})), "folders[0]"),
            (with(json!({"folders": [{"folder": "/", "recursive": "false"}]})), "folders[0].recursive"),
            (with(json!({"folders": [{"recursive": false}]})), "folders[0].folder"),
            (path(""), "workflowIds[0].path"),
            (path("/"), "workflowIds[0].path"),
            (path("sos/eod"), "workflowIds[0].path"),
            (path("/sos/eod/"), "workflowIds[0].path"),
            (with(json!({"workflowIds": [{"path": "x", "versionId": ""}]})), "workflowIds[0].versionId"),
            (with(json!({"workflowIds": [["x", "1"]]})), "workflowIds[0]"),
            (with(json!({"states": ["scheduled"]})), "states[0]"),
            (with(json!({"states": ["SCHEDULED", "TERMINATED"]})), "states[1]"),
            (with(json!({"states": ["FINISHED", 5]})), "states[1]"),
            (with(json!({"states": "SCHEDULED"})), "states"),
            (also("dateFrom", json!("1q")), "JOC-405 dateFrom"),
            (also("dateFrom", json!("")), "JOC-405 dateFrom"),
            (also("dateTo", json!(5)), "dateTo"),
            (also("dateTo", json!("2026-02-30T00:00:00")), "JOC-405 dateTo"),
            (also("timeZone", json!("Mars/Phobos")), "JOC-405 timeZone"),
            (also("timeZone", json!(" ")), "JOC-405 timeZone"),
            (also("endPositions", json!([])), "endPositions"),
            (also("kill", json!("true")), "kill"),
            (also("kill", json!(1)), "kill"),
            (also("deep", json!({})), "deep"),
            (also("orderType", json!("fresh")), "orderType"),
            (also("maxOrders", json!(-1)), "maxOrders"),
            (also("maxOrders", json!(1.5)), "maxOrders"),
            (also("maxOrders", json!("5")), "maxOrders"),
            (also("auditLog", json!("because")), "auditLog"),
            (also("auditLog.comment", json!("x".repeat(2001))), "auditLog.comment"),
            (also("auditLog.comment", json!("<b>")), "auditLog.comment"),
            (also("auditLog.comment", json!("a\u{0}")), "auditLog.comment"),
            (also("auditLog.timeSpent", json!(-1)), "auditLog.timeSpent"),
            (also("auditLog.ticketLink", json!("y".repeat(256))), "auditLog.ticketLink"),
            (also("auditLog.ticketLink", json!("a>b")), "auditLog.ticketLink"),
            (json!({"orderIds": ["a"]}), "controllerId"),
            (json!({"controllerId": null, "orderIds": ["a"]}), "controllerId"),
            (json!({"controllerId": "", "orderIds": ["a"]}), "controllerId"),
            (json!({"controllerId": "nowhere", "orderIds": ["a"]}), "JOC-404 controllerId"),
            (json!({"controllerId": "prod/", "orderIds": ["a"]}), "controllerId"),
            (json!({"controllerId": "p".repeat(101), "orderIds": ["a"]}), "controllerId"),
        ])
        .await;
        let inverted = with(json!({"dateFrom": "2026-11-24T00:00:00Z", "dateTo": "2026-11-23T00:00:00Z"}));
        refused(&app, &[(inverted, "JOC-405 dateTo")]).await;
    }

    async fn messages_name_the_field_but_no_column(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let selected = "unknown variant `NONE`, expected one of ";
        for (call, fields, message) in [
            ("/order", json!({}), "orderId: is missing"),
            ("/orders/add", json!({"orders": [{}]}), "orders[0].workflowPath: is missing"),
            ("/orders/cancel", json!({"folders": [{}]}), "folders[0].folder: is missing"),
            ("/orders", json!({"orderIds": 5}), "orderIds: invalid type: integer `5`, expected a sequence"),
        ] {
            assert_eq!(app.post(call, &with(fields)).await.refused(), message, "{call}");
        }
        let refused = app.post("/orders", &with(json!({"states": ["NONE"]}))).await.refused();
        assert!(refused.starts_with(&format!("states[0]: {selected}")), "{refused}");
        assert!(!refused.contains(" line ") && !refused.contains(" column "), "{refused}");
        // What the message repeats of the body is short and escaped, and it says what was expected.
        let hostile = format!("\u{1b}[31m\u{202e}{}", "x".repeat(10_000));
        for (call, fields, beginning) in [
            ("/orders", json!({"states": [hostile]}), "states[0]: unknown variant `\\u{1b}[31m\\u{202e}xxx"),
            ("/orders", json!({"limit": hostile}), "limit: "),
            ("/orders/cancel", json!({"kill": hostile}), "kill: invalid type: string \"\\u{1b}[31m\\u{202e}xxx"),
            ("/orders/add", json!({"orders": [{"workflowPath": "w", "arguments": {"a\u{85}b": [1]}}]}), "orders[0].arguments.a\\u{85}b[0]: "),
            ("/orders", json!({"controllerId": "p\u{202e}"}), "JOC-404 controllerId: there is no controller 'p\\u{202e}'"),
        ] {
            let mut body = with(json!({}));
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let refused = app.post(call, &body).await.fails_with(beginning);
            assert!(refused.chars().count() < 400, "{refused}");
            assert!(!refused.contains(['\u{1b}', '\u{85}', '\u{202e}']), "{refused}");
            assert!(!refused.contains("xxx") || refused.contains("…, expected "), "{refused}");
        }
        // For malformed JSON the message says nothing more.
        let broken = app.post_as(&app.token, "/orders", "{\"a\": }").await.refused();
        assert!(broken.ends_with(" at line 1 column 7"), "{broken}");
    }

    async fn rejects_limit_outside_previews(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let message = app.cancel(json!({"orderIds": ["a"], "limit": 1})).await.refused();
        assert!(message.starts_with("limit: "), "{message}");
        assert_eq!(app.db.ids_in("FRESH").await, ["a"]);
    }

    async fn rejects_bodies_that_are_not_objects(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let deep = format!("{{\"variables\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_ids = format!("{{\"orderIds\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let twice = format!(
            r#"{{"controllerId":"{CONTROLLER}","orderIds":["b"],"orderIds":["a"]}}"#
        );
        let good = with(json!({"orderIds": ["a"]})).to_string();
        let two = format!("{good}{good}");
        let bodies: [&[u8]; 16] = [
            b"", b"  ", b"[]", b"[{}]", b"5", b"null", b"\"x\"", b"{", b"{}", b"\xff\xfe",
            b"{\"controllerId\":\"\xc3\x28\"}", b"not json", deep.as_bytes(), deep_ids.as_bytes(),
            twice.as_bytes(), two.as_bytes(),
        ];
        for body in bodies {
            let answer = app.post_as(&app.token, "/orders/cancel", body.to_vec()).await;
            let message = answer.refused();
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
            assert!(message.contains(": "), "{shown}: {message}");
        }
        assert_eq!(app.db.ids_in("FRESH").await, ["a"]);
    }

    async fn rejects_a_body_one_byte_over_the_limit(kind: Kind) {
        let app = App::start(kind, &["--body-limit=1000"]).await;
        app.db.insert(&[Order::new("a")]).await;
        let body = with(json!({"orderIds": ["a"]})).to_string();
        let at_limit = format!("{body}{}", " ".repeat(1000 - body.len()));
        let over = app.post_as(&app.token, "/orders/cancel", format!("{at_limit} ")).await;
        assert_eq!(over.status, 413, "{}", over.text);
        assert_eq!(over.json()["error"]["code"], "JOC-420");
        assert_eq!(app.db.ids_in("FRESH").await, ["a"]);
        assert_eq!(app.post_as(&app.token, "/orders/cancel", at_limit).await.affected(), 1);
    }
}
