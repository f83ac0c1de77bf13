//! The statements that the service sends, as `tests/golden/` has them: for each kind of request
//! and each database, in the order in which they are sent. After a change of a statement, renew
//! them with `UPDATE_GOLDEN=1 cargo test --test it golden` and read the difference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::citus::{has_citus, route};
use crate::harness::{App, Kind, Order, Served, until, with_controller};

/// What a golden file has between two statements.
const SEPARATOR: &str = ";\n\n";

/// Cancels by each kind of selector. The endpoints of all actions select alike.
fn cancels() -> Vec<(&'static str, Value)> {
    let folders: Vec<_> = (0..32).map(|i| json!({"folder": format!("/sos/f{i}")})).collect();
    vec![
        ("by_id", json!({"orderIds": ["a"]})),
        ("by_ids", json!({"orderIds": ["a", "b"]})),
        ("by_workflow", json!({"workflowIds": [{"path": "/sos/eod"}, {"path": "eod"}]})),
        ("by_folder", json!({"folders": [{"folder": "/sos"}]})),
        ("by_folder_itself", json!({"folders": [{"folder": "/sos", "recursive": false}]})),
        ("by_many_folders", json!({"folders": folders})),
        ("by_state", json!({"folders": [{"folder": "/"}], "states": ["FAILED", "SCHEDULED"]})),
        ("in_no_state", json!({"states": ["BROKEN", "FINISHED"]})),
        ("by_date", json!({"dateFrom": "2026-01-01T00:00:00Z", "dateTo": "2027-01-01T00:00:00Z"})),
        ("fresh_only", json!({"folders": [{"folder": "/sos"}], "orderType": "FreshOnly"})),
        ("deep", json!({"folders": [{"folder": "/sos"}], "deep": true})),
        ("kill", json!({"folders": [{"folder": "/sos"}], "kill": true})),
        ("deep_kill", json!({"folders": [{"folder": "/sos"}], "deep": true, "kill": true})),
        ("max_orders", json!({"folders": [{"folder": "/sos"}], "maxOrders": 0})),
    ]
}

