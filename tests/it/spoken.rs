//! Details of HTTP, over raw sockets where a client library would hide them.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use joc_orders::http::password;
use serde_json::json;

use crate::harness::{
    App, Database, Kind, Order, ROOT, Response, Served, Wire, program, with_controller,
};
use crate::openapi::calls;

/// The value of a header in a head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A login with any `Authorization` header.
async fn log_in(app: &App, authorization: &str) -> Response {
    let request = app.client.post(format!("{}/authentication/login", app.url));
    Response::of(request.header("Authorization", authorization)).await
}

/// Credentials in the form of the `Authorization` header.
pub fn basic(credentials: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

/// A text in ISO 8859-1.
fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// The accounts of rejected logins in the audit trail.
async fn refused(app: &App) -> Vec<String> {
    let sql = "SELECT account FROM audit_logs WHERE category = 'IDENTITY' AND outcome = 'DENIED' \
               AND client_address = '127.0.0.1' ORDER BY id";
    let rows = app.db.rows(sql).await.unwrap();
    rows.into_iter().map(|row| row.into_iter().next().flatten().unwrap()).collect()
}

on_both! {
    async fn accepts_umlauts_in_utf_8_and_iso_8859_1(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let credentials = "jörg:größe-ÄÖÜ";
        let hash = password::hash("größe-ÄÖÜ").unwrap();
        app.store.add_account("jörg", &hash, &["all".into()]).await.unwrap();
        for bytes in [credentials.as_bytes().to_vec(), latin_1(credentials)] {
            let answer = log_in(&app, &basic(&bytes)).await.ok();
            assert_eq!(answer["account"], "jörg");
        }
        // A wrong letter is wrong in both encodings.
        for bytes in ["jörg:größe-ÄÖU".as_bytes().to_vec(), latin_1("jörg:größe-ÄÖU")] {
            assert_eq!(log_in(&app, &basic(&bytes)).await.status, 401);
        }
        assert_eq!(refused(&app).await, ["jörg", "jörg"]);
        // Valid UTF-8 is not read as ISO 8859-1.
        let hash = password::hash("Ã¼").unwrap();
        app.store.add_account("odd", &hash, &["all".into()]).await.unwrap();
        assert_eq!(log_in(&app, &basic(&latin_1("odd:Ã¼"))).await.status, 401);
        log_in(&app, &basic("odd:Ã¼".as_bytes())).await.ok();
    }

    async fn malformed_credentials_are_failed_logins(kind: Kind) {
        let app = App::start(kind, &["--failed-logins-by-address=7"]).await;
        let malformed = [
            ("Bearer x".to_owned(), "?"),
            ("Basic".into(), "?"),
            ("Basic %%".into(), "?"),
            (basic(b"no colon"), "?"),
            (basic(b":password"), "?"),
            (basic(b"a\x01b:password"), r"a\u{1}b"),
        ];
        for (authorization, _) in &malformed {
            let answer = log_in(&app, authorization).await;
            assert_eq!(answer.status, 401, "{authorization}");
            assert!(answer.headers.contains_key("www-authenticate"));
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(message.contains("expected 'Authorization: Basic"), "{message}");
        }
        assert_eq!(refused(&app).await, malformed.clone().map(|(_, account)| account));
        // Without credentials the client gets the challenge, any number of times.
        for _ in 0..10 {
            let login = app.client.post(format!("{}/authentication/login", app.url));
            assert_eq!(Response::of(login).await.status, 401);
        }
        assert_eq!(refused(&app).await.len(), malformed.len());
        assert_eq!(log_in(&app, "Basic %%").await.status, 401);
        for authorization in ["Basic %%".into(), basic(b"root:root-password")] {
            let answer = log_in(&app, &authorization).await;
            assert_eq!(answer.status, 429, "{authorization}");
            assert!(answer.headers.contains_key("retry-after"));
        }
        assert_eq!(refused(&app).await.len(), 7);
    }

    async fn malformed_credentials_count_against_the_account_they_name(kind: Kind) {
        let app = App::start(kind, &["--failed-logins-by-account=2"]).await;
        let named = basic(b"a\x01b:password");
        for status in [401, 401, 429] {
            assert_eq!(log_in(&app, &named).await.status, status);
            assert_eq!(log_in(&app, "Basic %%").await.status, 401);
        }
        app.login(ROOT.0, ROOT.1).await;
    }

    async fn only_the_login_sends_a_challenge(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let login = app.client.post(format!("{}/authentication/login", app.url));
        for answer in [Response::of(login).await, app.try_login(ROOT.0, "wrong").await] {
            assert_eq!(answer.status, 401);
            assert_eq!(answer.headers["www-authenticate"], r#"Basic realm="JOC", charset="UTF-8""#);
        }
        for (path, _) in calls(&app.description().await) {
            if path != "/authentication/login" {
                let answer = app.post_as("", &path, "{}").await;
                assert_eq!(answer.status, 401, "{path}");
                assert!(!answer.headers.contains_key("www-authenticate"), "{path}");
            }
        }
    }

    async fn sending_an_unmodified_example_changes_nothing(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("#2026-11-23#P1-eod").workflow("/sos/billing/eod", "1"),
            Order::new("asks").state("PROMPTING").workflow("/sos/billing/eod", "1"),
            Order::new("failed").state("FAILED").workflow("/sos/billing/eod", "1"),
        ]).await;
        let rows = async || app.db.rows("SELECT * FROM orders ORDER BY order_id").await.unwrap();
        let before = rows().await;
        for (path, call) in calls(&app.description().await) {
            let body = &call["requestBody"]["content"]["application/json"]["example"];
            if !path.starts_with("/authentication") {
                let answer = app.post(&path, body).await;
                let changes = call["responses"]["200"]["headers"].get("X-Orders-Affected");
                if changes.is_some() {
                    assert!(answer.failed("JOC-404").contains("your-controller"), "{path}");
                }
            }
        }
        assert_eq!(rows().await, before);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 0);
    }

    async fn http_1_0_gets_no_chunks(kind: Kind) {
        let app = App::with(kind, &["a", "b"].map(Order::new)).await;
        let body = with_controller(json!({})).to_string();
        for keep_alive in ["", "Connection: keep-alive\r\n"] {
            let mut wire = Wire::to(&app).await;
            wire.send(&format!(
                "POST /joc/api/orders HTTP/1.0\r\nX-Access-Token: {}\r\n{keep_alive}\
                 Content-Length: {}\r\n\r\n{body}", app.token, body.len()
            )).await;
            let head = wire.head().await;
            assert!(head.starts_with("http/1.0 200"), "{head}");
            for name in ["transfer-encoding", "content-length", "connection"] {
                assert_eq!(field(&head, name), None, "{head}");
            }
            let orders: serde_json::Value = serde_json::from_str(&wire.rest().await.unwrap()).unwrap();
            assert_eq!(orders["orders"].as_array().unwrap().len(), 2);
        }
        // A response of known length leaves the connection open if the client asks for that.
        let mut wire = Wire::to(&app).await;
        for _ in 0..2 {
            wire.send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
            let head = wire.head().await;
            assert_eq!(field(&head, "connection"), Some("keep-alive"), "{head}");
            let length = field(&head, "content-length").unwrap().parse().unwrap();
            assert_eq!(wire.body(length).await, r#"{"alive":true}"#);
        }
    }

    async fn rejects_an_announced_body_that_is_too_large_before_it_is_sent(kind: Kind) {
        let app = App::start(kind, &["--body-limit=1000"]).await;
        let head = |more: &str| format!(
            "POST /joc/api/touch HTTP/1.1\r\nHost: a\r\nX-Access-Token: {}\r\n{more}\r\n", app.token
        );
        for expect in ["", "Expect: 100-continue\r\n"] {
            for length in ["1001", "100000000", "18446744073709551615"] {
                let mut wire = Wire::to(&app).await;
                let started = Instant::now();
                wire.send(&head(&format!("{expect}X-Request-Id: big\r\nContent-Length: {length}\r\n"))).await;
                let answer = wire.head().await;
                assert!(answer.starts_with("http/1.1 413"), "{expect}{length}: {answer}");
                for (name, value) in [("x-request-id", "big"), ("connection", "close"),
                                      ("x-content-type-options", "nosniff")] {
                    assert_eq!(field(&answer, name), Some(value), "{answer}");
                }
                let body = wire.rest().await.unwrap();
                assert!(body.contains("larger than 1000 bytes"), "{body}");
                assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
            }
            // Small bodies are requested, and so are those of unknown length.
            for (more, body) in [
                ("Content-Length: 2\r\n", "{}"),
                ("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
            ] {
                let mut wire = Wire::to(&app).await;
                wire.send(&head(&format!("{expect}{more}"))).await;
                if !expect.is_empty() {
                    assert_eq!(wire.head().await, "http/1.1 100 continue\r\n\r\n");
                }
                wire.send(body).await;
                let answer = wire.head().await;
                assert!(answer.starts_with("http/1.1 200"), "{answer}");
            }
        }
        // Without a session the service does not wait for a body.
        let mut wire = Wire::to(&app).await;
        wire.send("POST /joc/api/touch HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n").await;
        assert!(wire.head().await.starts_with("http/1.1 401"));
    }

    async fn an_ipv6_socket_reports_ipv4_clients_by_their_ipv4_address(kind: Kind) {
        let db = Database::create(kind).await;
        let mut command = program(&db.url);
        command.args(["--listen", "[::]:0", "--allow-plain-http", "true"]);
        command.args(["--failed-logins-by-address", "1"]);
        command.env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1);
        let mut served = Served::start(command);
        served.url = served.url.replace("[::]", "127.0.0.1");
        let client = reqwest::Client::new();
        let try_login = async |password: &str| {
            let login = client.post(format!("{}/authentication/login", served.url));
            Response::of(login.basic_auth(ROOT.0, Some(password))).await
        };
        assert_eq!(try_login(ROOT.1).await.ok()["callerIpAddress"], "127.0.0.1");
        let refused = try_login("wrong").await;
        assert_eq!((refused.status, &refused.json()["callerIpAddress"]), (401, &json!("127.0.0.1")));
        let rows = db.rows("SELECT client_address FROM audit_logs WHERE outcome = 'DENIED'").await.unwrap();
        assert_eq!(rows, [[Some("127.0.0.1".to_owned())]]);
        assert_eq!(try_login(ROOT.1).await.status, 429);
        // Over IPv6 the same machine has another address.
        served.url = served.url.replace("127.0.0.1", "[::1]");
        assert_eq!(served.try_login(ROOT.1).await, 200);
        assert!(!served.log().contains("::ffff"), "{}", served.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_get_without_the_body() {
    let app = App::start(Kind::Sqlite, &[]).await;
    let description = app.description().await;
    let documents = description["paths"].as_object().unwrap().iter();
    let mut pages: Vec<&str> = documents
        .filter(|(_, operations)| operations.get("get").is_some())
        .map(|(path, _)| path.as_str())
        .collect();
    assert!(pages.len() >= 4, "{pages:?}");
    pages.extend(["/docs", "/docs/index.html", "/docs/swagger-ui.css", "/docs/none", "/none"]);
    pages.extend(["/", "/web/index.html", "/web/none"]);
    for page in pages {
        let ask = async |method: &str| {
            let mut wire = Wire::to(&app).await;
            let request = format!("{method} {page} HTTP/1.1\r\nHost: a\r\nX-Request-Id: same\r\n");
            wire.send(&format!("{request}Connection: close\r\n\r\n")).await;
            let head = wire.head().await;
            let lines = head.lines().filter(|line| !line.starts_with("date: "));
            let mut lines: Vec<String> = lines.map(Into::into).collect();
            lines.sort_unstable();
            (head, lines, wire.rest().await.unwrap())
        };
        let (head, fields, body) = ask("HEAD").await;
        let (_, same_fields, same_body) = ask("GET").await;
        assert_eq!(body, "", "{page}");
        let length: usize = field(&head, "content-length").unwrap().parse().unwrap();
        if page == "/metrics" {
            // It counts the requests in between.
            assert!(length > 1000 && head.starts_with("http/1.1 200"), "{head}");
            continue;
        }
        assert_eq!(length, same_body.len(), "{page}");
        assert_eq!(fields, same_fields, "{page}");
    }
    // The connection stays usable, and the client learns which methods are allowed.
    let mut wire = Wire::to(&app).await;
    for _ in 0..2 {
        wire.send("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(wire.head().await.starts_with("http/1.1 200"));
    }
    for (method, page, allowed) in [
        ("OPTIONS", "/health", "get, head"),
        ("HEAD", "/joc/api/orders", "post"),
        ("OPTIONS", "/joc/api/orders", "post"),
    ] {
        let mut wire = Wire::to(&app).await;
        wire.send(&format!("{method} {page} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let head = wire.head().await;
        assert!(head.starts_with("http/1.1 405"), "{head}");
        assert_eq!(field(&head, "allow"), Some(allowed), "{method} {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_closes_after_the_keep_alive_time() {
    let ask = async |app: &App| {
        let mut wire = Wire::to(app).await;
        wire.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let head = wire.head().await;
        let length = field(&head, "content-length").unwrap().parse().unwrap();
        wire.body(length).await;
        (wire, head)
    };
    let app = App::start(Kind::Sqlite, &["--keep-alive=2"]).await;
    let (mut wire, _) = ask(&app).await;
    assert!(!wire.closes_within(Duration::from_secs(1)).await);
    assert!(wire.closes_within(Duration::from_secs(5)).await);

    let app = App::start(Kind::Sqlite, &["--keep-alive=0"]).await;
    let (mut wire, head) = ask(&app).await;
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    assert!(wire.closes_within(Duration::from_secs(5)).await);

    // Longer than proxies keep idle connections: otherwise their next request would meet a closed
    // one.
    let app = App::start(Kind::Sqlite, &[]).await;
    let (mut wire, _) = ask(&app).await;
    assert!(!wire.closes_within(Duration::from_secs(7)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_counter_starts_at_zero() {
    let db = Database::create(Kind::Sqlite).await;
    let served = Served::over(&db, &[]);
    let page = served.page("/metrics").await.text;
    let description = served.page("/openapi.json").await.ok();
    let mut samples = vec![
        r#"joc_orders_requests_total{route="none",status="404"}"#.to_owned(),
        "joc_orders_database_retries_total".into(),
    ];
    for outcome in ["accepted", "refused", "throttled", "busy"] {
        samples.push(format!("joc_orders_logins_total{{outcome=\"{outcome}\"}}"));
    }
    let actions = [
        "add",
        "cancel",
        "change",
        "confirm",
        "continue",
        "remove_when_terminated",
        "resume",
        "suspend",
        "undo",
    ];
    for server in ["primary", "replica"] {
        samples.push(format!("joc_orders_reads_total{{server=\"{server}\"}}"));
    }
    for action in actions {
        samples.push(format!("joc_orders_orders_affected_total{{action=\"{action}\"}}"));
    }
    for (path, operations) in description["paths"].as_object().unwrap() {
        for call in operations.as_object().unwrap().values() {
            for status in call["responses"].as_object().unwrap().keys() {
                samples.push(format!(
                    "joc_orders_requests_total{{route=\"{path}\",status=\"{status}\"}}"
                ));
            }
        }
    }
    assert!(samples.len() > 200, "{}", samples.len());
    for sample in &samples {
        let line = format!("{sample} 0");
        assert!(page.lines().any(|at| at == line), "no {line} in {page}");
    }
    // There are no others: a counter missing here would appear with its first event.
    let counters: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("joc_orders_") && line.contains("_total"))
        .collect();
    assert_eq!(counters.len(), samples.len(), "{counters:?}");
}
