//! The description of the service, `/openapi.json`, and the page to read it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Order, Response, with_controller};

impl App {
    /// Requests a path outside the API.
    async fn get(&self, path: &str) -> Response {
        let server = self.url.trim_end_matches("/joc/api");
        Response::of(self.client.get(format!("{server}{path}"))).await
    }

    /// The description.
    pub async fn description(&self) -> Value {
        self.get("/openapi.json").await.ok()
    }
}

/// Every endpoint in a description: its path below the API and its operation.
pub fn calls(description: &Value) -> Vec<(String, Value)> {
    let paths = description["paths"].as_object().unwrap().iter();
    paths
        .filter_map(|(path, operations)| {
            let call = path.strip_prefix("/joc/api")?;
            Some((call.to_owned(), operations["post"].clone()))
        })
        .collect()
}

/// Fails unless the value fits the schema in the description.
#[track_caller]
fn check(description: &Value, schema: &Value, value: &Value, what: &str) {
    let mut schema = schema.clone();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("components".into(), description["components"].clone());
    }
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:?}: {value}");
}

/// The example of an endpoint's body, and the schema that it must fit.
fn body(call: &Value) -> Option<(&Value, &Value)> {
    let content = call.get("requestBody")?.get("content")?.get("application/json")?;
    Some((&content["schema"], &content["example"]))
}

/// An example body, about an existing controller.
fn of_controller(example: &Value) -> Value {
    let text = example.to_string().replace("your-controller", CONTROLLER);
    serde_json::from_str(&text).unwrap()
}

