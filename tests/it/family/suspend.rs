//! What suspending does to an order.

use serde_json::{Value, json};

use super::{audited, call, column, states};
use crate::harness::{App, Order, everything};

on_both! {
    async fn suspends_or_marks_by_state(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("blocked").at("2026-11-23T12:34:56.788Z"),
            Order::new("cancelling").state("RUNNING").mark("CANCELLING"),
            Order::new("failed").state("FAILED"),
            Order::new("finished").state("FINISHED"),
            Order::new("in progress").state("INPROGRESS"),
            Order::new("pending").never(),
            Order::new("prompting").state("PROMPTING"),
            Order::new("running").state("RUNNING"),
            Order::new("scheduled"),
            Order::new("suspended").state("WAITING").suspended(),
            Order::new("suspended, resuming").state("WAITING").suspended().mark("RESUMING"),
            Order::new("suspending").state("INPROGRESS").mark("SUSPENDING"),
            Order::new("waiting").waits("WAITING_FOR_LOCK"),
        ])
        .await;
        assert_eq!(call(&app, "suspend", everything()).await.affected(), 8);
        assert_eq!(states(&app).await, [
            "blocked: FRESH~",
            "cancelling: RUNNING+CANCELLING",
            "failed: FAILED",
            "finished: FINISHED",
            "in progress: INPROGRESS+SUSPENDING",
            "pending: FRESH~",
            "prompting: PROMPTING~",
            "running: RUNNING+SUSPENDING",
            "scheduled: FRESH~",
            "suspended: WAITING~",
            "suspended, resuming: WAITING~",
            "suspending: INPROGRESS+SUSPENDING",
            "waiting: WAITING~",
        ]);
        assert_eq!(column(&app, "waiting", "reason").await, "WAITING_FOR_LOCK");
        assert_eq!(audited(&app).await, [
            "blocked: BLOCKED > SUSPENDED",
            "in progress: INPROGRESS > INPROGRESS SUSPENDING",
            "pending: PENDING > SUSPENDED",
            "prompting: PROMPTING > SUSPENDED",
            "running: RUNNING > RUNNING SUSPENDING",
            "scheduled: SCHEDULED > SUSPENDED",
            "suspended, resuming: SUSPENDED > SUSPENDED",
            "waiting: WAITING > SUSPENDED",
        ]);
        let again = call(&app, "suspend", everything()).await;
        assert_eq!(again.nothing_found(), "No suspendible orders found.");
    }

    async fn suspends_with_a_kill_request(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("asked").state("RUNNING").mark("SUSPENDING"),
            Order::new("cancelling").state("RUNNING").mark("CANCELLING"),
            Order::new("in progress").state("INPROGRESS"),
            Order::new("killed").state("RUNNING").mark("SUSPENDING").killed(),
            Order::new("running").state("RUNNING"),
            Order::new("suspending").state("INPROGRESS").mark("SUSPENDING"),
            // Its job has ended meanwhile.
            Order::new("waiting").state("WAITING"),
        ])
        .await;
        let mut fields = everything();
        fields["kill"] = json!(true);
        let preview = call(&app, "suspend/preview", fields.clone()).await.ok();
        let counts = ["total", "suspended", "marked", "killed"].map(|c| preview[c].as_u64());
        assert_eq!(counts, [4, 1, 1, 2].map(Some));
        assert_eq!(preview["orders"][0]["effect"], "KILL");
        assert_eq!(call(&app, "suspend", fields.clone()).await.affected(), 4);
        assert_eq!(states(&app).await, [
            "asked: RUNNING+SUSPENDING!",
            "cancelling: RUNNING+CANCELLING",
            "in progress: INPROGRESS+SUSPENDING",
            "killed: RUNNING+SUSPENDING!",
            "running: RUNNING+SUSPENDING!",
            "suspending: INPROGRESS+SUSPENDING",
            "waiting: WAITING~",
        ]);
        assert_eq!(audited(&app).await, [
            "asked: RUNNING > RUNNING SUSPENDING kill",
            "in progress: INPROGRESS > INPROGRESS SUSPENDING",
            "running: RUNNING > RUNNING SUSPENDING kill",
            "waiting: WAITING > SUSPENDED",
        ]);
        assert_eq!(call(&app, "suspend", fields).await.nothing_found(), "No suspendible orders found.");
        // A cancel follows a suspension, and a kill request stays.
        assert_eq!(app.cancel(json!({"orderIds": ["running"]})).await.affected(), 1);
        assert_eq!(app.db.state("running").await, "RUNNING+CANCELLING!");
    }

    async fn deep_includes_living_descendants(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("p").state("WAITING"),
            Order::new("p2"),
            Order::new("p|a").state("RUNNING"),
            Order::new("p|b").state("WAITING").suspended(),
            Order::new("p|b|c").workflow("/other/w", "7"),
            Order::new("p|d").state("FINISHED"),
            Order::new("p|e").state("FAILED"),
        ])
        .await;
        assert_eq!(call(&app, "suspend", json!({"orderIds": ["p"]})).await.affected(), 1);
        assert_eq!(app.db.state("p").await, "WAITING~");
        assert_eq!(app.db.state("p|a").await, "RUNNING");
        let deep = json!({"orderIds": ["p"], "deep": true});
        assert_eq!(call(&app, "suspend", deep).await.affected(), 2);
        assert_eq!(audited(&app).await,
            ["p|a: RUNNING > RUNNING SUSPENDING", "p|b|c: SCHEDULED > SUSPENDED"]);
        assert_eq!(states(&app).await, ["p: WAITING~", "p2: FRESH", "p|a: RUNNING+SUSPENDING",
            "p|b: WAITING~", "p|b|c: FRESH~", "p|d: FINISHED", "p|e: FAILED"]);
        // The other endpoints have no `deep`.
        let deep = json!({"orderIds": ["p"], "deep": true});
        assert_eq!(call(&app, "resume", deep).await.affected(), 1);
        assert_eq!(app.db.state("p|b|c").await, "FRESH~");
    }

    async fn reset_restarts_the_instruction(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("asked").state("PROMPTING"),
            Order::new("fork").waits("FORKED"),
            Order::new("fork|a").state("FAILED"),
            Order::new("fresh"),
            Order::new("joined").waits("FORKED"),
            Order::new("joined|a").state("CANCELLED"),
            Order::new("lock").waits("WAITING_FOR_LOCK"),
            Order::new("running").state("RUNNING"),
        ])
        .await;
        let mut fields = everything();
        fields["reset"] = json!(true);
        fields["deep"] = json!(true);
        let preview = call(&app, "suspend/preview", fields.clone()).await.ok();
        assert_eq!((preview["suspended"].as_u64(), preview["marked"].as_u64()), (Some(5), Some(1)));
        assert_eq!(call(&app, "suspend", fields).await.affected(), 6);
        assert_eq!(states(&app).await, [
            "asked: INPROGRESS~", "fork: WAITING~", "fork|a: FAILED", "fresh: FRESH~",
            "joined: INPROGRESS~", "joined|a: CANCELLED", "lock: INPROGRESS~",
            "running: RUNNING+SUSPENDING",
        ]);
        assert_eq!(column(&app, "lock", "reason").await, Value::Null);
        assert_eq!(column(&app, "fork", "reason").await, "FORKED");
        assert_eq!(call(&app, "resume", json!({"orderIds": ["lock"]})).await.affected(), 1);
        assert_eq!(audited(&app).await, ["lock: SUSPENDED > INPROGRESS"]);
    }
}
