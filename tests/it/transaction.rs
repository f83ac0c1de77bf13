//! A request takes effect completely or not at all: when the service is killed, a client
//! disconnects, requests compete for the same orders, or orders change meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{App, CONTROLLER, Database, Kind, Order, Served, until};

/// Cancels every order of a controller.
async fn cancel(served: &Served, token: &str, controller_id: &str) -> reqwest::Result<u16> {
    let answer = cancel_all(&reqwest::Client::new(), &served.url, token, controller_id);
    let answer = answer.send().await?;
    let status = answer.status().as_u16();
    answer.bytes().await?;
    Ok(status)
}

fn cancel_all(
    client: &reqwest::Client,
    url: &str,
    token: &str,
    controller_id: &str,
) -> reqwest::RequestBuilder {
    let body = json!({"controllerId": controller_id, "folders": [{"folder": "/"}]});
    client.post(format!("{url}/orders/cancel")).header("X-Access-Token", token).json(&body)
}

/// Creates a controller with orders, a third of them running.
async fn make_orders(db: &Database, controller_id: &str, orders: u32) {
    db.execute(&format!(
        "INSERT INTO controllers (controller_id) VALUES ('{controller_id}');
         INSERT INTO workflows (controller_id, path, version_id)
             VALUES ('{controller_id}', '/sos/eod', '1');
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {orders})
         INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, state)
             SELECT '{controller_id}', 'order ' || i, '/sos/eod', '1',
                 CASE i % 3 WHEN 0 THEN 'FRESH' WHEN 1 THEN 'RUNNING' ELSE 'FAILED' END FROM n;"
    ))
    .await
    .unwrap();
}

/// Whether a cancel of all these orders took effect; panics if only a part of it did.
async fn is_done(db: &Database, controller_id: &str, orders: u32) -> bool {
    // One statement, so that it sees one snapshot.
    let sql = format!(
        "SELECT (SELECT count(*) FROM orders WHERE controller_id = '{controller_id}'
                 AND state IN ('FRESH', 'RUNNING', 'FAILED') AND mark IS NULL) || ' '
             || (SELECT count(*) FROM orders WHERE controller_id = '{controller_id}'
                 AND (state = 'CANCELLED' OR state = 'RUNNING' AND mark = 'CANCELLING')) || ' '
             || (SELECT count(*) FROM audit_logs WHERE controller_id = '{controller_id}') || ' '
             || (SELECT count(*) FROM audit_logs WHERE controller_id = '{controller_id}'
                 AND outcome = 'DONE' AND affected = {orders}) || ' '
             || (SELECT count(*) FROM audit_log_details WHERE controller_id = '{controller_id}')"
    );
    let row = db.rows(&sql).await.unwrap().remove(0).remove(0).unwrap();
    let nothing = format!("{orders} 0 0 0 0");
    let all = format!("0 {orders} 1 1 {orders}");
    assert!(row == nothing || row == all, "{controller_id}: {row}");
    row == all
}

/// Waits until the server has noticed that its client is gone.
async fn wait_for_backends(db: &Database) {
    if db.kind() == Kind::Sqlite {
        return;
    }
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE application_name = 'joc-orders' AND datname = current_database()";
    until("a backend of a dead client ends", async || db.count(sql).await == 0).await;
}

