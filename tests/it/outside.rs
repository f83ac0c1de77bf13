//! An account that is limited to folders and acts outside is recorded as such, and learns nothing.

use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Order, Response};

const ORDERS: &str = "sos:products:controller:orders";

/// What a client can tell a response by, apart from instants and ids.
fn seen(response: &Response) -> (u16, Value, Vec<String>) {
    let mut body = response.json();
    for name in ["deliveryDate", "surveyDate"] {
        body.as_object_mut().unwrap().remove(name);
    }
    let mut headers: Vec<_> = response.headers.keys().map(ToString::to_string).collect();
    headers.sort();
    (response.status, body, headers)
}

async fn outcomes(app: &App) -> Vec<String> {
    let sql = "SELECT outcome FROM audit_logs WHERE account = 'anna' ORDER BY id";
    app.db.rows(sql).await.unwrap().into_iter().map(|row| row[0].clone().unwrap()).collect()
}

on_both! {
    async fn the_trail_tells_outside_from_nothing_and_the_client_does_not(kind: Kind) {
        let app = App::start(kind, &[]).await;
        app.db.insert(&[
            Order::new("mine").workflow("/sos/a/eod", "1").state("FINISHED"),
            Order::new("other").workflow("/mft/in", "1"),
            Order::new("ended").workflow("/mft/in", "1").state("FINISHED"),
        ]).await;
        let anna = app.account("anna", ORDERS, &[("/sos", true)]).await;
        let nothing = json!({"orderIds": ["nowhere"]});
        let mut expected = Vec::new();
        for (body, outcome) in [
            (nothing.clone(), "NO_ORDERS"),
            (json!({"orderIds": ["other"]}), "OUTSIDE"),
            (json!({"orderIds": ["nowhere", "other"]}), "OUTSIDE"),
            (json!({"orderIds": ["mine"]}), "NO_ORDERS"),
            (json!({"orderIds": ["ended"]}), "NO_ORDERS"),
            (json!({"folders": [{"folder": "/mft"}]}), "OUTSIDE"),
            // Whether there is such a folder or not.
            (json!({"folders": [{"folder": "/none"}]}), "OUTSIDE"),
            (json!({"folders": [{"folder": "/sos"}]}), "NO_ORDERS"),
            (json!({"folders": [{"folder": "/sos"}, {"folder": "/sos-x"}]}), "OUTSIDE"),
            (json!({"folders": [{"folder": "/"}]}), "OUTSIDE"),
            (json!({"folders": [{"folder": "/", "recursive": false}]}), "OUTSIDE"),
            (json!({"workflowIds": [{"path": "/mft/in"}]}), "OUTSIDE"),
            (json!({"workflowIds": [{"path": "/mft/none"}]}), "OUTSIDE"),
            (json!({"workflowIds": [{"path": "in"}]}), "OUTSIDE"),
            (json!({"workflowIds": [{"path": "eod"}]}), "NO_ORDERS"),
            (json!({"workflowIds": [{"path": "/sos/a/eod"}]}), "NO_ORDERS"),
            (json!({"states": ["RUNNING"]}), "NO_ORDERS"),
            (json!({"states": ["SCHEDULED", "BLOCKED", "PENDING"]}), "OUTSIDE"),
            (json!({"orderIds": ["other"], "maxOrders": 0}), "OUTSIDE"),
        ] {
            let mut body = body;
            body["controllerId"] = json!(CONTROLLER);
            let answer = app.post_as(&anna, "/orders/cancel", body.to_string()).await;
            assert_eq!(answer.nothing_found(), "No orders found.", "{body}");
            let mut nothing = nothing.clone();
            nothing["controllerId"] = json!(CONTROLLER);
            let nothing = app.post_as(&anna, "/orders/cancel", nothing.to_string()).await;
            assert_eq!(seen(&answer), seen(&nothing), "{body}");
            expected.extend([outcome, "NO_ORDERS"]);
            assert_eq!(outcomes(&app).await, expected, "{body}");
        }
        assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details").await, 0);
        assert_eq!(app.db.count("SELECT count(*) FROM orders WHERE state = 'CANCELLED'").await, 0);

        // An account without limits is as before.
        app.cancel(json!({"orderIds": ["nowhere"]})).await.nothing_found();
        app.cancel(json!({"folders": [{"folder": "/none"}]})).await.nothing_found();
        let sql = "SELECT count(*) FROM audit_logs WHERE account = 'root' AND outcome = 'NO_ORDERS'";
        assert_eq!(app.db.count(sql).await, 2);
    }

    async fn adding_to_a_hidden_workflow_is_recorded_and_a_preview_is_not(kind: Kind) {
        let app = App::start(kind, &[]).await;
        app.db.insert(&[
            Order::new("mine").workflow("/sos/eod", "1"), Order::new("other").workflow("/mft/in", "1"),
        ]).await;
        let anna = app.account("anna", ORDERS, &[("/sos", true)]).await;
        let body = |path: &str| json!({"controllerId": CONTROLLER,
            "orders": [{"workflowPath": "/sos/eod"}, {"workflowPath": path}]}).to_string();
        for path in ["/mft/in", "/mft/none"] {
            app.post_as(&anna, "/orders/add/preview", body(path)).await;
            let answer = app.post_as(&anna, "/orders/add", body(path)).await;
            assert!(answer.text.contains(&format!("there is no workflow '{path}'")), "{}", answer.text);
        }
        assert_eq!(outcomes(&app).await, ["OUTSIDE", "OUTSIDE"]);
        let answer = app.post_as(&anna, "/orders/add", body("/sos/none")).await;
        assert!(answer.text.contains("there is no workflow '/sos/none'"), "{}", answer.text);
        assert_eq!(outcomes(&app).await, ["OUTSIDE", "OUTSIDE"]);
    }

    async fn an_account_sees_its_own_attempts_as_no_orders(kind: Kind) {
        let app = App::start(kind, &[]).await;
        app.db.insert(&[Order::new("other").workflow("/mft/in", "1")]).await;
        app.account("anna", ORDERS, &[("/sos", true)]).await;
        app.store.add_role("auditor").await.unwrap();
        app.store.grant("auditor", "sos:products:joc:auditlog:view", "*").await.unwrap();
        app.store.assign("auditor", "anna").await.unwrap();
        let anna = app.login("anna", "a-password").await;
        let body = json!({"controllerId": CONTROLLER, "orderIds": ["other"]}).to_string();
        app.post_as(&anna, "/orders/cancel", body).await.nothing_found();
        for (token, outcome) in [(&anna, "NO_ORDERS"), (&app.token, "OUTSIDE")] {
            let answer = app.post_as(token, "/audit_log", json!({"account": "anna"}).to_string()).await;
            let entries = &answer.json()["auditLog"];
            assert_eq!((entries.as_array().unwrap().len(), &entries[0]["outcome"]), (1, &json!(outcome)));
        }
    }
}
