//! Which orders a request selects: the pitfalls.

use serde_json::{Value, json};

use crate::harness::{App, Order, with_controller};

/// The ids of the orders that a request cancels.
async fn selected(app: &App, fields: Value) -> Vec<String> {
    let preview = app.preview(fields).await;
    let orders = preview["orders"].as_array().unwrap();
    orders.iter().map(|order| order["orderId"].as_str().unwrap().into()).collect()
}

on_both! {
    async fn folders_are_not_patterns(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("1").workflow("/sos/eod", "1"),
            Order::new("2").workflow("/sos/a/b/eod", "1"),
            Order::new("3").workflow("/sosx/eod", "1"),
            Order::new("4").workflow("/sos_x/eod", "1"),
            Order::new("5").workflow("/sos%/eod", "1"),
            Order::new("6").workflow("/eod", "1"),
            Order::new("7").workflow("/sos.x/eod", "1"),
            Order::new("8").workflow("/O'Brien & \"Söhne\"/日報/eod", "1"),
        ])
        .await;
        let folders = |folder: &str| json!({"folders": [{"folder": folder}]});
        assert_eq!(selected(&app, folders("/sos")).await, ["1", "2"]);
        assert_eq!(selected(&app, folders("/sos_x")).await, ["4"]);
        assert_eq!(selected(&app, folders("/sos%")).await, ["5"]);
        assert_eq!(selected(&app, folders("/O'Brien & \"Söhne\"")).await, ["8"]);
        assert_eq!(selected(&app, folders("/")).await.len(), 8);
        let flat = |folder: &str| json!({"folders": [{"folder": folder, "recursive": false}]});
        assert_eq!(selected(&app, flat("/sos")).await, ["1"]);
        assert_eq!(selected(&app, flat("/")).await, ["6"]);
        let both = json!({"folders": [{"folder": "/sos/a"}, {"folder": "/sosx"}]});
        assert_eq!(selected(&app, both).await, ["2", "3"]);
    }

    async fn a_state_that_is_out_of_reach_selects_nothing(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("1"),
            Order::new("2").suspended(),
            Order::new("3").state("FINISHED"),
            Order::new("4").state("CANCELLED"),
        ])
        .await;
        let words = json!(["PLANNED", "BROKEN", "UNKNOWN", "FINISHED", "CANCELLED"]);
        let mut beside = words.clone();
        beside.as_array_mut().unwrap().push(json!("SUSPENDED"));
        assert_eq!(selected(&app, json!({"states": beside})).await, ["2"]);
        let mut alone: Vec<Value> =
            words.as_array().unwrap().iter().map(|word| json!([word])).collect();
        alone.push(words.clone());
        for states in alone {
            for fields in [
                json!({"states": states}),
                json!({"states": states, "folders": [{"folder": "/"}]}),
                json!({"states": states, "workflowIds": [{"path": "eod"}], "deep": true}),
                json!({"states": states, "dateTo": "1d"}),
            ] {
                assert_eq!(app.preview(fields.clone()).await["total"], 0, "{fields}");
                for call in ["cancel", "suspend", "resume", "confirm", "continue"] {
                    let body = with_controller(fields.clone());
                    let response = app.post(&format!("/orders/{call}"), &body).await;
                    assert_eq!(response.status, 420, "{call} {fields}: {}", response.text);
                    assert!(response.text.contains("orders found."), "{call}: {}", response.text);
                }
            }
        }
        // Ids override states, of whatever kind.
        assert_eq!(selected(&app, json!({"states": ["BROKEN"], "orderIds": ["1"]})).await, ["1"]);
        let removed = json!({"states": ["BROKEN", "FINISHED"]});
        let removed = app.post("/orders/remove_when_terminated", &with_controller(removed)).await;
        assert_eq!(removed.affected(), 1);
        let none = with_controller(json!({"states": ["UNKNOWN"]}));
        let none = app.post("/orders/remove_when_terminated", &none).await;
        assert_eq!(none.status, 420, "{}", none.text);
        assert_eq!(app.db.ids_in("FRESH").await, ["1", "2"]);
    }

    async fn accepts_thousands_of_folders(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("1").workflow("/sos/eod", "1"),
            Order::new("2").workflow("/sos/a/b/eod", "1"),
            Order::new("3").workflow("/sosx/eod", "1"),
        ])
        .await;
        let mut folders: Vec<Value> =
            (0..20_000).map(|i| json!({"folder": format!("/none/{i}")})).collect();
        folders.push(json!({"folder": "/sos", "recursive": false}));
        folders.push(json!({"folder": "/sosx"}));
        assert_eq!(selected(&app, json!({"folders": folders})).await, ["1", "3"]);
        folders.push(json!({"folder": "/sos"}));
        assert_eq!(selected(&app, json!({"folders": folders})).await, ["1", "2", "3"]);
    }

    async fn selects_workflows_by_path_name_and_version(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("1").workflow("/sos/eod", "1"),
            Order::new("2").workflow("/sos/eod", "2"),
            Order::new("3").workflow("/sos/eod", "3"),
            Order::new("4").workflow("/shop/eod", "2"),
            Order::new("5").workflow("/shop/eod_", "2"),
            Order::new("6").workflow("/shop/eod/eod2", "2"),
        ])
        .await;
        let of = |ids: Value| json!({"workflowIds": ids});
        assert_eq!(selected(&app, of(json!([{"path": "/sos/eod"}]))).await, ["1", "2", "3"]);
        let version = of(json!([{"path": "/sos/eod", "versionId": "2"}]));
        assert_eq!(selected(&app, version).await, ["2"]);
        let version = of(json!([{"path": "/sos/eod", "version": "3"}]));
        assert_eq!(selected(&app, version).await, ["3"]);
        assert_eq!(selected(&app, of(json!([{"path": "eod"}]))).await, ["1", "2", "3", "4"]);
        let named = of(json!([{"path": "eod", "versionId": "2"}, {"path": "/sos/eod", "versionId": "1"}]));
        assert_eq!(selected(&app, named).await, ["1", "2", "4"]);
        let mut ignored = of(json!([{"path": "eod_"}]));
        ignored["folders"] = json!([{"folder": "/sos"}]);
        assert_eq!(selected(&app, ignored).await, ["5"]);
        let none = app.cancel(of(json!([{"path": "nowhere"}]))).await;
        assert_eq!(none.nothing_found(), "No orders found.");
    }

    async fn ids_override_other_selectors_except_the_window(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("1").workflow("/a/x", "1"),
            Order::new("2").workflow("/b/x", "1").at("2026-11-25T00:00:00Z"),
            Order::new("3").workflow("/a/x", "1").never(),
        ])
        .await;
        let ids = json!({
            "orderIds": ["1", "2", "3"], "workflowIds": [{"path": "/b/x"}],
            "folders": [{"folder": "/b"}], "states": ["RUNNING"],
        });
        assert_eq!(selected(&app, ids.clone()).await, ["1", "2", "3"]);
        let mut in_window = ids;
        in_window["dateTo"] = json!("0d");
        assert_eq!(selected(&app, in_window).await, ["1"]);
    }

    async fn a_window_includes_its_start_and_excludes_its_end(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("1").at("2026-11-23T22:59:59.999Z"),
            Order::new("2").at("2026-11-23T23:00:00Z"),
            Order::new("3").at("2026-11-24T22:59:59.999Z"),
            Order::new("4").at("2026-11-24T23:00:00Z"),
            Order::new("5").never(),
        ])
        .await;
        let tomorrow = json!({"dateFrom": "1d", "dateTo": "1d", "timeZone": "Europe/Berlin"});
        assert_eq!(selected(&app, tomorrow).await, ["2", "3"]);
        let only_to = json!({"dateTo": "2026-11-23T23:00:00Z"});
        assert_eq!(selected(&app, only_to).await, ["1"]);
        // timeZone overrides the offset: ten o'clock is ten o'clock in Berlin.
        let zone = json!({"dateFrom": "2026-11-25T00:00:00Z", "timeZone": "Europe/Berlin"});
        assert_eq!(selected(&app, zone).await, ["4"]);
        let finer = json!({"dateFrom": "2026-11-23T22:59:59.9985Z", "dateTo": "2026-11-23T23:00:00.0005Z"});
        assert_eq!(selected(&app, finer).await, ["1", "2"]);
    }

    async fn a_zones_day_ends_an_hour_later_in_autumn(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("1").at("2027-10-30T21:59:59.999Z"),
            Order::new("2").at("2027-10-30T22:00:00Z"),
            Order::new("3").at("2027-10-31T22:59:59.999Z"),
            Order::new("4").at("2027-10-31T23:00:00Z"),
        ])
        .await;
        app.pass(chrono::TimeDelta::days(342)); // 31 October 2027
        let today = json!({"dateFrom": "0d", "dateTo": "0d", "timeZone": "Europe/Berlin"});
        let token = app.login("root", "root-password").await;
        let body = crate::harness::with_controller(today).to_string();
        let preview = app.post_as(&token, "/orders/cancel/preview", body).await.ok();
        let ids: Vec<_> =
            preview["orders"].as_array().unwrap().iter().map(|order| &order["orderId"]).collect();
        assert_eq!(ids, ["2", "3"]);
    }

    async fn states_are_judged_at_the_instant_of_the_request(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("1").at("2026-11-23T12:34:56.788Z"),
            Order::new("2").at("2026-11-23T12:34:56.789Z"),
            Order::new("3").never(),
            Order::new("4").state("RUNNING").never(),
        ])
        .await;
        let state = |state: &str| json!({"states": [state]});
        assert_eq!(selected(&app, state("BLOCKED")).await, ["1"]);
        assert_eq!(selected(&app, state("SCHEDULED")).await, ["2"]);
        assert_eq!(selected(&app, state("PENDING")).await, ["3"]);
        assert_eq!(selected(&app, state("RUNNING")).await, ["4"]);
        app.pass(chrono::TimeDelta::milliseconds(1));
        assert_eq!(selected(&app, state("BLOCKED")).await, ["1", "2"]);
    }

    async fn accepts_fifty_thousand_ids(kind: Kind) {
        let orders: Vec<Order> =
            (0..50_000).map(|i| Order::new(&format!("#2026-11-23#P{i:010}-x"))).collect();
        let app = App::with(kind, &orders).await;
        app.db.insert(&[Order::new("another")]).await;
        let ids: Vec<&str> = orders.iter().map(|order| order.order_id.as_str()).collect();
        let answer = app.cancel(json!({"orderIds": ids})).await;
        assert_eq!(answer.affected(), 50_000);
        assert_eq!(app.db.ids_in("FRESH").await, ["another"]);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details").await, 50_000);
    }

    async fn requires_a_selector_unless_the_setting_allows_none(kind: Kind) {
        let app = App::with(kind, &[Order::new("1")]).await;
        for nothing in [
            json!({}),
            json!({"orderIds": [], "workflowIds": [], "folders": [], "states": []}),
            json!({"orderIds": null, "folders": null, "dateFrom": null, "kill": true}),
            json!({"timeZone": "Europe/Berlin", "deep": true}),
        ] {
            let refused = app.cancel(nothing).await.refused();
            assert!(refused.contains(r#"folders: [{"folder": "/"}]"#), "{refused}");
        }
        assert_eq!(app.db.ids_in("FRESH").await, ["1"]);
        let open = App::start(kind, &["--orders-unfiltered=allow"]).await;
        open.db.insert(&[Order::new("1"), Order::new("2")]).await;
        assert_eq!(open.cancel(json!({})).await.affected(), 2);
    }
}
