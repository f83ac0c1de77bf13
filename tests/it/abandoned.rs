//! Limits on what one client can make the database do: requests with very many folders or workflows
//! finish quickly, lists are bounded, abandoned work ends, and one account cannot use every
//! connection.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::{App, CONTROLLER, Connection, Kind, Order, Response, until, with_controller};
use crate::openapi::calls;

/// Makes every read of order states run forever until the returned value is dropped; on SQLite
/// permanently, and for replicas started later.
async fn never_ending(app: &App) -> Option<Connection> {
    match app.db.kind() {
        Kind::Sqlite => {
            app.db
                .execute(
                    "DROP VIEW orders_effective; \
                     CREATE VIEW orders_effective AS SELECT o.*, 'FAILED' AS effective_state \
                     FROM orders o WHERE (WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL \
                     SELECT n + 1 FROM s) SELECT count(*) FROM s) > o.priority",
                )
                .await
                .unwrap();
            None
        }
        Kind::Postgres => {
            Some(app.db.lock("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await)
        }
    }
}

/// The number of connections busy with reads.
fn working(app: &App) -> u32 {
    let pools = app.store.pools();
    pools.iter().filter(|pool| ["read", "others"].contains(&pool.name)).map(|pool| pool.used).sum()
}

/// Requests that read order states, an endless supply of them.
fn looking() -> impl Iterator<Item = (&'static str, Value)> {
    let calls = [
        ("/orders/cancel/preview", json!({"folders": [{"folder": "/"}]})),
        ("/orders", json!({})),
        ("/orders/overview/snapshot", json!({})),
        ("/workflows/order_count", json!({"workflowIds": [{"path": "/sos/eod"}]})),
    ];
    calls.map(|(call, fields)| (call, with_controller(fields))).into_iter().cycle()
}

async fn send(app: &App, token: &str, call: &str, body: &Value) -> TcpStream {
    let address = app.address();
    let body = body.to_string();
    let request = format!(
        "POST /joc/api{call} HTTP/1.1\r\nHost: {address}\r\nX-Access-Token: {token}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Waits until the database works for no read.
async fn idle(app: &App) {
    until("connections are idle", async || working(app) == 0).await;
    if app.db.kind() == Kind::Postgres {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'joc-orders' AND wait_event_type = 'Lock'";
        until("backends are idle", async || app.db.count(waiting).await == 0).await;
    }
}

on_both! {
    async fn a_disconnect_ends_the_statement(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let _lock = never_ending(&app).await;
        let app = app.replica(&[]).await;
        let mut clients = Vec::new();
        for (call, body) in looking().take(24) {
            clients.push(send(&app, &app.token, call, &body).await);
        }
        until("requests are in flight", async || working(&app) >= 3).await;
        drop(clients);
        idle(&app).await;
        let answer = app.post("/tree", &with_controller(json!({}))).await;
        assert_eq!(answer.ok()["folders"][0]["path"], "/");
    }

    async fn a_denied_attempt_is_audited_despite_a_disconnect(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let token = app.account("nobody", "sos:products:joc", &[]).await;
        for _ in 0..5 {
            send(&app, &token, "/orders/cancel", &with_controller(json!({"orderIds": ["a"]}))).await;
        }
        let denied = "SELECT count(*) FROM audit_logs WHERE outcome = 'DENIED'";
        until("every entry is there", async || app.db.count(denied).await == 5).await;
    }

    async fn a_timeout_ends_the_statement(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let _lock = never_ending(&app).await;
        let app = app.replica(&["--request-timeout=1"]).await;
        for (call, body) in looking().take(4) {
            let answer = app.post(call, &body).await;
            assert_eq!((answer.status, &answer.headers["retry-after"]), (503, &"5".parse().unwrap()));
            assert!(answer.text.contains("timed out after 1 seconds"), "{call}: {}", answer.text);
        }
        idle(&app).await;
    }

    async fn an_account_leaves_a_connection_to_others(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let greedy = app.account("greedy", "sos:products", &[]).await;
        let _lock = never_ending(&app).await;
        let app = app.replica(&["--request-timeout=30"]).await;
        let mut calls = JoinSet::new();
        for (call, body) in looking().take(30) {
            let request = app.client.post(format!("{}{call}", app.url));
            let request = request.header("X-Access-Token", &greedy).body(body.to_string());
            calls.spawn(Response::of(request));
        }
        until("requests are in flight", async || working(&app) >= 3).await;

        let token = app.login("root", "root-password").await;
        let answer = app.post_as(&token, "/tree", with_controller(json!({})).to_string()).await;
        assert_eq!(answer.ok()["folders"][0]["path"], "/");
        let server = app.url.trim_end_matches("/joc/api");
        let ready = Response::of(app.client.get(format!("{server}/ready"))).await;
        assert_eq!(ready.status, 200, "{}", ready.text);

        // Its own requests wait, as they would for a connection.
        let first = calls.join_next().await.unwrap().unwrap();
        assert_eq!(first.status, 503, "{}", first.text);
        assert_eq!(first.headers["retry-after"], "5");
        assert!(first.text.contains("the database cannot be reached"), "{}", first.text);
    }

    async fn requests_with_many_folders_and_workflows_are_fast(kind: Kind) {
        const WORKFLOWS: usize = 5000;
        const NAMED: usize = 50_000;
        let app = App::start(kind, &["--request-timeout=30"]).await;
        let path = |i: usize| format!("/sos/f{}/g{i}/eod", i % 100);
        let orders: Vec<Order> =
            (0..WORKFLOWS).map(|i| Order::new(&format!("#{i}")).workflow(&path(i), "1")).collect();
        app.db.insert(&orders).await;
        app.db.execute("ANALYZE").await.unwrap();
        let limits: Vec<String> = (0..NAMED / 10).map(|i| format!("/sos/f{}/g{i}", i % 100)).collect();
        let limits: Vec<(&str, bool)> = limits.iter().map(|folder| (folder.as_str(), true)).collect();
        let limited = app.account("limited", "sos:products", &limits).await;

        // No folder lies in another, and a tenth of them has workflows.
        let folders: Vec<Value> =
            (0..NAMED).map(|i| json!({"folder": format!("/sos/f{}/g{i}", i % 100)})).collect();
        let named: Vec<Value> = (0..NAMED)
            .map(|i| json!({"workflowPath": path(i), "orderId": format!("#{i}")}))
            .collect();
        let post = async |call: &str, fields: Value| {
            app.post_as(&limited, call, with_controller(fields).to_string()).await.ok()
        };
        let all = WORKFLOWS as u64;
        let preview = post("/orders/cancel/preview", json!({"folders": folders, "limit": 1})).await;
        assert_eq!(preview["total"], all);
        post("/orders/cancel", json!({"folders": folders, "maxOrders": all})).await;
        let history = post("/orders/history", json!({"orders": named})).await;
        assert_eq!(history["history"].as_array().unwrap().len(), WORKFLOWS);
        let entries = post("/audit_log", json!({"folders": folders})).await;
        assert_eq!(entries["auditLog"][0]["affected"], all, "{entries}");
    }

    async fn finds_entries_of_deleted_workflows_by_many_folders(kind: Kind) {
        let gone = Order::new("gone").workflow("/gone/below/eod", "1");
        let app = App::with(kind, &[gone, Order::new("here").workflow("/here/eod", "1")]).await;
        assert_eq!(app.cancel(json!({"orderIds": ["gone"]})).await.affected(), 1);
        assert_eq!(app.cancel(json!({"orderIds": ["gone", "here"]})).await.affected(), 1);
        let sql = "DELETE FROM orders WHERE order_id = 'gone'; \
                   DELETE FROM workflows WHERE path = '/gone/below/eod'";
        app.db.execute(sql).await.unwrap();
        for many in [31, 32] {
            let others = (1..many).map(|i| format!("/other/f{i}"));
            let folders: Vec<String> = others.chain(["/gone".into()]).collect();
            let limits: Vec<(&str, bool)> = folders.iter().map(|folder| (&**folder, true)).collect();
            let limited = app.account(&format!("limited{many}"), "sos:products", &limits).await;
            let asked: Vec<Value> =
                folders.iter().map(|folder| json!({"folder": folder, "recursive": true})).collect();
            for (token, fields) in [(&app.token, json!({"folders": asked})), (&limited, json!({}))] {
                for body in [fields.clone(), with_controller(fields)] {
                    let entries = app.post_as(token, "/audit_log", body.to_string()).await.ok();
                    let found: Vec<(u64, u64)> = entries["auditLog"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|entry| (entry["id"].as_u64().unwrap(), entry["affected"].as_u64().unwrap()))
                        .collect();
                    assert_eq!(found, [(1, 1)], "{many} {body}");
                }
            }
            for (id, expected) in [(1, 1), (2, 0)] {
                let body = json!({"auditLogId": id}).to_string();
                let details = app.post_as(&limited, "/audit_log/details", body).await.ok();
                let details = details["auditLogDetails"].as_array().unwrap();
                assert_eq!(details.len(), expected, "{many}: {details:?}");
            }
        }
    }
}

/// Finds the lists in a schema, at any depth, with their bounds.
fn find_lists(description: &Value, schema: &Value, path: &str, found: &mut Vec<(String, u64)>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = description.pointer(reference.trim_start_matches('#')).unwrap();
        return find_lists(description, schema, path, found);
    }
    let is_list = schema["type"] == "array"
        || schema["type"].as_array().is_some_and(|types| types.contains(&json!("array")));
    // A position is a path of a few steps.
    if is_list && !path.ends_with("position") {
        let max = schema["maxItems"].as_u64();
        found.push((path.into(), max.unwrap_or_else(|| panic!("{path}: {schema}"))));
        find_lists(description, &schema["items"], &format!("{path}[]"), found);
    }
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        find_lists(description, schema, &format!("{path}.{field}"), found);
    }
    for kind in ["anyOf", "oneOf", "allOf"] {
        for schema in schema[kind].as_array().into_iter().flatten() {
            find_lists(description, schema, path, found);
        }
    }
}

/// Needs no database.
#[tokio::test(flavor = "multi_thread")]
async fn every_list_has_a_bound() {
    let app = App::start(Kind::Sqlite, &[]).await;
    let description = app.description().await;
    let mut bounded = BTreeSet::new();
    for (call, operation) in calls(&description) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let mut lists = Vec::new();
        find_lists(&description, schema, "", &mut lists);
        for (path, max) in lists.into_iter().filter(|(_, max)| *max > 0) {
            bounded.insert((max, path.clone()));
            // Nested lists are bounded by the size of the body.
            let Some(field) = path.strip_prefix('.').filter(|path| !path.contains(['.', '[']))
            else {
                continue;
            };
            let value = match (call.as_str(), field) {
                (_, "orders" | "workflowIds" | "folders") => {
                    json!({"workflowPath": "w", "path": "w", "folder": "/w"})
                }
                (_, "states") if call.starts_with("/workflows") => json!("IN_SYNC"),
                (_, "states" | "historyStates") => json!("FAILED"),
                (_, "categories") => json!("CONTROLLER"),
                (_, "objectTypes") => json!("ORDER"),
                (_, "types") => json!("WORKFLOW"),
                _ => json!("w"),
            };
            // The request's other required fields are checked later.
            let list = vec![value.to_string(); usize::try_from(max + 1).unwrap()].join(",");
            let body = format!(r#"{{"{field}":[{list}],"controllerId":"{CONTROLLER}"}}"#);
            let answer = app.post_as(&app.token, &call, body).await;
            let expected = format!("{field}: has more than {max} values");
            assert_eq!(answer.refused(), expected, "{call}");
        }
    }
    // A position within an argument has the lowest bound.
    let bounds: BTreeSet<u64> = bounded.iter().map(|(max, _)| *max).collect();
    assert_eq!(bounds.into_iter().collect::<Vec<_>>(), [99, 1000, 50_000, 100_000, 500_000]);
    assert!(bounded.contains(&(50_000, ".folders".into())), "{bounded:?}");
    assert!(bounded.contains(&(500_000, ".orderIds".into())), "{bounded:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_leaves_a_connection_for_changes_to_others() {
    let app = App::with(Kind::Postgres, &[Order::new("a"), Order::new("b")]).await;
    let greedy = app.account("greedy", "sos:products", &[]).await;
    let mut lock = app.db.lock("BEGIN").await;
    lock.execute("SELECT FROM orders WHERE order_id = 'a' FOR UPDATE").await;
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let request = app.client.post(format!("{}/orders/cancel", app.url));
        let body = with_controller(json!({"orderIds": ["a"]})).to_string();
        let request = request.header("X-Access-Token", &greedy).body(body);
        calls.spawn(Response::of(request));
    }
    let working = || {
        let pools = app.store.pools();
        pools.iter().find(|pool| pool.name == "changes").unwrap().used
    };
    until("requests are in flight", async || working() >= 3).await;
    assert_eq!(app.cancel(json!({"orderIds": ["b"]})).await.affected(), 1);
    lock.execute("ROLLBACK").await;
    let mut done = 0;
    while let Some(answer) = calls.join_next().await {
        let answer = answer.unwrap();
        assert!([200, 420].contains(&answer.status), "{}", answer.text);
        done += u32::from(answer.status == 200);
    }
    assert_eq!(done, 1);
}
