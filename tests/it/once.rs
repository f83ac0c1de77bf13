//! `Idempotency-Key`: a change that is sent again happens once.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    App, CONTROLLER, Database, Kind, Order, Response, Served, WAIT_FOR_ROWS, everything, until,
    with_controller,
};

mod random;

const KEY: &str = "Idempotency-Key";

/// Sends a request with a key.
async fn send(app: &App, token: &str, key: &str, call: &str, body: &str) -> Response {
    let request = app.client.post(format!("{}{call}", app.url)).header("X-Access-Token", token);
    Response::of(request.header(KEY, key).body(body.to_owned())).await
}

/// Sends a request of root with a key.
async fn keyed(app: &App, key: &str, call: &str, body: &Value) -> Response {
    send(app, &app.token, key, call, &body.to_string()).await
}

fn is_replayed(response: &Response) -> bool {
    response.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

/// Expects that the second response is the first one given again.
#[track_caller]
fn expect_same(first: &Response, second: &Response) {
    assert!(!is_replayed(first), "{first:?}");
    assert!(is_replayed(second), "{second:?}");
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    let headers = |response: &Response| {
        let mut headers = response.headers.clone();
        for own in ["idempotency-replayed", "x-request-id", "date"] {
            headers.remove(own);
        }
        headers
    };
    assert_eq!(headers(first), headers(second));
}

async fn entries(db: &Database) -> i64 {
    db.count("SELECT count(*) FROM audit_logs WHERE request LIKE './orders/%'").await
}

async fn keys(db: &Database) -> i64 {
    db.count("SELECT count(*) FROM idempotency_keys").await
}

fn ids(ids: &[&str]) -> Value {
    with_controller(json!({"orderIds": ids}))
}

fn addition() -> Value {
    let orders = json!([{"workflowPath": "eod", "orderName": "n"}, {"workflowPath": "eod"}]);
    with_controller(json!({"orders": orders}))
}

on_both! {
    async fn a_repeated_change_gets_the_first_response(kind: Kind) {
        let orders = [
            Order::new("cancel"),
            Order::new("suspend"),
            Order::new("resume").suspended(),
            Order::new("confirm").state("PROMPTING"),
            Order::new("continue").waits("SLEEPING"),
            Order::new("change"),
            Order::new("remove"),
        ];
        let app = App::with(kind, &orders).await;
        let limited = with_controller(json!({"orderIds": ["suspend"], "maxOrders": 1}));
        let change = with_controller(json!({"orderIds": ["change"], "priority": 7}));
        let calls = [
            ("/orders/cancel", ids(&["cancel"])),
            ("/orders/suspend", limited),
            ("/orders/resume", ids(&["resume"])),
            ("/orders/confirm", ids(&["confirm"])),
            ("/orders/continue", ids(&["continue"])),
            ("/orders/change", change),
            ("/orders/remove_when_terminated", ids(&["remove"])),
            ("/orders/add", addition()),
            ("/orders/cancel", everything_of_prod()),
        ];
        for (i, (call, body)) in calls.iter().enumerate() {
            let key = format!("key {i}");
            let first = keyed(&app, &key, call, body).await;
            assert!(first.affected() > 0);
            let written = entries(&app.db).await;
            app.pass(TimeDelta::minutes(1));
            for _ in 0..2 {
                expect_same(&first, &keyed(&app, &key, call, body).await);
            }
            assert_eq!(entries(&app.db).await, written, "{call}");
            let kept = format!(
                "SELECT count(*) FROM idempotency_keys k JOIN audit_logs l ON l.id = k.audit_log_id
                 WHERE k.key = '{key}' AND k.request = l.request AND k.affected = l.affected
                     AND k.account = l.account AND l.controller_id = k.controller_id");
            assert_eq!(app.db.count(&kept).await, 1, "{call}");
        }
        assert_eq!(keys(&app.db).await, calls.len() as i64);
        let added = "SELECT count(*) FROM audit_log_details WHERE previous_state = 'NONE'";
        assert_eq!(app.db.count(added).await, 2);
    }

    async fn a_request_that_finds_nothing_is_repeated_too(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let first = keyed(&app, "k", "/orders/cancel", &ids(&["b"])).await;
        first.nothing_found();
        app.db.insert(&[Order::new("b")]).await;
        app.pass(TimeDelta::minutes(1));
        expect_same(&first, &keyed(&app, "k", "/orders/cancel", &ids(&["b"])).await);
        assert_eq!(app.db.state("b").await, "FRESH");
        assert_eq!(entries(&app.db).await, 1);
        let kept = "SELECT count(*) FROM idempotency_keys k JOIN audit_logs l ON l.id = k.audit_log_id
                    WHERE l.outcome = 'NO_ORDERS' AND k.affected = 0";
        assert_eq!(app.db.count(kept).await, 1);
    }

    async fn an_undo_is_repeated_although_its_cancel_is_undone(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b").waits("SLEEPING")]).await;
        let both = app.cancel(json!({"orderIds": ["a", "b"]})).await.entry();
        let body = with_controller(json!({"auditLogId": both}));
        let undo = async |key: &str| keyed(&app, key, "/orders/cancel/undo", &body).await;
        let responses = join_all((0..4).map(|_| undo("k"))).await;
        let (first, again): (Vec<_>, Vec<_>) = responses.iter().partition(|r| !is_replayed(r));
        assert_eq!((first.len(), again.len()), (1, 3));
        assert_eq!((first[0].affected(), &first[0].ok()["notRestoredTotal"]), (1, &json!(1)));
        app.pass(TimeDelta::minutes(1));
        for response in again.into_iter().chain([&undo("k").await]) {
            expect_same(first[0], response);
        }
        // Any other undo comes too late, and leaves its key free.
        let late = format!("auditLogId: was undone already, by the entry {}", first[0].entry());
        let unkeyed = app.post("/orders/cancel/undo", &body).await;
        for response in [unkeyed, undo("l").await, undo("l").await] {
            assert_eq!(response.not_found(), late);
            assert!(!is_replayed(&response));
        }
        assert_eq!((entries(&app.db).await, keys(&app.db).await), (2, 1));
        assert_eq!(app.cancel(json!({"orderIds": ["a"]})).await.affected(), 1);
        expect_same(first[0], &undo("k").await);
        assert_eq!(app.db.state("a").await, "CANCELLED");
    }

    async fn an_undo_that_restores_nothing_is_repeated_too(kind: Kind) {
        let app = App::with(kind, &[Order::new("a").waits("SLEEPING")]).await;
        let cancelled = app.cancel(json!({"orderIds": ["a"]})).await.entry();
        let body = with_controller(json!({"auditLogId": cancelled}));
        let first = keyed(&app, "k", "/orders/cancel/undo", &body).await;
        assert!(first.not_found().contains("1 order had started"), "{first:?}");
        app.pass(TimeDelta::minutes(1));
        expect_same(&first, &keyed(&app, "k", "/orders/cancel/undo", &body).await);
        assert_eq!(entries(&app.db).await, 2);
    }

    async fn another_request_with_the_key_is_refused(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        let body = ids(&["a"]);
        let first = keyed(&app, "k", "/orders/suspend", &body).await;
        first.ok();
        // The bytes count, not what they mean.
        let spaced = format!(" {body}");
        for (call, body) in [
            ("/orders/suspend", ids(&["b"]).to_string()),
            ("/orders/suspend", spaced),
            ("/orders/cancel", body.to_string()),
            ("/orders/add", addition().to_string()),
        ] {
            let response = send(&app, &app.token, "k", call, &body).await;
            let message = response.refused();
            assert_eq!(message, "Idempotency-Key: came with another request before; send a new key");
            assert!(!is_replayed(&response));
        }
        assert_eq!(entries(&app.db).await, 1);
        assert_eq!(app.db.state("b").await, "FRESH");
        expect_same(&first, &keyed(&app, "k", "/orders/suspend", &body).await);
        // Other keys are other requests.
        assert_eq!(keyed(&app, "K", "/orders/cancel", &ids(&["b"])).await.affected(), 1);
    }

    async fn accounts_and_controllers_have_keys_of_their_own(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        app.db.insert_into("test", &[Order::new("a")]).await;
        let other = app.account("other", "sos:products", &[]).await;
        assert_eq!(keyed(&app, "k", "/orders/cancel", &ids(&["a"])).await.affected(), 1);
        let body = ids(&["b"]).to_string();
        let response = send(&app, &other, "k", "/orders/cancel", &body).await;
        assert_eq!(response.affected(), 1);
        assert!(!is_replayed(&response));
        let elsewhere = json!({"controllerId": "test", "orderIds": ["a"]});
        assert_eq!(keyed(&app, "k", "/orders/cancel", &elsewhere).await.affected(), 1);
        assert_eq!(keys(&app.db).await, 3);
    }

    async fn a_refused_request_leaves_its_key_free(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        let reader = app.account("reader", "sos:products:controller:view", &[]).await;
        for body in [
            json!({"controllerId": CONTROLLER, "orderIds": ["a", "b"], "maxOrders": 1}),
            json!({"controllerId": CONTROLLER, "orderIds": ["a"], "unknown": 1}),
            json!({"controllerId": CONTROLLER, "folders": [{"folder": "/"}], "dateTo": "x"}),
            json!({"controllerId": "none", "orderIds": ["a"]}),
        ] {
            assert_eq!(keyed(&app, "k", "/orders/cancel", &body).await.status, 420, "{body}");
        }
        let unknown = with_controller(json!({"orders": [{"workflowPath": "unknown"}]}));
        keyed(&app, "k", "/orders/add", &unknown).await.not_found();
        let body = ids(&["a"]);
        assert_eq!(send(&app, &reader, "k", "/orders/cancel", &body.to_string()).await.status, 403);
        assert_eq!(keys(&app.db).await, 0);
        let first = keyed(&app, "k", "/orders/cancel", &body).await;
        assert_eq!(first.affected(), 1);
        assert!(!is_replayed(&first));
    }

    async fn a_malformed_key_is_refused(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let body = ids(&["a"]).to_string();
        let long = "k".repeat(256);
        for (sent, message) in [
            (vec![""], "is empty"),
            (vec![long.as_str()], "is longer than 255 characters"),
            (vec!["ü"], "may consist only of printable ASCII characters"),
            (vec!["a\tb"], "may consist only of printable ASCII characters"),
            (vec!["a", "a"], "is sent more than once"),
        ] {
            let mut request = app.client.post(format!("{}/orders/cancel", app.url));
            for key in sent {
                request = request.header(KEY, key.as_bytes());
            }
            let request = request.header("X-Access-Token", &app.token).body(body.clone());
            assert_eq!(Response::of(request).await.refused(), format!("{KEY}: {message}"));
        }
        assert_eq!(entries(&app.db).await, 0);
        assert_eq!(keyed(&app, &"k".repeat(255), "/orders/cancel", &ids(&["a"])).await.affected(), 1);
    }

    async fn what_changes_nothing_ignores_the_key(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        for call in ["/orders", "/orders/cancel/preview", "/orders/suspend/preview"] {
            for key in ["k", &"k".repeat(256)] {
                let body = if call == "/orders" { with_controller(json!({})) } else { ids(&["a"]) };
                let response = keyed(&app, key, call, &body).await;
                response.ok();
                assert!(!is_replayed(&response));
            }
        }
        assert_eq!(keys(&app.db).await, 0);
    }

    async fn a_lost_permission_forbids_the_repetition(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let token = app.account("other", "sos:products", &[]).await;
        let body = ids(&["a"]).to_string();
        send(&app, &token, "k", "/orders/cancel", &body).await.ok();
        app.store.revoke("other", "sos:products", "*").await.unwrap();
        let app = app.replica(&[]).await;
        let token = app.login("other", "a-password").await;
        let response = send(&app, &token, "k", "/orders/cancel", &body).await;
        assert_eq!(response.status, 403, "{}", response.text);
        assert!(!is_replayed(&response));
    }

    async fn a_repetition_waits_for_the_first(kind: Kind) {
        let orders: Vec<Order> = (0..6000).map(|i| Order::new(&format!("o{i}"))).collect();
        let app = App::with(kind, &orders).await;
        let body = everything_of_prod();
        let responses = join_all((0..4).map(|_| keyed(&app, "k", "/orders/cancel", &body))).await;
        let (first, again): (Vec<_>, Vec<_>) = responses.iter().partition(|r| !is_replayed(r));
        assert_eq!((first.len(), again.len()), (1, 3));
        assert_eq!(first[0].affected(), 6000);
        for response in again {
            expect_same(first[0], response);
        }
        assert_eq!(entries(&app.db).await, 1);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details").await, 6000);
    }

    async fn an_addition_is_repeated_although_its_workflow_has_gone(kind: Kind) {
        let app = App::with(kind, &[Order::new("a").workflow("/sos/eod", "1")]).await;
        let first = keyed(&app, "k", "/orders/add", &addition()).await;
        assert_eq!(first.affected(), 2);
        // Its name is ambiguous now.
        app.db.insert(&[Order::new("b").workflow("/other/eod", "1")]).await;
        keyed(&app, "l", "/orders/add", &addition()).await.refused();
        expect_same(&first, &keyed(&app, "k", "/orders/add", &addition()).await);
    }

    async fn a_key_lives_for_a_week(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b"), Order::new("c")]).await;
        for (key, id) in [("old", "a"), ("new", "b")] {
            keyed(&app, key, "/orders/suspend", &ids(&[id])).await.ok();
        }
        let age = |key: &str, hours: i32| match app.db.kind() {
            Kind::Sqlite => format!(
                "UPDATE idempotency_keys SET created =
                 strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-{hours} hours') WHERE key = '{key}'"),
            Kind::Postgres => format!(
                "UPDATE idempotency_keys SET created = now() - interval '{hours} hours'
                 WHERE key = '{key}'"),
        };
        app.db.execute(&age("old", 7 * 24 + 1)).await.unwrap();
        app.db.execute(&age("new", 7 * 24 - 1)).await.unwrap();
        let served = Served::over(&app.db, &[]);
        until("the old key is removed", async || keys(&app.db).await == 1).await;
        drop(served);
        let body = ids(&["b"]);
        assert!(is_replayed(&keyed(&app, "new", "/orders/suspend", &body).await));
        // The old one is a new key again.
        let response = keyed(&app, "old", "/orders/suspend", &ids(&["c"])).await;
        assert_eq!(response.affected(), 1);
        assert!(!is_replayed(&response));
    }

    async fn a_client_that_was_cut_off_gets_its_response(kind: Kind) {
        use tokio::io::AsyncWriteExt;

        let app = App::with(kind, &[Order::new("a")]).await;
        let body = ids(&["a"]).to_string();
        let (address, token) = (app.address(), &app.token);
        let request = format!(
            "POST /joc/api/orders/cancel HTTP/1.1\r\nHost: {address}\r\nX-Access-Token: {token}\r\n\
             {KEY}: k\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        until("it is written", async || entries(&app.db).await == 1).await;
        drop(stream);
        let response = keyed(&app, "k", "/orders/cancel", &ids(&["a"])).await;
        assert_eq!(response.affected(), 1);
        assert!(is_replayed(&response));
        assert_eq!(entries(&app.db).await, 1);
    }
}

fn everything_of_prod() -> Value {
    with_controller(everything())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_waits_on_another_replica() {
    let db = Database::create(Kind::Postgres).await;
    db.insert(&[Order::new("a")]).await;
    let services = [Served::over(&db, &[]), Served::over(&db, &[])];
    let token = services[0].login().await;
    let mut order = db.lock("BEGIN; SELECT 1 FROM orders WHERE order_id = 'a' FOR UPDATE").await;
    let calls = services.iter().map(|served| {
        let request = reqwest::Client::new().post(format!("{}/orders/cancel", served.url));
        let request = request.header("X-Access-Token", &token).header(KEY, "k");
        Response::of(request.json(&ids(&["a"])))
    });
    let (responses, ()) = tokio::join!(join_all(calls), async {
        until("both wait", async || db.count(WAIT_FOR_ROWS).await == 2).await;
        order.execute("COMMIT").await;
    });
    let (first, again): (Vec<_>, Vec<_>) = responses.iter().partition(|r| !is_replayed(r));
    assert_eq!((first.len(), again.len()), (1, 1));
    assert_eq!(first[0].affected(), 1);
    expect_same(first[0], again[0]);
    assert_eq!(entries(&db).await, 1);
}
