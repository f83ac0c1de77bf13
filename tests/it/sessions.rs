//! Logins, sessions, permissions, and what all responses have in common.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::TimeDelta;
use joc_orders::http::password;
use serde_json::{Value, json};

use crate::harness::{App, Order, ROOT, Response, everything, with_controller};

mod permissions;

/// A request that needs a session and nothing else.
async fn call(app: &App, token: &str) -> Response {
    let body = with_controller(json!({"orderIds": ["none"]}));
    app.post_as(token, "/orders/cancel/preview", body.to_string()).await
}

async fn cancel_as(app: &App, token: &str, body: Value) -> Response {
    app.post_as(token, "/orders/cancel", body.to_string()).await
}

/// Checks a rejection's body except its message, and returns its account.
#[track_caller]
fn refusal(answer: &Response, status: u16, known: bool) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text);
    let mut body = answer.json();
    let message = body.as_object_mut().unwrap().remove("message").unwrap();
    assert!(!message.as_str().unwrap().is_empty());
    let account = body.as_object_mut().unwrap().remove("account");
    assert_eq!(
        body,
        json!({
            "callerIpAddress": "127.0.0.1",
            "enableTouch": true,
            "forcePasswordChange": false,
            "hasRole": known,
            "isApprovalRequestor": false,
            "isApprover": false,
            "isAuthenticated": known,
            "isPermitted": false,
        })
    );
    account.unwrap_or_default()
}

