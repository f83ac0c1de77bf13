//! What operators see of the service: probes, metrics, and a log in which every line of a request
//! has its id and no line has a secret.

use std::time::{Duration, Instant};

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, HttpServer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

use crate::harness::{
    Database, Kind, Order, PATIENCE, ROOT, Response, Served, launch, launch_command, program,
    with_controller,
};

/// The sum of the samples that begin with this name and these labels.
fn sum(page: &str, prefix: &str) -> f64 {
    let samples = page.lines().filter(|line| line.starts_with(prefix));
    samples.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

on_both! {
    async fn is_ready_only_with_its_own_migrations(kind: Kind) {
        let db = Database::create(kind).await;
        let served = Served::over(&db, &[]);
        served.until_ready(200, PATIENCE).await;
        db.execute("CREATE TABLE kept AS SELECT * FROM _sqlx_migrations WHERE version = 3").await.unwrap();
        db.execute("DELETE FROM _sqlx_migrations WHERE version = 3").await.unwrap();
        let answer = served.until_ready(503, PATIENCE).await;
        assert_eq!(answer.headers["retry-after"], "5");
        assert_eq!(answer.json()["error"]["code"], "JOC-500");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("migration 3 has not run"), "{message}");
        db.execute("INSERT INTO _sqlx_migrations SELECT * FROM kept").await.unwrap();
        served.until_ready(200, PATIENCE).await;

        db.execute("UPDATE kept SET version = 9999").await.unwrap();
        db.execute("INSERT INTO _sqlx_migrations SELECT * FROM kept").await.unwrap();
        let answer = served.until_ready(503, PATIENCE).await;
        assert!(answer.text.contains("9999"), "{}", answer.text);
        assert_eq!(served.page("/health").await.ok(), json!({"alive": true}));
        // A program that starts now reports it.
        let refused = Served::launch(program(&db.url)).err().expect("it starts");
        assert!(refused.contains("9999") && refused.contains("newer release"), "{refused}");
    }

    async fn metrics_count_what_happened(kind: Kind) {
        let db = Database::create(kind).await;
        let ids: Vec<String> = (0..7).map(|i| format!("o{i}")).collect();
        db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        let served = Served::over(&db, &["--failed-logins-by-account=1"]);
        let token = served.login().await;
        for status in [401, 429] {
            assert_eq!(served.try_login("wrong").await, status);
        }
        for (ids, status) in [(&ids[..5], 200), (&ids[5..], 200), (&ids[..], 420)] {
            let body = with_controller(json!({"orderIds": ids}));
            assert_eq!(served.post(&token, "/orders/cancel", &body).await.status, status);
        }
        let add = json!({"orders": [{"workflowPath": "eod", "orderName": "new"}]});
        served.post(&token, "/orders/add", &with_controller(add)).await.ok();
        for path in ["/joc/api/secret-path", "/secret-path", "/joc/api/orders/cancel/x"] {
            assert_eq!(served.page(path).await.status, 404);
        }
        let answer = served.page("/metrics").await;
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
        let page = answer.text;
        for (sample, value) in [
            (r#"joc_orders_requests_total{route="/joc/api/orders/cancel",status="200"}"#, 2.0),
            (r#"joc_orders_requests_total{route="/joc/api/orders/cancel",status="420"}"#, 1.0),
            (r#"joc_orders_requests_total{route="/joc/api/authentication/login",status="429"}"#, 1.0),
            (r#"joc_orders_requests_total{route="none",status="404"}"#, 3.0),
            (r#"joc_orders_request_duration_seconds_count{route="/joc/api/orders/cancel"}"#, 3.0),
            (r#"joc_orders_request_duration_seconds_bucket{route="/joc/api/orders/cancel",le="+Inf"}"#, 3.0),
            (r#"joc_orders_orders_affected_total{action="cancel"}"#, 7.0),
            (r#"joc_orders_orders_affected_total{action="add"}"#, 1.0),
            (r#"joc_orders_logins_total{outcome="accepted"}"#, 1.0),
            (r#"joc_orders_logins_total{outcome="refused"}"#, 1.0),
            (r#"joc_orders_logins_total{outcome="throttled"}"#, 1.0),
            ("joc_orders_database_retries_total", 0.0),
            ("joc_orders_calls_under_way", 0.0),
        ] {
            let line = format!("{sample} ");
            assert!(page.lines().any(|at| at.starts_with(&line)), "no {sample} in {page}");
            assert_eq!(sum(&page, &line), value, "{sample}");
        }
        let pools = match kind {
            Kind::Sqlite => [("read", 16.0), ("write", 1.0)],
            Kind::Postgres => [("others", 8.0), ("changes", 8.0)],
        };
        for (pool, max) in pools {
            let name = "joc_orders_database_connections";
            assert_eq!(sum(&page, &format!("{name}_max{{pool=\"{pool}\"}}")), max, "{page}");
            assert!(sum(&page, &format!("{name}{{pool=\"{pool}\"")) >= 1.0, "{page}");
        }
        // The connection of the last change waits for the next one.
        let writing = if kind == Kind::Sqlite { "write" } else { "changes" };
        let used = format!("joc_orders_database_connections{{pool=\"{writing}\",state=\"used\"}}");
        assert_eq!(sum(&page, &used), 0.0, "{page}");
        assert!(!page.contains("secret-path"), "{page}");
    }

    async fn logs_no_secret_and_the_id_with_every_line_of_a_request(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&["a", "b"].map(Order::new)).await;
        // A cluster with trust authentication accepts any password.
        let url = db.owner.replacen("postgres@", "postgres:database-secret@", 1);
        for format in ["json", "text"] {
            let mut command = program(&url);
            command.args(["--log-format", format]);
            command.env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1).env("JOC_ORDERS_LOG", "debug");
            let served = Served::start(command);
            let token = served.login().await;
            for password in ["wrong-secret", ""] {
                served.try_login(password).await;
            }
            let client = reqwest::Client::new();
            let cancel = format!("{}/orders/cancel", served.url);
            let everything = with_controller(json!({"folders": [{"folder": "/"}]}));
            let by_query = client.post(format!("{cancel}/preview?accessToken={token}"));
            Response::of(by_query.json(&everything)).await.ok();
            for path in ["/orders/cancel?accessToken=query-secret", "/none?accessToken=query-secret"] {
                Response::of(client.post(format!("{}{path}", served.url)).json(&everything)).await;
            }
            for authorization in ["Bearer bearer-secret", "Basic basic-secret", "odd-secret"] {
                let login = client.post(format!("{}/authentication/login", served.url));
                Response::of(login.header("Authorization", authorization)).await;
            }
            let header = client.post(&cancel).header("X-Access-Token", "header-secret");
            Response::of(header.header("Cookie", "session=cookie-secret").json(&everything)).await;
            let add = json!({"orders": [{"workflowPath": "eod", "orderName": "n",
                "arguments": {"password": "argument-secret"}}]});
            served.post(&token, "/orders/add", &with_controller(add)).await.ok();
            let id = client.post(&cancel).header("X-Access-Token", &token).json(&everything);
            Response::of(id.header("X-Request-Id", "an-id")).await.ok();
            served.post(&token, "/orders", &everything).await.ok();
            let misspelt = with_controller(json!({"password": "body-secret"}));
            assert_eq!(served.post(&token, "/orders/cancel", &misspelt).await.status, 420);
            served.post(&token, "/authentication/logout", &json!({})).await.ok();
            let log = served.log();
            let basic = STANDARD.encode(format!("{}:{}", ROOT.0, ROOT.1));
            for secret in [ROOT.1, &token, &basic, "secret"] {
                assert!(!log.contains(secret), "{secret} in {log}");
            }
            assert!(log.contains("sqlx") && log.contains("DEBUG"), "{log}");
            if format == "json" {
                check_ids(&log);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_no_secret_of_a_database_url() {
    for url in [
        "postgres://op:url-secret@127.0.0.1:1/orders",
        "postgres://op:url-secret@no-such-host.invalid/orders",
        "postgres://op:url-secret@[/orders",
        "postgres://op:url-secret@127.0.0.1:port/orders",
        "postgres://op:url-secret@127.0.0.1/orders?sslmode=nonsense",
        "mysql://op:url-secret@127.0.0.1/orders",
        "sqlite://op:url-secret@/no/such/folder/x?mode=nonsense",
    ] {
        let mut command = program(url);
        command.args(["serve", "--log-format", "json"]).env("JOC_ORDERS_LOG", "debug");
        let ran = launch_command(command, "").await;
        assert!(!ran.failed().contains("url-secret"), "{ran:?}");
    }
    let help = launch("postgres://op:url-secret@127.0.0.1/orders", &["serve", "--help"], "").await;
    assert!(!help.ok().contains("url-secret"), "{help:?}");
}

/// Every line that a request causes has its id; the rest come from the sealer, or from checks of
/// returned connections.
fn check_ids(log: &str) {
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let started = lines.iter().position(|line| !line["fields"]["address"].is_null()).unwrap();
    let mut of_the_id = 0;
    for line in &lines[started + 1..] {
        let target = line["target"].as_str().unwrap();
        let is_ours = target.starts_with("joc_orders") || target.starts_with("sqlx");
        let spans = line["spans"].as_array().cloned().unwrap_or_default();
        let id = spans.iter().find_map(|span| span["request_id"].as_str());
        let of_none =
            spans.iter().any(|span| span["name"] == "sealer" || span["name"] == "released");
        assert!(!is_ours || id.is_some() || of_none, "{line}");
        of_the_id += u32::from(id == Some("an-id"));
    }
    // At least a statement, what changed, and the response.
    assert!(of_the_id >= 3, "{of_the_id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_retried_transactions() {
    let db = Database::create(Kind::Postgres).await;
    db.insert(&["a", "b"].map(Order::new)).await;
    let served = Served::over(&db, &[]);
    let token = served.login().await;
    let mut other = db.lock("BEGIN").await;
    other.execute("UPDATE orders SET priority = 1 WHERE order_id = 'b'").await;
    let body = with_controller(json!({"orderIds": ["a", "b"]}));
    let deadlock = async {
        // By now the request has locked `a` and waits for `b`. It has waited longer, so it is the
        // one to fail.
        tokio::time::sleep(Duration::from_millis(400)).await;
        other.execute("UPDATE orders SET priority = 1 WHERE order_id = 'a'").await;
        other.execute("COMMIT").await;
    };
    let (answer, ()) = tokio::join!(served.post(&token, "/orders/cancel", &body), deadlock);
    assert_eq!(answer.affected(), 2);
    let page = served.page("/metrics").await.text;
    assert_eq!(sum(&page, "joc_orders_database_retries_total "), 1.0);
}

/// A PostgreSQL that rejects everybody, and then accepts them again.
#[tokio::test(flavor = "multi_thread")]
async fn is_not_ready_without_its_database() {
    let db = Database::create(Kind::Postgres).await;
    let served = Served::over(&db, &[]);
    served.until_ready(200, PATIENCE).await;
    let (server, name) = db.owner.rsplit_once('/').unwrap();
    let admin = PgPool::connect(&format!("{server}/postgres")).await.unwrap();
    let run = async |sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&admin).await.unwrap();
    };
    run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    run(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        .await;
    let answer = served.until_ready(503, PATIENCE).await;
    assert!(!answer.text.contains(name), "{}", answer.text);
    assert_eq!(served.page("/health").await.ok(), json!({"alive": true}));
    run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    served.until_ready(200, PATIENCE).await;
}

/// Whether the bytes contain these.
fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_traces_to_a_collector() {
    let (sender, received) = std::sync::mpsc::channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let collector = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        let sender = sender.clone();
        let receive = move |request: HttpRequest, body: Bytes| {
            let content_type =
                request.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
            sender.send((content_type, body)).unwrap();
            async { HttpResponse::Ok().finish() }
        };
        actix_web::App::new().route("/v1/traces", web::post().to(receive))
    });
    tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());

    let db = Database::create(Kind::Sqlite).await;
    let mut command = program(&db.url);
    command
        .env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1)
        .env("JOC_ORDERS_OTLP_ENDPOINT", &collector)
        .env("JOC_ORDERS_LOG", "info,opentelemetry=error");
    let served = Served::start(command);
    let token = served.login().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let touch = reqwest::Client::new().post(format!("{}/touch?accessToken={token}", served.url));
    let touch = touch.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    Response::of(touch.header("X-Request-Id", "traced-call").body("{}")).await.ok();
    // Pending traces are sent on shutdown.
    tokio::task::block_in_place(|| served.stop());
    let sent: Vec<_> = received.try_iter().collect();
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|(content_type, _)| content_type == "application/x-protobuf"));
    let sent: Vec<u8> = sent.iter().flat_map(|(_, body)| body.to_vec()).collect();
    let trace_id = u128::from_str_radix(trace, 16).unwrap().to_be_bytes();
    for part in [b"joc-orders".as_slice(), b"request", b"traced-call", b"/joc/api/touch", &trace_id]
    {
        assert!(holds(&sent, part), "{}", String::from_utf8_lossy(part));
    }
    assert!(!holds(&sent, token.as_bytes()) && !holds(&sent, ROOT.1.as_bytes()));

    // The service works without a collector, too.
    drop(received);
    let mut command = program(&db.url);
    command.env("JOC_ORDERS_OTLP_ENDPOINT", "http://127.0.0.1:9/v1/traces");
    let served = Served::start(command);
    assert_eq!(served.try_login(ROOT.1).await, 200);
    let stopping = Instant::now();
    tokio::task::block_in_place(|| served.stop());
    assert!(stopping.elapsed() < Duration::from_secs(10), "{:?}", stopping.elapsed());
    for url in ["localhost:4318", "nonsense", ""] {
        let ran = launch(&db.url, &["serve", "--otlp-endpoint", url], "").await;
        assert!(ran.failed().contains("JOC_ORDERS_OTLP_ENDPOINT"), "{ran:?}");
    }
}
