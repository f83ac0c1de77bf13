//! Accessibility, narrow windows and the keyboard.

use fantoccini::key::Key;
use serde_json::json;

use super::{Browser, opened, orders};
use crate::harness::{App, Kind, ROOT};

/// Something to see in every view.
async fn filled(kind: Kind) -> App {
    let app = App::with(kind, &orders()).await;
    let log = json!({"comment": "the file never came", "ticketLink": "T-4711"});
    app.cancel(json!({"orderIds": ["p000", "p001", "runs"], "auditLog": log})).await.ok();
    app
}

on_both! {
    async fn every_view_is_accessible(kind: Kind) {
        let app = filled(kind).await;
        let browser = Browser::open(app.address()).await;
        browser.until_shown("Log in").await;
        browser.expect_accessible().await;
        browser.log_in(ROOT.0, ROOT.1).await;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme).await;
            browser.goto("#/overview").await;
            browser.until_shown("have not ended").await;
            browser.until_shown("The first 1 of 1 order").await;
            browser.expect_accessible().await;
            browser.goto("#/orders?folder=%2Fsos").await;
            browser.until_shown_in("[role=grid]", "failed").await;
            browser.press_at("[role=grid] [data-index='1'] .id").await;
            browser.until_shown_in("aside", "Trail").await;
            browser.expect_accessible().await;
            browser.press("Cancel …").await;
            browser.until_shown_in("dialog .count", "orders").await;
            browser.expect_accessible().await;
            browser.press("Do nothing").await;
            browser.goto("#/audit?entry=1").await;
            browser.until_shown_in("aside", "before → after").await;
            browser.expect_accessible().await;
            browser.keys("?").await;
            browser.until_shown_in("dialog", "Keys").await;
            browser.expect_accessible().await;
            browser.keys(&Key::Escape).await;
        }
    }

    async fn a_narrow_window_shows_everything(kind: Kind) {
        let app = filled(kind).await;
        let browser = opened(&app).await;
        for (width, height) in [(360, 640), (640, 400), (2560, 1440)] {
            browser.resize(width, height).await;
            for view in ["overview", "orders?folder=%2Fsos", "audit?entry=1"] {
                browser.goto(&format!("#/{view}")).await;
                browser.until_shown("As of").await;
                let root = "document.documentElement";
                let fits = format!("{root}.scrollWidth <= {root}.clientWidth");
                assert_eq!(browser.get(&fits).await, true, "{view} at {width}");
            }
            browser.goto("#/orders?folder=%2Fsos").await;
            browser.press("Cancel …").await;
            browser.until_shown_in("dialog .count", "orders").await;
            browser.press("Do nothing").await;
        }
    }

    async fn the_keyboard_is_enough(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = Browser::open(app.address()).await;
        browser.until_shown("Log in").await;
        browser.keys(ROOT.0).await;
        browser.keys(&Key::Tab).await;
        browser.keys(ROOT.1).await;
        browser.keys(&Key::Enter).await;
        browser.until_shown("have not ended").await;
        browser.keys("gr").await;
        browser.until_shown_in("[role=grid]", "failed").await;
        browser.keys("/").await;
        assert_eq!(browser.focused().await, "regex");
        browser.keys("ops").await;
        browser.until_shown("1 order").await;
        until_focused(&browser, "Orders", &Key::Tab).await;
        browser.keys(&Key::Down).await;
        browser.keys(&Key::Enter).await;
        browser.until_shown_in("aside", "Trail").await;
        until_focused(&browser, "Cancel …", &Key::Tab).await;
        browser.keys(&Key::Enter).await;
        browser.until_shown_in("dialog .count", "1 order").await;
        until_focused(&browser, "auditLog.comment", &Key::Tab).await;
        browser.keys("by keyboard").await;
        until_focused(&browser, "Cancel 1 order", &Key::Tab).await;
        browser.keys(&Key::Enter).await;
        browser.until_shown_in("dialog", "1 order cancelled or marked").await;
        browser.keys(&Key::Escape).await;
        browser.until("!document.querySelector('dialog[open]')").await;
        assert_eq!(app.db.state("runs").await, "RUNNING+CANCELLING");
        browser.keys(&Key::Escape).await;
        browser.keys("ga").await;
        browser.until_shown_in("[role=grid]", "by keyboard").await;
        browser.keys("?").await;
        browser.until_shown_in("dialog", "Keys").await;
    }
}

/// Presses a key until the element of this name has the focus.
async fn until_focused(browser: &Browser, name: &str, key: &str) {
    for _ in 0..60 {
        if browser.focused().await == name {
            return;
        }
        browser.keys(key).await;
    }
    panic!("'{name}' is never focused");
}
