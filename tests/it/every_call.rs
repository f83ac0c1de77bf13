//! Tries every endpoint as somebody who may not use it: without a session, with an expired one,
//! without the permission, with it for another controller, or limited to another folder. The
//! endpoints come from the service's own description, so a new one is tried too, and fails here
//! until its needs are declared.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Kind, Order};
use crate::openapi::calls;

const ORDERS: &str = "sos:products:controller:orders";

/// What an endpoint requires of its client.
#[derive(Debug, PartialEq, Eq)]
enum Needs {
    /// A password.
    Password,
    /// A session.
    Session,
    /// A permission for the controller.
    Permission(String),
}

/// The needs of each endpoint; a preview needs the same as its change.
fn needs(path: &str) -> Needs {
    let orders = |permission: &str| Needs::Permission(format!("{ORDERS}:{permission}"));
    match path.trim_end_matches("/preview") {
        "/authentication/login" => Needs::Password,
        "/authentication/logout"
        | "/authentication/joc_cockpit_permissions"
        | "/touch"
        | "/controller/ids"
        | "/joc/is_active"
        | "/joc/properties"
        | "/joc/version"
        | "/joc/versions" => Needs::Session,
        "/controller" | "/controller/p" | "/controller/switch" | "/controllers"
        | "/controllers/p" => Needs::Permission("sos:products:controller:view".into()),
        "/tree" | "/workflow" | "/workflows" | "/workflows/order_count" => {
            Needs::Permission("sos:products:controller:workflows:view".into())
        }
        "/audit_log" | "/audit_log/details" | "/audit_log/overview" => {
            Needs::Permission("sos:products:joc:auditlog:view".into())
        }
        "/order"
        | "/order/history"
        | "/orders"
        | "/orders/history"
        | "/orders/overview/cancelling"
        | "/orders/overview/folders"
        | "/orders/overview/schedule"
        | "/orders/overview/snapshot"
        | "/orders/overview/summary" => orders("view"),
        "/orders/add" => orders("create"),
        "/orders/cancel" | "/orders/cancel/undo" => orders("cancel"),
        "/orders/suspend" | "/orders/resume" => orders("suspend_resume"),
        "/orders/confirm" => orders("confirm"),
        "/orders/continue" | "/orders/change" | "/orders/remove_when_terminated" => {
            orders("modify")
        }
        _ => panic!("{path} is new: say here what it needs"),
    }
}

/// A valid body for the controller: the endpoint's own example, about existing orders.
fn body(path: &str, call: &Value, controller: &str) -> Value {
    let mut body = call["requestBody"]["content"]["application/json"]["example"].clone();
    if !matches!(needs(path), Needs::Permission(_)) {
        return body;
    }
    body["controllerId"] = json!(controller);
    match path {
        "/order" => body["orderId"] = json!("fresh"),
        "/order/history" => body["orderId"] = json!("finished"),
        "/audit_log/details" => body["auditLogId"] = json!(1),
        "/orders/cancel/undo" | "/orders/cancel/undo/preview" => body["auditLogId"] = json!(2),
        "/audit_log" => body = json!({"controllerId": controller}),
        "/orders/history" | "/orders/overview/summary" => {
            body = json!({"controllerId": controller});
        }
        _ => {}
    }
    body
}

/// One order in each state, in a folder.
fn orders(folder: &str) -> Vec<Order> {
    let workflow = format!("{folder}/eod");
    let orders = [
        Order::new("fresh"),
        Order::new("to be cancelled"),
        Order::new("suspended").suspended(),
        Order::new("asks").state("PROMPTING"),
        Order::new("sleeps").waits("SLEEPING"),
        Order::new("finished").state("FINISHED"),
        Order::new("ends").state("RUNNING").mark("CANCELLING").killed(),
    ];
    orders.map(|order| order.workflow(&workflow, "1")).into()
}

