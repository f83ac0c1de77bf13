//! `audit_log_details.before`: what an order was before a request.

use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Order};

/// What the newest entry says that this order was.
async fn before(app: &App, order_id: &str) -> Value {
    let sql = format!(
        "SELECT CAST(before AS text) FROM audit_log_details WHERE order_id = '{order_id}'
         ORDER BY audit_log_id DESC LIMIT 1"
    );
    let rows = app.db.rows(&sql).await.unwrap();
    serde_json::from_str(rows[0][0].as_deref().unwrap()).unwrap()
}

/// Sends a change of one order.
async fn change(app: &App, call: &str, order_id: &str, mut fields: Value) {
    fields["controllerId"] = CONTROLLER.into();
    fields["orderIds"] = json!([order_id]);
    app.post(&format!("/orders/{call}"), &fields).await.ok();
}

on_both! {
    async fn every_change_says_what_it_replaced(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("fresh"),
            Order::new("suspended").suspended(),
            Order::new("resuming").suspended().mark("RESUMING"),
            Order::new("waiting").waits("SLEEPING"),
            Order::new("running").state("RUNNING"),
            Order::new("killed").state("RUNNING").mark("SUSPENDING").killed(),
            Order::new("failed").state("FAILED").suspended(),
            Order::new("prompting").state("PROMPTING"),
            Order::new("ended").state("FINISHED"),
        ])
        .await;
        let at = "2026-11-23T12:34:56.789Z";
        for (call, order_id, fields, expected) in [
            ("change", "fresh", json!({"priority": 7}), json!({"priority": 0})),
            ("change", "fresh", json!({"priority": 7}), json!({})),
            ("change", "fresh", json!({"priority": -1}), json!({"priority": 7})),
            ("suspend", "fresh", json!({}), json!({"suspended": false})),
            ("cancel", "fresh", json!({}), json!({"state": "FRESH", "suspended": true})),
            ("resume", "suspended", json!({}), json!({"suspended": true})),
            ("cancel", "suspended", json!({}), json!({"state": "FRESH"})),
            ("cancel", "resuming", json!({}),
             json!({"state": "FRESH", "suspended": true, "mark": "RESUMING"})),
            ("continue", "waiting", json!({}), json!({"state": "WAITING", "reason": "SLEEPING"})),
            ("suspend", "running", json!({}), json!({"mark": null})),
            ("resume", "running", json!({}), json!({"mark": "SUSPENDING"})),
            ("cancel", "running", json!({}), json!({"mark": null})),
            ("cancel", "running", json!({"kill": true}),
             json!({"kill_requested": null, "sigkill_at": null})),
            ("cancel", "killed", json!({}), json!({"mark": "SUSPENDING"})),
            ("resume", "failed", json!({}), json!({"suspended": true})),
            ("resume", "failed", json!({"position": [1]}), json!({"state": "FAILED", "position": null})),
            ("confirm", "prompting", json!({}), json!({"state": "PROMPTING"})),
            ("remove_when_terminated", "ended", json!({}), json!({"remove_when_terminated": false})),
        ] {
            change(&app, call, order_id, fields.clone()).await;
            assert_eq!(before(&app, order_id).await, expected, "{call} {order_id} {fields}");
        }
        // A kill request that a change withdraws.
        app.db.execute(&format!(
            "UPDATE orders SET state = 'INPROGRESS', mark = 'SUSPENDING', kill_requested = '{at}',
             sigkill_at = '{at}' WHERE order_id = 'prompting'")).await.unwrap();
        app.db.execute("UPDATE orders SET state = 'FAILED' WHERE order_id = 'prompting'").await.unwrap();
        change(&app, "cancel", "prompting", json!({})).await;
        assert_eq!(before(&app, "prompting").await, json!({
            "state": "FAILED", "mark": "SUSPENDING", "kill_requested": at, "sigkill_at": at,
        }));
    }

    async fn old_arguments_are_kept_without_secrets(kind: Kind) {
        let app = App::with(kind, &[Order::new("a").state("FAILED")]).await;
        let arguments = r#"{"n": 12345678901234567890.5, "flag": false, "text": "it''s \"x\" 💥", "$n": 1, "a b": 2,
            "dbPassword": "old", "files": [{"pin": "1234"}], "map": {"token": "t"}, "other": 3}"#;
        app.db.execute(&format!("UPDATE orders SET arguments = '{arguments}'")).await.unwrap();
        let variables = json!({"n": 1, "flag": true, "text": "y", "$n": 2, "a b": 3, "dbPassword": "new",
            "files": [], "map": {}, "new": 1});
        change(&app, "resume", "a", json!({"variables": variables})).await;
        let text = app.db.rows("SELECT CAST(before AS text) FROM audit_log_details").await.unwrap();
        let text = text[0][0].as_deref().unwrap();
        assert!(text.contains("12345678901234567890.5"), "{text}");
        assert_eq!(before(&app, "a").await["arguments"], json!({
            "n": serde_json::from_str::<Value>("12345678901234567890.5").unwrap(), "flag": false,
            "text": "it's \"x\" 💥", "$n": 1, "a b": 2, "dbPassword": "********", "files": "********",
            "map": "********",
        }));
    }

    async fn a_long_change_says_it_too(kind: Kind) {
        let app = App::with(kind, &[]).await;
        let orders: Vec<_> = (0..5001).map(|i| Order::new(&format!("{i:04}")).suspended()).collect();
        app.db.insert(&orders).await;
        let fields = json!({"controllerId": CONTROLLER, "workflowIds": [{"path": "/sos/eod"}],
            "variables": {"x": 1}});
        assert_eq!(app.post("/orders/resume", &fields).await.affected(), 5001);
        let all = r#"{"suspended":true,"arguments":{}}"#;
        let same = format!("SELECT count(*) FROM audit_log_details WHERE CAST(before AS text) = '{all}'");
        assert_eq!(app.db.count(&same).await, 5001);
    }

    async fn the_api_shows_it(kind: Kind) {
        let app = App::with(kind, &[Order::new("a").suspended()]).await;
        change(&app, "cancel", "a", json!({})).await;
        let answer = app.post("/audit_log/details", &json!({"auditLogId": 1})).await.ok();
        assert_eq!(answer["auditLogDetails"][0]["before"], json!({"state": "FRESH", "suspended": true}));
    }
}
