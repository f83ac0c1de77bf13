//! `/orders/cancel/undo`.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Order, Response, launch, start};

mod random;

/// Undoes an entry.
async fn undo(app: &App, id: i64, fields: Value) -> Response {
    app.post("/orders/cancel/undo", &of_entry(id, fields)).await
}

fn of_entry(id: i64, mut fields: Value) -> Value {
    fields["controllerId"] = CONTROLLER.into();
    fields["auditLogId"] = id.into();
    fields
}

/// Cancels orders and gives the entry.
async fn cancel(app: &App, fields: Value) -> i64 {
    app.cancel(fields).await.entry()
}

/// The orders that were left alone, each with the reason.
fn left(body: &Value) -> Vec<String> {
    let orders = body["notRestored"].as_array().unwrap();
    let text = |order: &Value| {
        let [id, reason] = ["orderId", "reason"].map(|field| order[field].as_str().unwrap());
        format!("{id}: {reason}")
    };
    orders.iter().map(text).collect()
}

async fn expect_sound(app: &App) {
    launch(&app.db.url, &["check", "--strict"], "").await.ok();
}

/// Everything, which the account may see.
fn all() -> Value {
    json!({"folders": [{"folder": "/"}]})
}

on_both! {
    async fn orders_become_what_they_were(kind: Kind) {
        let orders = [
            Order::new("blocked").at("2026-11-23T12:34:56.788Z"),
            Order::new("due later"),
            Order::new("failed").state("FAILED"),
            Order::new("never").never(),
            Order::new("overdue and suspended").at("2026-11-23T12:34:56.788Z").suspended(),
            Order::new("resuming").suspended().mark("RESUMING"),
            Order::new("running").state("RUNNING"),
            Order::new("running, to be suspended").state("RUNNING").mark("SUSPENDING").killed(),
            Order::new("suspended").suspended(),
            Order::new("suspended while waiting").state("WAITING").suspended().mark("RESUMING"),
            Order::new("waiting").waits("SLEEPING"),
        ];
        for (overdue, blocked) in [(json!({}), "FRESH~"), (json!({"overdue": "suspend"}), "FRESH~"),
            (json!({"overdue": "run"}), "FRESH")]
        {
            let app = App::with(kind, &orders).await;
            let id = cancel(&app, all()).await;
            app.pass(TimeDelta::minutes(1));
            let body = of_entry(id, overdue.clone());
            let preview = app.post("/orders/cancel/undo/preview", &body).await.ok();
            let response = undo(&app, id, overdue.clone()).await;
            assert_eq!(response.affected(), 8, "{overdue}");
            let body = response.ok();
            assert_eq!(left(&body), ["failed: STARTED", "suspended while waiting: STARTED",
                "waiting: STARTED"]);
            assert_eq!(body["notRestoredTotal"], 3);
            assert_eq!(preview["notRestored"], body["notRestored"]);
            assert_eq!(preview["notRestoredTotal"], 3);
            let counts = ["total", "restored", "suspended", "unmarked"].map(|name| &preview[name]);
            let expected = if blocked == "FRESH" { [8, 6, 0, 2] } else { [8, 5, 1, 2] };
            assert_eq!(counts, expected);
            for (order, expected) in [
                ("blocked", blocked),
                ("due later", "FRESH"),
                ("failed", "CANCELLED"),
                ("never", "FRESH"),
                ("overdue and suspended", "FRESH~"),
                ("resuming", "FRESH+RESUMING~"),
                ("running", "RUNNING"),
                ("running, to be suspended", "RUNNING+SUSPENDING!"),
                ("suspended", "FRESH~"),
                ("suspended while waiting", "CANCELLED"),
                ("waiting", "CANCELLED"),
            ] {
                assert_eq!(app.db.state(order).await, expected, "{order} {overdue}");
            }
            let entry = format!(
                "SELECT request, outcome, affected, undoes FROM audit_logs WHERE id = {}", id + 1);
            let expected = ["./orders/cancel/undo", "DONE", "8", &id.to_string()];
            assert_eq!(app.db.rows(&entry).await.unwrap(), [expected.map(|text| Some(text.into()))]);
            // What the trail says is what the preview said.
            let details = app.post("/audit_log/details", &json!({"auditLogId": id + 1})).await.ok();
            let details = details["auditLogDetails"].as_array().unwrap();
            let ids = |orders: &[Value]| -> Vec<Value> {
                orders.iter().map(|order| order["orderId"].clone()).collect()
            };
            assert_eq!(ids(details), ids(preview["orders"].as_array().unwrap()));
            let first = &details[0];
            assert_eq!(first["previousState"], "CANCELLED");
            assert_eq!(first["newState"], if blocked == "FRESH" { "BLOCKED" } else { "SUSPENDED" });
            assert_eq!(first["before"]["state"], "CANCELLED");
            launch(&app.db.url, &["check"], "").await.ok();
            // Restored orders can be cancelled, and that can be undone, too.
            let again = cancel(&app, json!({"orderIds": ["due later"]})).await;
            assert_eq!(undo(&app, again, json!({})).await.affected(), 1);
            assert_eq!(app.db.state("due later").await, "FRESH");
            launch(&app.db.url, &["check"], "").await.ok();
        }
    }

    async fn what_has_changed_since_is_left_alone(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("a"),
            Order::new("gone"),
            Order::new("again"),
            Order::new("hidden before").remove_when_terminated(),
            Order::new("hidden since"),
            Order::new("honoured").state("RUNNING"),
            Order::new("killed").state("RUNNING"),
            Order::new("killed later").state("RUNNING"),
            Order::new("prioritized").state("RUNNING"),
        ])
        .await;
        let hidden = json!({"orderIds": ["killed"], "kill": true});
        let kill = cancel(&app, hidden).await;
        app.pass(TimeDelta::seconds(1));
        let id = cancel(&app, all()).await;
        app.pass(TimeDelta::seconds(1));
        let orders = |ids: &[&str]| json!({"controllerId": CONTROLLER, "orderIds": ids});
        app.post("/orders/remove_when_terminated", &orders(&["hidden since"])).await.ok();
        let mut prioritize = orders(&["prioritized"]);
        prioritize["priority"] = 1.into();
        app.post("/orders/change", &prioritize).await.ok();
        app.cancel(json!({"orderIds": ["killed later"], "kill": true})).await.ok();
        app.db.execute("DELETE FROM orders WHERE order_id IN ('gone', 'again')").await.unwrap();
        app.db.execute(&format!(
            "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, state)
             VALUES ('{CONTROLLER}', 'again', '/sos/eod', '1', 'CANCELLED');
             UPDATE orders SET state = 'CANCELLED', mark = NULL, state_since = {0}, modified = {0}
             WHERE order_id = 'honoured'", app.db.now())).await.unwrap();
        let response = undo(&app, id, json!({})).await;
        assert_eq!(left(&response.ok()), ["again: CHANGED", "gone: GONE", "hidden since: CHANGED",
            "honoured: CHANGED", "killed later: CHANGED", "prioritized: CHANGED"]);
        assert_eq!(response.affected(), 2);
        assert_eq!(app.db.state("a").await, "FRESH");
        assert_eq!(app.db.state("hidden before").await, "FRESH");
        assert_eq!(app.db.state("killed later").await, "RUNNING+CANCELLING!");
        // Nothing of this entry can be undone, and the reason is told.
        let refused = undo(&app, kill, json!({})).await;
        assert_eq!(refused.nothing_found(), "No orders to restore found. 1 order got a kill request.");
        let preview = app.post("/orders/cancel/undo/preview", &of_entry(kill, json!({}))).await.ok();
        assert_eq!((&preview["total"], left(&preview)), (&json!(0), vec!["killed: KILLED".into()]));
    }

    async fn a_child_returns_to_a_parent_that_waits_for_it(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("continued").state("RUNNING"),
            Order::new("continued|a"),
            Order::new("ended").state("WAITING"),
            Order::new("ended|a"),
            Order::new("waits").state("WAITING"),
            Order::new("waits|a"),
            Order::new("waits|b").state("RUNNING"),
            Order::new("whole"),
            Order::new("whole|a"),
        ])
        .await;
        let ids = ["continued|a", "ended|a", "waits", "waits|a", "waits|b", "whole", "whole|a"];
        let id = cancel(&app, json!({"orderIds": ids})).await;
        app.pass(TimeDelta::seconds(1));
        app.cancel(json!({"orderIds": ["ended"]})).await.ok();
        let body = undo(&app, id, json!({})).await.ok();
        assert_eq!(left(&body), ["continued|a: PARENT_CONTINUED", "ended|a: PARENT_CONTINUED"]);
        for (order, state) in [("waits", "WAITING"), ("waits|a", "FRESH"), ("waits|b", "RUNNING"),
            ("whole", "FRESH"), ("whole|a", "FRESH")]
        {
            assert_eq!(app.db.state(order).await, state, "{order}");
        }
        expect_sound(&app).await;
    }

    async fn an_entry_is_undone_once(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        let id = cancel(&app, all()).await;
        let undoes = futures_util::future::join_all((0..8).map(|_| undo(&app, id, json!({})))).await;
        let (done, refused): (Vec<_>, Vec<_>) =
            undoes.iter().partition(|response| response.status == 200);
        assert_eq!(done.len(), 1);
        let by = done[0].entry();
        for response in refused {
            let problem = format!("auditLogId: was undone already, by the entry {by}");
            assert_eq!(response.not_found(), problem);
        }
        let again = undo(&app, id, json!({})).await.not_found();
        assert!(again.contains("was undone already"), "{again}");
        let preview = app.post("/orders/cancel/undo/preview", &of_entry(id, json!({}))).await;
        assert!(preview.not_found().contains("was undone already"), "{preview:?}");
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs WHERE undoes IS NOT NULL").await, 1);
        expect_sound(&app).await;
    }

    async fn wrong_requests_change_nothing(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b"), Order::new("c")]).await;
        let id = cancel(&app, json!({"orderIds": ["a", "b"]})).await;
        let suspend = json!({"controllerId": CONTROLLER, "orderIds": ["c"]});
        let suspend = app.post("/orders/suspend", &suspend).await.entry();
        app.cancel(json!({"orderIds": ["a"]})).await.nothing_found();
        for (body, field) in [
            (of_entry(id, json!({"maxOrders": 1})), "maxOrders"),
            (of_entry(id, json!({"maxOrders": -1})), "maxOrders"),
            (of_entry(id, json!({"overdue": "RUN"})), "overdue"),
            (of_entry(id, json!({"limit": 10_001})), "limit"),
            (of_entry(id, json!({"orderIds": ["a"]})), "orderIds"),
            (of_entry(suspend, json!({})), "auditLogId"),
            (of_entry(suspend + 1, json!({})), "JOC-400 auditLogId"),
            (of_entry(suspend + 2, json!({})), "JOC-400 auditLogId"),
            (of_entry(-1, json!({})), "auditLogId"),
            (of_entry(i64::MAX, json!({})), "JOC-400 auditLogId"),
            (json!({"controllerId": CONTROLLER}), "auditLogId"),
            (json!({"controllerId": CONTROLLER, "auditLogId": "1"}), "auditLogId"),
        ] {
            app.post("/orders/cancel/undo", &body).await.fails_with(field);
        }
        assert_eq!(app.db.state("a").await, "CANCELLED");
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs WHERE undoes IS NOT NULL").await, 0);
    }

    async fn folders_and_permissions_hold(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("a").workflow("/sos/eod", "1"),
            Order::new("b").workflow("/other/eod", "1"),
            Order::new("running").workflow("/other/eod", "1").state("FAILED"),
        ])
        .await;
        let limited = app.account("limited", "sos:products:controller:orders:cancel", &[("/sos", true)]).await;
        let nobody = app.account("nobody", "sos:products:controller:orders:view", &[]).await;
        let both = cancel(&app, all()).await;
        let refused = app.post_as(&nobody, "/orders/cancel/undo", of_entry(both, json!({})).to_string()).await;
        assert_eq!(refused.status, 403);
        // Hidden orders are neither restored nor listed.
        let body = of_entry(both, json!({})).to_string();
        let preview = app.post_as(&limited, "/orders/cancel/undo/preview", body.clone()).await.ok();
        assert_eq!((&preview["total"], &preview["notRestoredTotal"]), (&json!(1), &json!(0)));
        let done = app.post_as(&limited, "/orders/cancel/undo", body).await;
        assert_eq!((done.affected(), left(&done.ok()).len()), (1, 0));
        assert_eq!(app.db.state("a").await, "FRESH");
        assert_eq!(app.db.state("b").await, "CANCELLED");
        // It does not learn that there is an entry.
        app.db.insert(&[Order::new("c").workflow("/other/eod", "1")]).await;
        let hidden = cancel(&app, json!({"orderIds": ["c"]})).await;
        for id in [hidden, hidden + 100] {
            let body = of_entry(id, json!({})).to_string();
            let problem = app.post_as(&limited, "/orders/cancel/undo", body).await.not_found();
            assert!(problem.contains(&format!("there is no entry {id} that changed orders")), "{problem}");
        }
    }

    async fn the_command_undoes(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b").state("FAILED")]).await;
        let id = cancel(&app, all()).await.to_string();
        let run = async |args: &[&str]| start(&app.url, &[&["orders", "undo", &id], args].concat()).await;
        let shown = run(&["--dry-run"]).await;
        assert_eq!(shown.ok(), "\
            ORDER ID  WORKFLOW  VERSION  STATE      EFFECT\n\
            a         /sos/eod  1        CANCELLED  RESTORED\n\
            1 order: 1 CANCELLED\n\
            would restore 1 order; dry run, nothing changed\n\
            1 order left alone: b STARTED\n");
        assert_eq!(app.db.state("a").await, "CANCELLED");
        let done = run(&["--yes"]).await;
        assert!(done.ok().starts_with("restored: 1 order, audit log id 2\n1 order left alone: b STARTED\n"), "{done:?}");
        assert_eq!(app.db.state("a").await, "FRESH");
        assert!(run(&["--yes"]).await.exits(3).contains("was undone already"));
    }
}