/// Requests, each with the name of its file, whether the account is limited to folders, and body.
fn requests() -> Vec<(String, &'static str, bool, Value)> {
    let mut requests = Vec::new();
    let mut add = |name: &str, endpoint: &'static str, limited: bool, body: Value| {
        requests.push((name.to_owned(), endpoint, limited, with_controller(body)));
    };
    for (name, body) in cancels() {
        if name != "max_orders" {
            add(&format!("cancel_preview_{name}"), "/orders/cancel/preview", false, body.clone());
        }
        add(&format!("cancel_{name}"), "/orders/cancel", false, body);
    }
    let cycle = json!({"orderIds": ["#2026-12-01#C1-00001-2-a", "b"]});
    add("cancel_preview_cycle", "/orders/cancel/preview", false, cycle.clone());
    add("cancel_cycle", "/orders/cancel", false, cycle);
    // The entry of `cancel_by_id`.
    let entry = json!({"auditLogId": 1});
    add("undo_preview", "/orders/cancel/undo/preview", false, entry.clone());
    add("undo_preview_limited", "/orders/cancel/undo/preview", true, entry.clone());
    add("undo", "/orders/cancel/undo", false, entry);
    let some = json!({"folders": [{"folder": "/sos"}]});
    let with = |more: Value| {
        let mut body = some.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    add("cancel_limited", "/orders/cancel", true, some.clone());
    add("cancel_nothing_visible", "/orders/cancel", true, json!({"folders": [{"folder": "/x"}]}));
    let position = json!({"position": [1], "variables": {"run": "full"}});
    for (name, change, preview, body) in [
        ("suspend", "/orders/suspend", "/orders/suspend/preview", some.clone()),
        ("suspend_kill", "/orders/suspend", "", with(json!({"kill": true, "deep": true}))),
        (
            "suspend_reset",
            "/orders/suspend",
            "/orders/suspend/preview",
            with(json!({"reset": true})),
        ),
        ("resume", "/orders/resume", "/orders/resume/preview", some.clone()),
        ("resume_at", "/orders/resume", "/orders/resume/preview", with(position)),
        ("confirm", "/orders/confirm", "/orders/confirm/preview", some.clone()),
        ("continue", "/orders/continue", "/orders/continue/preview", some.clone()),
        ("change", "/orders/change", "/orders/change/preview", with(json!({"priority": 1}))),
        (
            "remove",
            "/orders/remove_when_terminated",
            "/orders/remove_when_terminated/preview",
            some.clone(),
        ),
    ] {
        if !preview.is_empty() {
            add(&format!("{name}_preview"), preview, false, body.clone());
        }
        add(name, change, false, body);
    }
    let dates = json!({"dateFrom": "2026-01-01T00:00:00Z", "dateTo": "2027-01-01T00:00:00Z"});
    let new = json!({"workflowPath": "/sos/eod", "orderName": "new", "scheduledFor": "never"});
    add("add", "/orders/add", false, json!({"orders": [new]}));
    add("add_preview", "/orders/add/preview", false, json!({"orders": [new]}));
    add("list", "/orders", false, some.clone());
    add("list_all", "/orders", false, json!({"limit": -1}));
    add("list_terminal", "/orders", false, json!({"states": ["FINISHED"], "stateDateFrom": "-1d"}));
    add("list_horizon", "/orders", false, json!({"dateTo": "1d"}));
    add("list_limited", "/orders", true, some.clone());
    add("order", "/order", false, json!({"orderId": "kept"}));
    add("snapshot", "/orders/overview/snapshot", false, some.clone());
    add("snapshot_horizon", "/orders/overview/snapshot", false, json!({"dateTo": "1d"}));
    add("snapshot_of_day", "/orders/overview/snapshot", false, dates.clone());
    let hours = json!({"dateFrom": "2026-11-23T10:00:00Z", "dateTo": "2026-11-23T13:30:00Z", "unit": "HOUR"});
    add("overview_folders", "/orders/overview/folders", false, some.clone());
    add("overview_schedule", "/orders/overview/schedule", false, with(hours.clone()));
    add("overview_schedule_of_all", "/orders/overview/schedule", false, hours.clone());
    add("overview_cancelling", "/orders/overview/cancelling", false, json!({}));
    add("overview_cancelling_limited", "/orders/overview/cancelling", true, some.clone());
    add("summary", "/orders/overview/summary", false, dates.clone());
    add("history", "/orders/history", false, json!({}));
    add("history_filtered", "/orders/history", false, {
        let mut body = dates.clone();
        body.as_object_mut().unwrap().extend(
            json!({
                "orderId": "a*", "workflowName": "eod", "workflowPath": "/sos/*",
                "excludeWorkflows": ["/sos/x"], "historyStates": ["SUCCESSFUL"],
                "completedDateFrom": "-7d",
                "orders": [{"workflowPath": "/sos/eod", "orderId": "a"}, {"workflowPath": "eod"}],
            })
            .as_object()
            .unwrap()
            .clone(),
        );
        body
    });
    add("history_ended", "/orders/history", false, json!({"historyStates": ["FAILED"]}));
    add("history_of_order", "/order/history", false, json!({"orderId": "done"}));
    add("history_by_number", "/order/history", false, json!({"historyId": 1}));
    let workflow = json!({"path": "/sos/eod"});
    add("workflows", "/workflows", false, some.clone());
    add("workflows_limited", "/workflows", true, some.clone());
    add("workflow", "/workflow", false, json!({"workflowId": workflow}));
    let named = json!([workflow, {"path": "eod", "versionId": "1"}]);
    add(
        "order_count",
        "/workflows/order_count",
        false,
        json!({"workflowIds": named, "dateTo": "0d"}),
    );
    add("tree", "/tree", false, json!({"types": ["WORKFLOW"]}));
    add("audit_log", "/audit_log", false, json!({}));
    add("audit_log_limited", "/audit_log", true, json!({}));
    add(
        "audit_log_of_workflow",
        "/audit_log",
        false,
        json!({"objectName": "/sos/eod", "limit": 10}),
    );
    add("audit_log_of_object", "/audit_log", false, json!({"objectName": "eod", "limit": 10}));
    add("audit_log_of_order", "/audit_log", false, json!({"objectName": "#1", "account": "r*"}));
    add("audit_log_filtered", "/audit_log", false, {
        let mut body = dates;
        body["folders"] = json!([{"folder": "/sos"}]);
        body["categories"] = json!(["CONTROLLER"]);
        body
    });
    let mut by_time = hours;
    by_time["request"] = json!("./orders/cancel");
    add("audit_log_overview", "/audit_log/overview", false, by_time.clone());
    add("audit_log_overview_limited", "/audit_log/overview", true, by_time);
    add(
        "audit_log_of_request",
        "/audit_log",
        false,
        json!({"requestId": "r-1", "request": "./orders/*"}),
    );
    add("audit_log_by_number", "/audit_log", false, json!({"auditLogId": 1}));
    let of_order = json!({"auditLogId": 1, "orderId": "a"});
    add("audit_log_details_of_order", "/audit_log/details", false, of_order);
    add("audit_log_details", "/audit_log/details", false, json!({"auditLogId": 1}));
    add("audit_log_details_limited", "/audit_log/details", true, json!({"auditLogId": 1}));
    add("controllers", "/controllers", false, json!({}));
    add("controller_ids", "/controller/ids", false, json!({}));
    requests
}

