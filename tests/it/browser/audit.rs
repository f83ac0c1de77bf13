//! The audit log.

use std::fs;

use serde_json::{Value, json};

use super::chromium::downloaded;
use super::{opened_at, orders};
use crate::harness::{App, with_controller};

on_both! {
    async fn an_entry_is_found_and_says_what_it_did(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let log = json!({"comment": "first", "ticketLink": "T-1"});
        let first = app.cancel(json!({"orderIds": ["late", "never"], "auditLog": log})).await.entry();
        let log = json!({"comment": "=1+1", "ticketLink": "T-2"});
        let second = app.cancel(json!({"orderIds": ["runs"], "auditLog": log})).await;
        let request_id = second.headers["x-request-id"].to_str().unwrap();
        let browser = opened_at(&app, "audit").await;
        browser.until_shown_in("[role=grid]", "T-2").await;
        for (label, text) in [("Ticket", "T-1"), ("Order or workflow", "never"), ("Comment", "fir*")] {
            browser.fill(label, text).await;
            browser.until_shown("1 entry").await;
            browser.until_shown_in("[role=grid]", "first").await;
            browser.press("Clear filter").await;
            browser.until_shown_in("[role=grid]", "T-2").await;
        }
        browser.fill("Request id", request_id).await;
        browser.until_shown("1 entry").await;
        browser.until_shown_in("[role=grid]", "T-2").await;
        // A link leads to its entry, also if the filter leaves that out.
        browser.goto(&format!("#/audit?entry={first}&ticket=T-2")).await;
        browser.until_shown_in("aside", "2 orders").await;
        let shown = browser.text("aside").await;
        for text in ["BLOCKED", "PENDING", "CANCELLED", "late", "never", "before: state \"FRESH\"", "root"] {
            assert!(shown.contains(text), "{text}: {shown}");
        }
        browser.press("Undo …").await;
        browser.until_shown_in("dialog .count", "2 orders").await;
        browser.press("Restore 2 orders").await;
        browser.until_shown_in("dialog", "2 orders restored").await;
        assert_eq!(app.db.state("never").await, "FRESH");
        browser.press("Close").await;
        browser.goto("#/audit?request=./orders/cancel/undo").await;
        browser.until_shown("1 entry").await;
        browser.press_at("[role=grid] [data-index]").await;
        browser.until_shown_in("aside", &format!("entry {first}")).await;
        browser.expect_quiet().await;
    }

    async fn what_is_shown_is_exported(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        for comment in ["=1+1", "a \"quoted\" one,\nof two lines"] {
            let log = json!({"comment": comment});
            let body = with_controller(json!({"orderIds": ["late"], "auditLog": log}));
            app.post("/orders/suspend", &body).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let browser = opened_at(&app, "audit").await;
        browser.download_to(folder.path()).await;
        browser.until_shown_in("[role=grid]", "quoted").await;
        browser.press("Export JSON").await;
        let json = fs::read_to_string(downloaded(folder.path(), "json").await).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        let comments: Vec<_> = json.as_array().unwrap().iter().map(|entry| &entry["comment"]).collect();
        assert!(comments.contains(&&json!("=1+1")), "{json}");
        browser.press("Export CSV").await;
        let file = downloaded(folder.path(), "csv").await;
        let mut reader = csv::Reader::from_path(file).unwrap();
        let column = reader.headers().unwrap().iter().position(|name| name == "comment").unwrap();
        let cells: Vec<String> =
            reader.records().map(|record| record.unwrap()[column].to_owned()).collect();
        assert!(cells.contains(&"'=1+1".to_owned()), "{cells:?}");
        assert!(cells.contains(&"a \"quoted\" one,\nof two lines".to_owned()), "{cells:?}");
    }
}
