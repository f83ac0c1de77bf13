//! Agents that are killed, or hang.

use super::*;

/// Says so if it runs twice at once: the lock is free as soon as its processes are gone.
const ALONE: &str =
    "flock -n -E 99 lock-$JOC_ORDER_ID sh -c 'echo $$ >> started; sleep $0' $JOC_ARG_TIME
    status=$?; [ $status = 99 ] && echo $JOC_ORDER_ID >> twice; exit $status";

async fn set_time(db: &Database, time: &str) {
    let sql = format!("UPDATE orders SET arguments = '{{\"time\": \"{time}\"}}'");
    db.execute(&sql).await.unwrap();
}

on_both! {
    async fn another_agent_settles_what_a_killed_one_had(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        let folder = Folder::with(ALONE, "");
        db.insert(&[due("order")]).await;
        set_time(db, "100").await;
        let lease = ["--lease", "3"];
        let first = Agent::over(db, &folder, &lease).await;
        folder.has("started", 1).await;
        first.signal("-KILL");
        let pid = folder.lines("started").concat();
        until("the job is gone", async || !alive(&pid)).await;
        assert_eq!(db.state("order").await, "RUNNING");
        let _second = Agent::over(db, &folder, &lease).await;
        becomes(db, "order", "FAILED").await;
        assert_eq!(runs(&app, "order").await, [json!([null, null, "LEASE_EXPIRED"])]);
        checked(db).await;
    }

    async fn an_agent_killed_at_any_time_leaves_nothing_undone_or_done_twice_at_once(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        let folder = Folder::with(ALONE, "retries = 1000");
        db.insert(&(0..40).map(|i| due(&format!("o{i:02}"))).collect::<Vec<_>>()).await;
        set_time(db, "0.1").await;
        let flags = ["--lease", "3", "--slots", "3"];
        let mut steady = Some(Agent::over(db, &folder, &["--lease", "3", "--slots", "1"]).await);
        // The phases of a run take tens of milliseconds each.
        for after in [0, 15, 30, 60, 90, 130, 180, 240, 320, 500] {
            let agent = Agent::over(db, &folder, &flags).await;
            tokio::time::sleep(Duration::from_millis(after)).await;
            agent.signal("-KILL");
            if after == 240 {
                steady.take().unwrap().signal("-KILL");
            }
        }
        let _last = Agent::over(db, &folder, &flags).await;
        let open = "SELECT count(*) FROM orders WHERE state <> 'FINISHED'";
        until("all are finished", async || db.count(open).await == 0).await;
        assert!(folder.lines("twice").is_empty());
        let good = "SELECT count(*) FROM order_runs WHERE exit_status = 0";
        assert_eq!(db.count(good).await, 40);
        checked(db).await;
    }

    async fn a_hanging_agent_loses_its_orders_and_its_jobs(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        let folder = Folder::with(ALONE, "retries = 1");
        db.insert(&[due("order")]).await;
        set_time(db, "8").await;
        let lease = ["--lease", "3"];
        let first = Agent::over(db, &folder, &lease).await;
        folder.has("started", 1).await;
        first.signal("-STOP");
        let second = Agent::over(db, &folder, &lease).await;
        folder.has("started", 2).await;
        assert!(!alive(&folder.lines("started")[0]));
        first.signal("-CONT");
        first.logs("another agent has settled the order").await;
        becomes(db, "order", "FINISHED").await;
        assert!(folder.lines("twice").is_empty());
        let expected = [json!([null, null, "LEASE_EXPIRED"]), json!([0, null, null])];
        assert_eq!(runs(&app, "order").await, expected);
        drop(second);
        checked(db).await;
    }

    async fn a_cancel_is_honoured_although_the_agent_was_killed(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let folder = Folder::with(ALONE, "retries = 1000");
        app.db.insert(&[due("order")]).await;
        set_time(&app.db, "100").await;
        let lease = ["--lease", "3"];
        let first = Agent::over(&app.db, &folder, &lease).await;
        folder.has("started", 1).await;
        first.signal("-KILL");
        assert_eq!(app.cancel(json!({"orderIds": ["order"]})).await.affected(), 1);
        let _second = Agent::over(&app.db, &folder, &lease).await;
        becomes(&app.db, "order", "CANCELLED").await;
        assert_eq!(folder.lines("started").len(), 1);
        checked(&app.db).await;
    }

    async fn a_killed_guard_takes_its_job_along(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let folder = Folder::with("echo $$ $PPID >> started; exec sleep 100", "");
        app.db.insert(&[due("order")]).await;
        let _agent = Agent::over(&app.db, &folder, &[]).await;
        folder.has("started", 1).await;
        let line = folder.lines("started").concat();
        let (job, guard) = line.split_once(' ').unwrap();
        assert!(std::process::Command::new("kill").args(["-9", guard]).status().unwrap().success());
        becomes(&app.db, "order", "FAILED").await;
        assert!(!alive(job));
        assert_eq!(runs(&app, "order").await, [json!([null, 9, null])]);
        checked(&app.db).await;
    }
}
