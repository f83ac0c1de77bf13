//! `/orders/add`.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{App, Order, ROOT, Response, start_time, with_controller};

async fn add(app: &App, orders: Value) -> Response {
    app.post("/orders/add", &with_controller(json!({"orders": orders}))).await
}

/// An app with `/sos/eod` in versions 1 and 2, `/sos/billing/eod` and `/sos/one`.
async fn app(kind: crate::harness::Kind) -> App {
    let app = App::with(
        kind,
        &[
            Order::new("a").workflow("/sos/billing/eod", "1"),
            Order::new("b").workflow("/sos/one", "1"),
            Order::new("c").workflow("/sos/eod", "9"),
        ],
    )
    .await;
    let newer = "INSERT INTO workflows (controller_id, path, version_id, created) \
                 VALUES ('prod', '/sos/eod', '1', '2099-01-01T00:00:00.000Z')";
    app.db.execute(newer).await.unwrap();
    app
}

on_both! {
    async fn adds_orders_as_joc_does(kind: Kind) {
        let app = app(kind).await;
        let answer = add(&app, json!([
            {"workflowPath": "/sos/eod", "orderName": "daily", "scheduledFor": "now + 01:00",
             "arguments": {"n": 1, "b": true, "t": "x", "gone": null, "l": [{"a": 1}]},
             "priority": 10, "forceJobAdmission": false},
            {"workflowPath": "one", "orderName": "täglich"},
            {"workflowPath": "one", "scheduledFor": "never", "startPosition": [1, "then", 0]},
            {"workflowPath": "one", "orderName": "d", "scheduledFor": "2026-12-01 06:30",
             "timeZone": "Europe/Berlin"},
        ]))
        .await;
        let body = answer.ok();
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
        assert_eq!(answer.affected(), 4);
        let ids: Vec<&str> =
            body["orderIds"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let ends = ["-daily", "-täglich", "-root", "-d"];
        for (id, end) in ids.iter().zip(ends) {
            let digits = id.strip_prefix("#2026-11-23#T").and_then(|id| id.strip_suffix(end));
            let digits = digits.unwrap_or_else(|| panic!("{id}"));
            assert!(digits.len() == 11 && digits.bytes().all(|b| b.is_ascii_digit()), "{id}");
        }
        let listed = app.post("/orders", &with_controller(json!({"orderIds": ids}))).await.ok();
        let find = |id: &str| -> Value {
            let orders = listed["orders"].as_array().unwrap();
            orders.iter().find(|order| order["orderId"] == id).unwrap().clone()
        };
        let daily = find(ids[0]);
        // The newest version of the workflow.
        assert_eq!(daily["workflowId"], json!({"path": "/sos/eod", "versionId": "1"}));
        let due = (start_time() + TimeDelta::hours(1)).timestamp_millis();
        assert_eq!(daily["scheduledFor"], due);
        assert_eq!(daily["arguments"], json!({"n": 1, "b": true, "t": "x", "l": [{"a": 1}]}));
        assert_eq!(daily["priority"], 10);
        assert_eq!(find(ids[1])["scheduledFor"], start_time().timestamp_millis());
        assert_eq!(find(ids[2])["state"]["_text"], "PENDING");
        assert_eq!(find(ids[2])["position"], json!([1, "then", 0]));
        assert_eq!(find(ids[3])["scheduledFor"], 1_796_103_000_000_i64);

        let rows = app
            .db
            .rows("SELECT previous_state, new_state, folder FROM audit_log_details ORDER BY order_id")
            .await
            .unwrap();
        let states: Vec<String> = rows.into_iter().flatten().flatten().collect();
        assert_eq!(states, [
            "NONE", "SCHEDULED", "/sos", "NONE", "SCHEDULED", "/sos", "NONE", "PENDING", "/sos",
            "NONE", "SCHEDULED", "/sos",
        ]);
        let log = "SELECT count(*) FROM audit_logs WHERE request = './orders/add' AND affected = 4";
        assert_eq!(app.db.count(log).await, 1);
    }

    async fn concurrent_requests_get_unique_ids(kind: Kind) {
        let app = app(kind).await;
        let other = app.replica(&[]).await;
        // Somebody has inserted an id that is about to be generated.
        let next = start_time().timestamp_millis() * 100 % 100_000_000_000;
        let taken = Order::new(&format!("#2026-11-23#T{next:011}-x")).workflow("/sos/one", "1");
        app.db.insert(&[taken]).await;
        let orders: Vec<Value> =
            (0..200).map(|_| json!({"workflowPath": "one", "orderName": "x"})).collect();
        let calls = (0..10).map(|i| add(if i % 2 == 0 { &app } else { &other }, json!(orders)));
        let mut ids = HashSet::new();
        for answer in futures_util::future::join_all(calls).await {
            for id in answer.ok()["orderIds"].as_array().unwrap() {
                // The digits are unique, whatever the name.
                assert!(ids.insert(id.as_str().unwrap()[13..24].to_owned()), "{id}");
            }
        }
        assert_eq!(ids.len(), 2000);
        assert_eq!(app.db.count("SELECT count(*) FROM orders").await, 2004);
    }

    async fn one_invalid_order_rejects_the_request(kind: Kind) {
        let app = app(kind).await;
        let good = json!({"workflowPath": "one", "orderName": "x"});
        for (order, field) in [
            (json!({"workflowPath": "gone"}), "JOC-400 orders[1].workflowPath"),
            (json!({"workflowPath": "/one"}), "JOC-400 orders[1].workflowPath"),
            (json!({"workflowPath": "eod"}), "orders[1].workflowPath"),
            (json!({"workflowPath": "sos/one"}), "orders[1].workflowPath"),
            (json!({"workflowPath": "on%"}), "JOC-400 orders[1].workflowPath"),
            (json!({"workflowPath": "one\u{0}"}), "orders[1].workflowPath"),
            (json!({"workflowPath": ""}), "orders[1].workflowPath"),
            (json!({}), "orders[1].workflowPath"),
            (json!({"workflowPath": "one", "orderName": "x".repeat(31)}), "orders[1].orderName"),
            (json!({"workflowPath": "one", "orderName": "a|b"}), "orders[1].orderName"),
            (json!({"workflowPath": "one", "orderName": "a b"}), "orders[1].orderName"),
            (json!({"workflowPath": "one", "ordername": "a"}), "orders[1].ordername"),
            (json!({"workflowPath": "one", "scheduledFor": "soon"}), "JOC-405 orders[1].scheduledFor"),
            (json!({"workflowPath": "one", "scheduledFor": 5}), "orders[1].scheduledFor"),
            (json!({"workflowPath": "one", "timeZone": "Mars"}), "JOC-405 orders[1].timeZone"),
            (json!({"workflowPath": "one", "priority": 2_147_483_648_i64}), "orders[1].priority"),
            (json!({"workflowPath": "one", "arguments": []}), "orders[1].arguments"),
            (json!({"workflowPath": "one", "arguments": {"a": {"b": {}}}}), "orders[1].arguments.a.b"),
            (json!({"workflowPath": "one", "arguments": {"a": {"b": null}}}), "orders[1].arguments.a.b"),
            (json!({"workflowPath": "one", "arguments": {"a": {"": 1}}}), "orders[1].arguments.a"),
            (json!({"workflowPath": "one", "arguments": {"a": [1]}}), "orders[1].arguments.a[0]"),
            (json!({"workflowPath": "one", "arguments": {"a": "\u{0}"}}), "orders[1].arguments.a"),
            (json!({"workflowPath": "one", "startPosition": "x"}), "orders[1].startPosition"),
            (json!({"workflowPath": "one", "startPosition": ["x"]}), "orders[1].startPosition"),
            (json!({"workflowPath": "one", "blockPosition": [0]}), "orders[1].blockPosition"),
            (json!({"workflowPath": "one", "blockPosition": "x"}), "orders[1].blockPosition"),
            (json!({"workflowPath": "one", "endPositions": ["x"]}), "orders[1].endPositions"),
            (json!({"workflowPath": "one", "endPositions": [[]]}), "orders[1].endPositions"),
            (json!({"workflowPath": "one", "endPositions": {"a": null}}), "orders[1].endPositions"),
            (json!({"workflowPath": "one", "endPositions": 0}), "orders[1].endPositions"),
            (json!({"workflowPath": "one", "endPositions": 0.5}), "orders[1].endPositions"),
            (json!({"workflowPath": "one", "endPositions": false}), "orders[1].endPositions"),
            (json!({"workflowPath": "one", "endPosition": []}), "orders[1].endPosition"),
            (json!({"workflowPath": "one", "endPosition": null}), "orders[1].endPosition"),
        ] {
            add(&app, json!([good, order])).await.fails_with(&format!("{field}: "));
        }
        for (body, field) in [
            (json!({"orders": []}), "orders"),
            (json!({"orders": {}}), "orders"),
            (json!({}), "orders"),
            (json!({"orders": [good], "order": good}), "order"),
            (json!({"orders": [good], "auditLog": {"comment": "<b>"}}), "auditLog.comment"),
        ] {
            let message = app.post("/orders/add", &with_controller(body.clone())).await.refused();
            assert!(message.starts_with(&format!("{field}: ")), "{body}: {message}");
        }
        assert_eq!(app.db.count("SELECT count(*) FROM orders").await, 3);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 0);
    }

    async fn an_empty_field_counts_as_absent(kind: Kind) {
        let app = app(kind).await;
        let order = json!({"workflowPath": "one", "orderName": "", "timeZone": "",
            "endPositions": [], "blockPosition": {}, "startPosition": null, "tags": [],
            "scheduledFor": "2026-11-24 08:00"});
        let answer = add(&app, json!([order])).await;
        assert_eq!(answer.affected(), 1);
        let id = answer.json()["orderIds"][0].as_str().unwrap().to_owned();
        assert!(id.ends_with(&format!("-{}", ROOT.0)), "{id}");
        let body = with_controller(json!({"orderId": id}));
        let at = app.post("/order", &body).await.ok()["scheduledFor"].as_i64().unwrap();
        assert_eq!(at, "2026-11-24T08:00:00Z".parse::<DateTime<Utc>>().unwrap().timestamp_millis());
    }

    async fn takes_every_type_of_argument(kind: Kind) {
        let app = app(kind).await;
        let arguments = json!({"text": "a", "number": 1.5, "flag": true, "none": {}, "empty": [],
            "map": {"k": "v", "n": 1, "f": false, "q\"\\": ""}, "list": [{"k": "v"}, {}]});
        let order = json!({"workflowPath": "one", "arguments": arguments});
        let id = add(&app, json!([order])).await.ok()["orderIds"][0].clone();
        let shown = app.post("/order", &with_controller(json!({"orderId": id}))).await.ok();
        assert_eq!(shown["arguments"], arguments);
    }

    async fn a_preview_adds_nothing(kind: Kind) {
        let app = app(kind).await;
        let body = with_controller(json!({"orders": [
            {"workflowPath": "one", "orderName": "x", "scheduledFor": "now + 60"}]}));
        let preview = app.post("/orders/add/preview", &body).await.ok();
        assert_eq!(preview["total"], 1);
        assert_eq!(preview["orders"], json!([{
            "orderName": "x", "workflowId": {"path": "/sos/one", "versionId": "1"},
            "arguments": {}, "priority": 0,
            "scheduledFor": (start_time() + TimeDelta::minutes(1)).timestamp_millis(),
        }]));
        assert_eq!(app.db.count("SELECT count(*) FROM orders").await, 3);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 0);
    }

    async fn adds_orders_only_to_visible_workflows(kind: Kind) {
        let app = app(kind).await;
        let create = "sos:products:controller:orders:create";
        let limited = app.account("limited", create, &[("/sos/billing", true)]).await;
        let body = |path: &str| {
            with_controller(json!({"orders": [{"workflowPath": path}]})).to_string()
        };
        // The account can see one of the two workflows of this name.
        let answer = app.post_as(&limited, "/orders/add", body("eod")).await;
        assert_eq!(answer.affected(), 1);
        let message = app.post_as(&limited, "/orders/add", body("/sos/one")).await.not_found();
        assert_eq!(message, "orders[0].workflowPath: there is no workflow '/sos/one'");
        let viewer = app.account("viewer", "sos:products:controller:orders:view", &[]).await;
        let answer = app.post_as(&viewer, "/orders/add", body("one")).await;
        assert_eq!(answer.status, 403, "{}", answer.text);
        assert_eq!(app.db.count("SELECT count(*) FROM orders").await, 4);
        let denied = "SELECT count(*) FROM audit_logs WHERE outcome = 'DENIED' AND request = './orders/add'";
        assert_eq!(app.db.count(denied).await, 1);
    }
}
