//! What is asked of each endpoint.

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::data::{self, CONTROLLER};
use crate::targets::{ALL, LONG, ROWS, Topic};
use crate::trail::LARGEST;

/// A request. A `?` in its body stands for the number of the run, so that each run can change
/// another order.
pub struct Case {
    pub call: String,
    pub of: &'static str,
    pub body: String,
    pub topic: &'static Topic,
}

/// A list of requests that grows.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, topic: &'static Topic, call: &str, of: &'static str, body: Value) {
        let mut body = body;
        if body["controllerId"].is_null() {
            body["controllerId"] = json!(CONTROLLER);
        }
        self.0.push(Case { call: call.into(), of, body: body.to_string(), topic });
    }

    /// Up to 100 rows of several selections.
    fn rows<const N: usize>(&mut self, call: &str, of: [(&'static str, Value); N]) {
        for (of, mut body) in of {
            if body["limit"].is_null() {
                body["limit"] = json!(100);
            }
            self.add(&ROWS, call, of, body);
        }
    }
}

/// A request to every endpoint, about one order, workflow, folder, day and account, or about
/// everything.
pub fn cases(bench: &Bench<'_>) -> anyhow::Result<Vec<Case>> {
    let mut cases = Cases::default();
    let (audited, largest) = entries(bench)?;
    let order = bench.raw.value(&format!(
        "SELECT order_id FROM audit_log_details WHERE controller_id = 'main' \
         AND audit_log_id = {audited}"
    ))?;
    orders(&mut cases, &order);
    history(&mut cases, &order);
    workflows(&mut cases);
    audit(&mut cases, (&audited, &largest), &order);
    changes(&mut cases);
    after_a_login(&mut cases);
    Ok(cases.0)
}

/// The newest entry about one order, and the newest about many.
fn entries(bench: &Bench<'_>) -> anyhow::Result<(String, String)> {
    let newest = |affected: usize| {
        let id = bench.raw.value(&format!(
            "SELECT max(id) FROM audit_logs WHERE controller_id = 'main' \
             AND account LIKE 'account-%' AND affected = {affected}"
        ))?;
        Some(id).filter(|id| !id.is_empty()).context("an audit entry")
    };
    Ok((newest(1)?, newest(LARGEST)?))
}

fn folder(folder: &str) -> Value {
    json!({"folders": [{"folder": folder}]})
}

/// A day, ten days ago, when orders are scheduled and have ended.
fn day() -> Value {
    let day = Utc::now() - TimeDelta::days(10);
    let next = day + TimeDelta::days(1);
    json!({"dateFrom": day.format("%FT00:00:00Z").to_string(), "dateTo": next.format("%FT00:00:00Z").to_string()})
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

fn workflow_ids() -> Value {
    json!({"workflowIds": [{"path": data::workflow(1)}]})
}

const SMALL: &str = "/f1/g1/h1";
const LARGE: &str = "/f1";

fn orders(cases: &mut Cases, order: &str) {
    cases.rows("/order", [("one order", json!({"orderId": "#one-0"}))]);
    cases.rows(
        "/orders",
        [
            ("one order", json!({"orderIds": ["#one-0"]})),
            ("one workflow", workflow_ids()),
            ("a folder of 20 workflows", folder(SMALL)),
            ("a folder of 500 workflows", folder(LARGE)),
            (
                "that folder, terminal too",
                with(folder(LARGE), "states", json!(["SCHEDULED", "FINISHED"])),
            ),
            ("one day", day()),
            ("one state", json!({"states": ["FAILED"]})),
            ("the first 100", json!({})),
            ("an id pattern", json!({"regex": "T0000000.*-order"})),
            ("an id pattern in a folder", with(folder(SMALL), "regex", json!("-order"))),
        ],
    );
    cases.add(&LONG, "/orders", "all living orders", json!({"limit": -1}));
    for of in [
        ("one workflow", workflow_ids()),
        ("a folder of 20 workflows", folder(SMALL)),
        ("one day", day()),
    ] {
        cases.add(&ROWS, "/orders/overview/snapshot", of.0, of.1);
    }
    cases.add(&ALL, "/orders/overview/snapshot", "a folder of 500 workflows", folder(LARGE));
    cases.add(&ALL, "/orders/overview/snapshot", "everything", json!({}));
    cases.add(&ROWS, "/orders/overview/folders", "a folder of 20 workflows", folder(SMALL));
    cases.add(&ALL, "/orders/overview/folders", "everything", json!({}));
    let hours = json!({"dateFrom": "0", "dateTo": "+1d", "unit": "HOUR"});
    let in_folder = with(hours.clone(), "folders", folder(SMALL)["folders"].clone());
    cases.add(
        &ROWS,
        "/orders/overview/schedule",
        "two days of a folder of 20 workflows",
        in_folder,
    );
    cases.add(&ALL, "/orders/overview/schedule", "two days of everything", hours);
    let days = json!({"dateFrom": "-30d", "dateTo": "+30d", "unit": "DAY"});
    cases.add(&ALL, "/orders/overview/schedule", "two months of everything", days);
    cases.add(&ROWS, "/orders/overview/cancelling", "everything", json!({}));
    for of in [("a folder of 20 workflows", folder(SMALL)), ("one day", day())] {
        cases.add(&ROWS, "/orders/overview/summary", of.0, of.1);
    }
    cases.add(&ALL, "/orders/overview/summary", "a folder of 500 workflows", folder(LARGE));
    cases.add(&ALL, "/orders/overview/summary", "everything", json!({}));
    cases.add(&ROWS, "/order/history", "one order", json!({"orderId": order}));
}

fn history(cases: &mut Cases, order: &str) {
    let path = data::workflow(1);
    let name = path.rsplit('/').next().unwrap_or_default();
    cases.rows(
        "/orders/history",
        [
            ("one order", json!({"orderId": order})),
            ("one workflow", json!({"workflowPath": path})),
            ("one workflow by name", json!({"workflowName": name})),
            ("a folder of 20 workflows", folder(SMALL)),
            ("a folder of 500 workflows", folder(LARGE)),
            ("one day", day()),
            (
                "one day, by its end",
                json!({"completedDateFrom": day()["dateFrom"], "completedDateTo": day()["dateTo"]}),
            ),
            ("failed ones", json!({"historyStates": ["FAILED"]})),
            ("unfinished ones", json!({"historyStates": ["INCOMPLETE"]})),
            ("the latest 100", json!({})),
        ],
    );
    cases.add(&LONG, "/orders/history", "everything", json!({"limit": -1}));
}

fn workflows(cases: &mut Cases) {
    let path = data::workflow(1);
    cases.add(&ROWS, "/workflow", "one workflow", json!({"workflowId": {"path": path}}));
    cases.rows(
        "/workflows",
        [
            ("one workflow", workflow_ids()),
            ("a folder of 20 workflows", folder(SMALL)),
            ("the newest 100", json!({})),
            ("the newest 100, compact", json!({"compact": true})),
        ],
    );
    cases.add(&ALL, "/workflows", "everything", json!({}));
    cases.add(&ROWS, "/workflows/order_count", "one workflow", workflow_ids());
    cases.add(&ROWS, "/tree", "a folder of 20 workflows", folder(SMALL));
    cases.add(&ALL, "/tree", "everything", json!({}));
}

fn audit(cases: &mut Cases, (audited, largest): (&str, &str), order: &str) {
    let path = data::workflow(1);
    cases.rows(
        "/audit_log",
        [
            ("one order", json!({"objectName": order})),
            ("one workflow", json!({"objectName": path})),
            ("a folder of 20 workflows", folder(SMALL)),
            ("a folder of 500 workflows", folder(LARGE)),
            ("one day", day()),
            ("one account", json!({"account": "account-7"})),
            ("one ticket", json!({"ticketLink": "T-100"})),
            ("a pattern of comments", json!({"comment": "change *77"})),
            ("the newest 100", json!({})),
        ],
    );
    cases.add(&LONG, "/audit_log", "everything", json!({"limit": -1}));
    let cancels = |from: &str, unit: &str| json!({"request": "./orders/cancel", "dateFrom": from, "dateTo": "0", "unit": unit});
    cases.add(&ROWS, "/audit_log/overview", "cancels of a week", cancels("7d", "DAY"));
    cases.add(&ALL, "/audit_log/overview", "cancels of a year", cancels("1y", "DAY"));
    let details = |id: &str| json!({"auditLogId": id.parse::<i64>().unwrap_or_default()});
    cases.add(&ROWS, "/audit_log/details", "an entry about one order", details(audited));
    cases.add(&LONG, "/audit_log/details", "an entry about 4,000 orders", details(largest));
}

/// Requests that change one order, and their previews.
fn changes(cases: &mut Cases) {
    for (of, body) in [
        ("one workflow", workflow_ids()),
        ("a folder of 20 workflows", folder(SMALL)),
        ("one day", day()),
    ] {
        cases.rows("/orders/cancel/preview", [(of, body)]);
    }
    cases.add(&ALL, "/orders/cancel/preview", "a folder of 500 workflows", folder(LARGE));
    let single = json!({"orderIds": ["#single-?"]});
    for (call, body) in [
        ("/orders/change", with(single.clone(), "priority", json!(7))),
        ("/orders/suspend", single.clone()),
        ("/orders/resume", single.clone()),
        ("/orders/cancel", single.clone()),
        ("/orders/remove_when_terminated", single),
        ("/orders/confirm", json!({"orderIds": ["#asks-?"]})),
        ("/orders/continue", json!({"orderIds": ["#sleeps-?"]})),
    ] {
        cases.add(&ROWS, &format!("{call}/preview"), "one order", body.clone());
        cases.add(&ROWS, call, "one order", body);
    }
    // Another controller, so that the size of the main one stays. It has the last of the orders.
    let path = data::workflow(data::WORKFLOWS - 1);
    let order = json!({"orders": [{"workflowPath": path, "orderName": "bench"}]});
    let order = with(order, "controllerId", json!("second"));
    cases.add(&ROWS, "/orders/add/preview", "one order", order.clone());
    cases.add(&ROWS, "/orders/add", "one order", order);
}

fn after_a_login(cases: &mut Cases) {
    for call in [
        "/authentication/joc_cockpit_permissions",
        "/controller",
        "/controller/p",
        "/controller/ids",
        "/controller/switch",
        "/controllers",
        "/controllers/p",
        "/joc/is_active",
        "/joc/properties",
        "/joc/version",
        "/joc/versions",
        "/touch",
    ] {
        cases.add(&ROWS, call, "-", json!({}));
    }
}
