//! Cancels and suspensions of running orders.

use super::*;

/// Waits until told, and says when it is terminated.
const PATIENT: &str = "trap 'echo >> terminated; exit 1' TERM; echo $$ >> started;
    while ! [ -e go ]; do sleep 0.05; done";

/// Ignores SIGTERM, as do its children, one of which leaves its group.
const STUBBORN: &str =
    "trap '' TERM; sleep 100 & echo $! >> pids; setsid sleep 101 & echo $! >> pids;
    echo $$ >> pids; echo >> started; while true; do sleep 0.05; done";

on_both! {
    async fn a_cancel_without_kill_lets_the_job_end(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let folder = Folder::with(PATIENT, "");
        app.db.insert(&[due("order")]).await;
        let _agent = Agent::over(&app.db, &folder, &[]).await;
        folder.has("started", 1).await;
        assert_eq!(app.cancel(json!({"orderIds": ["order"]})).await.affected(), 1);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(app.db.state("order").await, "RUNNING+CANCELLING");
        std::fs::write(folder.path("go"), "").unwrap();
        becomes(&app.db, "order", "CANCELLED").await;
        assert!(folder.lines("terminated").is_empty());
        assert_eq!(runs(&app, "order").await, [json!([0, null, null])]);
        checked(&app.db).await;
    }

    async fn a_cancel_with_kill_terminates_the_job_at_once(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let folder = Folder::with(PATIENT, "");
        app.db.insert(&[due("order")]).await;
        let _agent = Agent::over(&app.db, &folder, &[]).await;
        folder.has("started", 1).await;
        let cancel = json!({"orderIds": ["order"], "kill": true});
        assert_eq!(app.cancel(cancel).await.affected(), 1);
        let responded = Instant::now();
        folder.has("terminated", 1).await;
        eprintln!("{kind:?}: SIGTERM arrived {:?} after the response", responded.elapsed());
        becomes(&app.db, "order", "CANCELLED").await;
        assert_eq!(runs(&app, "order").await, [json!([1, null, "KILLED"])]);
        checked(&app.db).await;
    }

    async fn a_job_that_ignores_sigterm_is_killed_with_all_it_started(kind: Kind) {
        let app = App::today(kind, &["--sigkill-after", "2"]).await;
        let folder = Folder::with(STUBBORN, "");
        app.db.insert(&[due("order")]).await;
        let _agent = Agent::over(&app.db, &folder, &[]).await;
        folder.has("started", 1).await;
        let pids = folder.lines("pids");
        assert!(pids.len() == 3 && pids.iter().all(|pid| alive(pid)));
        let cancel = json!({"orderIds": ["order"], "kill": true});
        assert_eq!(app.cancel(cancel).await.affected(), 1);
        becomes(&app.db, "order", "CANCELLED").await;
        assert!(!pids.iter().any(|pid| alive(pid)), "{pids:?}");
        assert_eq!(runs(&app, "order").await, [json!([null, 9, "KILLED"])]);
        checked(&app.db).await;
    }

    async fn jobs_that_end_at_the_moment_of_the_cancel_are_cancelled_or_finished(kind: Kind) {
        let app = App::today(kind, &["--sigkill-after", "2"]).await;
        let folder = Folder::with("echo >> started; sleep 0.$JOC_ARG_TIME", "");
        let ids: Vec<String> = (0..12).map(|i| format!("o{i:02}")).collect();
        app.db.insert(&ids.iter().map(|id| due(id)).collect::<Vec<_>>()).await;
        for (i, id) in ids.iter().enumerate() {
            let sql = format!(
                "UPDATE orders SET arguments = '{{\"time\": \"{:02}\"}}' WHERE order_id = '{id}'",
                i * 4,
            );
            app.db.execute(&sql).await.unwrap();
        }
        let agent = Agent::over(&app.db, &folder, &["--slots", "12"]).await;
        folder.has("started", 8).await;
        let cancelled = app.cancel(json!({"orderIds": &ids, "kill": true})).await;
        assert!([200, 420].contains(&cancelled.status), "{}", cancelled.text);
        let open = "SELECT count(*) FROM orders WHERE state NOT IN ('FINISHED', 'CANCELLED')";
        until("all have ended", async || app.db.count(open).await == 0).await;
        let living = "SELECT count(*) FROM order_runs WHERE ended IS NULL";
        assert_eq!(app.db.count(living).await, 0);
        drop(agent);
        checked(&app.db).await;
    }

    async fn a_suspended_job_runs_again_after_the_resume(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let folder = Folder::with(PATIENT, "");
        app.db.insert(&[due("order")]).await;
        let _agent = Agent::over(&app.db, &folder, &[]).await;
        folder.has("started", 1).await;
        let body = with_controller(json!({"orderIds": ["order"], "kill": true}));
        app.post("/orders/suspend", &body).await.ok();
        becomes(&app.db, "order", "INPROGRESS~").await;
        folder.has("terminated", 1).await;
        std::fs::write(folder.path("go"), "").unwrap();
        let body = with_controller(json!({"orderIds": ["order"]}));
        app.post("/orders/resume", &body).await.ok();
        becomes(&app.db, "order", "FINISHED").await;
        assert_eq!(runs(&app, "order").await, [json!([1, null, "KILLED"]), json!([0, null, null])]);
        checked(&app.db).await;
    }

    async fn a_deep_cancel_ends_children_and_then_their_parent(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let folder = Folder::with(PATIENT, "");
        app.db.insert(&[due("p").waits("FORKED"), due("p|a"), due("p|b")]).await;
        let _agent = Agent::over(&app.db, &folder, &[]).await;
        folder.has("started", 2).await;
        let cancel = json!({"orderIds": ["p"], "kill": true, "deep": true});
        assert_eq!(app.cancel(cancel).await.affected(), 3);
        for id in ["p|a", "p|b", "p"] {
            becomes(&app.db, id, "CANCELLED").await;
        }
        assert_eq!(folder.lines("terminated").len(), 2);
        checked(&app.db).await;
    }
}
