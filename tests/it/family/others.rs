//! What confirm, continue, change and hiding do, and what all of them reject.

use serde_json::{Value, json};

use super::{audited, call, column, states};
use crate::harness::{App, CONTROLLER, Order, everything};

on_both! {
    async fn confirmed_orders_continue(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("asked").state("PROMPTING"),
            Order::new("asked, cancelling").state("PROMPTING").mark("CANCELLING"),
            Order::new("asked, suspended").state("PROMPTING").suspended(),
            Order::new("asked, suspending").state("PROMPTING").mark("SUSPENDING"),
            Order::new("waiting").waits("SLEEPING"),
        ])
        .await;
        assert_eq!(call(&app, "confirm", everything()).await.affected(), 2);
        assert_eq!(states(&app).await, [
            "asked: INPROGRESS",
            "asked, cancelling: PROMPTING+CANCELLING",
            "asked, suspended: PROMPTING~",
            "asked, suspending: INPROGRESS+SUSPENDING",
            "waiting: WAITING",
        ]);
        assert_eq!(audited(&app).await,
            ["asked: PROMPTING > INPROGRESS", "asked, suspending: PROMPTING > INPROGRESS"]);
        assert_eq!(call(&app, "confirm", everything()).await.nothing_found(),
            "No prompting orders found.");
    }

    async fn continues_orders_that_wait_for_time_only(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("asleep").waits("SLEEPING"),
            Order::new("asleep, suspended").waits("SLEEPING").suspended(),
            Order::new("between").waits("BETWEEN_CYCLES"),
            Order::new("delayed").waits("DELAYED_AFTER_ERROR"),
            Order::new("fork").waits("FORKED"),
            Order::new("lock").waits("WAITING_FOR_LOCK"),
            Order::new("retry").waits("DELAYING_RETRY"),
            Order::new("waiting").state("WAITING"),
        ])
        .await;
        assert_eq!(call(&app, "continue", everything()).await.affected(), 4);
        assert_eq!(app.db.ids_in("INPROGRESS").await, ["asleep", "between", "delayed", "retry"]);
        let sql = "SELECT count(*) FROM orders WHERE state = 'INPROGRESS' AND reason IS NOT NULL";
        assert_eq!(app.db.count(sql).await, 0);
        assert_eq!(audited(&app).await[0], "asleep: WAITING > INPROGRESS");
        assert_eq!(call(&app, "continue", everything()).await.nothing_found(), "No orders found.");
        // Suspended while it slept, it keeps sleeping.
        assert_eq!(call(&app, "resume", everything()).await.affected(), 1);
        assert_eq!(call(&app, "continue", everything()).await.affected(), 1);
    }

    async fn changes_the_priority_of_any_living_order(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("cancelling").state("RUNNING").mark("CANCELLING"),
            Order::new("failed").state("FAILED"),
            Order::new("finished").state("FINISHED"),
            Order::new("fresh"),
            Order::new("suspended").suspended(),
        ])
        .await;
        let with = |priority: Value| {
            let mut fields = everything();
            fields["priority"] = priority;
            fields
        };
        for priority in [i32::MIN, i32::MAX, -10000] {
            assert_eq!(call(&app, "change", with(json!(priority))).await.affected(), 4);
            let sql = format!("SELECT count(*) FROM orders WHERE priority = {priority}");
            assert_eq!(app.db.count(&sql).await, 4);
        }
        assert_eq!(column(&app, "finished", "priority").await, 0);
        assert_eq!(audited(&app).await, [
            "cancelling: RUNNING > RUNNING", "failed: FAILED > FAILED",
            "fresh: SCHEDULED > SCHEDULED", "suspended: SUSPENDED > SUSPENDED",
        ]);
        assert_eq!(app.db.state("cancelling").await, "RUNNING+CANCELLING");
        let none = json!({"orderIds": ["finished"], "priority": 1});
        assert_eq!(call(&app, "change", none).await.nothing_found(), "No orders found.");
    }

    async fn terminal_orders_are_hidden(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("cancelled").state("CANCELLED"),
            Order::new("finished").state("FINISHED"),
            Order::new("gone").state("FINISHED").remove_when_terminated(),
            Order::new("living"),
            Order::new("to go").state("RUNNING").remove_when_terminated(),
        ])
        .await;
        let others = "SELECT controller_id, order_id, workflow_path, state, suspended, mark, created, \
                      state_since, started, priority, arguments, position, reason FROM orders \
                      ORDER BY order_id";
        let before = app.db.rows(others).await.unwrap();
        let fields = json!({"states": ["FINISHED", "CANCELLED", "RUNNING"]});
        let preview = call(&app, "remove_when_terminated/preview", fields.clone()).await.ok();
        assert_eq!(preview["removed"], 2);
        assert_eq!(preview["removedWhenTerminated"], 0);
        assert_eq!(preview["byState"], json!({"CANCELLED": 1, "FINISHED": 1}));
        assert_eq!(call(&app, "remove_when_terminated", fields).await.affected(), 2);
        assert_eq!(audited(&app).await,
            ["cancelled: CANCELLED > CANCELLED", "finished: FINISHED > FINISHED"]);
        assert_eq!(call(&app, "remove_when_terminated", everything()).await.affected(), 1);
        assert_eq!(audited(&app).await, ["living: SCHEDULED > SCHEDULED"]);
        assert_eq!(app.db.rows(others).await.unwrap(), before);
        let left = "SELECT count(*) FROM orders WHERE NOT remove_when_terminated";
        assert_eq!(app.db.count(left).await, 0);
        assert_eq!(call(&app, "remove_when_terminated", everything()).await.nothing_found(),
            "No orders found.");
        // The audit trail keeps what was done to it, and a living one lives on.
        assert_eq!(app.cancel(json!({"orderIds": ["living"]})).await.affected(), 1);
        let sql = "SELECT count(*) FROM audit_log_details WHERE order_id = 'living'";
        assert_eq!(app.db.count(sql).await, 2);
    }

    async fn records_when_an_order_entered_its_state(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("asked").state("PROMPTING"),
            Order::new("failed").state("FAILED"),
            Order::new("fresh"),
            Order::new("running").state("RUNNING"),
            Order::new("twice").suspended().mark("RESUMING"),
        ])
        .await;
        // Seconds after the start, or `-` for none.
        let since = async || -> String {
            let rows = app.db.rows("SELECT CAST(state_since AS text) FROM orders ORDER BY order_id");
            let second = |value: Option<String>| value.map_or("-".into(), |v| v[17..19].to_owned());
            let rows = rows.await.unwrap().into_iter().flatten();
            rows.map(second).collect::<Vec<_>>().join(" ")
        };
        let second = chrono::TimeDelta::seconds(1);
        assert_eq!(since().await, "- - - - -");
        let mut changed = everything();
        changed["priority"] = json!(1);
        call(&app, "change", changed).await.ok();
        call(&app, "remove_when_terminated", everything()).await.ok();
        assert_eq!(since().await, "- - - - -");
        // At 12:34:56.
        assert_eq!(call(&app, "suspend", everything()).await.affected(), 4);
        assert_eq!(since().await, "56 - 56 - -");
        app.pass(second);
        assert_eq!(call(&app, "resume", json!({"orderIds": ["running", "fresh"]})).await.affected(), 2);
        assert_eq!(since().await, "56 - 57 - -");
        app.pass(second);
        assert_eq!(call(&app, "resume", everything()).await.affected(), 3);
        assert_eq!(since().await, "58 58 57 - 58");
        app.pass(second);
        assert_eq!(call(&app, "confirm", everything()).await.affected(), 1);
        app.cancel(json!({"orderIds": ["running", "twice"]})).await.ok();
        assert_eq!(since().await, "59 58 57 - 59");
    }

    async fn rejects_invalid_specific_fields_by_name(kind: Kind) {
        let app = App::with(kind, &[Order::new("a").suspended()]).await;
        let deep: Vec<Value> =
            (0..101).map(|i| if i % 2 == 0 { json!(0) } else { json!("then") }).collect();
        for (name, field, value) in [
            ("suspend", "reset", json!("true")),
            ("suspend", "kill", json!(1)),
            ("suspend", "deep", json!("yes")),
            ("change", "priority", Value::Null),
            ("change", "priority", json!("1")),
            ("change", "priority", json!(1.5)),
            ("change", "priority", json!(2_147_483_648_i64)),
            ("change", "priority", json!(-2_147_483_649_i64)),
            ("change", "priority", json!(u64::MAX)),
            ("resume", "position", json!("label")),
            ("resume", "position", json!([])),
            ("resume", "position", json!({})),
            ("resume", "position", json!(["then"])),
            ("resume", "position", json!([0, "then"])),
            ("resume", "position", json!([0, 1, 2])),
            ("resume", "position", json!([-1])),
            ("resume", "position", json!([0.5])),
            ("resume", "position", json!([0, "a\u{0}", 0])),
            ("resume", "position", json!(deep)),
            ("resume", "variables", json!([])),
            ("resume", "variables", json!("x")),
            ("resume", "variables", json!({"": 1})),
            ("resume", "variables", json!({"a\u{0}": 1})),
            ("resume", "variables.a[0]", json!({"a": [null]})),
            ("resume", "variables.a.b", json!({"a": {"b": {}}})),
            ("resume", "variables.a", json!({"a": "\u{0}"})),
            ("resume", "variables.a[1]", json!({"a": [{}, "b"]})),
            ("resume", "variables.a[0].b", json!({"a": [{"b": []}]})),
            ("resume", "variables.a[0].b", json!({"a": [{"b": "x\u{0}"}]})),
            ("resume", "fromCurrentBlock", json!(true)),
            ("resume", "cycleEndTime", json!(1)),
            ("resume", "cycleEndTime", json!([1])),
            ("resume", "position", json!("job1")),
            ("resume", "position", json!(["job1"])),
        ] {
            let sent = field.split('.').next().unwrap();
            let fields = json!({"orderIds": ["a"], sent: value});
            for path in [name.to_owned(), format!("{name}/preview")] {
                let message = call(&app, &path, fields.clone()).await.refused();
                assert!(message.starts_with(&format!("{field}: ")), "{path} {fields}: {message}");
            }
        }
        let missing = call(&app, "change", json!({"orderIds": ["a"]})).await.refused();
        assert!(missing.starts_with("priority: "), "{missing}");
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 0);
        // Other endpoints do not have them.
        let fields = json!({"controllerId": CONTROLLER, "orderIds": ["a"], "reset": "x", "force": 1,
            "fromCurrentBlock": "x", "position": 1, "variables": 1, "cycleEndTime": "x", "orders": 1,
            "priority": 5});
        assert_eq!(app.post("/orders/change", &fields).await.affected(), 1);
        let fields = json!({"orderIds": ["a"], "priority": "x", "reset": 1, "force": true,
            "fromCurrentBlock": false, "cycleEndTime": [], "orders": []});
        assert_eq!(call(&app, "resume", fields).await.affected(), 1);
    }
}
