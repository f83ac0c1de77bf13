//! What resuming does to an order, and who may.

use serde_json::json;

use super::{audited, call, column, states};
use crate::harness::{App, Order, everything, with_controller};

/// Selects every order, with more fields.
fn with(fields: serde_json::Value) -> serde_json::Value {
    let mut body = everything();
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

on_both! {
    async fn resumes_by_state_and_mark(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("blocked").at("2026-11-23T12:34:56.788Z").suspended(),
            Order::new("cancelling").state("RUNNING").mark("CANCELLING"),
            Order::new("failed").state("FAILED").mark("SUSPENDING"),
            Order::new("finished").state("FINISHED"),
            Order::new("fresh"),
            Order::new("killed").state("RUNNING").mark("SUSPENDING").killed(),
            Order::new("pending").never().suspended(),
            Order::new("prompting").state("PROMPTING").suspended(),
            Order::new("scheduled").suspended().mark("RESUMING"),
            Order::new("suspended, cancelling").state("WAITING").suspended().mark("CANCELLING"),
            Order::new("suspended, failed").state("FAILED").suspended(),
            Order::new("suspending").state("RUNNING").mark("SUSPENDING"),
            Order::new("waiting").waits("FORKED").suspended(),
        ])
        .await;
        assert_eq!(call(&app, "resume", everything()).await.affected(), 8);
        assert_eq!(states(&app).await, [
            "blocked: FRESH",
            "cancelling: RUNNING+CANCELLING",
            "failed: INPROGRESS",
            "finished: FINISHED",
            "fresh: FRESH",
            "killed: RUNNING+SUSPENDING!",
            "pending: FRESH",
            "prompting: PROMPTING",
            "scheduled: FRESH",
            "suspended, cancelling: WAITING+CANCELLING~",
            "suspended, failed: FAILED",
            "suspending: RUNNING",
            "waiting: WAITING",
        ]);
        assert_eq!(column(&app, "waiting", "reason").await, "FORKED");
        assert_eq!(audited(&app).await, [
            "blocked: SUSPENDED > BLOCKED",
            "failed: FAILED > INPROGRESS",
            "pending: SUSPENDED > PENDING",
            "prompting: SUSPENDED > PROMPTING",
            "scheduled: SUSPENDED > SCHEDULED",
            "suspended, failed: SUSPENDED > FAILED",
            "suspending: RUNNING > RUNNING",
            "waiting: SUSPENDED > WAITING",
        ]);
        assert_eq!(call(&app, "resume", everything()).await.affected(), 1);
        assert_eq!(app.db.state("suspended, failed").await, "INPROGRESS");
        assert_eq!(call(&app, "resume", everything()).await.nothing_found(),
            "No resumable orders found.");
    }

    async fn resumes_at_another_position_with_other_variables(kind: Kind) {
        let app = App::with(kind, &["a", "b", "c"].map(|id| Order::new(id).suspended())).await;
        app.db.execute("UPDATE orders SET arguments = '{\"old\": 1, \"q\\\"\\\\\": 1}', position = '[1]' \
                        WHERE order_id <> 'c'").await.unwrap();
        let fields = json!({"orderIds": ["a", "c"], "position": [2, "then", 0], "variables": {
            "q\"\\": "\"'\\\n\u{1f980}", "yes": true, "n": 1.5, "none": "", "list": [{"a": 1}, {}],
            "b.c": "$x"}});
        let preview = call(&app, "resume/preview", fields.clone()).await.ok();
        assert_eq!(preview["resumed"], 2);
        assert_eq!(column(&app, "a", "position").await, json!([1]));
        assert_eq!(call(&app, "resume", fields.clone()).await.affected(), 2);
        let mut merged = fields["variables"].clone();
        assert_eq!(column(&app, "c", "arguments").await, merged);
        merged["old"] = json!(1);
        assert_eq!(column(&app, "a", "arguments").await, merged);
        for id in ["a", "c"] {
            assert_eq!(column(&app, id, "position").await, json!([2, "then", 0]), "{id}");
        }
        // Null means absent, as in JOC, whose shell client says `arguments`.
        let fields = json!({"orderIds": ["b"], "position": null, "arguments": {"old": null}});
        assert_eq!(call(&app, "resume", fields).await.affected(), 1);
        assert_eq!(column(&app, "b", "position").await, json!([1]));
        assert_eq!(column(&app, "b", "arguments").await, json!({"old": 1, "q\"\\": 1}));
    }

    async fn a_map_replaces_the_one_from_before(kind: Kind) {
        let app = App::with(kind, &[Order::new("a").suspended()]).await;
        app.db.execute("UPDATE orders SET arguments = '{\"kept\": {\"x\": 1}, \"q\\\"\": {\"old\": 1}, \
                        \"list\": [{\"old\": 1}], \"text\": \"old\", \"map\": {\"old\": {}}}'").await.unwrap();
        let variables = json!({"q\"": {"new": 2}, "list": {}, "text": {"new": true}, "map": "new"});
        let fields = json!({"orderIds": ["a"], "variables": variables});
        assert_eq!(call(&app, "resume", fields).await.affected(), 1);
        let mut merged = variables;
        merged["kept"] = json!({"x": 1});
        assert_eq!(column(&app, "a", "arguments").await, merged);
    }

    async fn running_and_held_orders_keep_their_position(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("failed").state("FAILED"),
            Order::new("parent").waits("FORKED").suspended(),
            Order::new("parent|gone").state("FINISHED"),
            Order::new("parent|living").state("RUNNING"),
            Order::new("running").state("RUNNING").mark("SUSPENDING"),
            Order::new("started").state("INPROGRESS").mark("SUSPENDING"),
            Order::new("suspended").suspended(),
            Order::new("widow").waits("FORKED").suspended(),
            Order::new("widow|gone").state("CANCELLED"),
        ])
        .await;
        let preview = call(&app, "resume/preview", with(json!({"position": [3]}))).await.ok();
        assert_eq!(preview["total"], 3);
        assert_eq!(call(&app, "resume", with(json!({"position": [3]}))).await.affected(), 3);
        for (id, position) in [
            ("failed", json!([3])), ("suspended", json!([3])), ("widow", json!([3])),
            ("parent", json!(null)), ("running", json!(null)), ("started", json!(null)),
        ] {
            assert_eq!(column(&app, id, "position").await, position, "{id}");
        }
        assert_eq!(app.db.state("parent").await, "WAITING~");
        // A parent keeps its position and takes new arguments.
        let variables = with(json!({"variables": {"a": 1}}));
        assert_eq!(call(&app, "resume", variables.clone()).await.affected(), 1);
        assert_eq!(app.db.state("parent").await, "WAITING");
        assert_eq!(column(&app, "parent", "arguments").await, json!({"a": 1}));
        assert_eq!(call(&app, "resume", variables).await.nothing_found(), "No resumable orders found.");
        for (id, state) in [("running", "RUNNING"), ("started", "INPROGRESS")] {
            assert_eq!(app.db.state(id).await, format!("{state}+SUSPENDING"));
            assert_eq!(column(&app, id, "arguments").await, json!({}), "{id}");
        }
        assert_eq!(call(&app, "resume", everything()).await.affected(), 2);
        let both = with(json!({"variables": {"a": 1}, "arguments": {"b": 1}}));
        let refused = call(&app, "resume", both).await.refused();
        assert_eq!(refused, "variables, arguments: one of them is expected, not both");
    }

    async fn failed_orders_need_their_own_permission(kind: Kind) {
        let order = |id: &str, folder: &str| Order::new(id).workflow(&format!("{folder}/w"), "1");
        let app = App::with(kind, &[
            order("failed/x", "/x").state("FAILED"),
            order("failed/y", "/y").state("FAILED"),
            order("suspended/x", "/x").suspended(),
            order("suspended/y", "/y").suspended(),
            order("suspended, failed/x", "/x").state("FAILED").suspended(),
            order("suspending/y", "/y").state("RUNNING").mark("SUSPENDING"),
        ])
        .await;
        let name = |permission: &str| format!("sos:products:controller:orders:{permission}");
        let suspended = app.account("s", &name("suspend_resume"), &[]).await;
        let failed = app.account("f", &name("resume_failed"), &[]).await;
        let neither = app.account("n", &name("cancel"), &[]).await;
        app.account("both", &name("suspend_resume"), &[("/x", true)]).await;
        app.store.add_role("failed in y").await.unwrap();
        app.store.grant("failed in y", &name("resume_failed"), "*").await.unwrap();
        let folder = "/y".into();
        let folder = joc_orders::model::folders::Folder { folder, recursive: true };
        app.store.limit("failed in y", &[folder]).await.unwrap();
        app.store.assign("failed in y", "both").await.unwrap();
        let both = app.login("both", "a-password").await;

        let body = with_controller(everything()).to_string();
        let sees = async |token: &str| -> Vec<String> {
            let preview = app.post_as(token, "/orders/resume/preview", body.clone()).await.ok();
            let orders = preview["orders"].as_array().unwrap();
            orders.iter().map(|o| o["orderId"].as_str().unwrap().into()).collect()
        };
        assert_eq!(sees(&failed).await, ["failed/x", "failed/y"]);
        assert_eq!(sees(&both).await, ["failed/y", "suspended, failed/x", "suspended/x"]);
        let rest = ["suspended, failed/x", "suspended/x", "suspended/y", "suspending/y"];
        assert_eq!(sees(&suspended).await, rest);
        let denied = app.post_as(&neither, "/orders/resume", body.clone()).await;
        assert_eq!(denied.status, 403, "{}", denied.text);
        assert!(denied.text.contains("suspend_resume"), "{}", denied.text);

        let answer = app.post_as(&both, "/orders/resume", body.clone()).await;
        assert_eq!(answer.affected(), 3);
        assert_eq!(audited(&app).await, ["failed/y: FAILED > INPROGRESS",
            "suspended, failed/x: SUSPENDED > FAILED", "suspended/x: SUSPENDED > SCHEDULED"]);
        // It has failed, so this account may no longer resume it.
        assert_eq!(app.post_as(&both, "/orders/resume", body.clone()).await.nothing_found(),
            "No resumable orders found.");
        assert_eq!(app.post_as(&suspended, "/orders/resume", body.clone()).await.affected(), 2);
        assert_eq!(app.post_as(&failed, "/orders/resume", body).await.affected(), 2);
        assert_eq!(app.db.ids_in("FAILED").await.len(), 0);
    }
}
