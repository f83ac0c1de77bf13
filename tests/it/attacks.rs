//! What hostile clients try.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use joc_orders::http::password;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{
    App, Database, Kind, Order, ROOT, Response, Served, Wire, quote, start_time, with_controller,
};
use crate::openapi::calls;
use crate::spoken::basic;

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The `parameters` of the newest entry.
async fn parameters(app: &App) -> Value {
    let rows = app.db.rows("SELECT parameters FROM audit_logs ORDER BY id DESC LIMIT 1").await;
    serde_json::from_str(rows.unwrap()[0][0].as_deref().unwrap()).unwrap()
}

/// Changes an account so that its sessions end.
async fn alter(app: &App, change: &str, account: &str) {
    match change {
        "passwd" => {
            let hash = password::hash("another-password").unwrap();
            app.store.set_password(account, &hash).await.unwrap();
        }
        "disable" => app.store.set_disabled(account, true).await.unwrap(),
        _ => app.store.remove_account(account).await.unwrap(),
    }
}

on_both! {
    async fn a_request_is_logged_by_its_route_however_its_path_is_encoded(kind: Kind) {
        let db = Database::create(kind).await;
        let forms = [
            "/joc/api/orders/%63ancel",
            "/joc/api/%6Frders/%63%61%6e%63%65%6C",
            "/joc/%61pi/orders/cancel",
            "//joc///api//orders//cancel",
            "/joc/api/orders/cancel//",
        ];
        let ids: Vec<String> = (0..forms.len()).map(|i| format!("o{i}")).collect();
        db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        let served = Served::over(&db, &[]);
        let token = served.login().await;
        let base = served.url.strip_suffix("/joc/api").unwrap();
        let client = reqwest::Client::new();
        let post = async |path: &str, ids: &[String]| {
            let request = client.post(format!("{base}{path}")).header("X-Access-Token", &token);
            Response::of(request.json(&with_controller(json!({"orderIds": ids})))).await
        };
        for (form, id) in forms.iter().zip(&ids) {
            assert_eq!(post(form, std::slice::from_ref(id)).await.affected(), 1, "{form}");
        }
        let login = client.post(format!("{base}/joc/api/authentication/%6Cogin"));
        assert_eq!(Response::of(login.basic_auth("root", Some("wrong"))).await.status, 401);
        // An escaped slash does not separate segments.
        for path in ["/joc/api/orders%2Fcancel", "/joc/api/orders/cancel%2f", "/joc/api/orders/cancel%20"] {
            assert_eq!(post(path, &ids).await.status, 404, "{path}");
        }
        assert_eq!(Response::of(client.get(format!("{base}{}", forms[0]))).await.status, 405);

        let named = "SELECT DISTINCT request FROM audit_logs
                     WHERE request LIKE './%' ORDER BY request";
        let named: Vec<_> = db.rows(named).await.unwrap().into_iter().flatten().flatten().collect();
        assert_eq!(named, ["./authentication/login", "./orders/cancel"]);
        let metrics = served.page("/metrics").await.text;
        for sample in [
            r#"{route="/joc/api/orders/cancel",status="200"} 5"#,
            r#"{route="/joc/api/authentication/login",status="401"} 1"#,
            r#"{route="none",status="404"} 3"#,
        ] {
            let line = format!("joc_orders_requests_total{sample}");
            assert!(metrics.lines().any(|at| at == line), "no {line} in {metrics}");
        }
        let log = served.log();
        for written in ["%63", "%6F", "%61pi", "%6C", "//orders"] {
            assert!(!log.contains(written), "{written} in {log}");
        }
    }

    async fn masks_secrets_in_parameters(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let sent = json!({
            "orderIds": ["a"],
            "variables": {
                "pwd": "x", "passphrase": "x", "api_key": "x", "X-Api-Key": "x", "privateKey": "x",
                "Authorization": "x", "dbPass": {"of": "x"}, "credentials": ["x"],
                "bypass": "b", "compass": "c", "author": "d", "precise": 12345678901234567_u64,
            },
            "orders": [{"name": "password", "value": "x"}, {"key": "db-pass", "value": 1},
                {"name": "author", "value": "e"}],
        });
        let mut kept = with_controller(sent.clone());
        for key in ["pwd", "passphrase", "api_key", "X-Api-Key", "privateKey", "Authorization",
            "dbPass", "credentials"] {
            kept["variables"][key] = json!("********");
        }
        for i in [0, 1] {
            kept["orders"][i]["value"] = json!("********");
        }
        assert_eq!(app.cancel(sent).await.affected(), 1);
        assert_eq!(parameters(&app).await, kept);
    }

    async fn requests_without_effect_leave_short_entries(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let nobody = app.account("nobody", "sos:products:joc:auditlog:view", &[]).await;
        let mut ids: Vec<String> = (0..20_000).map(|i| format!("order {i:0>40}")).collect();
        let body = |ids: &[String]| with_controller(json!({"orderIds": ids})).to_string();
        let sent: Value = serde_json::from_str(&body(&ids)).unwrap();
        let whole = sent.to_string();
        let check = async |outcome: &str| {
            let kept = parameters(&app).await;
            let beginning = kept["beginning"].as_str().unwrap();
            assert!(whole.starts_with(beginning) && beginning.len() == 1024, "{kept}");
            assert_eq!(kept["sha256"], sha256(&whole));
            assert_eq!(kept["bytes"], whole.len());
            assert_eq!(kept["truncated"], true);
            let last = "SELECT outcome FROM audit_logs ORDER BY id DESC LIMIT 1";
            assert_eq!(app.db.rows(last).await.unwrap()[0][0].as_deref(), Some(outcome));
        };
        for path in ["/orders/cancel", "/orders/cancel/preview", "/orders"] {
            assert_eq!(app.post_as(&nobody, path, body(&ids)).await.status, 403, "{path}");
            check("DENIED").await;
        }
        let add = json!({"orders": vec![json!({"workflowPath": "/sos/eod"}); 1000]});
        let add = app.post_as(&nobody, "/orders/add", with_controller(add).to_string()).await;
        assert_eq!(add.status, 403);
        assert_eq!(parameters(&app).await["truncated"], true);
        assert_eq!(app.post_as(&app.token, "/orders/cancel", body(&ids)).await.status, 420);
        check("NO_ORDERS").await;

        // Secrets are masked before the text is truncated.
        let secret = json!({"aPassword": "hidden", "b": ids});
        let secret = app.post_as(&nobody, "/orders", with_controller(secret).to_string()).await;
        assert_eq!(secret.status, 403);
        let kept = parameters(&app).await.to_string();
        assert!(kept.contains("aPassword") && !kept.contains("hidden"), "{kept}");

        // A change keeps its parameters in full.
        ids.push("a".into());
        assert_eq!(app.post_as(&app.token, "/orders/cancel", body(&ids)).await.affected(), 1);
        let sent: Value = serde_json::from_str(&body(&ids)).unwrap();
        assert_eq!(parameters(&app).await, sent);
    }

    async fn an_ignored_body_has_a_small_limit(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let description = app.description().await;
        let ignoring = calls(&description).into_iter().filter(|(_, call)| {
            let schema = &call["requestBody"]["content"]["application/json"]["schema"];
            schema["description"].as_str().is_some_and(|text| text.starts_with("Ignored"))
        });
        let ignoring: Vec<String> = ignoring.map(|(path, _)| path).collect();
        assert!(ignoring.len() >= 5 && ignoring.contains(&"/authentication/login".into()));
        for path in ignoring {
            let token = app.login(ROOT.0, ROOT.1).await;
            let basic = basic(format!("{}:{}", ROOT.0, ROOT.1).as_bytes());
            let chunked = async |length: usize| {
                let mut wire = Wire::to(&app).await;
                wire.send(&format!(
                    "POST /joc/api{path} HTTP/1.1\r\nHost: a\r\nX-Access-Token: {token}\r\n\
                     Authorization: {basic}\r\nTransfer-Encoding: chunked\r\n\r\n\
                     {length:x}\r\n{}\r\n0\r\n\r\n",
                    " ".repeat(length)
                )).await;
                wire.head().await
            };
            let announced = app.post_as(&token, &path, " ".repeat(4097)).await;
            assert_eq!(announced.status, 413, "{path}: {}", announced.text);
            assert!(announced.text.contains("larger than 4096 bytes"), "{}", announced.text);
            for (length, status) in [(4097, "413"), (4096, "200")] {
                let head = chunked(length).await;
                assert!(head.starts_with(&format!("http/1.1 {status}")), "{path}: {head}");
            }
        }
        // Other accounts still get as many as the setting allows.
        let long = with_controller(json!({"orderIds": ["none"], "variables": {"x": "x".repeat(5000)}}));
        assert_eq!(app.post("/orders/cancel", &long).await.status, 420);
    }

    async fn a_login_checks_credentials_before_reading_the_body(kind: Kind) {
        let app = App::start(kind, &[]).await;
        for authorization in ["", "X-Access-Token: x\r\n"] {
            let mut wire = Wire::to(&app).await;
            wire.send(&format!(
                "POST /joc/api/authentication/login HTTP/1.1\r\nHost: a\r\n{authorization}\
                 Transfer-Encoding: chunked\r\n\r\n",
            )).await;
            // The body has not started yet.
            let head = wire.head().await;
            assert!(head.starts_with("http/1.1 401"), "{head}");
        }
    }

    async fn a_session_opens_only_with_the_verified_password(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let now = start_time();
        let open = async |account: &str, hash: &str, token: &str| {
            let (token, until) = (sha256(token), now + TimeDelta::minutes(30));
            app.store.open_session(&token, account, hash, now, until).await.unwrap()
        };
        let sessions = async |account: &str| {
            let sql = format!("SELECT count(*) FROM sessions WHERE account = {}", quote(account));
            app.db.count(&sql).await
        };
        for change in ["passwd", "disable", "remove"] {
            app.account(change, "sos:products", &[]).await;
            let verified = app.store.password_hash(change).await.unwrap().unwrap();
            assert!(open(change, &verified, &format!("before {change}")).await);
            assert_eq!(sessions(change).await, 2);
            alter(&app, change, change).await;
            assert!(!open(change, &verified, &format!("after {change}")).await);
            assert_eq!(sessions(change).await, 0, "{change}");
        }

        // A change in flight is finished first, too.
        app.account("slow", "sos:products", &[]).await;
        let verified = app.store.password_hash("slow").await.unwrap().unwrap();
        let begin = if kind == Kind::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let mut passwd = app.db.lock(begin).await;
        let hash = quote(&password::hash("another").unwrap());
        let update = format!("UPDATE accounts SET password_hash = {hash} WHERE account = 'slow'");
        passwd.execute(&update).await;
        let end = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            passwd.execute("DELETE FROM sessions WHERE account = 'slow'; COMMIT").await;
        };
        let (opened, ()) = tokio::join!(open("slow", &verified, "slow"), end);
        assert!(!opened);
        assert_eq!(sessions("slow").await, 0);
    }

    async fn no_session_survives_a_change_of_its_account(kind: Kind) {
        let flags = ["--failed-logins-by-account=1000", "--failed-logins-by-address=1000"];
        let app = App::start(kind, &flags).await;
        for change in ["passwd", "disable", "remove"] {
            for round in 0..3 {
                let account = format!("{change}-{round}");
                app.account(&account, "sos:products", &[]).await;
                let changed = AtomicBool::new(false);
                let client = async |_| loop {
                    let late = changed.load(Ordering::SeqCst);
                    match app.try_login(&account, "a-password").await.status {
                        200 => assert!(!late, "{account}"),
                        status => break assert_eq!(status, 401),
                    }
                };
                let change = async {
                    tokio::time::sleep(Duration::from_millis(150)).await;
                    alter(&app, change, &account).await;
                    changed.store(true, Ordering::SeqCst);
                };
                tokio::join!(futures_util::future::join_all((0..6).map(client)), change);
                let left = format!("SELECT count(*) FROM sessions WHERE account = {}", quote(&account));
                assert_eq!(app.db.count(&left).await, 0, "{account}");
            }
        }
    }

    async fn excess_logins_are_rejected_and_sessions_go_on(kind: Kind) {
        let flags = ["--failed-logins-by-account=1000", "--failed-logins-by-address=1000"];
        let app = App::start(kind, &flags).await;
        let url = format!("{}/authentication/login", app.url);
        let logins = (0..300_u16).map(|i| {
            // Linux answers on all of 127.0.0.0/8.
            let address = Ipv4Addr::from([127, 0, 0, 2 + u8::try_from(i % 5).unwrap()]);
            let client = reqwest::Client::builder().local_address(IpAddr::V4(address));
            let login = client.build().unwrap().post(&url);
            Response::of(login.basic_auth(format!("nobody {i}"), Some("wrong")))
        });
        let over = AtomicBool::new(false);
        let logins = async {
            let answers = futures_util::future::join_all(logins).await;
            over.store(true, Ordering::Relaxed);
            answers
        };
        let session = async {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(app.cancel(json!({"orderIds": ["none"]})).await.status, 420);
            }
        };
        let (answers, ()) = tokio::join!(logins, session);
        let with = |status: u16| answers.iter().filter(move |answer| answer.status == status);
        assert_eq!(with(401).count() + with(503).count(), 300);
        assert!(with(401).count() >= 1 && with(503).count() >= 1);
        for busy in with(503) {
            assert_eq!(busy.headers["retry-after"], "5");
            assert!(busy.text.contains("too many logins at once"), "{}", busy.text);
        }
        // A login that was turned away does not count as failed.
        let audited = "SELECT count(*) FROM audit_logs WHERE request = './authentication/login'";
        assert_eq!(usize::try_from(app.db.count(audited).await).unwrap(), with(401).count());
        app.login(ROOT.0, ROOT.1).await;
    }

    async fn a_failed_login_counts_despite_a_disconnect(kind: Kind) {
        let app = App::start(kind, &["--failed-logins-by-account=3"]).await;
        let audited = "SELECT count(*) FROM audit_logs WHERE account = 'absent'";
        let wrong = basic(b"absent:wrong");
        let started = Instant::now();
        while app.db.count(audited).await < 3 {
            assert!(started.elapsed() < Duration::from_secs(60), "they do not count");
            let mut wire = Wire::to(&app).await;
            wire.send(&format!(
                "POST /joc/api/authentication/login HTTP/1.1\r\nHost: a\r\n\
                 Authorization: {wrong}\r\nContent-Length: 0\r\n\r\n"
            )).await;
            // By now it has started, and has not finished.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // On a busy machine some of them still wait.
        let mut answer = app.try_login("absent", "wrong").await;
        while answer.status == 503 && started.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer = app.try_login("absent", "wrong").await;
        }
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert_eq!(app.db.count(audited).await, 3);
    }

    async fn retry_after_tells_when_the_next_login_is_possible(kind: Kind) {
        let app = App::start(kind, &["--failed-logins-by-account=2"]).await;
        let before = Instant::now();
        assert_eq!(app.try_login("absent", "wrong").await.status, 401);
        let after = Instant::now();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(app.try_login("absent", "wrong").await.status, 401);
        let longest = 60.0 - after.elapsed().as_secs_f64();
        let answer = app.try_login("absent", "wrong").await;
        let shortest = 60.0 - before.elapsed().as_secs_f64();
        assert_eq!(answer.status, 429);
        let wait: u32 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((shortest..=longest.ceil()).contains(&f64::from(wait)), "{shortest} {wait} {longest}");
        assert!(answer.text.contains("Too many failed logins"), "{}", answer.text);
        // A client that has to wait learns so before it sends the body.
        let mut wire = Wire::to(&app).await;
        wire.send(&format!(
            "POST /joc/api/authentication/login HTTP/1.1\r\nHost: a\r\nAuthorization: {}\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            basic(b"absent:wrong")
        )).await;
        assert!(wire.head().await.starts_with("http/1.1 429"));
    }

    async fn denied_requests_add_a_limited_number_of_entries(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let nobody = app.account("nobody", "sos:products:joc:auditlog:view", &[]).await;
        let other = app.account("other", "sos:products:joc:auditlog:view", &[]).await;
        let body = with_controller(json!({"orderIds": ["a"]})).to_string();
        let call = async |token: &str, path: &str| app.post_as(token, path, body.clone()).await;
        for i in 0..60 {
            let path = ["/orders", "/orders/cancel", "/orders/cancel/preview"][i % 3];
            assert_eq!(call(&nobody, path).await.status, 403);
        }
        let answer = call(&nobody, "/orders/suspend").await;
        assert_eq!(answer.status, 429, "{}", answer.text);
        let wait: u32 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        let refused = answer.json();
        assert_eq!(refused["account"], "nobody");
        assert_eq!(refused["isAuthenticated"], true);
        assert_eq!(refused["message"], "Too many denied requests; Retry-After says how long to wait");
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 60);
        // The account keeps its other permissions, and other accounts are not affected.
        app.post_as(&nobody, "/audit_log", with_controller(json!({})).to_string()).await.ok();
        assert_eq!(call(&other, "/orders").await.status, 403);
    }
}
