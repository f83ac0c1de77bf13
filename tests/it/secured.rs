//! Protection against strangers: TLS, limits per client, and headers for browsers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use serde_json::{Value, json};

use crate::harness::{
    App, Database, Kind, Order, ROOT, Response, Served, launch, program, with_controller,
};

/// A self-signed certificate for 127.0.0.1, with its key.
pub fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap()
}

/// Writes certificate and key to the service's files.
pub fn install(folder: &Path, certificate: &CertifiedKey<KeyPair>) {
    std::fs::write(folder.join("cert.pem"), certificate.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
}

/// The headers of the response, if a client that trusts only this certificate gets one.
pub async fn trusts(
    served: &Served,
    certificate: &CertifiedKey<KeyPair>,
) -> Option<reqwest::header::HeaderMap> {
    let root = reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    let answer = client.get(format!("https://{}/health", served.address())).send().await.ok()?;
    assert_eq!(answer.status(), 200);
    Some(answer.headers().clone())
}

/// What the server sends in response to these bytes until it closes the connection.
fn raw(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_reloads_changed_files() {
    let db = Database::create(Kind::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (certificate(), certificate());
    install(folder.path(), &first);
    let mut command = program(&db.url);
    command
        .args(["--listen", "0.0.0.0:0"])
        .env("JOC_ORDERS_TLS_CERT", folder.path().join("cert.pem"))
        .env("JOC_ORDERS_TLS_KEY", folder.path().join("key.pem"));
    let mut served = Served::start(command);
    served.url = served.url.replace("0.0.0.0", "127.0.0.1");
    let headers = trusts(&served, &first).await.expect("no answer by TLS");
    assert_eq!(headers["strict-transport-security"], "max-age=31536000");
    assert!(trusts(&served, &second).await.is_none());
    // Plain HTTP gets no response.
    assert!(!raw(served.address(), b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").contains("alive"));

    // Not a certificate, the wrong key, no file: the old certificate stays, and each error is
    // logged once.
    std::fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    served.until_logged("invalid certificate", 1).await;
    assert!(trusts(&served, &first).await.is_some());
    std::fs::write(folder.path().join("cert.pem"), second.cert.pem()).unwrap();
    served.until_logged("do not belong together", 1).await;
    assert!(trusts(&served, &first).await.is_some());
    std::fs::remove_file(folder.path().join("key.pem")).unwrap();
    served.until_logged("invalid certificate", 3).await;
    assert!(trusts(&served, &first).await.is_some());
    install(folder.path(), &second);
    served.until_logged("TLS certificate reloaded", 1).await;
    assert!(trusts(&served, &second).await.is_some());
    assert!(trusts(&served, &first).await.is_none());
    let key = second.signing_key.serialize_pem();
    assert!(!served.log().contains(key.lines().nth(1).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_rejects_invalid_and_unsafe_settings() {
    let db = Database::create(Kind::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    install(folder.path(), &certificate());
    let [cert, key, none] =
        ["cert.pem", "key.pem", "none"].map(|name| folder.path().join(name).display().to_string());
    for (args, complaint) in [
        (&["--listen", "0.0.0.0:0"][..], "JOC_ORDERS_ALLOW_PLAIN_HTTP"),
        (&["--listen", "[::]:0", "--allow-plain-http", "false"], "JOC_ORDERS_TLS_CERT"),
        (&["--tls-cert", &cert], "--tls-key"),
        (&["--tls-key", &key], "--tls-cert"),
        (&["--tls-cert", &none, "--tls-key", &key], "JOC_ORDERS_TLS_CERT"),
        (&["--tls-cert", &cert, "--tls-key", &none], "JOC_ORDERS_TLS_KEY"),
        (&["--tls-cert", &key, "--tls-key", &key], "contains no certificate"),
        (&["--tls-cert", &cert, "--tls-key", &cert], "contains no private key"),
        (&["--clients", "0"], "--clients"),
        (&["--request-timeout", "0"], "--request-timeout"),
        (&["--log", "joc_orders=loud"], "JOC_ORDERS_LOG"),
        (&["--otlp-endpoint", "collector"], "JOC_ORDERS_OTLP_ENDPOINT"),
        (&["--database-url", "mysql://x"], "DATABASE_URL"),
        (&["--database-url", "sqlite::memory:"], "DATABASE_URL"),
    ] {
        let args: Vec<&str> = ["serve"].iter().chain(args).copied().collect();
        let ran = launch(&db.url, &args, "").await;
        assert!(ran.failed().contains(complaint), "{args:?} {ran:?}");
        assert_eq!(ran.code, Some(2), "{args:?}");
    }
    // Errors that a retry may fix.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    assert_eq!(launch(&db.url, &["serve", "--listen", &taken], "").await.code, Some(1));
    let none = "postgres://127.0.0.1:1/none";
    assert_eq!(launch(none, &["serve"], "").await.code, Some(7));
    let mut allowed = program(&db.url);
    allowed.args(["--listen", "0.0.0.0:0"]).env("JOC_ORDERS_ALLOW_PLAIN_HTTP", "true");
    Served::start(allowed).stop();
}

on_both! {
    async fn a_slow_request_times_out_unless_it_changes_something(kind: Kind) {
        let app = App::start(kind, &["--request-timeout=1"]).await;
        app.db.insert(&["a", "b"].map(Order::new)).await;
        let body = with_controller(json!({"orderIds": ["a"]}));

        // A body that never arrives.
        let address = app.address().to_owned();
        let head = format!("POST /joc/api/orders/cancel HTTP/1.1\r\nHost: x\r\nX-Request-Id: slow\r\n\
                            X-Access-Token: {}\r\nContent-Length: 100\r\n\r\n{{", app.token);
        let answer = tokio::task::spawn_blocking(move || raw(&address, head.as_bytes())).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        for part in ["retry-after: 5\r\n", "x-request-id: slow\r\n", "no-store", "nothing has changed"] {
            assert!(answer.contains(part), "no {part} in {answer}");
        }
        assert_eq!(app.db.state("a").await, "FRESH");

        // A change that waits for another transaction's lock.
        let begin = if kind == Kind::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let mut lock = app.db.lock(begin).await;
        lock.execute("UPDATE orders SET priority = 1 WHERE order_id = 'a'").await;
        let unlock = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            lock.execute("COMMIT").await;
        };
        let started = Instant::now();
        let (answer, ()) = tokio::join!(app.post("/orders/cancel", &body), unlock);
        assert!(started.elapsed() >= Duration::from_secs(3));
        assert_eq!(answer.affected(), 1);
        assert_eq!(app.db.state("a").await, "CANCELLED");
    }

    async fn headers_have_a_limit(kind: Kind) {
        let app = App::start(kind, &["--header-limit=2000"]).await;
        let ask = async |query: &str, value: &str| {
            let url = format!("{}/touch?{query}", app.url);
            let request = app.client.post(url).header("X-Access-Token", &app.token);
            Response::of(request.header("X-More", value).body("{}")).await
        };
        ask("", &"x".repeat(1500)).await.ok();
        let long = "x".repeat(2000);
        for answer in [ask("", &long).await, ask(&long, "").await] {
            assert_eq!(answer.status, 431, "{}", answer.text);
            assert_eq!(answer.json()["error"]["code"], "JOC-420");
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains("2000 bytes"));
            assert!(answer.headers.contains_key("x-request-id"));
        }
    }

    async fn sends_security_headers_to_browsers(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let origin = app.url.strip_suffix("/joc/api").unwrap();
        let page = |path: &str| Response::of(app.client.get(format!("{origin}{path}")));
        for answer in [
            app.post("/touch", &json!({})).await,
            app.post_as("unknown", "/touch", "{}").await,
            app.try_login(ROOT.0, "wrong").await,
            page("/none").await,
            page("/health").await,
            page("/ready").await,
        ] {
            assert_eq!(answer.headers["cache-control"], "no-store");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff");
            assert_eq!(answer.headers["referrer-policy"], "no-referrer");
            assert_eq!(answer.headers["x-frame-options"], "SAMEORIGIN");
            let policy = answer.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'self'"));
            assert!(!answer.headers.contains_key("strict-transport-security"));
        }
    }
}

/// A change that PostgreSQL cancels is rolled back, and may be retried.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_the_database_cancels_changes_nothing() {
    let db = Database::create(Kind::Postgres).await;
    let (_, name) = db.url.rsplit_once('/').unwrap();
    db.insert(&[Order::new("a"), Order::new("b")]).await;
    for (limit, id) in [("statement_timeout", "a"), ("lock_timeout", "b")] {
        let sql =
            format!("ALTER DATABASE {name} RESET ALL; ALTER DATABASE {name} SET {limit} = '500ms'");
        db.execute(&sql).await.unwrap();
        let app = App::over(db.share(), &[]).await;
        let mut lock = app.db.lock("BEGIN").await;
        lock.execute(&format!("UPDATE orders SET priority = 1 WHERE order_id = '{id}'")).await;
        let answer = app.cancel(json!({"orderIds": [id]})).await;
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert_eq!(answer.headers["retry-after"], "5");
        lock.execute("COMMIT").await;
        assert_eq!(app.db.state(id).await, "FRESH");
        let entries =
            format!("SELECT count(*) FROM audit_logs WHERE parameters::text LIKE '%\"{id}\"%'");
        assert_eq!(app.db.count(&entries).await, 0);
        assert_eq!(app.cancel(json!({"orderIds": [id]})).await.affected(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_over_the_limit_wait() {
    let db = Database::create(Kind::Sqlite).await;
    let served = Served::over(&db, &["--clients", "1"]);
    // One for each worker thread.
    let threads = std::thread::available_parallelism().unwrap().get();
    let held: Vec<TcpStream> =
        (0..threads).map(|_| TcpStream::connect(served.address()).unwrap()).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let waiting = served.page("/health");
    let waited = tokio::time::timeout(Duration::from_secs(2), waiting).await;
    assert!(waited.is_err(), "{waited:?}");
    drop(held);
    let answer: Value = served.page("/health").await.ok();
    assert_eq!(answer, json!({"alive": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_head_times_out() {
    let db = Database::create(Kind::Sqlite).await;
    let served = Served::over(&db, &[]);
    let started = Instant::now();
    let answer = raw(served.address(), b"POST /joc/api/touch HTTP/1.1\r\nHost: x\r\n");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_a_container() {
    let db = Database::create(Kind::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    install(folder.path(), &generate_simple_self_signed(vec!["joc.example.com".into()]).unwrap());
    let [cert, key] =
        ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string());
    let code = async |args: &[&str]| {
        let ran = launch(&db.url, &[&["health"], args].concat(), "").await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.is_empty()), ("", ran.success), "{ran:?}");
        ran.code
    };
    for tls in [&[][..], &["--tls-cert", &cert, "--tls-key", &key]] {
        let mut command = program(&db.url);
        command.args(tls);
        let served = Served::start(command);
        let (address, port) = (served.address(), served.address().rsplit(':').next().unwrap());
        let everywhere = format!("0.0.0.0:{port}");
        for listen in [address, &everywhere] {
            assert_eq!(code(&[&["--listen", listen], tls].concat()).await, Some(0));
            assert_eq!(code(&[&["--ready", "--listen", listen], tls].concat()).await, Some(0));
        }
        let url =
            if tls.is_empty() { format!("http://{address}") } else { format!("https://{address}") };
        let trusted = if tls.is_empty() { 0 } else { 1 };
        assert_eq!(code(&["--url", &url]).await, Some(trusted), "{url}");
        let address = address.to_owned();
        served.stop();
        assert_eq!(code(&[&["--listen", &address], tls].concat()).await, Some(1));
    }
    let served = Served::over(&db, &[]);
    db.execute("DELETE FROM _sqlx_migrations").await.unwrap();
    assert_eq!(code(&["--listen", served.address()]).await, Some(0));
    assert_eq!(code(&["--ready", "--listen", served.address()]).await, Some(1));
}
