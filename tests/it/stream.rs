//! Long responses arrive complete, in pieces, or visibly incomplete.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use joc_orders::model::window::iso;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::{
    App, CONTROLLER, Database, Kind, Order, ROOT, Wire, start_time, with_controller,
};

/// The comments of the entries of `/audit_log`.
async fn comments(app: &App, filter: Value) -> Vec<String> {
    let answer = app.post("/audit_log", &filter).await.ok();
    let entries = answer["auditLog"].as_array().unwrap();
    entries.iter().map(|entry| entry["comment"].as_str().unwrap().to_owned()).collect()
}

/// Inserts entries by SQL, a minute apart, the last of them now.
async fn insert_entries(app: &App, count: usize) {
    let row = |i: usize| {
        let minutes = TimeDelta::minutes((count - 1 - i).try_into().unwrap());
        let created = iso(&(start_time() - minutes));
        format!("('{CONTROLLER}', 'script', './x', '{{}}', 'e{i}', 'NO_ORDERS', 'r', '{created}')")
    };
    for chunk in (0..count).collect::<Vec<_>>().chunks(1000) {
        let rows: Vec<String> = chunk.iter().map(|i| row(*i)).collect();
        let sql = format!(
            "INSERT INTO audit_logs (controller_id, account, request, parameters, comment, \
             outcome, request_id, created) VALUES {}",
            rows.join(", ")
        );
        app.db.execute(&sql).await.unwrap();
    }
}

/// 60 MB of entries: more than fits between the database and a waiting client.
pub async fn insert_long_entries(db: &Database) {
    let parameters = format!("{{\"a\": \"{}\"}}", "x".repeat(20_000));
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO audit_logs (controller_id, account, request, parameters, comment, outcome, \
         request_id, created) SELECT '{CONTROLLER}', 'a', 'x', '{parameters}', 'long', 'NO_ORDERS', \
         'r', '1999-01-01T00:00:00.000Z' FROM n"
    );
    db.execute(&sql).await.unwrap();
}

/// Entries of which the last cannot be read, or that take as long to read as a client waits.
async fn insert_trail_that_breaks(app: &App, kind: Kind) {
    insert_entries(app, 2000).await;
    let columns = "controller_id, account, request, parameters, outcome, request_id, created";
    let insert = |values: &str| {
        format!(
            "INSERT INTO audit_logs ({columns}) SELECT '{CONTROLLER}', {values}, 'NO_ORDERS', 'r', \
             '1999-01-01T00:00:00.000Z'"
        )
    };
    if kind == Kind::Sqlite {
        // The last row is unreadable: its account is not UTF-8.
        app.db.execute(&insert("CAST(x'ff' AS TEXT), 'x', '{}'")).await.unwrap();
    } else {
        // More than is read ahead of a client before the test continues.
        let row = insert("'a', 'x', json_build_object('a', repeat('x', 20000))");
        app.db.execute(&format!("{row} FROM generate_series(1, 20000)")).await.unwrap();
    }
}

/// Terminates the database connection that reads them.
async fn break_reading(app: &App, kind: Kind) {
    if kind == Kind::Postgres {
        let reading = "state = 'active' AND query LIKE 'SELECT l.id%'";
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND {reading}"
        );
        assert_eq!(app.db.rows(&end).await.unwrap().len(), 1);
    }
}

/// How many long responses the service reads at a time for one account: one fewer than for all.
fn readers_at_once(kind: Kind) -> usize {
    match kind {
        Kind::Sqlite => 3,
        Kind::Postgres => 1,
    }
}

