//! `/orders/history` and `/order/history`.

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};

use crate::harness::{App, Order, with_controller};

mod numbers;

/// The ids of the orders in the history, in order.
async fn ids(app: &App, fields: Value) -> Vec<String> {
    let answer = app.post("/orders/history", &with_controller(fields)).await.ok();
    let orders = answer["history"].as_array().unwrap();
    orders.iter().map(|order| order["orderId"].as_str().unwrap().into()).collect()
}

/// An app with orders that were cancelled an hour apart, and a finished one.
async fn app(kind: crate::harness::Kind) -> App {
    let app = App::start(kind, &["--session-timeout=100000"]).await;
    let orders = [
        Order::new("a").workflow("/sos/eod", "1"),
        Order::new("b").workflow("/sos/billing/eod", "1"),
        Order::new("b|east").workflow("/sos/billing/part", "1"),
        Order::new("c").workflow("/sosx/month[1]_%", "1"),
        Order::new("f").workflow("/sos/eod", "1").state("RUNNING"),
        Order::new("living"),
        Order::new("other"),
    ];
    app.db.insert(&orders).await;
    app.db
        .execute(
            "UPDATE orders SET created = '2026-11-23T06:00:00.000Z' WHERE true; \
             UPDATE orders SET state = 'FINISHED', started = '2026-11-23T07:00:00.000Z', \
             state_since = '2026-11-23T08:30:00.000Z', arguments = '{\"x\": 1}', \
             position = '[3]' WHERE order_id = 'f'",
        )
        .await
        .unwrap();
    for id in ["a", "b|east", "b", "c"] {
        app.cancel(json!({"orderIds": [id]})).await.ok();
        app.pass(TimeDelta::hours(1));
    }
    app
}