async fn app(kind: Kind) -> App {
    let app = App::with(kind, &orders("/sos/billing")).await;
    app.db.insert_into("other", &orders("/sos/billing")).await;
    app
}

/// Everything that a request could change, except sessions.
async fn tables(app: &App) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    for table in ["orders", "workflows", "audit_log_details"] {
        rows.extend(app.db.rows(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")).await.unwrap());
    }
    rows
}

/// The endpoints that need a permission, with it.
async fn guarded(app: &App) -> Vec<(String, Value, String)> {
    let calls = calls(&app.description().await);
    assert!(calls.len() > 30, "{}", calls.len());
    let guarded = calls.into_iter().filter_map(|(path, call)| match needs(&path) {
        Needs::Permission(permission) => Some((path, call, permission)),
        Needs::Password | Needs::Session => None,
    });
    guarded.collect()
}

on_both! {
    async fn the_description_states_each_requirement(kind: Kind) {
        let app = app(kind).await;
        for (path, call) in calls(&app.description().await) {
            let described = &call["x-permissions"];
            match needs(&path) {
                Needs::Password => assert_eq!(call["security"], json!([{"basic": []}])),
                Needs::Session => assert!(described.is_null(), "{path}"),
                Needs::Permission(permission) => {
                    assert_eq!(described[0], json!(permission), "{path}");
                    assert!(call["responses"]["403"].is_object(), "{path}");
                }
            }
        }
    }

    async fn rejects_requests_without_a_session(kind: Kind) {
        let app = app(kind).await;
        let before = tables(&app).await;
        let ended = app.login(crate::harness::ROOT.0, crate::harness::ROOT.1).await;
        app.pass(TimeDelta::minutes(31));
        for (path, call) in calls(&app.description().await) {
            let body = body(&path, &call, CONTROLLER).to_string();
            let answer = app.post_as("", &path, body.clone()).await;
            assert_eq!(answer.status, 401, "{path}: {}", answer.text);
            assert_eq!(answer.json()["isAuthenticated"], false, "{path}");
            if needs(&path) != Needs::Password {
                for token in [&ended, "unknown"] {
                    let answer = app.post_as(token, &path, body.clone()).await;
                    assert_eq!(answer.status, 440, "{path}: {}", answer.text);
                    assert_eq!(answer.json()["isAuthenticated"], false, "{path}");
                }
            }
        }
        assert_eq!(tables(&app).await, before);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, 0);
    }

    async fn rejects_requests_without_the_permission(kind: Kind) {
        let app = app(kind).await;
        let before = tables(&app).await;
        let all = guarded(&app).await;
        // Every permission except this endpoint's, and that one for another controller only.
        let mut permissions: Vec<&String> = all.iter().map(|(_, _, needed)| needed).collect();
        permissions.sort();
        permissions.dedup();
        for needed in &permissions {
            let name = needed.replace(':', "-");
            app.store.add_role(&name).await.unwrap();
            for other in permissions.iter().filter(|other| other != &needed) {
                app.store.grant(&name, other, CONTROLLER).await.unwrap();
            }
            app.store.grant(&name, needed, "other").await.unwrap();
            let hash = joc_orders::http::password::hash("a-password").unwrap();
            app.store.add_account(&name, &hash, std::slice::from_ref(&name)).await.unwrap();
            let token = app.login(&name, "a-password").await;
            for (path, call, _) in all.iter().filter(|(_, _, of_call)| &of_call == needed) {
                let entries = app.db.count("SELECT count(*) FROM audit_logs").await;
                let body = body(path, call, CONTROLLER).to_string();
                let answer = app.post_as(&token, path, body).await;
                assert_eq!(answer.status, 403, "{path}: {}", answer.text);
                let refusal = answer.json();
                assert_eq!((&refusal["isAuthenticated"], &refusal["isPermitted"]),
                           (&json!(true), &json!(false)), "{path}");
                let log = app.db.rows("SELECT account, request, controller_id, outcome, affected \
                                       FROM audit_logs ORDER BY id").await.unwrap();
                assert_eq!(log.len() as i64, entries + 1, "{path}");
                let entry = [name.clone(), format!(".{path}"), CONTROLLER.into(), "DENIED".into(), "0".into()];
                assert_eq!(log.last().unwrap(), &entry.map(Some), "{path}");
            }
        }
        assert_eq!(tables(&app).await, before);
    }

    async fn hides_orders_from_an_account_limited_to_another_folder(kind: Kind) {
        let app = app(kind).await;
        // Gives the audit log an entry.
        let priority = json!({"controllerId": CONTROLLER, "orderIds": ["fresh"], "priority": 1});
        app.post("/orders/change", &priority).await.ok();
        // The second can be undone.
        app.cancel(json!({"orderIds": ["to be cancelled"]})).await.ok();
        let before = tables(&app).await;
        for (path, call, needed) in guarded(&app).await {
            let name = format!("limited{}", path.replace('/', "-"));
            let token = app.account(&name, &needed, &[("/hr", true)]).await;
            let body = body(&path, &call, CONTROLLER).to_string();
            let answer = app.post_as(&token, &path, body.clone()).await;
            if path.starts_with("/controller") {
                // A controller is in no folder.
                answer.ok();
                continue;
            }
            // Rejections repeat parts of the request.
            assert!(answer.status == 420 || !shows(&answer.text), "{path}: {}", answer.text);
            if reads(&path) {
                let root = app.post_as(&app.token, &path, body).await;
                assert_eq!(root.status, 200, "{path}: {}", root.text);
                assert!(answer.status == 420 || shows(&root.text), "{path}: {}", root.text);
            }
            if answer.status == 420 {
                let message = answer.not_found();
                assert!(
                    message.contains("found") || message.contains("there is no")
                        || message.contains("doesn't exist"),
                    "{path}: {message}"
                );
            } else {
                assert_eq!(answer.status, 200, "{path}: {}", answer.text);
                let answer = answer.json();
                if let Some(total) = answer.get("total") {
                    assert_eq!(total, 0, "{path}: {answer}");
                }
                for list in ["orders", "history", "auditLog", "auditLogDetails", "workflows", "folders"] {
                    let empty = answer[list].as_array().is_none_or(Vec::is_empty);
                    assert!(empty, "{path}: {answer}");
                }
                for counted in ["orders", "requests", "overdue", "never"] {
                    let counts = answer["buckets"].as_array().into_iter().flatten().chain([&answer]);
                    let mut counts = counts.filter_map(|counts| counts[counted].as_u64());
                    assert!(counts.all(|count| count == 0), "{path}: {answer}");
                }
                if let Some(counts) = answer["orders"].as_object() {
                    assert!(counts.values().all(|count| count == 0), "{path}: {answer}");
                }
            }
        }
        assert_eq!(tables(&app).await, before);
    }
}

/// Whether a response shows anything of the orders, their workflows or their folder.
fn shows(answer: &str) -> bool {
    let texts = [
        "fresh\"",
        "finished\"",
        "ends\"",
        "billing",
        "\"root\"",
        "\"scheduled\":1",
        "\"successful\":1",
        "\"orders\":1",
    ];
    texts.iter().any(|text| answer.contains(text))
}

/// Whether an endpoint shows anything of existing orders or workflows.
fn reads(path: &str) -> bool {
    matches!(
        path,
        "/order"
            | "/order/history"
            | "/orders"
            | "/orders/history"
            | "/orders/overview/cancelling"
            | "/orders/overview/folders"
            | "/orders/overview/schedule"
            | "/orders/overview/snapshot"
            | "/orders/overview/summary"
            | "/tree"
            | "/workflow"
            | "/workflows"
            | "/workflows/order_count"
            | "/audit_log"
            | "/audit_log/details"
            | "/audit_log/overview"
    ) || path.ends_with("/preview")
}
