//! The rules of selection and effect, one by one.

use serde_json::json;

use crate::harness::{App, Order};

on_both! {
    async fn what_cancelling_does_to_an_order(kind: Kind) {
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
        assert_eq!(again.refused(), "No orders found.");
        let kill = app.cancel(json!({"folders": [{"folder": "/"}], "kill": true})).await;
        assert_eq!(kill.affected(), 2);
        assert_eq!(app.db.state("running").await, "RUNNING+CANCELLING!");
        assert_eq!(app.db.state("marked").await, "RUNNING+CANCELLING!");
        assert_eq!(app.db.state("in progress").await, "INPROGRESS+CANCELLING");
        let again = app.cancel(json!({"folders": [{"folder": "/"}], "kill": true})).await;
        assert_eq!(again.refused(), "No orders found.");
    }
}
