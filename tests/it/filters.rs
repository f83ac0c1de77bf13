//! Filters of lists: JOC's horizon, and JOC's filters that the service does not have.

use serde_json::{Value, json};

use crate::harness::{App, Order, with_controller};

/// The ids of the listed orders.
async fn ids(app: &App, fields: Value) -> Vec<String> {
    let answer = app.post("/orders", &with_controller(fields)).await.ok();
    let orders = answer["orders"].as_array().unwrap();
    orders.iter().map(|order| order["orderId"].as_str().unwrap().into()).collect()
}

/// JOC's filters that an endpoint does not have.
fn unsupported() -> [(&'static str, Value, &'static [&'static str]); 6] {
    let nothing = json!({});
    let workflows = json!({"workflowIds": [{"path": "/sos/eod"}]});
    [
        ("/orders", nothing.clone(), &["orderTags", "workflowTags", "scheduledNever"]),
        (
            "/orders/overview/snapshot",
            nothing.clone(),
            &[
                "orderIds",
                "regex",
                "states",
                "stateDateFrom",
                "stateDateTo",
                "orderTags",
                "workflowTags",
                "scheduledNever",
            ],
        ),
        ("/orders/history", nothing.clone(), &["orderTags", "workflowTags", "regex"]),
        (
            "/workflows",
            nothing.clone(),
            &["tags", "workflowTags", "orderTags", "agentNames", "instructionStates"],
        ),
        ("/workflows/order_count", workflows, &["orderTags"]),
        (
            "/tree",
            nothing,
            &[
                "onlyWithAssignReference",
                "forInventoryTrash",
                "forDescriptors",
                "forDescriptorsTrash",
            ],
        ),
    ]
}

on_both! {
    async fn rejects_filters_of_joc_that_it_does_not_have(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        for (call, fields, filters) in unsupported() {
            let with = |more: Vec<(&str, Value)>| {
                let mut body = with_controller(fields.clone());
                more.into_iter().for_each(|(name, value)| body[name] = value);
                body
            };
            for filter in filters {
                for value in [json!(["x"]), json!("x"), json!({"x": null}), json!(true), json!(0), json!([[]])] {
                    let refused = app.post(call, &with(vec![(filter, value.clone())])).await;
                    assert_eq!(refused.status, 420, "{call} {filter} {value}: {}", refused.text);
                    let message = format!("{filter}: this filter is not supported");
                    assert_eq!(refused.json()["error"]["message"], message, "{call} {value}");
                }
                for value in [json!([]), json!(""), json!({}), json!(null), json!(false)] {
                    app.post(call, &with(vec![(filter, value)])).await.ok();
                }
            }
            // A filter that is empty hides none that is not, and the last of two counts.
            let both = with(vec![(filters[0], json!([])), (filters[filters.len() - 1], json!(["x"]))]);
            assert_eq!(app.post(call, &both).await.status, 420, "{call}");
            let twice = with(vec![]).to_string();
            let twice = twice.replacen('{', &format!("{{\"{0}\": [], \"{0}\": [1], ", filters[0]), 1);
            assert_eq!(app.post_as(&app.token, call, twice).await.status, 420, "{call}");
            // Other fields that the endpoint does not know are ignored, also of the same name deeper.
            let others = vec![
                ("withoutWorkflowTags", json!(true)),
                ("compact", json!(true)),
                ("unknown", json!([1])),
                ("folders", json!([{"folder": "/", filters[0]: ["x"]}])),
            ];
            app.post(call, &with(others)).await.ok();
        }
        let body = with_controller(json!({"onlyValidObjects": true, "forInventory": true}));
        app.post("/tree", &body).await.ok();
    }

    async fn date_to_alone_leaves_out_what_is_scheduled_later(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("blocked").at("2026-11-20T00:00:00.000Z"),
            Order::new("failed later").state("FAILED").at("2027-01-01T00:00:00.000Z"),
            Order::new("midnight").at("2026-11-24T00:00:00.000Z"),
            Order::new("pending").never(),
            Order::new("running").state("RUNNING").at("2026-11-01T00:00:00.000Z"),
            Order::new("suspended later").suspended().at("2027-01-01T00:00:00.000Z"),
            Order::new("today").at("2026-11-23T23:59:59.999Z"),
            Order::new("tonight").at("2026-11-23T22:59:59.999Z"),
            Order::new("z later").at("2027-01-01T00:00:00.000Z"),
        ])
        .await;
        let kept = ["blocked", "failed later", "pending", "running", "suspended later"];
        let horizon = |date_to: &str| ids(&app, json!({"dateTo": date_to}));
        let with = |more: &[&'static str]| {
            let mut all = [&kept, more].concat();
            all.sort_unstable();
            all
        };
        assert_eq!(horizon("1d").await, with(&["today", "tonight"]));
        assert_eq!(horizon("2d").await, with(&["today", "tonight", "midnight"]));
        assert_eq!(horizon("24h").await, with(&["today", "tonight", "midnight"]));
        assert_eq!(horizon("2026-11-24T00:00:00").await, with(&["today", "tonight"]));
        assert_eq!(horizon("2026-11-24T00:00:00.001").await, with(&["today", "tonight", "midnight"]));
        let berlin = json!({"dateTo": "1d", "timeZone": "Europe/Berlin"});
        assert_eq!(ids(&app, berlin).await, with(&["tonight"]));
        // Never earlier than now.
        for past in ["0", "0d", "-2h", "-1M", "2020-01-01T00:00:00Z"] {
            assert_eq!(horizon(past).await, kept, "{past}");
        }
        let every_state = json!({"dateTo": "1d", "states": ["SCHEDULED", "FAILED"]});
        assert_eq!(ids(&app, every_state).await, ["failed later", "today", "tonight"]);
        let by_id = json!({"dateTo": "1d", "orderIds": ["z later", "today"]});
        assert_eq!(ids(&app, by_id).await, ["today", "z later"]);
        // With dateFrom it is the window of a cancel.
        let window = json!({"dateFrom": "0d", "dateTo": "0d"});
        assert_eq!(ids(&app, window.clone()).await, ["today", "tonight"]);
        let preview = app.post("/orders/cancel/preview", &with_controller(window)).await.ok();
        assert_eq!(preview["total"], 2);
        let by_id = json!({"dateFrom": "0", "dateTo": "1d", "orderIds": ["z later", "today"]});
        assert_eq!(ids(&app, by_id).await, ["today"]);
        // Endpoints that change keep their window.
        let preview = with_controller(json!({"dateTo": "0"}));
        let preview = app.post("/orders/cancel/preview", &preview).await.ok();
        let selected: Vec<&str> =
            preview["orders"].as_array().unwrap().iter().map(|o| o["orderId"].as_str().unwrap()).collect();
        assert_eq!(selected, ["blocked", "running"]);
        for (body, beginning) in [
            (json!({"dateTo": "1q"}), "dateTo: '1q' is neither a date nor a period"),
            (json!({"dateTo": "1q", "orderIds": ["today"]}), "dateTo: "),
            (json!({"dateTo": "9999y"}), "dateTo: "),
            (json!({"dateTo": "1d", "timeZone": "Mars"}), "timeZone: "),
        ] {
            let refused = app.post("/orders", &with_controller(body)).await;
            let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(refused.status == 420 && message.starts_with(beginning), "{}", refused.text);
        }
    }

    async fn lists_and_counts_agree(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("due").at("2026-11-23T23:59:59.999Z"),
            Order::new("later").at("2027-01-01T00:00:00.000Z"),
            Order::new("pending").never(),
            Order::new("suspended").suspended().at("2027-01-01T00:00:00.000Z"),
            Order::new("waiting").state("WAITING").at("2027-01-01T00:00:00.000Z"),
        ])
        .await;
        for (dates, listed) in [
            (json!({"dateTo": "1d"}), 4),
            (json!({"dateTo": "-1d"}), 3),
            (json!({"dateFrom": "0d", "dateTo": "0d"}), 1),
            (json!({"dateFrom": "0d"}), 4),
            (json!({}), 5),
        ] {
            let sum = |counts: &Value| -> u64 {
                counts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
            };
            assert_eq!(ids(&app, dates.clone()).await.len(), listed, "{dates}");
            let snapshot = app.post("/orders/overview/snapshot", &with_controller(dates.clone())).await.ok();
            assert_eq!(sum(&snapshot["orders"]), listed as u64, "{dates}");
            let mut body = with_controller(dates.clone());
            body["workflowIds"] = json!([{"path": "/sos/eod"}]);
            let counted = app.post("/workflows/order_count", &body).await.ok();
            assert_eq!(counted["numOfAllOrders"], snapshot["orders"], "{dates}");
        }
    }
}
