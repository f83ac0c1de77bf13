//! The rules of selection and effect, one by one.

use serde_json::json;

use crate::harness::{App, Kind, Order};

on_both! {
    async fn cancels_or_marks_by_state(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("pending").never(),
            Order::new("scheduled"),
            Order::new("blocked").at("2026-11-23T12:34:56.788Z"),
            Order::new("suspended").state("WAITING").suspended(),
            Order::new("suspended fresh").suspended().mark("RESUMING"),
            Order::new("waiting").state("WAITING"),
            Order::new("prompting").state("PROMPTING"),
            Order::new("failed").state("FAILED"),
            Order::new("running").state("RUNNING"),
            Order::new("in progress").state("INPROGRESS").mark("SUSPENDING"),
            Order::new("marked").state("RUNNING").mark("CANCELLING"),
            Order::new("finished").state("FINISHED"),
        ])
        .await;
        let answer = app.cancel(json!({"folders": [{"folder": "/"}]})).await;
        assert_eq!(answer.affected(), 10);
        for id in ["pending", "scheduled", "blocked", "suspended", "suspended fresh", "waiting",
                   "prompting", "failed"] {
            assert_eq!(app.db.state(id).await, "CANCELLED", "{id}");
        }
        assert_eq!(app.db.state("running").await, "RUNNING+CANCELLING");
        assert_eq!(app.db.state("in progress").await, "INPROGRESS+CANCELLING");
        assert_eq!(app.db.state("marked").await, "RUNNING+CANCELLING");
        assert_eq!(app.db.state("finished").await, "FINISHED");
        let again = app.cancel(json!({"folders": [{"folder": "/"}]})).await;
        assert_eq!(again.nothing_found(), "No orders found.");
        let kill = app.cancel(json!({"folders": [{"folder": "/"}], "kill": true})).await;
        assert_eq!(kill.affected(), 2);
        assert_eq!(app.db.state("running").await, "RUNNING+CANCELLING!");
        assert_eq!(app.db.state("marked").await, "RUNNING+CANCELLING!");
        assert_eq!(app.db.state("in progress").await, "INPROGRESS+CANCELLING");
        let again = app.cancel(json!({"folders": [{"folder": "/"}], "kill": true})).await;
        assert_eq!(again.nothing_found(), "No orders found.");
    }
}

