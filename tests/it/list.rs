//! `/orders`, `/order` and `/orders/overview/snapshot`.

use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Order, start_time, with_controller};

async fn list(app: &App, fields: Value) -> Value {
    app.post("/orders", &with_controller(fields)).await.ok()
}

/// The ids of the listed orders.
async fn ids(app: &App, fields: Value) -> Vec<String> {
    let answer = list(app, fields).await;
    let orders = answer["orders"].as_array().unwrap();
    orders.iter().map(|order| order["orderId"].as_str().unwrap().into()).collect()
}

on_both! {
    async fn shows_an_order_as_joc_does(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("#2026-11-23#T1-daily").workflow("/sos/billing/eod", "7"),
            Order::new("#2026-11-23#T1-daily|east"),
            Order::new("waits").state("WAITING").mark("CANCELLING").never(),
        ])
        .await;
        app.db
            .execute(
                "UPDATE orders SET priority = -5, arguments = '{\"n\": 1.5, \"t\": \"a\\\"b\"}', \
                 position = '[2, \"then\", 0]' WHERE order_id = '#2026-11-23#T1-daily'; \
                 UPDATE orders SET reason = 'WAITING_FOR_LOCK' WHERE order_id = 'waits'",
            )
            .await
            .unwrap();
        let answer = list(&app, json!({})).await;
        assert_eq!(answer["surveyDate"], "2026-11-23T12:34:56.789Z");
        assert!(answer["deliveryDate"].is_string());
        let due = (start_time() + chrono::TimeDelta::hours(1)).timestamp_millis();
        let daily = json!({
            "orderId": "#2026-11-23#T1-daily",
            "workflowId": {"path": "/sos/billing/eod", "versionId": "7"},
            "state": {"_text": "SCHEDULED", "severity": 1},
            "scheduledFor": due,
            "position": [2, "then", 0],
            "positionString": "2/then:0",
            "arguments": {"n": 1.5, "t": "a\"b"},
            "priority": -5,
            "hasChildOrders": true,
            "isSuspendible": true,
            "isResumable": false,
            "isContinuable": false,
        });
        assert_eq!(answer["orders"][0], daily);
        assert_eq!(answer["orders"][2], json!({
            "orderId": "waits",
            "workflowId": {"path": "/sos/eod", "versionId": "1"},
            "state": {"_text": "WAITING", "severity": 8, "_reason": "WAITING_FOR_LOCK"},
            "marked": {"_text": "CANCELLING", "severity": 2},
            "arguments": {},
            "priority": 0,
            "hasChildOrders": false,
            "isSuspendible": false,
            "isResumable": false,
            "isContinuable": false,
        }));
        let body = with_controller(json!({"orderId": "#2026-11-23#T1-daily"}));
        let mut one = app.post("/order", &body).await.ok();
        for date in ["deliveryDate", "surveyDate"] {
            assert!(one.as_object_mut().unwrap().remove(date).unwrap().is_string());
        }
        assert_eq!(one, daily);
    }

    async fn shows_states_and_possible_actions(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("blocked").at("2026-11-23T12:34:56.788Z"),
            Order::new("failed").state("FAILED"),
            Order::new("inprogress").state("INPROGRESS"),
            Order::new("pending").never(),
            Order::new("prompting").state("PROMPTING"),
            Order::new("running").state("RUNNING"),
            Order::new("scheduled"),
            Order::new("suspended").suspended(),
            Order::new("suspending").state("RUNNING").mark("SUSPENDING"),
            Order::new("waiting").state("WAITING"),
            Order::new("z cancelled").state("CANCELLED"),
            Order::new("z finished").state("FINISHED"),
        ])
        .await;
        app.db
            .execute("UPDATE orders SET reason = 'SLEEPING' WHERE order_id = 'waiting'")
            .await
            .unwrap();
        let shown = |answer: Value| -> Vec<(String, u64, [bool; 3])> {
            let orders = answer["orders"].as_array().unwrap().clone();
            let shown = orders.into_iter().map(|order| (
                order["state"]["_text"].as_str().unwrap().to_owned(),
                order["state"]["severity"].as_u64().unwrap(),
                ["isSuspendible", "isResumable", "isContinuable"].map(|f| order[f].as_bool().unwrap()),
            ));
            shown.collect()
        };
        let expected = |list: &[(&str, u64, [bool; 3])]| -> Vec<(String, u64, [bool; 3])> {
            list.iter().map(|(text, severity, is)| ((*text).to_owned(), *severity, *is)).collect()
        };
        assert_eq!(shown(list(&app, json!({})).await), expected(&[
            ("BLOCKED", 7, [true, false, false]),
            ("FAILED", 2, [false, true, false]),
            ("INPROGRESS", 3, [true, false, false]),
            ("PENDING", 10, [true, false, false]),
            ("PROMPTING", 12, [true, false, false]),
            ("RUNNING", 0, [true, false, false]),
            ("SCHEDULED", 1, [true, false, false]),
            ("SUSPENDED", 5, [false, true, false]),
            ("RUNNING", 0, [false, true, false]),
            ("WAITING", 8, [true, false, true]),
        ]));
        let terminal = json!({"states": ["FINISHED", "CANCELLED"]});
        assert_eq!(shown(list(&app, terminal).await), expected(&[
            ("CANCELLED", 2, [false, false, false]),
            ("FINISHED", 6, [false, false, false]),
        ]));
        let snapshot = app.post("/orders/overview/snapshot", &with_controller(json!({}))).await.ok();
        assert_eq!(snapshot["orders"], json!({
            "pending": 1, "scheduled": 1, "inProgress": 1, "running": 2, "suspended": 1,
            "waiting": 1, "prompting": 1, "failed": 1, "blocked": 1, "terminated": 2,
        }));
        let pending = list(&app, json!({"states": ["PENDING", "BLOCKED"]})).await;
        assert_eq!(pending["orders"][1]["scheduledNever"], true);
        assert_eq!(pending["orders"][0].get("scheduledNever"), None);
        let with_date = with_controller(json!({"dateTo": "1h"}));
        let snapshot = app.post("/orders/overview/snapshot", &with_date).await.ok();
        assert_eq!(snapshot["orders"]["scheduled"], 0);
        assert_eq!(snapshot["orders"]["pending"], 1);
    }

    async fn selects_as_a_cancel_does(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("a1").workflow("/sos/eod", "1"),
            Order::new("a2").workflow("/sos/eod", "2").state("FAILED"),
            Order::new("b").workflow("/sos/billing/eod", "1"),
            Order::new("c").workflow("/sosx/other", "1").never(),
            Order::new("d").workflow("/sos/done", "1").state("CANCELLED"),
        ])
        .await;
        assert_eq!(ids(&app, json!({})).await, ["a1", "a2", "b", "c"]);
        assert_eq!(ids(&app, json!({"folders": [{"folder": "/sos"}]})).await, ["a1", "a2", "b"]);
        let only = json!({"folders": [{"folder": "/sos", "recursive": false}]});
        assert_eq!(ids(&app, only).await, ["a1", "a2"]);
        assert_eq!(ids(&app, json!({"workflowIds": [{"path": "eod"}]})).await, ["a1", "a2", "b"]);
        let version = json!({"workflowIds": [{"path": "/sos/eod", "version": "2"}]});
        assert_eq!(ids(&app, version).await, ["a2"]);
        assert_eq!(ids(&app, json!({"states": ["PENDING", "FAILED"]})).await, ["a2", "c"]);
        // Terminal orders are shown on request.
        assert_eq!(ids(&app, json!({"orderIds": ["d", "a1", "gone"]})).await, ["a1", "d"]);
        assert_eq!(ids(&app, json!({"states": ["FAILED", "CANCELLED"]})).await, ["a2", "d"]);
        assert_eq!(ids(&app, json!({"dateFrom": "0", "dateTo": "2h"})).await, ["a1", "a2", "b"]);
        assert_eq!(ids(&app, json!({"dateFrom": "2h"})).await, Vec::<String>::new());
        assert_eq!(ids(&app, json!({"regex": "/A[0-9]$"})).await, ["a1", "a2"]);
        assert_eq!(ids(&app, json!({"regex": "^/sos/%/[ab]", "limit": 2})).await, ["a1", "a2"]);
        assert_eq!(ids(&app, json!({"regex": "^/sos/eod/a1$"})).await, ["a1"]);
        assert_eq!(ids(&app, json!({"regex": "BILLING"})).await, ["b"]);
        assert_eq!(ids(&app, json!({"regex": "^a"})).await, Vec::<String>::new());
        assert_eq!(ids(&app, json!({"limit": 1})).await, ["a1"]);
        assert_eq!(ids(&app, json!({"compact": true, "unknown": [1]})).await.len(), 4);
        let nested = json!({"folders": [{"folder": "/sosx", "unknown": 1}]});
        assert_eq!(ids(&app, nested).await, ["c"]);
    }

    async fn filters_by_the_time_of_the_state(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&[Order::new("old"), Order { created: None, ..Order::new("new") }]).await;
        let old = "UPDATE orders SET created = '2020-01-01T00:00:00.000Z' WHERE order_id = 'old'";
        app.db.execute(old).await.unwrap();
        assert_eq!(ids(&app, json!({"stateDateFrom": "1h"})).await, ["new"]);
        assert_eq!(ids(&app, json!({"stateDateTo": "1h"})).await, ["old"]);
        let fields = with_controller(json!({"stateDateFrom": "2026-13-01"}));
        app.post("/orders", &fields).await.fails_with("JOC-405 stateDateFrom: ");
        // A suspended order has had that state since its suspension.
        let since = "SELECT count(*) FROM orders WHERE state_since > '2026-01-01T00:00:00.000Z'";
        app.post("/orders/suspend", &with_controller(json!({"orderIds": ["old"]}))).await.ok();
        assert_eq!(app.db.count(since).await, 1);
    }

    async fn truncates_a_long_list_unless_asked_for_all(kind: Kind) {
        let orders: Vec<Order> = (0..12_000).map(|i| Order::new(&format!("o{i:05}"))).collect();
        let app = App::with(kind, &orders).await;
        assert_eq!(ids(&app, json!({})).await.len(), 10_000);
        let all = ids(&app, json!({"limit": -1})).await;
        assert_eq!(all.len(), 12_000);
        assert!(all.is_sorted());
        assert_eq!(ids(&app, json!({"orderIds": all})).await.len(), 12_000);
        assert_eq!(ids(&app, json!({"regex": "9$", "limit": -1})).await.len(), 1_200);
    }

    async fn rejects_invalid_filters_by_name(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        for (fields, field) in [
            (json!({"limit": 0}), "limit"),
            (json!({"limit": -2}), "limit"),
            (json!({"limit": "5"}), "limit"),
            (json!({"regex": "("}), "regex"),
            (json!({"regex": "(?=a)"}), "regex"),
            (json!({"regex": "(((a{1000}){1000}){1000})"}), "regex"),
            (json!({"regex": "x".repeat(1001)}), "regex"),
            (json!({"states": ["NONE"]}), "states[0]"),
            (json!({"orderIds": ["a\u{0}"]}), "orderIds[0]"),
            (json!({"folders": [{"folder": "sos"}]}), "folders[0].folder"),
            (json!({"dateFrom": "x"}), "JOC-405 dateFrom"),
            (json!({"stateDateTo": ""}), "JOC-405 stateDateTo"),
            (json!({"compact": "yes"}), "compact"),
        ] {
            let answer = app.post("/orders", &with_controller(fields.clone())).await;
            answer.fails_with(&format!("{field}: "));
        }
        for call in ["/orders", "/order", "/orders/overview/snapshot"] {
            let elsewhere = json!({"controllerId": "nowhere", "orderId": "a"});
            app.post(call, &elsewhere).await.fails_with("JOC-404 controllerId: ");
        }
        for (id, field) in [(json!("gone"), "JOC-400 orderId: there is no order 'gone'"), (json!(""), "orderId: ")] {
            let body = json!({"controllerId": CONTROLLER, "orderId": id});
            app.post("/order", &body).await.fails_with(field);
        }
    }

    async fn shows_only_visible_orders(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("seen").workflow("/sos/billing/eod", "1"),
            Order::new("hidden").workflow("/sos/hr/eod", "1"),
        ])
        .await;
        let view = "sos:products:controller:orders:view";
        let limited = app.account("limited", view, &[("/sos/billing", true)]).await;
        let body = with_controller(json!({})).to_string();
        let answer = app.post_as(&limited, "/orders", body.clone()).await.ok();
        assert_eq!(answer["orders"].as_array().unwrap().len(), 1);
        assert_eq!(answer["orders"][0]["orderId"], "seen");
        let snapshot = app.post_as(&limited, "/orders/overview/snapshot", body.clone()).await.ok();
        assert_eq!(snapshot["orders"]["scheduled"], 1);
        let one = with_controller(json!({"orderId": "hidden"})).to_string();
        assert!(app.post_as(&limited, "/order", one).await.not_found().starts_with("orderId: "));
        let other = app.account("other", "sos:products:controller:orders:cancel", &[]).await;
        for call in ["/orders", "/order", "/orders/overview/snapshot"] {
            let body = with_controller(json!({"orderId": "seen"})).to_string();
            let answer = app.post_as(&other, call, body).await;
            assert_eq!(answer.status, 403, "{}", answer.text);
            assert!(!answer.text.contains("seen"), "{}", answer.text);
        }
        let denied = "SELECT count(*) FROM audit_logs WHERE outcome = 'DENIED'";
        assert_eq!(app.db.count(denied).await, 3);
    }

    async fn leaves_out_hidden_orders(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        app.cancel(json!({"orderIds": ["a", "b"]})).await.ok();
        let terminal = json!({"states": ["CANCELLED"]});
        assert_eq!(ids(&app, terminal.clone()).await, ["a", "b"]);
        let remove = with_controller(json!({"orderIds": ["a"]}));
        let preview = app.post("/orders/remove_when_terminated/preview", &remove).await.ok();
        assert_eq!((preview["total"].as_u64(), preview["removed"].as_u64()), (Some(1), Some(1)));
        assert_eq!(app.post("/orders/remove_when_terminated", &remove).await.affected(), 1);
        let again = app.post("/orders/remove_when_terminated", &remove).await;
        assert_eq!(again.nothing_found(), "No orders found.");
        assert_eq!(ids(&app, terminal).await, ["b"]);
        assert_eq!(ids(&app, json!({"orderIds": ["a", "b"]})).await, ["b"]);
        let one = with_controller(json!({"orderId": "a"}));
        assert!(app.post("/order", &one).await.not_found().starts_with("orderId: "));
        let snapshot = app.post("/orders/overview/snapshot", &with_controller(json!({}))).await.ok();
        assert_eq!(snapshot["orders"]["terminated"], 1);
        let cancelled = "SELECT count(*) FROM audit_log_details WHERE new_state = 'CANCELLED' \
                         AND previous_state = 'SCHEDULED' AND order_id = 'a'";
        assert_eq!(app.db.count(cancelled).await, 1);
    }

    async fn lists_no_order_in_a_state_that_only_joc_has(kind: Kind) {
        let app = App::with(kind, &[Order::new("1"), Order::new("2").state("FINISHED")]).await;
        for (states, listed) in [
            (json!(["PLANNED"]), &[][..]),
            (json!(["BROKEN", "UNKNOWN"]), &[]),
            (json!(["PLANNED", "SCHEDULED"]), &["1"]),
            (json!(["UNKNOWN", "FINISHED"]), &["2"]),
        ] {
            assert_eq!(ids(&app, json!({"states": states, "limit": -1})).await, listed, "{states}");
        }
        assert_eq!(ids(&app, json!({"states": ["BROKEN"], "orderIds": ["1"]})).await, ["1"]);
    }
}
