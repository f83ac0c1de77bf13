//! Orders are taken, run and reported.

use super::*;
use crate::harness::Cluster;

on_both! {
    async fn runs_a_job_with_its_input_and_reports_its_end(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        let folder = Folder::with(
            "cat > input; env > env; echo hello; exit $JOC_ARG_STATUS",
            "environment = {STAGE = 'test'}",
        );
        db.insert(&[due("good"), due("bad"), due("other").workflow("/sos/other", "1")]).await;
        for (id, status) in [("bad", 7), ("good", 0)] {
            let sql = format!(
                "UPDATE orders SET arguments = '{{\"status\": {status}, \"a.b\": \"; exit 9\"}}' \
                 WHERE order_id = '{id}'"
            );
            db.execute(&sql).await.unwrap();
        }
        let agent = Agent::over(db, &folder, &["--slots", "1"]).await;
        becomes(db, "good", "FINISHED").await;
        becomes(db, "bad", "FAILED").await;
        assert_eq!(db.state("other").await, "FRESH");
        assert_eq!(runs(&app, "good").await, [json!([0, null, null])]);
        assert_eq!(runs(&app, "bad").await, [json!([7, null, null])]);
        let input: Value = serde_json::from_str(&folder.lines("input").concat()).unwrap();
        assert_eq!(input["a.b"], "; exit 9");
        let mut names: Vec<String> =
            folder.lines("env").iter().map(|line| line.split('=').next().unwrap().into()).collect();
        names.retain(|name| !["PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"].contains(&&**name));
        names.sort();
        assert_eq!(names, [
            "JOC_ARG_A_B", "JOC_ARG_STATUS", "JOC_CONTROLLER_ID", "JOC_ORDER_ID", "JOC_RUN",
            "JOC_SCHEDULED_FOR", "JOC_WORKFLOW_PATH", "JOC_WORKFLOW_VERSION_ID", "STAGE",
        ]);
        agent.logs("hello").await;
        assert!(agent.stops().await.success());
        checked(db).await;
    }

    async fn a_job_that_fails_runs_again_if_it_may(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let folder = Folder::with("[ $JOC_RUN = 3 ] && exit 0; exit $JOC_RUN", "retries = 2");
        app.db.insert(&[due("order")]).await;
        let _agent = Agent::over(&app.db, &folder, &[]).await;
        becomes(&app.db, "order", "FINISHED").await;
        let expected = [json!([1, null, null]), json!([2, null, null]), json!([0, null, null])];
        assert_eq!(runs(&app, "order").await, expected);
        checked(&app.db).await;
    }

    async fn a_job_that_cannot_start_or_takes_too_long_has_failed(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let folder = Folder::with("exec sleep 100", "timeout = 1\n[jobs.none]\ncommand = ['/none']
            [jobs.nowhere]\ncommand = ['true']\ndirectory = '/none'");
        app.db.insert(&[
            due("long"),
            due("none").workflow("/sos/none", "1"),
            due("nowhere").workflow("/sos/nowhere", "1"),
        ]).await;
        let _agent = Agent::over(&app.db, &folder, &[]).await;
        for id in ["long", "none", "nowhere"] {
            becomes(&app.db, id, "FAILED").await;
        }
        assert_eq!(runs(&app, "long").await, [json!([null, 15, "TIMEOUT"])]);
        assert_eq!(runs(&app, "none").await, [json!([127, null, null])]);
        assert_eq!(runs(&app, "nowhere").await, [json!([null, null, "NOT_STARTED"])]);
        checked(&app.db).await;
    }

    async fn a_parent_runs_after_its_children(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let folder = Folder::with("echo $JOC_ORDER_ID >> ran", "");
        app.db.insert(&[due("p").waits("FORKED"), due("p|a"), due("p|b")]).await;
        let _agent = Agent::over(&app.db, &folder, &[]).await;
        becomes(&app.db, "p", "FINISHED").await;
        let mut ran = folder.lines("ran");
        assert_eq!(ran.pop().unwrap(), "p");
        ran.sort();
        assert_eq!(ran, ["p|a", "p|b"]);
        checked(&app.db).await;
        let file = folder.path("orders.jsonl");
        let now = joc_orders::model::window::iso(&Utc::now());
        let archive = ["orders", "archive", "--before", &now, "--to", file.to_str().unwrap()];
        assert!(launch(&app.db.owner, &archive, "").await.ok().starts_with("archived: 3 orders"));
        assert_eq!(app.db.count("SELECT count(*) FROM order_runs").await, 0);
        checked(&app.db).await;
    }

    async fn two_agents_run_each_of_a_thousand_orders_once(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let folder = Folder::with("echo $JOC_ORDER_ID >> ran", "");
        let orders: Vec<Order> = (0..1000).map(|i| due(&format!("o{i:03}"))).collect();
        app.db.insert(&orders).await;
        let _first = Agent::over(&app.db, &folder, &["--slots", "3"]).await;
        let _second = Agent::over(&app.db, &folder, &["--slots", "3"]).await;
        let open = "SELECT count(*) FROM orders WHERE state <> 'FINISHED'";
        let patience = Duration::from_secs(400);
        crate::harness::until_within(patience, "all are finished", async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            app.db.count(open).await == 0
        }).await;
        let mut ran = folder.lines("ran");
        ran.sort();
        assert_eq!(ran, orders.iter().map(|order| order.order_id.clone()).collect::<Vec<_>>());
        assert_eq!(app.db.count("SELECT count(*) FROM order_runs").await, 1000);
        assert_eq!(app.db.count("SELECT count(DISTINCT agent) FROM order_runs").await, 2);
        checked(&app.db).await;
    }

    async fn a_stop_waits_for_jobs_and_then_terminates_them(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        let folder = Folder::with("echo >> started; sleep $JOC_ARG_TIME", "");
        db.insert(&[due("short"), due("long")]).await;
        for (id, time) in [("short", 2), ("long", 100)] {
            let sql = format!(
                "UPDATE orders SET arguments = '{{\"time\": {time}}}' WHERE order_id = '{id}'"
            );
            db.execute(&sql).await.unwrap();
        }
        let agent = Agent::over(db, &folder, &["--drain", "4"]).await;
        folder.has("started", 2).await;
        agent.signal("-TERM");
        agent.logs("stopping").await;
        db.insert(&[due("late")]).await;
        agent.logs("terminating").await;
        becomes(db, "long", "FAILED").await;
        assert_eq!(db.state("short").await, "FINISHED");
        assert_eq!(db.state("late").await, "FRESH");
        assert_eq!(runs(&app, "long").await, [json!([null, 15, "AGENT_STOPPED"])]);
        checked(db).await;
    }
}

/// Jobs go on while PostgreSQL is away for less than the lease, and are reported afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn postgresql_restarts_meanwhile() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let db = Database::of(&cluster).await;
    let folder = Folder::with("echo $JOC_ORDER_ID >> ran; sleep 2; echo >> ended", "");
    db.insert(&[]).await;
    let orders: Vec<Order> = (0..12).map(|i| due(&format!("o{i:02}"))).collect();
    db.insert(&orders).await;
    let agent = Agent::at(&db.owner, &folder.path("jobs.toml"), &["--slots", "4"]);
    folder.has("ran", 4).await;
    tokio::task::block_in_place(|| cluster.tell("QUIT"));
    folder.has("ended", 4).await;
    agent.logs("not reported yet").await;
    tokio::task::block_in_place(|| cluster.tell("start"));
    for order in &orders {
        becomes(&db, &order.order_id, "FINISHED").await;
    }
    assert_eq!(folder.lines("ran").len(), 12);
    assert_eq!(db.count("SELECT count(*) FROM order_runs WHERE exit_status = 0").await, 12);
    checked(&db).await;
}