/// The changes whose statements are captured as Citus gets them, too.
const ROUTED: [&str; 13] = [
    "cancel_by_id",
    "cancel_by_folder",
    "cancel_by_many_folders",
    "cancel_by_workflow",
    "cancel_deep_kill",
    "cancel_limited",
    "suspend",
    "suspend_reset",
    "resume_at",
    "confirm",
    "change",
    "remove",
    "undo",
];

/// Captures the changes of [`ROUTED`] in several statements, each with orders to affect.
async fn routed(sent: &mut BTreeMap<String, String>) {
    let app = App::with(Kind::Postgres, &[]).await;
    app.account("limited", "sos:products", &[("/sos", true)]).await;
    route(&app.db, true).await;
    let served = Served::over(&app.db, &["--log", "info,sqlx::query=debug"]);
    let tokens = [served.login().await, served.login_as("limited", "a-password").await];
    for (name, endpoint, limited, body) in requests() {
        if !ROUTED.contains(&&*name) {
            continue;
        }
        let order = |id: &str| Order::new(&format!("{name}-{id}")).workflow("/sos/eod", "1");
        let mut orders = vec![
            order("due"),
            order("runs").state("RUNNING"),
            order("failed").state("FAILED"),
            order("asks").state("PROMPTING"),
            order("held").suspended(),
        ];
        if name == "cancel_by_id" {
            orders.push(Order::new("a").workflow("/sos/eod", "1"));
        }
        app.db.insert(&orders).await;
        let from = served.log().len();
        let answer = served.post(&tokens[usize::from(limited)], endpoint, &body).await;
        let id = answer.headers["x-request-id"].to_str().unwrap();
        let name_of_file = format!("routed_{name}.sql");
        let text = statements(&served, from, id, &folder(Kind::Postgres).join(&name_of_file)).await;
        assert!(answer.status == 200 || name == "cancel_by_many_folders", "{name}: {answer:?}");
        sent.insert(name_of_file, text + ";\n");
    }
}

