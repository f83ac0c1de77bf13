//! What hostile clients try.

use serde_json::{Value, json};

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
}