/// Every `examples` next to a `type` or the like, with its schema.
fn examples<'a>(value: &'a Value, found: &mut Vec<(&'a Value, &'a Value)>) {
    match value {
        Value::Object(fields) => {
            let listed = fields.get("examples").and_then(Value::as_array);
            found.extend(listed.into_iter().flatten().map(|example| (value, example)));
            fields.values().for_each(|field| examples(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| examples(item, found)),
        _ => {}
    }
}

/// The headers that every such response has.
fn required_headers(description: &Value, described: &Value) -> Vec<String> {
    let headers = described["headers"].as_object().unwrap().keys();
    let is_required =
        |name: &&String| description["components"]["headers"][name]["required"] == true;
    headers.filter(is_required).cloned().collect()
}

on_both! {
    async fn every_described_endpoint_exists(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let description = app.description().await;
        assert_eq!(description["openapi"], "3.1.0");
        let server = app.url.trim_end_matches("/joc/api");
        for (path, operations) in description["paths"].as_object().unwrap() {
            let methods: Vec<&String> = operations.as_object().unwrap().keys().collect();
            let [method] = methods[..] else { panic!("{path}: {methods:?}") };
            let method = method.to_uppercase();
            for other in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                let request = app.client.request(other.clone(), format!("{server}{path}"));
                let answer = Response::of(request).await;
                assert_ne!(answer.status, 404, "{path}");
                if other.as_str() == method {
                    assert_ne!(answer.status, 405, "{path}");
                } else {
                    assert_eq!(answer.status, 405, "{other} {path}: {}", answer.text);
                    let allowed = if method == "GET" { "GET, HEAD" } else { "POST" };
                    assert_eq!(answer.headers["allow"], allowed, "{other} {path}");
                }
            }
        }
    }

    async fn responses_match_the_description(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("#2026-11-23#P1-eod").workflow("/sos/billing/eod", "1"),
            Order::new("waits").waits("SLEEPING").workflow("/sos/billing/eod", "1"),
            Order::new("runs").state("RUNNING").mark("SUSPENDING").workflow("/sos/billing/eod", "1"),
            Order::new("asks").state("PROMPTING").workflow("/sos/billing/eod", "1"),
            Order::new("failed").state("FAILED").never().workflow("/sos/billing/eod", "1"),
            Order::new("done").state("FINISHED").workflow("/sos/billing/eod", "1"),
        ]).await;
        let description = app.description().await;
        let mut unanswered = BTreeSet::new();
        // Previews come first, while the orders in them still exist.
        let mut all = calls(&description);
        all.sort_by_key(|(path, _)| {
            let undoes = path.contains("/undo");
            let is_late = undoes || !path.ends_with("/preview");
            (path.ends_with("/logout"), is_late, path.replace("/undo/preview", "/und"))
        });
        let mut cancel = Value::Null;
        for (path, call) in &all {
            let (_, example) = body(call).unwrap();
            let answer = if path == "/authentication/login" {
                app.try_login(crate::harness::ROOT.0, crate::harness::ROOT.1).await
            } else {
                let mut example = of_controller(example);
                if path.contains("/undo") {
                    example["auditLogId"] = cancel.clone();
                }
                app.post(path, &example).await
            };
            if path == "/orders/cancel" {
                let id = answer.headers["x-audit-log-id"].to_str().unwrap();
                cancel = serde_json::from_str(id).unwrap();
            }
            if answer.status == 420 {
                let message = answer.not_found();
                assert!(message.contains("found") || message.contains("there is no"), "{path}: {message}");
                unanswered.insert(path.clone());
            } else {
                assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            }
            let described = &call["responses"][answer.status.to_string()];
            let described = match described["$ref"].as_str() {
                Some(place) => description.pointer(place.trim_start_matches('#')).unwrap(),
                None => described,
            };
            let content = &described["content"]["application/json"]["schema"];
            check(&description, content, &answer.json(), path);
            for header in required_headers(&description, described) {
                assert!(answer.headers.contains_key(&header), "{path}: {header}");
            }
        }
        // These examples act on the results of others.
        let allowed = ["/order/history", "/orders/change", "/orders/confirm", "/orders/continue",
                       "/orders/resume", "/orders/suspend"];
        let allowed: BTreeSet<String> = allowed.map(Into::into).into();
        assert!(unanswered.is_subset(&allowed), "{unanswered:?}");
    }

    async fn failures_match_the_description(kind: Kind) {
        let app = App::start(kind, &["--failed-logins-by-account=1", "--body-limit=1000"]).await;
        let viewer = app.account("viewer", "sos:products:joc", &[]).await;
        let description = app.description().await;
        let cancel = "/orders/cancel";
        let all = with_controller(json!({"folders": [{"folder": "/"}]})).to_string();
        let failures = [
            ("NoSession", 401, app.post_as("", cancel, all.clone()).await),
            ("WrongCredentials", 401, app.try_login("nobody", "wrong").await),
            ("Throttled", 429, app.try_login("nobody", "wrong").await),
            ("Denied", 403, app.post_as(&viewer, cancel, all.clone()).await),
            ("NoSuchCall", 404, app.post_as(&app.token, "/orders/cancle", "{}").await),
            ("WrongMethod", 405, app.get("/joc/api/orders").await),
            ("TooLarge", 413, app.post_as(&app.token, cancel, " ".repeat(1001)).await),
            ("Invalid", 420, app.post_as(&app.token, cancel, all).await),
            ("SessionEnded", 440, app.post_as("unknown", cancel, "{}").await),
        ];
        for (name, status, answer) in failures {
            assert_eq!(answer.status, status, "{name}: {}", answer.text);
            let described = &description["components"]["responses"][name];
            let schema = &described["content"]["application/json"]["schema"];
            check(&description, schema, &answer.json(), name);
            if ["NoSession", "Throttled", "SessionEnded"].contains(&name) {
                let example = &described["content"]["application/json"]["example"];
                assert_eq!(answer.json()["message"], example["message"], "{name}");
            }
            for header in required_headers(&description, described) {
                assert!(answer.headers.contains_key(&header), "{name}: {header}");
            }
        }
    }

    async fn accepts_whole_numbers_with_a_decimal_point(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        for (call, body) in [
            ("/orders/cancel/preview", r#""orderIds": ["a"], "limit": 1.0, "maxOrders": 2e0"#),
            ("/orders/change", r#""orderIds": ["a"], "priority": -7.0, "auditLog": {"timeSpent": 5.0}"#),
            ("/orders", r#""limit": 1.0"#),
            ("/orders/history", r#""limit": -1.0"#),
            ("/audit_log", r#""limit": 10.0"#),
            ("/audit_log/details", r#""auditLogId": 1.0"#),
            ("/workflows", r#""limit": 1.0"#),
        ] {
            app.post_as(&app.token, call, format!(r#"{{"controllerId": "{CONTROLLER}", {body}}}"#)).await.ok();
        }
        let sql = "SELECT o.priority, l.time_spent FROM orders o, audit_logs l WHERE o.order_id = 'a'";
        let rows = app.db.rows(sql).await.unwrap();
        assert_eq!(rows, [[Some("-7".to_owned()), Some("5".to_owned())]]);
        for number in ["1.5", "1e300", "-1.0", "4294967296.0", "\"1\"", "[]"] {
            let body = format!(r#"{{"controllerId": "{CONTROLLER}", "orderIds": ["b"], "maxOrders": 9, "auditLog": {{"timeSpent": {number}}}}}"#);
            let message = app.post_as(&app.token, "/orders/cancel", body).await.refused();
            assert!(message.starts_with("auditLog.timeSpent: "), "{message}");
        }
        assert_eq!(app.db.state("b").await, "FRESH");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_match_their_schemas() {
    let app = App::start(crate::harness::Kind::Sqlite, &[]).await;
    let description = app.description().await;
    let calls = calls(&description);
    let changing = calls
        .iter()
        .filter(|(_, call)| call["responses"]["200"]["headers"].get("X-Audit-Log-Id").is_some());
    let changing: BTreeSet<&str> = changing.map(|(path, _)| path.as_str()).collect();
    assert_eq!(changing.len(), 9);
    for (path, call) in &calls {
        let (schema, example) = body(call).unwrap();
        check(&description, schema, example, path);
        let mut misspelt = example.clone();
        misspelt["orderIDs"] = json!([]);
        let mut schema = schema.clone();
        schema["components"] = description["components"].clone();
        let refuses = !jsonschema::draft202012::is_valid(&schema, &misspelt);
        assert_eq!(refuses, changing.contains(path.trim_end_matches("/preview")), "{path}");
    }
    let mut found = Vec::new();
    examples(&description, &mut found);
    assert!(found.len() > 20, "{}", found.len());
    for (schema, example) in found {
        check(&description, schema, example, "example");
    }
    assert!(!description.to_string().contains("[`"), "a reference of the source shows");
    assert!(!description.to_string().contains("nightly-17"), "a request id is filled in");
    let paths = description["paths"].as_object().unwrap().iter();
    let successes = paths.flat_map(|(path, operations)| {
        operations.as_object().unwrap().values().map(move |call| (path, &call["responses"]["200"]))
    });
    let failures = description["components"]["responses"].as_object().unwrap();
    let answers: Vec<(&String, &Value)> = successes.chain(failures).collect();
    assert!(answers.len() > 40, "{}", answers.len());
    for (name, answer) in answers {
        for content in answer["content"].as_object().unwrap().values() {
            let example = content.get("example").unwrap_or_else(|| panic!("{name} has no example"));
            check(&description, &content["schema"], example, name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_needs_no_other_server() {
    let app = App::start(crate::harness::Kind::Sqlite, &[]).await;
    let page = app.get("/docs").await;
    assert_eq!((page.status, app.get("/docs/").await.status), (200, 200));
    let files = page
        .text
        .split('"')
        .filter(|text| [".js", ".css", ".png"].iter().any(|suffix| text.ends_with(suffix)));
    let files: Vec<&str> = files.map(|file| file.trim_start_matches("./")).collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let answer = app.get(&format!("/docs/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.headers.contains_key("content-security-policy"));
    }
    assert!(page.text.contains("<title>joc-orders"), "{}", page.text);
    assert!(!page.text.contains("<script>") && !page.text.contains("<style>"), "{}", page.text);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(!policy.contains("unsafe"), "{policy}");
    let initializer = app.get("/docs/swagger-initializer.js").await.text;
    assert!(initializer.contains(r#""../openapi.json""#), "{initializer}");
    assert!(initializer.contains(r#""tryItOutEnabled": false"#), "{initializer}");
    // The token of the operators' page.
    assert!(initializer.contains(r#"sessionStorage.getItem("joc-orders.token")"#), "{initializer}");
    assert!(!page.text.contains("//unpkg") && !page.text.contains("http"), "{}", page.text);
    let unknown = app.get("/docs/nothing.js").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.json()["error"]["message"].as_str().unwrap().contains("nothing.js"));
}