/// The statements of a request, by its id, once its line and as many statements as before are in the
/// log: a statement is logged when its rows are dropped, which may be after the response.
async fn statements(served: &Served, from: usize, id: &str, golden: &Path) -> String {
    let golden = std::fs::read_to_string(golden).unwrap_or_default();
    let number = golden.matches(SEPARATOR).count() + 1;
    let lines = || {
        let log = served.log()[from..].to_owned();
        let lines: Vec<Value> =
            log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        lines.into_iter().filter(|line| line["span"]["request_id"] == *id).collect::<Vec<_>>()
    };
    let texts = || -> Vec<String> {
        let sent = lines().into_iter().filter(|line| line["target"] == "sqlx::query");
        // A short statement is its own summary.
        let texts = sent.filter_map(|line| {
            let text = line["fields"]["db.statement"].as_str().filter(|text| !text.is_empty());
            Some(dedented(text.or(line["fields"]["summary"].as_str())?))
        });
        texts.filter(|text| !is_occasional(text)).collect()
    };
    until("the request's line", async || {
        lines().iter().any(|line| line["fields"]["message"] == "responded")
    })
    .await;
    let all = async {
        while texts().len() < number {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // If there are fewer by now, the comparison tells.
    let _all = tokio::time::timeout(Duration::from_secs(20), all).await;
    texts().join(SEPARATOR)
}

/// Whether a statement is sent only by requests that open or test a connection, or look a session
/// up, which is remembered for a while.
fn is_occasional(text: &str) -> bool {
    let begins =
        ["SHOW ", "PRAGMA ", "COMMIT", "SELECT sql FROM main.sqlite_schema", "CREATE TEMP"];
    let about = ["set_config(", "pg_backend_pid", "sessions", "account_roles"];
    begins.iter().any(|word| text.starts_with(word)) || about.iter().any(|word| text.contains(word))
}

/// A statement without the indentation that it has in the source.
fn dedented(text: &str) -> String {
    let lines: Vec<&str> = text.trim().trim_end_matches(';').lines().collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().skip(1).filter(|line| !line.is_empty()).map(indent).min();
    let common = common.unwrap_or_default();
    let dedented = lines.iter().enumerate().map(|(i, line)| match i {
        0 => line,
        _ => line.get(common..).unwrap_or_default(),
    });
    dedented.collect::<Vec<_>>().join("\n")
}

fn folder(kind: Kind) -> PathBuf {
    let name = match kind {
        Kind::Sqlite => "sqlite",
        Kind::Postgres => "postgres",
    };
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect()
}

on_both! {
    async fn the_statements_sent_are_the_golden_ones(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("a").workflow("/sos/eod", "1"),
            Order::new("kept").workflow("/other/eod", "1").never(),
            Order::new("done").workflow("/other/eod", "1").state("FINISHED"),
        ])
        .await;
        app.account("limited", "sos:products", &[("/sos", true)]).await;
        if kind == Kind::Postgres {
            if has_citus(&app.db).await {
                return;
            }
            route(&app.db, false).await;
        }
        let served = Served::over(&app.db, &["--log", "info,sqlx::query=debug"]);
        let whole = ["--log", "info,sqlx::query=debug", "--orders-cycles", "all"];
        let with_cycles = Served::over(&app.db, &whole);
        let tokens = [served.login().await, served.login_as("limited", "a-password").await];
        let mut sent = BTreeMap::new();
        for (name, endpoint, limited, body) in requests() {
            let served = if name.ends_with("_cycle") { &with_cycles } else { &served };
            let from = served.log().len();
            let answer = served.post(&tokens[usize::from(limited)], endpoint, &body).await;
            let id = answer.headers["x-request-id"].to_str().unwrap();
            assert!(answer.status < 500, "{name}: {answer:?}");
            let refused = ["cancel_max_orders"].contains(&&*name) || answer.status < 400;
            assert!(refused || answer.text.contains(" orders found."), "{name}: {answer:?}");
            let name_of_file = format!("{name}.sql");
            let text = statements(served, from, id, &folder(kind).join(&name_of_file)).await;
            assert!(!text.is_empty(), "{name}: no statement was sent");
            sent.insert(name_of_file, text + ";\n");
        }

        if kind == Kind::Postgres {
            routed(&mut sent).await;
        }

        let folder = folder(kind);
        let update = std::env::var_os("UPDATE_GOLDEN").is_some();
        let files = std::fs::read_dir(&folder).into_iter().flatten();
        for name in files.map(|file| file.unwrap().file_name().into_string().unwrap()) {
            if !sent.contains_key(&name) {
                assert!(update, "{name} is the golden file of no request");
                std::fs::remove_file(folder.join(name)).unwrap();
            }
        }
        let mut different = Vec::new();
        for (name, text) in sent {
            let file = folder.join(&name);
            if update {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&file, text).unwrap();
            } else if std::fs::read_to_string(&file).unwrap_or_default() != text {
                different.push(format!("{name}:\n{text}"));
            }
        }
        assert!(
            different.is_empty(),
            "not as in {}; if that is meant, UPDATE_GOLDEN=1 cargo test --test it golden:\n{}",
            folder.display(),
            different.join("\n"),
        );
    }
}
