//! Shutdown and start: requests in flight finish, new ones are told to come back later, and no
//! acknowledged change is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use joc_orders::store;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{CONTROLLER, Database, Order, ROOT, Served, until, with_controller};

/// A cancel of whose body only the beginning has been sent.
struct SlowCancel {
    stream: TcpStream,
    rest: String,
}

impl SlowCancel {
    /// Returns once the service has admitted it, as its only request.
    async fn begin(served: &Served, token: &str, order_id: &str) -> Self {
        let call = Self::send(served, token, order_id).await;
        let in_flight = "joc_orders_calls_under_way";
        until(in_flight, async || metric(served, in_flight).await == Some(1.0)).await;
        call
    }

    async fn send(served: &Served, token: &str, order_id: &str) -> Self {
        let body = with_controller(json!({"orderIds": [order_id]})).to_string();
        let mut stream = TcpStream::connect(served.address()).await.unwrap();
        let head = format!(
            "POST /joc/api/orders/cancel HTTP/1.1\r\nHost: test\r\nX-Access-Token: {token}\r\n\
             Content-Length: {}\r\n\r\n{{",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, rest: body[1..].into() }
    }

    /// Sends the rest and returns the response.
    async fn end(mut self) -> String {
        self.stream.write_all(self.rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// The value of a metric without labels.
async fn metric(served: &Served, name: &str) -> Option<f64> {
    let page = served.page("/metrics").await.text;
    let mut lines = page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.next()?.parse().ok()
}

on_both! {
    async fn requests_in_flight_finish_and_new_ones_are_rejected(kind: Kind) {
        for signal in ["-TERM", "-INT"] {
            let db = Database::create(kind).await;
            db.insert(&["slow", "other"].map(Order::new)).await;
            let mut served = Served::over(&db, &[]);
            let token = served.login().await;
            assert_eq!(served.page("/ready").await.ok(), json!({"ready": true, "sealing": "ok"}));
            let slow = SlowCancel::begin(&served, &token, "slow").await;

            served.signal(signal);
            while served.page("/ready").await.status == 200 {}
            let body = with_controller(json!({"orderIds": ["other"]}));
            let refused = served.post(&token, "/orders/cancel", &body).await;
            assert_eq!(refused.status, 503);
            assert_eq!(refused.headers["retry-after"], "5");
            assert_eq!(refused.headers["connection"], "close");
            let error = refused.json()["error"].clone();
            assert_eq!(error["code"], "JOC-500");
            assert!(error["message"].as_str().unwrap().contains("shutting down"), "{error}");
            let ready = served.page("/ready").await;
            assert_eq!((ready.status, ready.headers["retry-after"].to_str().unwrap()), (503, "5"));
            assert_eq!(served.page("/health").await.ok(), json!({"alive": true}));
            assert!(served.runs());

            let answer = slow.end().await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
            let started = Instant::now();
            assert!(served.wait(Duration::from_secs(10)).success());
            assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
            assert_eq!(db.state("slow").await, "CANCELLED");
            assert_eq!(db.state("other").await, "FRESH");
        }
    }

    async fn idle_connections_do_not_delay_the_shutdown(kind: Kind) {
        let db = Database::create(kind).await;
        let mut served = Served::over(&db, &[]);
        let client = reqwest::Client::new();
        let url = format!("http://{}/health", served.address());
        for _ in 0..2 {
            client.get(&url).send().await.unwrap().bytes().await.unwrap();
        }
        let _idle = TcpStream::connect(served.address()).await.unwrap();
        served.signal("-TERM");
        assert!(served.wait(Duration::from_secs(4)).success());
    }

    async fn aborts_slow_requests_without_effect(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("slow")]).await;
        for (timeout, signals) in [("1", 1), ("60", 2)] {
            let mut served = Served::over(&db, &["--shutdown-timeout", timeout]);
            let token = served.login().await;
            let _slow = SlowCancel::begin(&served, &token, "slow").await;
            for _ in 0..signals {
                served.signal("-TERM");
                std::thread::sleep(Duration::from_millis(300));
            }
            assert!(served.wait(Duration::from_secs(10)).success());
            assert!(served.log().contains("aborting the requests in flight"), "{}", served.log());
            assert_eq!(db.state("slow").await, "FRESH");
            let requests = "SELECT count(*) FROM audit_logs WHERE category = 'CONTROLLER'";
            assert_eq!(db.count(requests).await, 0);
        }
    }

    async fn migrates_an_older_schema_on_start(kind: Kind) {
        let db = Database::create(kind).await.into_owner();
        for older in store::migrations(&db.owner).await.unwrap() {
            store::migrate(&db.owner, Some(0)).await.unwrap();
            store::migrate(&db.owner, Some(older.version)).await.unwrap();
            db.execute(&format!(
                "INSERT INTO controllers (controller_id) VALUES ('{CONTROLLER}');
                 INSERT INTO workflows (controller_id, path, version_id)
                     VALUES ('{CONTROLLER}', '/sos/eod', '1');
                 INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, state)
                     VALUES ('{CONTROLLER}', 'old', '/sos/eod', '1', 'FRESH'),
                         ('{CONTROLLER}', 'done', '/sos/eod', '1', 'FINISHED');"
            ))
            .await
            .unwrap();
            if older.version >= 2 {
                db.execute(&format!(
                    "INSERT INTO audit_logs (controller_id, account, request, parameters, category,
                         outcome, affected, request_id, created)
                     VALUES ('{CONTROLLER}', 'op', './orders/cancel', '{{}}', 'CONTROLLER', 'DONE',
                         1, 'old-call', '2026-01-01T00:00:00.000Z')"
                ))
                .await
                .unwrap();
            }
            let served = Served::over(&db, &[]);
            assert_eq!(served.page("/ready").await.status, 200, "from {}", older.version);
            let token = served.login().await;
            let all = with_controller(json!({"folders": [{"folder": "/"}]}));
            assert_eq!(served.post(&token, "/orders/cancel", &all).await.affected(), 1);
            assert_eq!(db.state("old").await, "CANCELLED");
            assert_eq!(db.state("done").await, "FINISHED");
            let entries = served.post(&token, "/audit_log", &with_controller(json!({}))).await.ok();
            let expected = if older.version >= 2 { 2 } else { 1 };
            assert_eq!(entries["auditLog"].as_array().unwrap().len(), expected, "{entries}");
        }
    }

    async fn a_restart_under_load_loses_no_request(kind: Kind) {
        const CLIENTS: usize = 6;
        const RESTARTS: usize = 3;
        /// How many requests succeed between two steps of the operator.
        const CALLS: usize = 40;
        const ORDERS: usize = 20_000;
        let db = Database::create(kind).await;
        let ids: Vec<String> = (0..ORDERS).map(|i| format!("order {i}")).collect();
        db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        db.insert(&(0..RESTARTS).map(|i| Order::new(&format!("slow {i}"))).collect::<Vec<_>>()).await;
        let mut served = Served::over(&db, &[]);
        let token = served.login().await;
        let (url, address) = (served.url.clone(), served.address().to_owned());

        let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (succeeded, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // The result of each request, whose id is the order's.
        let client = async || {
            let client = reqwest::Client::new();
            let mut outcomes: Vec<(usize, Option<u16>)> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let i = next.fetch_add(1, Ordering::Relaxed);
                assert!(i < ORDERS, "more orders are needed");
                let body = with_controller(json!({"orderIds": [&ids[i]]}));
                let request = client.post(format!("{url}/orders/cancel")).json(&body);
                let request = request.header("X-Access-Token", &token);
                let sent = request.header("X-Request-Id", format!("call-{i}")).send().await;
                let outcome = match sent {
                    Ok(answer) => {
                        let status = answer.status().as_u16();
                        let body: Value = answer.json().await.unwrap();
                        assert_eq!(status == 200, body["ok"] == true, "{status} {body}");
                        let counter = if status == 200 { &succeeded } else { &refused };
                        counter.fetch_add(1, Ordering::Relaxed);
                        Some(status)
                    }
                    Err(error) if error.is_connect() => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        Some(0)
                    }
                    // It was sent, and the connection ended: the outcome is unknown.
                    Err(_) => None,
                };
                outcomes.push((i, outcome));
            }
            outcomes
        };
        let more = async |counter: &AtomicUsize, calls: usize| {
            let goal = counter.load(Ordering::Relaxed) + calls;
            until("responses arrive", async || counter.load(Ordering::Relaxed) >= goal).await;
        };
        let operator = async {
            for i in 0..RESTARTS {
                more(&succeeded, CALLS).await;
                // Delays the shutdown for a while.
                let slow = SlowCancel::send(&served, &token, &format!("slow {i}")).await;
                // By then it has been admitted.
                more(&succeeded, CALLS).await;
                served.signal("-TERM");
                more(&refused, 1).await;
                let answer = slow.end().await;
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
                let status = tokio::task::block_in_place(|| served.wait(Duration::from_secs(10)));
                assert!(status.success());
                served = tokio::task::block_in_place(|| Served::over(&db, &["--listen", &address]));
            }
            more(&succeeded, CALLS).await;
            stopped.store(true, Ordering::Relaxed);
        };
        let clients = futures_util::future::join_all((0..CLIENTS).map(|_| client()));
        let (outcomes, ()) = tokio::join!(clients, operator);
        assert!(served.runs());

        let rows = db
            .rows("SELECT l.request_id, l.outcome, l.affected, o.state, d.order_id FROM audit_logs l \
                   LEFT JOIN audit_log_details d ON d.audit_log_id = l.id \
                   LEFT JOIN orders o ON o.order_id = d.order_id WHERE l.request_id LIKE 'call-%'")
            .await
            .unwrap();
        let mut audited = std::collections::HashMap::new();
        for row in rows {
            let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            let id = row[0].strip_prefix("call-").unwrap().parse::<usize>().unwrap();
            assert_eq!(row[1..], ["DONE", "1", "CANCELLED", &ids[id]]);
            assert!(audited.insert(id, ()).is_none(), "{id} twice");
        }
        let cancelled = format!("SELECT count(*) FROM orders WHERE state = 'CANCELLED' \
                                 AND order_id LIKE 'order %' AND controller_id = '{CONTROLLER}'");
        assert_eq!(db.count(&cancelled).await as usize, audited.len());
        let (mut done, mut refused, mut unreached, mut unknown) = (0, 0, 0, 0);
        for (i, outcome) in outcomes.into_iter().flatten() {
            let is_audited = audited.contains_key(&i);
            match outcome {
                Some(200) => { done += 1; assert!(is_audited, "{i} is lost") }
                Some(503) => { refused += 1; assert!(!is_audited, "{i} was refused and done") }
                Some(0) => { unreached += 1; assert!(!is_audited, "{i}") }
                Some(other) => panic!("{i}: {other}"),
                // Every admitted request gets its response.
                None => {
                    unknown += 1;
                    assert!(!is_audited, "{i} was aborted and done");
                }
            }
        }
        eprintln!("{kind:?}: {done} done, {refused} refused, {unreached} not connected, {unknown} unknown");
        assert!(done > RESTARTS * 2 * CALLS && refused >= RESTARTS);
        assert_eq!(served.try_login(ROOT.1).await, 200);
    }
}
