//! Permissions: what they allow, and in which order they are checked.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Order, Response, everything, with_controller};

use super::{audit, cancel_as, refusal};

on_both! {
    async fn a_denied_request_only_adds_an_entry(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let viewer = app.account("viewer", "sos:products:controller:orders:view", &[]).await;
        app.store.grant("viewer", "sos:products:controller:orders:cancel", "other").await.unwrap();
        app.db.execute("INSERT INTO controllers (controller_id) VALUES ('other')").await.unwrap();
        app.pass(TimeDelta::seconds(5));
        for call in ["/orders/cancel", "/orders/cancel/preview"] {
            let mut body = with_controller(everything());
            body["auditLog"] = json!({"comment": "let me", "ticketLink": "T-1", "timeSpent": 2});
            let answer = app.post_as(&viewer, call, body.to_string()).await;
            assert_eq!(refusal(&answer, 403, true), "viewer");
            assert_eq!(app.db.state("a").await, "FRESH");
            let rows = audit(&app, "outcome, request, category, controller_id, account, comment, \
                                    ticket_link, time_spent, affected").await;
            let request = format!(".{call}");
            let entry = ["DENIED", &request, "CONTROLLER", CONTROLLER, "viewer", "let me", "T-1", "2", "0"];
            assert_eq!(rows.last().unwrap(), &entry);
            let parameters = audit(&app, "parameters").await.pop().unwrap().remove(0);
            assert_eq!(serde_json::from_str::<Value>(&parameters).unwrap(), body);
        }
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 2);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details").await, 0);
        // On the other controller it is permitted, and finds nothing.
        let other = json!({"controllerId": "other", "folders": [{"folder": "/"}]});
        assert_eq!(cancel_as(&app, &viewer, other).await.nothing_found(), "No orders found.");
    }

    async fn a_folder_limit_hides_other_folders(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("in").state("WAITING"),
            Order::new("in|deep").workflow("/sos/a/b/w", "1"),
            Order::new("in|out").workflow("/hr/pay", "1"),
            Order::new("out").workflow("/hr/pay", "1"),
            Order::new("root").workflow("/w", "1"),
            Order::new("alike").workflow("/sosx/w", "1"),
        ])
        .await;
        let cancel = "sos:products:controller:orders:cancel";
        let token = app.account("limited", cancel, &[("/sos", true)]).await;
        let flat = app.account("flat", cancel, &[("/hr", false)]).await;

        let preview = app.post_as(&token, "/orders/cancel/preview", with_controller(everything()).to_string()).await;
        assert_eq!(preview.ok()["total"], 2);
        for id in ["out", "root", "alike", "in|out", "absent"] {
            let body = with_controller(json!({"orderIds": [id], "deep": true}));
            assert_eq!(cancel_as(&app, &token, body).await.nothing_found(), "No orders found.");
        }
        for fields in [json!({"workflowIds": [{"path": "/hr/pay"}]}), json!({"folders": [{"folder": "/hr"}]})] {
            let answer = cancel_as(&app, &token, with_controller(fields)).await;
            assert_eq!(answer.nothing_found(), "No orders found.");
        }
        // The child outside keeps running, so its parent waits for it.
        let deep = with_controller(json!({"orderIds": ["in"], "deep": true}));
        assert_eq!(cancel_as(&app, &token, deep).await.affected(), 2);
        assert_eq!(app.db.state("in").await, "WAITING+CANCELLING");
        assert_eq!(app.db.state("in|deep").await, "CANCELLED");
        assert_eq!(cancel_as(&app, &token, with_controller(everything())).await.nothing_found(), "No orders found.");
        for id in ["in|out", "out", "root", "alike"] {
            assert_eq!(app.db.state(id).await, "FRESH", "{id}");
        }
        assert_eq!(cancel_as(&app, &flat, with_controller(everything())).await.affected(), 2);
        assert_eq!(app.cancel(json!({"folders": [{"folder": "/"}]})).await.affected(), 2);
    }

    async fn checks_run_in_order(kind: Kind) {
        let app = App::start(kind, &["--comment-required=true"]).await;
        app.db.insert(&[Order::new("a")]).await;
        let viewer = app.account("viewer", "sos:products:controller:orders:view", &[]).await;

        let url = format!("{}/orders/cancel", app.url);
        refusal(&Response::of(app.client.post(&url).body("nonsense")).await, 401, false);
        refusal(&app.post_as("unknown", "/orders/cancel", "nonsense").await, 440, false);
        let mut misspelt = with_controller(everything());
        misspelt["workflowIDs"] = json!([]);
        let message = cancel_as(&app, &viewer, misspelt).await.refused();
        assert!(message.contains("workflowIDs"), "{message}");
        let nothing = with_controller(json!({"orderIds": ["absent"]}));
        for body in [with_controller(everything()), nothing.clone()] {
            refusal(&cancel_as(&app, &viewer, body).await, 403, true);
        }
        let entries = app.db.count("SELECT count(*) FROM audit_logs").await;
        for mut body in [with_controller(everything()), nothing] {
            for comment in [None, Some("")] {
                body["auditLog"] = json!({"comment": comment});
                let answer = cancel_as(&app, &app.token, body.clone()).await;
                assert_eq!(answer.status, 420, "{}", answer.text);
                let error = answer.json()["error"].clone();
                assert_eq!(error, json!({"code": "JOC-300", "message": "missing comment"}));
            }
        }
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, entries);
        assert_eq!(app.db.state("a").await, "FRESH");
        let mut body = with_controller(everything());
        body["auditLog"] = json!({"comment": "why not"});
        assert_eq!(cancel_as(&app, &app.token, body).await.affected(), 1);
    }
}