on_both! {
    async fn a_kill_leaves_all_or_nothing_of_a_request(kind: Kind) {
        const ORDERS: u32 = 3000;
        const ROUNDS: u32 = 10;
        let db = Database::create(kind).await;
        for round in 0..=ROUNDS {
            make_orders(&db, &format!("round-{round}"), ORDERS).await;
        }
        let mut undisturbed = {
            let service = Served::over(&db, &[]);
            let token = service.login().await;
            let started = Instant::now();
            assert_eq!(cancel(&service, &token, "round-0").await.unwrap(), 200);
            started.elapsed()
        };
        wait_for_backends(&db).await;
        assert!(is_done(&db, "round-0", ORDERS).await);

        let (mut interrupted, mut done) = (0, 0);
        for round in 1..=ROUNDS {
            let controller_id = format!("round-{round}");
            let service = Served::over(&db, &[]);
            let token = service.login().await;
            // From before the request's work to after it.
            let moment = undisturbed.mul_f64((f64::from(round) - rand::random::<f64>()) / 8.0);
            let started = Instant::now();
            let call = async {
                let answer = cancel(&service, &token, &controller_id).await;
                (answer, started.elapsed())
            };
            let ((answer, elapsed), ()) = tokio::join!(call, async {
                tokio::time::sleep(moment).await;
                service.signal("-KILL");
                // PostgreSQL finishes a statement whose client is gone.
                if kind == Kind::Postgres && round % 2 == 1 {
                    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                               WHERE application_name = 'joc-orders' \
                               AND datname = current_database()";
                    db.rows(end).await.unwrap();
                }
            });
            drop(service);
            wait_for_backends(&db).await;
            let all = is_done(&db, &controller_id, ORDERS).await;
            done += u32::from(all);
            match answer {
                Ok(status) => {
                    assert_eq!(status, 200);
                    assert!(all, "answered and lost");
                    // The first may have been slow for other reasons.
                    undisturbed = undisturbed.min(elapsed);
                }
                Err(_) => interrupted += 1,
            }
            // The next request finds either nothing left or everything.
            let service = Served::over(&db, &[]);
            let again = cancel(&service, &token, &controller_id).await.unwrap();
            assert_eq!(again, if all { 420 } else { 200 });
        }
        eprintln!("{kind:?}: a call took {undisturbed:?}; of {ROUNDS} calls \
                   {interrupted} were interrupted, {done} happened");
        assert!(interrupted > 0, "no call was interrupted");
        assert!(done < ROUNDS, "no call was undone");
    }

    async fn a_disconnect_leaves_all_or_nothing(kind: Kind) {
        const ORDERS: u32 = 2000;
        let app = App::start(kind, &[]).await;
        make_orders(&app.db, "measured", ORDERS).await;
        let started = Instant::now();
        let call = |controller_id: &str| {
            cancel_all(&reqwest::Client::new(), &app.url, &app.token, controller_id)
        };
        assert_eq!(call("measured").send().await.unwrap().status(), 200);
        let undisturbed = started.elapsed();
        let mut hung_up = 0;
        for round in 0..6 {
            let controller_id = format!("round-{round}");
            make_orders(&app.db, &controller_id, ORDERS).await;
            let moment = undisturbed.mul_f64((f64::from(round) + rand::random::<f64>()) / 6.0);
            let answer = tokio::time::timeout(moment, call(&controller_id).send()).await;
            hung_up += u32::from(answer.is_err());
            for _ in 0..10 {
                is_done(&app.db, &controller_id, ORDERS).await;
                tokio::time::sleep(undisturbed / 10).await;
            }
            // It waits for whatever the first request still does.
            let again = call(&controller_id).send().await.unwrap().status().as_u16();
            assert!([200, 420].contains(&again), "{again}");
            let sql = format!("SELECT count(*) FROM audit_logs WHERE outcome = 'DONE' \
                               AND controller_id = '{controller_id}' AND affected = {ORDERS}");
            assert_eq!(app.db.count(&sql).await, 1);
            let sql = format!("SELECT count(*) FROM audit_log_details \
                               WHERE controller_id = '{controller_id}'");
            assert_eq!(app.db.count(&sql).await, i64::from(ORDERS));
        }
        assert!(hung_up > 0, "no client hung up");
    }

    async fn concurrent_requests_for_the_same_orders_act_once(kind: Kind) {
        const GROUPS: usize = 80;
        let mut orders = Vec::new();
        for i in 0..GROUPS {
            let path = format!("/sos/f{}/eod", i % 5);
            let order = |id: String, state| Order::new(&id).workflow(&path, "1").state(state);
            orders.push(order(format!("P{i}"), "WAITING"));
            for (branch, state) in [("a", "FRESH"), ("b", "FAILED"), ("c", "RUNNING")] {
                // In every other group the parent is soon free.
                let state = if i % 2 == 0 && branch == "c" { "PROMPTING" } else { state };
                orders.push(order(format!("P{i}|{branch}"), state));
            }
            orders.push(order(format!("Q{i}"), "RUNNING"));
        }
        let app = App::with(kind, &orders).await;
        let ids: Vec<&str> = orders.iter().map(|order| order.order_id.as_str()).collect();

        let client = async || {
            let mut sum = 0;
            for _ in 0..10 {
                let some = |max| -> Vec<&str> {
                    (0..rand::random_range(1..=max))
                        .map(|_| ids[rand::random_range(0..ids.len())])
                        .collect::<BTreeSet<_>>()
                        .into_iter()
                        .collect()
                };
                let folder = format!("/sos/f{}", rand::random_range(0..5));
                let mut fields = match rand::random_range(0..4) {
                    0 => json!({"folders": [{"folder": folder}], "states": ["FAILED", "WAITING"]}),
                    1 => json!({"orderIds": some(10), "deep": true}),
                    _ => json!({"orderIds": some(40)}),
                };
                fields["kill"] = json!(rand::random_range(0..3) == 0);
                let answer = app.cancel(fields).await;
                if answer.status == 420 {
                    assert_eq!(answer.nothing_found(), "No orders found.");
                } else {
                    sum += answer.affected();
                }
            }
            sum
        };
        let clients = (0..24).map(|_| client());
        let mut sum: u64 = futures_util::future::join_all(clients).await.into_iter().sum();
        let last = app.cancel(json!({"folders": [{"folder": "/sos"}], "kill": true})).await;
        if last.status == 200 {
            sum += last.affected();
        }

        let none = async |what: &str, sql: &str| {
            let rows = app.db.rows(sql).await.unwrap();
            assert!(rows.is_empty(), "{what}: {rows:?}");
        };
        assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details").await as u64, sum);
        assert_eq!(app.db.count("SELECT sum(affected) FROM audit_logs").await as u64, sum);
        none("cancelled, marked or killed twice",
            "SELECT order_id, new_state, kill FROM audit_log_details \
             GROUP BY order_id, new_state, kill HAVING count(*) > 1").await;
        none("cancelled and not audited so, or the reverse",
            "SELECT o.order_id FROM orders o WHERE (o.state = 'CANCELLED') <> EXISTS \
             (SELECT 1 FROM audit_log_details d WHERE d.order_id = o.order_id \
             AND d.new_state = 'CANCELLED')").await;
        none("marked and not audited so",
            "SELECT o.order_id FROM orders o WHERE o.mark IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM audit_log_details d WHERE d.order_id = o.order_id \
             AND d.mark = 'CANCELLING')").await;
        none("count and details differ",
            "SELECT l.id, l.affected FROM audit_logs l WHERE l.affected <> \
             (SELECT count(*) FROM audit_log_details d WHERE d.audit_log_id = l.id)").await;
        none("left alone by the last call",
            "SELECT order_id, state FROM orders WHERE state <> 'CANCELLED' \
             AND coalesce(mark, '') <> 'CANCELLING'").await;
        none("running and not killed by the last call",
            "SELECT order_id FROM orders WHERE state = 'RUNNING' AND kill_requested IS NULL").await;
        none("cancelled over a living child",
            "SELECT p.order_id FROM orders p JOIN orders c ON c.parent_id = p.order_id \
             WHERE p.state = 'CANCELLED' AND c.state <> 'CANCELLED'").await;
    }

    async fn a_forking_executor_never_loses_its_children(kind: Kind) {
        const ROOTS: usize = 120;
        let orders: Vec<Order> = (0..ROOTS).map(|i| Order::new(&format!("R{i}"))).collect();
        let app = App::with(kind, &orders).await;
        let begin = if kind == Kind::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };

        let (reached, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Takes each order once, from first to last, and never runs away from slow requests.
        let executor = async |first: usize| {
            for i in (first..ROOTS).step_by(2) {
                while answered.load(Ordering::Relaxed) < i {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                reached.store(i, Ordering::Relaxed);
                let of = format!("controller_id = '{CONTROLLER}' AND order_id = 'R{i}'");
                app.db
                    .execute(&format!(
                        "{begin};
                         UPDATE orders SET state = 'RUNNING' WHERE {of} AND state = 'FRESH';
                         UPDATE orders SET state = 'WAITING' WHERE {of} AND state = 'RUNNING';
                         INSERT INTO orders (controller_id, order_id, workflow_path,
                             workflow_version_id, state)
                         SELECT controller_id, order_id || b.branch, workflow_path,
                             workflow_version_id, 'RUNNING'
                         FROM orders, (SELECT '|a' AS branch UNION ALL SELECT '|b') b
                         WHERE {of} AND state = 'WAITING';
                         COMMIT"
                    ))
                    .await
                    .unwrap();
                tokio::time::sleep(Duration::from_millis(rand::random_range(0..4))).await;
                if rand::random() {
                    app.db
                        .execute(&format!(
                            "UPDATE orders SET state = 'FINISHED', mark = NULL, \
                             kill_requested = NULL, sigkill_at = NULL \
                             WHERE order_id IN ('R{i}|a', 'R{i}|b') AND state = 'RUNNING'"
                        ))
                        .await
                        .unwrap();
                }
            }
        };
        let executors = async {
            tokio::join!(executor(0), executor(1));
        };
        // Cancels orders near those that the executors have reached.
        let started = AtomicBool::new(true);
        let canceller = async |deep: bool| {
            while started.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(rand::random_range(0..4))).await;
                let reached = reached.load(Ordering::Relaxed);
                let around = reached.saturating_sub(6)..(reached + 3).min(ROOTS);
                let ids: Vec<String> =
                    around.filter(|_| rand::random_range(0..8) == 0).map(|i| format!("R{i}")).collect();
                if ids.is_empty() {
                    continue;
                }
                let answer = app.cancel(json!({"orderIds": ids, "deep": deep})).await;
                answered.fetch_add(1, Ordering::Relaxed);
                assert!([200, 420].contains(&answer.status), "{}", answer.text);
                if answer.status == 420 {
                    assert_eq!(answer.nothing_found(), "No orders found.");
                }
            }
        };
        tokio::join!(
            async {
                executors.await;
                started.store(false, Ordering::Relaxed);
            },
            canceller(false),
            canceller(false),
            canceller(true),
        );

        let rows = app.db.rows("SELECT order_id, state, parent_id FROM orders").await.unwrap();
        let mut children: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut states = BTreeMap::new();
        for row in rows {
            let state = row[1].clone().unwrap();
            if let Some(parent) = row[2].clone() {
                children.entry(parent).or_default().push(state.clone());
            }
            states.insert(row[0].clone().unwrap(), state);
        }
        let details = app
            .db
            .rows("SELECT order_id, previous_state, new_state FROM audit_log_details")
            .await
            .unwrap();
        let (mut fresh, mut waiting, mut marked) = (0, 0, 0);
        for row in details {
            let [id, previous, new] = [0, 1, 2].map(|i| row[i].clone().unwrap());
            let children = children.get(&id).map(Vec::as_slice).unwrap_or_default();
            match (previous.as_str(), new.as_str()) {
                ("SCHEDULED", "CANCELLED") => {
                    assert!(children.is_empty(), "{id} forked after it was cancelled");
                    fresh += 1;
                }
                ("WAITING", "CANCELLED") => {
                    // No request ends a running order, so these were not running before.
                    assert_eq!(children, ["FINISHED", "FINISHED"], "{id} cut off");
                    waiting += 1;
                }
                ("WAITING", "WAITING") => {
                    assert_eq!(children.len(), 2, "{id}");
                    marked += 1;
                }
                ("RUNNING", "RUNNING") => assert!(id.contains('|'), "{id}"),
                other => panic!("{id}: {other:?}"),
            }
            assert_eq!(new == "CANCELLED", states[&id] == "CANCELLED", "{id}");
        }
        eprintln!("{kind:?}: of {ROOTS} orders {fresh} were cancelled before they were forked, \
                   {waiting} after their children, {marked} marked");
        assert!(fresh > 0 && waiting + marked > 0, "there was no race");
    }

    async fn one_order_over_max_orders_changes_nothing(kind: Kind) {
        let app = App::with(kind, &["a", "b", "c"].map(Order::new)).await;
        let fields = |max: u64| json!({"folders": [{"folder": "/"}], "maxOrders": max});
        let message = app.cancel(fields(2)).await.refused();
        assert!(message.contains('3') && message.contains('2'), "{message}");
        assert_eq!(app.db.ids_in("FRESH").await, ["a", "b", "c"]);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 0);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details").await, 0);
        assert_eq!(app.cancel(fields(3)).await.affected(), 3);
    }
}