/// The status line of a response, which client libraries hide.
fn status_line(app: &App, call: &str, token: &str, body: &str) -> String {
    let (host, path) = app.url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /{path}{call} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         X-Access-Token: {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap().into()
}

/// The values of these columns of `audit_logs`, oldest first.
async fn audit(app: &App, columns: &str) -> Vec<Vec<String>> {
    let sql = format!("SELECT {columns} FROM audit_logs ORDER BY id");
    let rows = app.db.rows(&sql).await.unwrap();
    rows.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect()
}

on_both! {
    async fn login_and_logout_respond_as_joc_does(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let login = app.try_login(ROOT.0, ROOT.1).await;
        let token = login.headers["x-access-token"].to_str().unwrap().to_owned();
        assert_eq!(login.headers["x-joc-timeout"], "1800000");
        let state = json!({
            "accessToken": token,
            "account": "root",
            "callerIpAddress": "127.0.0.1",
            "enableTouch": true,
            "forcePasswordChange": false,
            "hasRole": true,
            "identityService": "JOC",
            "isApprovalRequestor": false,
            "isApprover": false,
            "isAuthenticated": true,
            "isPermitted": true,
            "message": "",
            "role": "all",
            "sessionTimeout": 1_800_000,
        });
        assert_eq!(login.ok(), state);
        let with_body = app.client.post(format!("{}/authentication/login", app.url)).body("{}");
        Response::of(with_body.basic_auth(ROOT.0, Some(ROOT.1))).await.ok();

        let logout = app.post_as(&token, "/authentication/logout", "{}").await.ok();
        assert_eq!(logout["isAuthenticated"], false);
        assert_eq!(logout["account"], "root");
        assert_eq!(logout["identityService"], "JOC");
        refusal(&call(&app, &token).await, 440, false);
        refusal(&app.post_as(&token, "/authentication/logout", "").await, 440, false);
    }

    async fn rejects_failed_logins_and_audits_them(kind: Kind) {
        let app = App::start(kind, &[]).await;
        assert_eq!(refusal(&app.try_login("root", "wrong").await, 401, false), "root");
        assert_eq!(refusal(&app.try_login("nobody", ROOT.1).await, 401, false), "nobody");
        let known = app.try_login("root", "wrong").await.json()["message"].clone();
        assert_eq!(app.try_login("nobody", "wrong").await.json()["message"], known);
        let url = format!("{}/authentication/login", app.url);
        // Malformed credentials are failed logins too, audited without an account.
        for header in [None, Some("Bearer x"), Some("Basic"), Some("Basic %%"), Some("Basic cm9vdA==")] {
            let mut request = app.client.post(&url);
            if let Some(header) = header {
                request = request.header("Authorization", header);
            }
            refusal(&Response::of(request).await, 401, false);
        }
        let rows = audit(&app, "outcome, request, category, controller_id, account, client_address, \
                                affected, parameters").await;
        let entry = |account| {
            ["DENIED", "./authentication/login", "IDENTITY", "-", account, "127.0.0.1", "0", "{}"]
        };
        let accounts = ["root", "nobody", "root", "nobody", "?", "?", "?", "?"];
        assert_eq!(rows, accounts.map(entry));
    }

    async fn requests_need_a_session_until_it_ends(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let url = format!("{}/orders/cancel/preview", app.url);
        let body = with_controller(json!({"orderIds": ["none"]})).to_string();
        let none = Response::of(app.client.post(&url).body(body.clone())).await;
        refusal(&none, 401, false);
        refusal(&call(&app, "unknown").await, 440, false);
        let query = |token: &str| app.client.post(format!("{url}?accessToken={token}")).body(body.clone());
        Response::of(query(&app.token)).await.ok();
        refusal(&Response::of(query("unknown")).await, 440, false);

        // Every request extends it.
        for _ in 0..4 {
            app.pass(TimeDelta::minutes(20));
            call(&app, &app.token).await.ok();
        }
        app.pass(TimeDelta::minutes(30) - TimeDelta::milliseconds(1));
        call(&app, &app.token).await.ok();
        app.pass(TimeDelta::minutes(30));
        refusal(&call(&app, &app.token).await, 440, false);
        app.pass(-TimeDelta::minutes(1));
        let token = app.login(ROOT.0, ROOT.1).await;
        app.pass(TimeDelta::minutes(31));
        refusal(&call(&app, &token).await, 440, false);
    }

    async fn a_session_ends_after_the_idle_timeout(kind: Kind) {
        let app = App::start(kind, &["--session-timeout=2"]).await;
        assert_eq!(app.try_login(ROOT.0, ROOT.1).await.ok()["sessionTimeout"], 2000);
        app.pass(TimeDelta::milliseconds(1999));
        call(&app, &app.token).await.ok();
        app.pass(TimeDelta::milliseconds(1999));
        call(&app, &app.token).await.ok();
        app.pass(TimeDelta::milliseconds(2000));
        refusal(&call(&app, &app.token).await, 440, false);
    }

    async fn sessions_and_logouts_apply_to_every_replica(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let other = app.replica(&[]).await;
        call(&other, &app.token).await.ok();
        call(&app, &other.token).await.ok();
        app.post_as(&app.token, "/authentication/logout", "{}").await.ok();
        refusal(&call(&app, &app.token).await, 440, false);
        app.pass(TimeDelta::seconds(5));
        other.pass(TimeDelta::seconds(5));
        refusal(&call(&other, &app.token).await, 440, false);
        call(&other, &other.token).await.ok();

        // The stored hash opens nothing.
        let rows = app.db.rows("SELECT * FROM sessions").await.unwrap();
        assert_eq!(rows.len(), 1);
        assert!(rows.iter().flatten().flatten().all(|value| !value.contains(&other.token)));
        let hashes = app.db.rows("SELECT token_hash FROM sessions").await.unwrap();
        refusal(&call(&app, hashes[0][0].as_deref().unwrap()).await, 440, false);
    }

    async fn changing_an_account_ends_its_sessions(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let everything = "sos:products";
        let locked = app.account("locked", everything, &[]).await;
        let changed = app.account("changed", everything, &[]).await;
        call(&app, &locked).await.ok();
        call(&app, &changed).await.ok();
        app.store.set_disabled("locked", true).await.unwrap();
        let hash = password::hash("another").unwrap();
        app.store.set_password("changed", &hash).await.unwrap();
        app.pass(TimeDelta::seconds(5));
        refusal(&call(&app, &locked).await, 440, false);
        refusal(&call(&app, &changed).await, 440, false);
        refusal(&app.try_login("locked", "a-password").await, 401, false);
        refusal(&app.try_login("changed", "a-password").await, 401, false);
        call(&app, &app.login("changed", "another").await).await.ok();
        app.store.set_disabled("locked", false).await.unwrap();
        refusal(&call(&app, &locked).await, 440, false);
        call(&app, &app.login("locked", "a-password").await).await.ok();
    }

    async fn failed_logins_are_limited(kind: Kind) {
        let app = App::start(kind, &["--failed-logins-by-account=3"]).await;
        app.account("one", "sos:products", &[]).await;
        app.account("two", "sos:products", &[]).await;
        for _ in 0..3 {
            refusal(&app.try_login("one", "wrong").await, 401, false);
        }
        for password in ["wrong", "a-password"] {
            let answer = app.try_login("one", password).await;
            refusal(&answer, 429, false);
            let wait: u32 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=60).contains(&wait), "{wait}");
        }
        for _ in 0..3 {
            // Successful logins do not add up.
            app.login("two", "a-password").await;
            app.login(ROOT.0, ROOT.1).await;
            refusal(&app.try_login("two", "wrong").await, 401, false);
        }

        // Concurrent logins cannot exceed the limit.
        let logins = (0..16).map(|_| app.try_login("nobody", "wrong"));
        let mut statuses: Vec<u16> =
            futures_util::future::join_all(logins).await.iter().map(|login| login.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![401; 3], vec![429; 13]].concat());
        let audited = "SELECT count(*) FROM audit_logs WHERE outcome = 'DENIED' AND account = 'nobody'";
        assert!(app.db.count(audited).await >= 3);
    }

    async fn logins_get_through_between_constant_changes(kind: Kind) {
        let ids: Vec<String> = (0..5000).map(|i| format!("order {i}")).collect();
        let app = App::with(kind, &ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let client = async |_| {
            while !stop.load(Ordering::Relaxed) {
                let id = ids.get(next.fetch_add(1, Ordering::Relaxed)).expect("the orders do not last");
                assert_eq!(app.cancel(json!({"orderIds": [id]})).await.affected(), 1);
            }
        };
        let logins = async {
            for _ in 0..3 {
                app.login(ROOT.0, ROOT.1).await;
            }
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(futures_util::future::join_all((0..16).map(client)), logins);
        assert!(next.into_inner() > 16);
    }

    async fn requests_have_ids(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let send = async |call: &str, id: &str| {
            let request = app.client.post(format!("{}{call}", app.url));
            let request = request.header("X-Access-Token", &app.token).header("X-Request-Id", id);
            let answer = Response::of(request.body(with_controller(everything()).to_string())).await;
            answer.headers["x-request-id"].to_str().unwrap().to_owned()
        };
        let longest = "x".repeat(128);
        for id in ["a-1_B.2:c", &longest] {
            assert_eq!(send("/orders/cancel", id).await, id);
            assert_eq!(audit(&app, "request_id").await.pop().unwrap(), [id]);
        }
        let too_long = "x".repeat(129);
        for id in ["a b", "<b>", "", &too_long] {
            let made_up = send("/orders/cancel", id).await;
            assert!(uuid::Uuid::parse_str(&made_up).is_ok(), "{made_up}");
            assert_eq!(audit(&app, "request_id").await.pop().unwrap(), [made_up]);
        }
        // Responses outside of endpoints have one too.
        assert_eq!(send("/orders/unknown", "mine").await, "mine");
        let refused = app.post_as("unknown", "/orders/cancel", "{}").await;
        assert!(uuid::Uuid::parse_str(refused.headers["x-request-id"].to_str().unwrap()).is_ok());
    }

    async fn rejects_unknown_paths_and_methods(kind: Kind) {
        let app = App::start(kind, &[]).await;
        for path in ["/orders/cancle", "/orders/cancel/all", ""] {
            let answer = app.post_as(&app.token, path, "{}").await;
            assert_eq!(answer.status, 404, "{}", answer.text);
            assert_eq!(answer.json()["error"]["code"], "JOC-420");
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(&format!("/joc/api{path}")), "{message}");
        }
        for call in ["/orders/cancel", "/orders/cancel/preview", "/authentication/login"] {
            let answer = Response::of(app.client.get(format!("{}{call}", app.url))).await;
            assert_eq!(answer.status, 405, "{}", answer.text);
            assert_eq!(answer.headers["allow"], "POST");
            assert_eq!(answer.json()["error"]["code"], "JOC-420");
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains(call));
        }
        let line = |token: &str| status_line(&app, "/orders/cancel", token, "{}");
        assert_eq!(line(&app.token), "HTTP/1.1 420 Invalid Request");
        assert_eq!(line("unknown"), "HTTP/1.1 440 Login Timeout");
    }
}