on_both! {
    async fn lists_terminal_orders_newest_first(kind: Kind) {
        let app = app(kind).await;
        assert_eq!(ids(&app, json!({})).await, ["c", "b", "a", "f"]);
        let answer = app.post("/orders/history", &with_controller(json!({"orderId": "f"}))).await.ok();
        let due = DateTime::parse_from_rfc3339("2026-11-23T13:34:56.789Z").unwrap();
        let mut item = answer["history"][0].clone();
        assert!(item.as_object_mut().unwrap().remove("surveyDate").unwrap().is_string());
        assert!(item.as_object_mut().unwrap().remove("historyId").unwrap().is_u64());
        assert_eq!(item, json!({
            "controllerId": "prod",
            "orderId": "f",
            "workflow": "/sos/eod",
            "plannedTime": joc_orders::model::window::iso(&due.to_utc()),
            "startTime": "2026-11-23T07:00:00.000Z",
            "endTime": "2026-11-23T08:30:00.000Z",
            "position": "3",
            "sequence": 0,
            "state": {"_text": "SUCCESSFUL", "severity": 6},
            "orderState": {"_text": "FINISHED", "severity": 6},
            "arguments": {"x": 1},
        }));
        let answer = app.post("/orders/history", &with_controller(json!({"orderId": "a"}))).await.ok();
        let item = &answer["history"][0];
        assert_eq!(item["endTime"], "2026-11-23T12:34:56.789Z");
        assert_eq!(item["state"], json!({"_text": "FAILED", "severity": 2}));
        assert_eq!(item["orderState"], json!({"_text": "CANCELLED", "severity": 2}));
    }

    async fn each_filter_narrows_the_history(kind: Kind) {
        let app = app(kind).await;
        for (fields, expected) in [
            (json!({"historyStates": ["SUCCESSFUL"]}), &["f"][..]),
            (json!({"historyStates": ["FAILED"]}), &["c", "b", "a"]),
            (json!({"historyStates": ["INCOMPLETE"]}), &[]),
            (json!({"folders": [{"folder": "/sos"}]}), &["b", "a", "f"]),
            (json!({"folders": [{"folder": "/sos", "recursive": false}]}), &["a", "f"]),
            (json!({"workflowName": "eod"}), &["b", "a", "f"]),
            (json!({"workflowName": "e?d"}), &["b", "a", "f"]),
            (json!({"workflowName": "E*"}), &[]),
            (json!({"workflowName": "month[1]_%"}), &["c"]),
            (json!({"workflowName": "month[1]_*"}), &["c"]),
            (json!({"workflowName": "month?1__*"}), &[]),
            (json!({"workflowPath": "/sos/eod"}), &["a", "f"]),
            (json!({"workflowPath": "/sos/*"}), &["b", "a", "f"]),
            (json!({"workflowPath": "eod"}), &["b", "a", "f"]),
            (json!({"workflowPath": "e*d"}), &["b", "a", "f"]),
            (json!({"workflowPath": "?od"}), &["b", "a", "f"]),
            (json!({"workflowPath": "sos/eod"}), &[]),
            (json!({"workflowPath": "*/eod"}), &["b", "a", "f"]),
            (json!({"workflowPath": "/eod"}), &[]),
            (json!({"orderId": "", "workflowPath": "", "workflowName": ""}), &["c", "b", "a", "f"]),
            (json!({"orderId": "?"}), &["c", "b", "a", "f"]),
            (json!({"excludeWorkflows": ["/sos/eod", "month[1]_%"]}), &["b"]),
            (json!({"orders": [{"workflowPath": "/sos/eod", "orderId": "f"},
                               {"workflowPath": "/sosx/month[1]_%"}]}), &["c", "f"]),
            (json!({"orders": [{"workflowPath": "eod"}], "orderId": "c"}), &["b", "a", "f"]),
            (json!({"limit": 2}), &["c", "b"]),
            (json!({"limit": -1}), &["c", "b", "a", "f"]),
            // It is 16:34 now; unsigned periods lie in the past.
            (json!({"completedDateFrom": "3h"}), &["c", "b"]),
            (json!({"completedDateTo": "3h"}), &["a", "f"]),
            (json!({"completedDateFrom": "-3h", "completedDateTo": "1h"}), &["b"]),
            (json!({"completedDateFrom": "0d"}), &["c", "b", "a", "f"]),
            (json!({"dateFrom": "10h"}), &["f"]),
            (json!({"dateTo": "10h"}), &["c", "b", "a"]),
            (json!({"unknown": true}), &["c", "b", "a", "f"]),
        ] {
            assert_eq!(ids(&app, fields.clone()).await, expected, "{fields}");
        }
        for (fields, field) in [
            (json!({"historyStates": ["DONE"]}), "historyStates[0]"),
            (json!({"historyIds": [1]}), "historyIds"),
            (json!({"dateFrom": "x"}), "JOC-405 dateFrom"),
            (json!({"completedDateTo": "x"}), "JOC-405 completedDateTo"),
            (json!({"orderId": "\u{0}"}), "orderId"),
            (json!({"excludeWorkflows": ["/"]}), "excludeWorkflows[0]"),
            (json!({"orders": [{"workflowPath": "a/b"}]}), "orders[0].workflowPath"),
            (
                json!({"orders": [{"workflowPath": "/w"}], "folders": [{"folder": "a"}]}),
                "folders[0].folder",
            ),
            (json!({"limit": 0}), "limit"),
        ] {
            let answer = app.post("/orders/history", &with_controller(fields.clone())).await;
            answer.fails_with(&format!("{field}: "));
        }
    }

    async fn the_summary_counts_what_the_history_lists(kind: Kind) {
        let app = app(kind).await;
        app.post("/orders/remove_when_terminated", &with_controller(json!({"orderIds": ["a"]})))
            .await.ok();
        let summary = async |token: &str, body: Value| {
            let answer = app.post_as(token, "/orders/overview/summary", body.to_string()).await.ok();
            assert!(answer["deliveryDate"].is_string() && answer["surveyDate"].is_string());
            let counts = &answer["orders"];
            (counts["successful"].as_u64().unwrap(), counts["failed"].as_u64().unwrap())
        };
        let narrow = "2026-11-23T06:30:00Z";
        for (fields, expected) in [
            (json!({}), (1, 3)),
            (json!({"dateFrom": "1d", "limit": 1, "compact": true}), (1, 3)),
            (json!({"dateFrom": narrow}), (1, 0)),
            (json!({"dateTo": narrow}), (0, 3)),
            (json!({"dateFrom": "2026-11-23T07:30:00", "timeZone": "Europe/Berlin"}), (1, 0)),
            (json!({"dateFrom": "1m"}), (0, 0)),
            (json!({"folders": [{"folder": "/sos"}]}), (1, 2)),
            (json!({"folders": [{"folder": "/sos", "recursive": false}]}), (1, 1)),
        ] {
            let counted = summary(&app.token, with_controller(fields.clone())).await;
            assert_eq!(counted, expected, "{fields}");
            let mut listed = fields;
            listed["limit"] = json!(-1);
            let listed = ids(&app, listed.clone()).await.len() as u64;
            assert_eq!(listed, expected.0 + expected.1);
        }

        // Without a controller: all that the account may see.
        app.db.insert_into("east", &[
            Order::new("g").workflow("/sos/eod", "1").state("FINISHED"),
            Order::new("h").workflow("/hr/eod", "1").state("CANCELLED"),
        ]).await;
        for body in [json!({}), json!({"controllerId": ""}), json!({"controllerId": null})] {
            assert_eq!(summary(&app.token, body).await, (2, 4));
        }
        assert_eq!(summary(&app.token, json!({"controllerId": "east"})).await, (1, 1));
        let view = "sos:products:controller:orders:view";
        let limited = app.account("limited", view, &[("/sos", true)]).await;
        assert_eq!(summary(&limited, json!({})).await, (2, 2));
        app.store.add_role("eastern").await.unwrap();
        app.store.grant("eastern", view, "east").await.unwrap();
        let hash = joc_orders::http::password::hash("a-password").unwrap();
        app.store.add_account("eastern", &hash, &["eastern".into()]).await.unwrap();
        let eastern = app.login("eastern", "a-password").await;
        assert_eq!(summary(&eastern, json!({})).await, (1, 1));
        let other = with_controller(json!({})).to_string();
        let denied = app.post_as(&eastern, "/orders/overview/summary", other).await;
        assert_eq!(denied.status, 403);
        let blind = app.account("blind", "sos:products:controller:workflows", &[]).await;
        assert_eq!(app.post_as(&blind, "/orders/overview/summary", "{}").await.status, 403);

        for (fields, problem) in [
            (json!({"controllerId": "gone"}), "JOC-404 controllerId: "),
            (json!({"controllerId": 1}), "controllerId: "),
            (json!({"dateFrom": "1q"}), "JOC-405 dateFrom: "),
            (json!({"dateFrom": "0", "dateTo": "1d"}), "JOC-405 dateTo: the window is empty"),
            (json!({"timeZone": "Mars/Olympus"}), "JOC-405 timeZone: "),
            (json!({"folders": [{"folder": "sos"}]}), "folders[0].folder: "),
            (json!({"historyStates": ["FAILED"]}), "historyStates: this filter is not supported"),
        ] {
            app.post("/orders/overview/summary", &fields).await.fails_with(problem);
        }
    }

    async fn shows_an_orders_children_and_states(kind: Kind) {
        let app = app(kind).await;
        let history = app.post("/order/history", &with_controller(json!({"orderId": "b"}))).await.ok();
        assert_eq!((&history["hasOrders"], &history["hasTasks"]), (&json!(true), &json!(false)));
        assert_eq!(history["children"].as_array().unwrap().len(), 1);
        assert_eq!(history["children"][0]["order"]["orderId"], "b|east");
        assert_eq!(history["states"], json!([
            {"state": {"_text": "CANCELLED", "severity": 2}, "stateTime": "2026-11-23T14:34:56.789Z"},
        ]));
        // Requests that do not change the state are not in the history.
        let c = with_controller(json!({"orderIds": ["living"], "priority": 1}));
        for call in ["change", "change", "suspend", "change", "remove_when_terminated", "cancel"] {
            app.pass(TimeDelta::minutes(1));
            app.post(&format!("/orders/{call}"), &c).await.ok();
        }
        let ended = app.post("/order/history", &with_controller(json!({"orderId": "living"}))).await.ok();
        let states: Vec<&str> = ended["states"].as_array().unwrap().iter()
            .map(|state| state["state"]["_text"].as_str().unwrap()).collect();
        assert_eq!(states, ["SUSPENDED", "CANCELLED"]);
        let child = app.post("/order/history", &with_controller(json!({"orderId": "b|east"}))).await.ok();
        assert_eq!(child["children"], json!([]));
        for (fields, message) in [
            (json!({"orderId": "gone"}), "JOC-400 orderId: there is no order 'gone'"),
            (json!({"historyId": 4711}), "JOC-400 historyId: there is no order 4711"),
            (json!({"historyId": 0}), "historyId: is not between 1 and 9007199254740991"),
            (json!({"historyId": 9_007_199_254_740_992_u64}), "historyId: is not between"),
            (json!({"historyId": -1, "orderId": "b"}), "historyId: is not between"),
            (json!({"historyId": "5"}), "historyId: "),
            (json!({"historyId": 5.5}), "historyId: "),
            (json!({}), "orderId, historyId: one of them is required"),
        ] {
            app.post("/order/history", &with_controller(fields)).await.fails_with(message);
        }
    }

    async fn lists_and_shows_living_orders_that_have_started(kind: Kind) {
        let app = app(kind).await;
        app.db.insert(&[
            Order::new("r").state("RUNNING"),
            Order::new("r|east").state("WAITING"),
            Order::new("r|west"),
            Order::new("s").workflow("/sosx/eod", "1").state("FAILED").suspended(),
        ]).await;
        app.db.execute(
            "UPDATE orders SET started = '2026-11-23T12:34:58.000Z', \
             state_since = '2026-11-23T15:00:00.000Z', position = '[1]' WHERE order_id = 'r'",
        ).await.unwrap();
        for (fields, expected) in [
            (json!({}), &["c", "r", "b", "a", "s", "f"][..]),
            (json!({"limit": 2}), &["c", "r"]),
            (json!({"historyStates": ["INCOMPLETE"]}), &["r", "s"]),
            (json!({"historyStates": ["INCOMPLETE"], "limit": 1}), &["r"]),
            (json!({"historyStates": ["INCOMPLETE", "SUCCESSFUL"]}), &["r", "s", "f"]),
            (json!({"historyStates": ["SUCCESSFUL", "FAILED"]}), &["c", "b", "a", "f"]),
            (json!({"folders": [{"folder": "/sosx"}]}), &["c", "s"]),
            (json!({"workflowName": "eod", "orderId": "?"}), &["r", "b", "a", "s", "f"]),
            (json!({"orders": [{"workflowPath": "/sos/eod", "orderId": "r"}]}), &["r"]),
            (json!({"dateFrom": "2026-11-23T12:34:57Z"}), &["r"]),
            // A living order is not completed.
            (json!({"completedDateFrom": "1d"}), &["c", "b", "a", "f"]),
            (json!({"completedDateFrom": "1d", "historyStates": ["INCOMPLETE"]}), &[]),
        ] {
            assert_eq!(ids(&app, fields.clone()).await, expected, "{fields}");
        }
        let running = with_controller(json!({"orderId": "r"}));
        let answer = app.post("/orders/history", &running).await.ok();
        let item = &answer["history"][0];
        assert_eq!(item["state"], json!({"_text": "INCOMPLETE", "severity": 0}));
        assert_eq!(item["orderState"], json!({"_text": "RUNNING", "severity": 0}));
        assert_eq!(item["startTime"], "2026-11-23T12:34:58.000Z");
        assert_eq!((item.get("endTime"), &item["position"]), (None, &json!("1")));
        let answer = app.post("/orders/history", &with_controller(json!({"orderId": "s"}))).await.ok();
        assert_eq!(answer["history"][0]["orderState"]["_text"], "SUSPENDED");

        let states = |history: &Value| -> Vec<String> {
            let states = history["states"].as_array().unwrap().iter();
            states.map(|state| state["state"]["_text"].as_str().unwrap().into()).collect()
        };
        let history = app.post("/order/history", &running).await.ok();
        assert_eq!(history["states"], json!([
            {"state": {"_text": "RUNNING", "severity": 0}, "stateTime": "2026-11-23T15:00:00.000Z"},
        ]));
        // The child that has not started is no part of the history.
        assert_eq!(history["children"].as_array().unwrap().len(), 1);
        assert_eq!(history["children"][0]["order"]["orderId"], "r|east");
        assert_eq!(history["children"][0]["order"]["state"]["_text"], "INCOMPLETE");
        let fresh = with_controller(json!({"orderId": "living"}));
        assert_eq!(states(&app.post("/order/history", &fresh).await.ok()), ["BLOCKED"]);
        app.post("/orders/suspend", &with_controller(json!({"orderIds": ["living"]}))).await.ok();
        assert_eq!(states(&app.post("/order/history", &fresh).await.ok()), ["SUSPENDED"]);
        let summary = app.post("/orders/overview/summary", &with_controller(json!({}))).await.ok();
        assert_eq!(summary["orders"], json!({"successful": 1, "failed": 3}));
    }

    async fn without_a_controller_lists_all_that_the_account_may_see(kind: Kind) {
        let app = app(kind).await;
        app.db.insert_into("east", &[
            Order::new("a").workflow("/sos/eod", "1").state("FINISHED"),
            Order::new("h").workflow("/hr/eod", "1").state("RUNNING"),
            Order::new("i").workflow("/sos/eod", "1"),
        ]).await;
        let list = async |token: &str, body: Value| -> Vec<(String, String)> {
            let answer = app.post_as(token, "/orders/history", body.to_string()).await.ok();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let items = answer["history"].as_array().unwrap().iter();
            items.map(|item| (text(&item["controllerId"]), text(&item["orderId"]))).collect()
        };
        let of = |items: &[(&str, &str)]| -> Vec<(String, String)> {
            items.iter().map(|(controller, id)| ((*controller).into(), (*id).into())).collect()
        };
        let everything = of(&[("prod", "c"), ("prod", "b"), ("east", "a"), ("prod", "a"),
                              ("east", "h"), ("prod", "f")]);
        for body in [json!({}), json!({"controllerId": ""}), json!({"controllerId": null})] {
            assert_eq!(list(&app.token, body).await, everything);
        }
        assert_eq!(list(&app.token, json!({"limit": 3})).await, everything[..3]);
        assert_eq!(list(&app.token, json!({"controllerId": "east"})).await, of(&[("east", "a"), ("east", "h")]));
        let named = json!({"orders": [{"workflowPath": "/sos/eod", "orderId": "a"}]});
        assert_eq!(list(&app.token, named).await, of(&[("east", "a"), ("prod", "a")]));
        let incomplete = json!({"historyStates": ["INCOMPLETE"]});
        assert_eq!(list(&app.token, incomplete.clone()).await, of(&[("east", "h")]));

        let view = "sos:products:controller:orders:view";
        let limited = app.account("limited", view, &[("/sos", true)]).await;
        let seen = of(&[("prod", "b"), ("east", "a"), ("prod", "a"), ("prod", "f")]);
        assert_eq!(list(&limited, json!({})).await, seen);
        assert_eq!(list(&limited, incomplete.clone()).await, []);
        app.store.add_role("eastern").await.unwrap();
        app.store.grant("eastern", view, "east").await.unwrap();
        let hash = joc_orders::http::password::hash("a-password").unwrap();
        app.store.add_account("eastern", &hash, &["eastern".into()]).await.unwrap();
        let eastern = app.login("eastern", "a-password").await;
        assert_eq!(list(&eastern, json!({})).await, of(&[("east", "a"), ("east", "h")]));
        // The account's only controller is not there (yet).
        app.store.add_role("western").await.unwrap();
        app.store.grant("western", view, "west").await.unwrap();
        app.store.add_account("western", &hash, &["western".into()]).await.unwrap();
        let western = app.login("western", "a-password").await;
        assert_eq!(list(&western, json!({})).await, []);
        let blind = app.account("blind", "sos:products:controller:workflows", &[]).await;
        assert_eq!(app.post_as(&blind, "/orders/history", "{}").await.status, 403);
        for (fields, problem) in [
            (json!({"controllerId": "gone"}), "JOC-404 controllerId: "),
            (json!({"controllerId": 1}), "controllerId: "),
            (json!({"controllerId": "a/b"}), "controllerId: "),
            (json!({"historyStates": ["RUNNING"]}), "historyStates[0]: "),
        ] {
            app.post("/orders/history", &fields).await.fails_with(problem);
        }
        // The history of one order is that of one controller.
        for fields in [json!({"orderId": "a"}), json!({"controllerId": "", "orderId": "a"})] {
            app.post("/order/history", &fields).await.fails_with("controllerId: ");
        }
    }

    async fn keeps_hidden_orders_and_respects_folder_limits(kind: Kind) {
        let app = app(kind).await;
        let remove = with_controller(json!({"orderIds": ["a"]}));
        app.post("/orders/remove_when_terminated", &remove).await.ok();
        assert_eq!(ids(&app, json!({"workflowPath": "/sos/eod"})).await, ["a", "f"]);
        let view = "sos:products:controller:orders:view";
        let limited = app.account("limited", view, &[("/sos/billing", true)]).await;
        let body = with_controller(json!({"orderId": "a"})).to_string();
        let answer = app.post_as(&limited, "/orders/history", "{\"controllerId\":\"prod\"}").await.ok();
        assert_eq!(answer["history"].as_array().unwrap().len(), 1);
        assert!(app.post_as(&limited, "/order/history", body.clone()).await.not_found().starts_with("orderId"));
        let other = app.account("other", "sos:products:controller:orders:cancel", &[]).await;
        for call in ["/orders/history", "/order/history"] {
            assert_eq!(app.post_as(&other, call, body.clone()).await.status, 403);
            let nowhere = app.post(call, &json!({"controllerId": "nowhere", "orderId": "a"})).await;
            nowhere.fails_with("JOC-404 controllerId: ");
        }
    }
}
