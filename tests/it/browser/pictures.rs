//! The pictures of the documentation.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use joc_orders::model::window::iso;
use serde_json::json;

use super::{Browser, opened};
use crate::harness::{App, CONTROLLER, Kind, Order};

const WORKFLOWS: [&str; 6] = [
    "/billing/invoices",
    "/billing/reminders",
    "/mft/inbound",
    "/mft/outbound",
    "/ops/backup",
    "/reports/daily",
];

/// Some hundred orders of a day like others: most are due within hours, some are in trouble.
fn orders(now: DateTime<Utc>) -> Vec<Order> {
    let order = |name: &str, i: usize| {
        let workflow = WORKFLOWS[i * i % 7 % WORKFLOWS.len()];
        let (_, of) = workflow.rsplit_once('/').unwrap();
        let created = Some(now - TimeDelta::hours(20));
        Order { created, ..Order::new(&format!("{of}-{name}{i:03}")).workflow(workflow, "1") }
    };
    let at = |order: Order, minutes: usize, sign: i64| {
        let due = now + TimeDelta::minutes(sign * i64::try_from(minutes).unwrap());
        Order { scheduled_for: Some(due), ..order }
    };
    let mut orders: Vec<Order> =
        (0..420).map(|i| at(order("n", i), 3 + i * 7 % 700 + i % 5 * 150, 1)).collect();
    orders.extend((0..36).map(|i| at(order("late", i), 5 + i * 4, -1)));
    for (count, change) in [
        (24, (|order| order.state("RUNNING")) as fn(Order) -> Order),
        (9, |order| order.state("FAILED")),
        (7, |order| order.waits("WAITING_FOR_LOCK")),
        (3, |order| order.state("PROMPTING")),
        (12, Order::suspended),
        (4, Order::never),
    ] {
        let name = orders.len().to_string();
        orders.extend((0..count).map(|i| change(at(order(&name, i), 10 + i, 1))));
    }
    orders
}

/// Cancels of the days before.
async fn insert_past_cancels(app: &App, now: DateTime<Utc>) {
    let rows: Vec<String> = [12, 3, 45, 0, 7, 120, 31, 18, 0, 64, 9, 22]
        .iter()
        .zip(1..)
        .filter(|(count, _)| **count > 0)
        .map(|(count, days)| {
            let created = iso(&(now - TimeDelta::days(days)));
            format!(
                "('{CONTROLLER}', 'operator', './orders/cancel', '{{}}', 'night run', 'DONE', {count}, \
                 'r', '{created}')"
            )
        })
        .collect();
    let sql = format!(
        "INSERT INTO audit_logs (controller_id, account, request, parameters, comment, outcome, \
         affected, request_id, created) VALUES {}",
        rows.join(", ")
    );
    app.db.execute(&sql).await.unwrap();
}

/// With `UPDATE_IMAGES=1`, the pictures go to docs/images.
#[tokio::test(flavor = "multi_thread")]
async fn of_the_documentation_can_be_taken() {
    let app = App::today(Kind::Sqlite, &[]).await;
    let now = Utc::now();
    app.db.insert(&orders(now)).await;
    insert_past_cancels(&app, now).await;
    let log = json!({"comment": "the partner is down until noon", "ticketLink": "OPS-4711"});
    let body =
        json!({"folders": [{"folder": "/mft"}], "states": ["RUNNING", "BLOCKED"], "auditLog": log});
    let entry = app.cancel(body).await.entry();

    let folder = tempfile::tempdir().unwrap();
    let kept = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images"));
    let folder = if std::env::var_os("UPDATE_IMAGES").is_some() { kept } else { folder.path() };
    let browser = opened(&app).await;
    browser.resize(1280, 800).await;
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        browser.goto("#/overview").await;
        browser.until_shown("The first ").await;
        take(&browser, folder, &format!("page-overview-{scheme}")).await;
        browser.goto("#/orders?folder=%2Fbilling&state=SCHEDULED&state=FAILED").await;
        browser.press("Cancel …").await;
        browser.until_shown_in("dialog .count", "orders").await;
        take(&browser, folder, &format!("page-preview-{scheme}")).await;
        browser.press("Do nothing").await;
        browser.goto(&format!("#/audit?entry={entry}")).await;
        browser.until_shown_in("aside", "before → after").await;
        take(&browser, folder, &format!("page-audit-{scheme}")).await;
    }
}

async fn take(browser: &Browser, folder: &Path, name: &str) {
    let file = folder.join(name).with_extension("png");
    browser.screenshot(&file).await;
    assert!(std::fs::metadata(file).unwrap().len() > 10_000);
}