on_both! {
    async fn slow_readers_block_nobody(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        insert_long_entries(&app.db).await;
        let other = app.account("other", "sos:products", &[]).await;
        // Half of the reading connections serve them, one of those reserved for other accounts; the
        // rest are told to come later.
        let mut readers = JoinSet::new();
        for _ in 0..12 {
            let request = app.client.post(format!("{}/audit_log", app.url));
            let request = request.header("X-Access-Token", &app.token).body(r#"{"limit": -1}"#);
            readers.spawn(request.send());
        }
        let mut reading = Vec::new();
        while reading.len() < readers_at_once(kind) {
            let response = readers.join_next().await.unwrap().unwrap().unwrap();
            assert_eq!(response.status(), 200);
            reading.push(response);
        }
        let started = Instant::now();
        app.login(ROOT.0, ROOT.1).await;
        app.post("/touch", &json!({})).await.ok();
        app.post("/orders/overview/snapshot", &with_controller(json!({}))).await.ok();
        assert_eq!(app.cancel(json!({"orderIds": ["a"]})).await.affected(), 1);
        app.post_as(&other, "/audit_log", r#"{"limit": 1}"#).await.ok();
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        while let Some(response) = readers.join_next().await {
            let response = response.unwrap().unwrap();
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key("retry-after"));
        }
        drop(reading);
        assert_eq!(comments(&app, json!({"comment": "long", "limit": 1})).await, ["long"]);
    }

    async fn disconnects_slow_readers(kind: Kind) {
        let app = App::start(kind, &["--write-timeout=10"]).await;
        insert_long_entries(&app.db).await;
        let address: SocketAddr = app.address().parse().unwrap();
        let (token, body) = (&app.token, r#"{"limit":-1}"#);
        let request = format!(
            "POST /joc/api/audit_log HTTP/1.1\r\nHost: a\r\nX-Access-Token: {token}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        // As many as allowed, all reading at 2 kB a second.
        let mut readers = JoinSet::new();
        for _ in 0..readers_at_once(kind) {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut buffer = [0; 1024];
            stream.read_exact(&mut buffer[..12]).await.unwrap();
            assert_eq!(&buffer[..12], b"HTTP/1.1 200");
            readers.spawn(async move {
                while let Ok(1..) = stream.read(&mut buffer).await {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            });
        }
        let started = Instant::now();
        let one = with_controller(json!({"comment": "long", "limit": 1}));
        while app.post("/audit_log", &one).await.status == 503 {
            assert!(started.elapsed() < Duration::from_secs(90), "they keep reading");
        }
        assert!(started.elapsed() > Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(readers.len(), readers_at_once(kind));
        assert_eq!(comments(&app, one).await, ["long"]);
    }

    async fn a_client_that_does_not_read_holds_no_connection(kind: Kind) {
        let app = App::with(kind, &[]).await;
        insert_long_entries(&app.db).await;
        let request = app.client.post(format!("{}/audit_log", app.url));
        let request = request.header("X-Access-Token", &app.token).body(r#"{"limit": -1}"#);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let started = Instant::now();
        while app.store.pools().iter().any(|pool| pool.used > 0) {
            assert!(started.elapsed() < Duration::from_secs(50), "{:?}", app.store.pools());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let answer = response.bytes().await.expect("it is sent whole all the same");
        assert!(answer.len() > 60_000_000 && answer.ends_with(b"}]}"), "{}", answer.len());
    }

    async fn sends_long_trails_completely(kind: Kind) {
        let app = App::with(kind, &[]).await;
        insert_entries(&app, 12_345).await;
        assert_eq!(comments(&app, json!({})).await.len(), 10_000);
        let all = comments(&app, with_controller(json!({"limit": -1}))).await;
        let wanted: Vec<String> = (0..12_345).rev().map(|i| format!("e{i}")).collect();
        assert_eq!(all, wanted);
        assert_eq!(comments(&app, json!({"limit": i64::MAX})).await.len(), 12_345);
        assert_eq!(comments(&app, json!({"dateFrom": "59m", "limit": 1_000_000})).await.len(), 60);
    }

    async fn readers_that_leave_free_their_connections(kind: Kind) {
        let app = App::with(kind, &[]).await;
        insert_entries(&app, 20_000).await;
        // More than there are connections; none reads to the end.
        for _ in 0..20 {
            let request = app.client.post(format!("{}/audit_log", app.url));
            let request = request.header("X-Access-Token", &app.token).body(r#"{"limit": -1}"#);
            let mut response = request.send().await.unwrap();
            assert!(response.chunk().await.unwrap().is_some());
        }
        assert_eq!(comments(&app, json!({"limit": 3})).await, ["e19999", "e19998", "e19997"]);
    }

    async fn a_failure_in_the_middle_aborts_the_response(kind: Kind) {
        let app = App::with(kind, &[]).await;
        insert_trail_that_breaks(&app, kind).await;
        let request = app.client.post(format!("{}/audit_log", app.url));
        let request = request.header("X-Access-Token", &app.token).body(r#"{"limit": -1}"#);
        let mut response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.chunk().await.unwrap().is_some());
        break_reading(&app, kind).await;
        let rest = loop {
            match response.chunk().await {
                Ok(Some(_)) => {}
                rest => break rest,
            }
        };
        assert!(rest.is_err(), "the answer must not end as if it were whole");
        assert_eq!(comments(&app, json!({"limit": 1})).await, ["e1999"]);
    }

    async fn a_failure_in_the_middle_resets_the_connection_of_http_1_0(kind: Kind) {
        let app = App::with(kind, &[]).await;
        insert_trail_that_breaks(&app, kind).await;
        let mut wire = Wire::to(&app).await;
        let body = r#"{"limit": -1}"#;
        wire.send(&format!(
            "POST /joc/api/audit_log HTTP/1.0\r\nX-Access-Token: {}\r\nContent-Length: {}\r\n\r\n{body}",
            app.token, body.len()
        )).await;
        assert!(wire.head().await.starts_with("http/1.0 200"));
        break_reading(&app, kind).await;
        let error = wire.rest().await.expect_err("the answer must not end as if it were whole");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}