on_both! {
    async fn the_response_has_exactly_the_documented_fields(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        let answer = app.cancel(json!({"orderIds": ["a"]})).await;
        let body = answer.ok();
        let mut fields: Vec<&String> = body.as_object().unwrap().keys().collect();
        fields.sort();
        assert_eq!(fields, ["deliveryDate", "ok", "surveyDate"]);
        assert_eq!(body["surveyDate"], "2026-11-23T12:34:56.789Z");
        let id = answer.headers["x-audit-log-id"].to_str().unwrap();
        let rows = app.db.rows("SELECT id, affected, outcome FROM audit_logs").await.unwrap();
        assert_eq!(rows, [[Some(id.into()), Some("1".into()), Some("DONE".into())]]);
    }

    async fn a_running_child_holds_its_waiting_parent(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("p").state("WAITING"),
            Order::new("p|east").state("FAILED"),
            Order::new("p|west").state("FINISHED"),
            Order::new("q").state("WAITING"),
            Order::new("q|east").state("FINISHED"),
            Order::new("r").state("WAITING"),
            Order::new("r|east|1").state("RUNNING"),
            Order::new("r2").state("RUNNING"),
        ])
        .await;
        assert_eq!(app.cancel(json!({"orderIds": ["p", "q", "r"]})).await.affected(), 3);
        assert_eq!(app.db.state("p").await, "WAITING+CANCELLING");
        assert_eq!(app.db.state("q").await, "CANCELLED");
        // Its child has no row, but its grandchild is still running.
        assert_eq!(app.db.state("r").await, "WAITING+CANCELLING");
        assert_eq!(app.db.state("p|east").await, "FAILED");
        assert_eq!(app.db.state("r2").await, "RUNNING");
    }

    async fn deep_includes_every_descendant(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("p").state("WAITING"),
            Order::new("p|east").state("WAITING").workflow("/other/east", "7"),
            Order::new("p|east|1").never(),
            Order::new("p|east|2").state("FINISHED"),
            Order::new("p|west").suspended(),
            Order::new("p2"),
            Order::new("p}"),
            Order::new("p{|x"),
        ])
        .await;
        let fields = json!({"orderIds": ["p", "p|east"], "deep": true,
                            "dateTo": "2h", "states": ["FAILED"]});
        let preview = app.preview(fields.clone()).await;
        assert_eq!((preview["total"].as_u64(), preview["cancelled"].as_u64()), (Some(4), Some(4)));
        assert_eq!(app.cancel(fields).await.affected(), 4);
        for id in ["p", "p|east", "p|east|1", "p|west"] {
            assert_eq!(app.db.state(id).await, "CANCELLED", "{id}");
        }
        assert_eq!(app.db.ids_in("FRESH").await, ["p2", "p{|x", "p}"]);
        let via = app
            .db
            .rows("SELECT order_id, via_parent FROM audit_log_details ORDER BY order_id")
            .await
            .unwrap();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            via,
            [
                [some("p"), None],
                [some("p|east"), None],
                [some("p|east|1"), some("p|east")],
                [some("p|west"), some("p")],
            ]
        );
    }

    async fn deep_includes_the_children_of_an_already_marked_order(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("p").state("WAITING"),
            Order::new("p|east").state("RUNNING"),
        ])
        .await;
        assert_eq!(app.cancel(json!({"orderIds": ["p"]})).await.affected(), 1);
        let deep = app.cancel(json!({"orderIds": ["p"], "deep": true, "kill": true})).await;
        assert_eq!(deep.affected(), 1);
        assert_eq!(app.db.state("p|east").await, "RUNNING+CANCELLING!");
    }

    async fn a_child_without_a_parent_is_an_ordinary_order(kind: Kind) {
        let app = App::with(kind, &[Order::new("gone|east"), Order::new("gone2")]).await;
        let parent = app.cancel(json!({"orderIds": ["gone"], "deep": true})).await;
        assert_eq!(parent.nothing_found(), "No orders found.");
        assert_eq!(app.cancel(json!({"orderIds": ["gone|east"]})).await.affected(), 1);
        assert_eq!(app.db.ids_in("FRESH").await, ["gone2"]);
    }

    async fn fresh_only_skips_started_orders(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("fresh"),
            Order::new("fresh, suspended").suspended(),
            Order::new("started").state("WAITING"),
            Order::new("started|fresh"),
            Order::new("fresh|started").state("FAILED"),
        ])
        .await;
        let fields = json!({"orderIds": ["fresh", "fresh, suspended", "started"], "deep": true,
                            "orderType": "FreshOnly"});
        assert_eq!(app.cancel(fields).await.affected(), 2);
        assert_eq!(app.db.ids_in("CANCELLED").await, ["fresh", "fresh, suspended"]);
        let refused = app.cancel(json!({"orderIds": ["started"], "orderType": "freshonly"})).await;
        assert!(refused.refused().starts_with("orderType: "), "{}", refused.text);
    }

    async fn a_kill_request_sets_the_time_of_sigkill(kind: Kind) {
        let app = App::start(kind, &["--sigkill-after=20"]).await;
        app.db.insert(&[Order::new("r").state("RUNNING"), Order::new("w").state("WAITING")]).await;
        let fields = json!({"orderIds": ["r", "w"], "kill": true});
        let preview = app.preview(fields.clone()).await;
        let counts = ["cancelled", "marked", "killed"].map(|n| preview[n].as_u64().unwrap());
        assert_eq!(counts, [1, 0, 1]);
        app.cancel(fields).await.ok();
        let sql = match kind {
            Kind::Sqlite => "SELECT strftime('%s', sigkill_at) - strftime('%s', kill_requested) \
                             FROM orders WHERE order_id = 'r'",
            Kind::Postgres => "SELECT extract(epoch FROM sigkill_at - kill_requested)::bigint \
                               FROM orders WHERE order_id = 'r'",
        };
        assert_eq!(app.db.count(sql).await, 20);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details WHERE kill").await, 1);
    }

    async fn max_orders_rejects_a_larger_selection(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b"), Order::new("c")]).await;
        let all = |max: u64| json!({"folders": [{"folder": "/"}], "maxOrders": max});
        let refused = app.cancel(all(2)).await.refused();
        assert!(refused.starts_with("maxOrders: "), "{refused}");
        assert!(refused.contains('3') && refused.contains('2'), "{refused}");
        assert_eq!(app.db.ids_in("FRESH").await.len(), 3);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 0);
        assert_eq!(app.cancel(all(3)).await.affected(), 3);
    }

    async fn audits_who_cancelled_and_why(kind: Kind) {
        let app = App::with(kind, &[Order::new("a").workflow("/sos/billing/eod", "2")]).await;
        let fields = json!({"orderIds": ["a"], "variables": {"password": "hush"}, "auditLog": {
            "comment": "it's \"quoted\" – 50%", "timeSpent": 5, "ticketLink": "OPS-4711"}});
        app.cancel(fields).await.ok();
        let log = "SELECT controller_id, account, request, category, comment, time_spent, \
                   ticket_link, outcome, affected, client_address FROM audit_logs";
        let values: Vec<String> =
            app.db.rows(log).await.unwrap().remove(0).into_iter().flatten().collect();
        assert_eq!(values, [
            "prod", "root", "./orders/cancel", "CONTROLLER", "it's \"quoted\" – 50%", "5",
            "OPS-4711", "DONE", "1", "127.0.0.1",
        ]);
        let parameters = &app.db.rows("SELECT parameters FROM audit_logs").await.unwrap()[0][0];
        let parameters: serde_json::Value =
            serde_json::from_str(parameters.as_deref().unwrap()).unwrap();
        assert_eq!(parameters["orderIds"], json!(["a"]));
        assert_eq!(parameters["variables"]["password"], "********");
        let detail = "SELECT order_id, workflow_path, workflow_version_id, folder, \
                      previous_state, new_state FROM audit_log_details";
        let values: Vec<String> =
            app.db.rows(detail).await.unwrap().remove(0).into_iter().flatten().collect();
        assert_eq!(values, ["a", "/sos/billing/eod", "2", "/sos/billing", "SCHEDULED", "CANCELLED"]);
    }

    async fn audits_that_nothing_was_found(kind: Kind) {
        let app = App::with(kind, &[]).await;
        assert_eq!(app.cancel(json!({"orderIds": ["a"]})).await.nothing_found(), "No orders found.");
        let sql = "SELECT count(*) FROM audit_logs WHERE outcome = 'NO_ORDERS' AND affected = 0";
        assert_eq!(app.db.count(sql).await, 1);
        let preview = app.preview(json!({"orderIds": ["a"]})).await;
        assert_eq!(preview["total"], 0);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 1);
    }

    async fn a_preview_lists_up_to_limit_orders(kind: Kind) {
        let orders: Vec<Order> = (0..1200).map(|i| Order::new(&format!("o{i:04}"))).collect();
        let app = App::with(kind, &orders).await;
        let all = json!({"dateFrom": "0", "dateTo": "2h"});
        let preview = app.preview(all.clone()).await;
        assert_eq!(preview["total"], 1200);
        assert_eq!(preview["byState"], json!({"SCHEDULED": 1200}));
        assert_eq!(preview["orders"].as_array().unwrap().len(), 1000);
        assert_eq!(preview["dateFrom"], "2026-11-23T12:34:56.789Z");
        assert_eq!(preview["dateTo"], "2026-11-23T14:34:56.789Z");
        let mut few = all;
        few["limit"] = json!(2);
        let orders = app.preview(few).await["orders"].clone();
        assert_eq!(orders, json!([
            {"orderId": "o0000", "workflowId": {"path": "/sos/eod", "versionId": "1"},
             "state": "SCHEDULED", "effect": "CANCELLED"},
            {"orderId": "o0001", "workflowId": {"path": "/sos/eod", "versionId": "1"},
             "state": "SCHEDULED", "effect": "CANCELLED"},
        ]));
        assert_eq!(app.db.ids_in("CANCELLED").await.len(), 0);
    }
}
