//! What hostile clients try.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{Answer, App, Database, Order, with_controller};
use crate::served::Served;

/// The `parameters` of the newest entry.
async fn parameters(app: &App) -> Value {
    let rows = app.db.rows("SELECT parameters FROM audit_logs ORDER BY id DESC LIMIT 1").await;
    serde_json::from_str(rows.unwrap()[0][0].as_deref().unwrap()).unwrap()
}

on_both! {
    async fn a_call_is_named_by_its_route_however_its_path_is_written(kind: Kind) {
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
            Answer::of(request.json(&with_controller(json!({"orderIds": ids})))).await
        };
        for (form, id) in forms.iter().zip(&ids) {
            assert_eq!(post(form, std::slice::from_ref(id)).await.affected(), 1, "{form}");
        }
        let login = client.post(format!("{base}/joc/api/authentication/%6Cogin"));
        assert_eq!(Answer::of(login.basic_auth("root", Some("wrong"))).await.status, 401);
        // A slash that is escaped is none.
        for path in ["/joc/api/orders%2Fcancel", "/joc/api/orders/cancel%2f", "/joc/api/orders/cancel%20"] {
            assert_eq!(post(path, &ids).await.status, 404, "{path}");
        }
        assert_eq!(Answer::of(client.get(format!("{base}{}", forms[0]))).await.status, 405);

        let named = "SELECT DISTINCT request FROM audit_logs ORDER BY request";
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

    async fn secrets_in_parameters_are_masked(kind: Kind) {
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

    async fn what_changes_nothing_leaves_little_in_the_trail(kind: Kind) {
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
            let digest = Sha256::digest(&whole);
            let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(kept["sha256"], hash);
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

        // What is cut off is masked first.
        let secret = json!({"aPassword": "hidden", "b": ids});
        let secret = app.post_as(&nobody, "/orders", with_controller(secret).to_string()).await;
        assert_eq!(secret.status, 403);
        let kept = parameters(&app).await.to_string();
        assert!(kept.contains("aPassword") && !kept.contains("hidden"), "{kept}");

        // A change keeps all that it was told.
        ids.push("a".into());
        assert_eq!(app.post_as(&app.token, "/orders/cancel", body(&ids)).await.affected(), 1);
        let sent: Value = serde_json::from_str(&body(&ids)).unwrap();
        assert_eq!(parameters(&app).await, sent);
    }
}
