//! The list of orders and its filter.

use fantoccini::key::Key;
use serde_json::json;

use super::cut::Line;
use super::{Browser, opened_at, orders};
use crate::harness::{App, Order, ROOT, with_controller};

/// The ids in the table, as far as they are in the document.
const ROWS: &str = "[...document.querySelectorAll('[role=grid] [data-index]')]\
    .sort((a, b) => a.dataset.index - b.dataset.index)\
    .map((row) => row.querySelector('.id').innerText)";

on_both! {
    async fn the_filter_is_in_the_address_and_is_the_request(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened_at(&app, "orders").await;
        browser.until_shown("154 orders").await;
        browser.press_at("[data-path='/sos'] bdi").await;
        browser.until_shown("153 orders").await;
        browser.press("FAILED").await;
        browser.press("BLOCKED").await;
        browser.until_shown_in("[role=grid]", "late").await;
        assert_eq!(browser.get(ROWS).await, json!(["failed", "late"]));
        browser.fill("Text", "LAT").await;
        browser.until(&format!("{ROWS}.join() === 'late'")).await;
        let address = browser.get("location.hash").await;
        let address = address.as_str().unwrap();
        for part in ["folder=/sos", "state=BLOCKED", "state=FAILED", "text=LAT"] {
            assert!(address.contains(part), "{address}");
        }
        browser.expect_quiet().await;
        // A colleague sees the same. There is a limited number of browsers.
        let view = address.strip_prefix("#/").unwrap().to_owned();
        drop(browser);
        let colleague = opened_at(&app, &view).await;
        colleague.until(&format!("{ROWS}.join() === 'late'")).await;
    }

    async fn a_window_is_resolved_as_it_is_typed(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened_at(&app, "orders").await;
        browser.fill("Scheduled from", "2026-11-23T10:30:00").await;
        browser.fill("to", "1h").await;
        browser.fill("Zone of the dates", "Europe/Berlin").await;
        browser.until_shown("Scheduled from 2026-11-23 09:30:00Z until before 2026-11-23 13:34:56Z").await;
        browser.until(&format!("{ROWS}.join() === 'late'")).await;
        browser.fill("to", "soon").await;
        browser.until_shown_in(".problem", "dateTo: 'soon' is neither a date nor a period").await;
        let shown = browser.text("[role=grid]").await;
        assert!(!shown.contains("late"), "{shown}");
    }

    async fn folders_have_counts_and_can_leave_out_what_is_below(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened_at(&app, "orders").await;
        browser.until_shown_in("[data-path='/sos']", "153").await;
        browser.press_at("[data-path='/sos'] .twist").await;
        for (folder, count) in [("/", "154"), ("/sos/billing", "150"), ("/ops", "1")] {
            browser.until_shown_in(&format!("[data-path='{folder}']"), count).await;
        }
        browser.press_at("[data-path='/sos'] bdi").await;
        browser.press("and below").await;
        browser.until_shown("3 orders").await;
        assert_eq!(browser.get("location.hash.includes('only=/sos')").await, true);
    }

    async fn ten_thousand_orders_are_listed_but_few_rows_are_drawn(kind: Kind) {
        let many: Vec<Order> = (0..10_000).map(|i| Order::new(&format!("o{i:05}"))).collect();
        let app = App::with(kind, &many).await;
        let browser = opened_at(&app, "orders").await;
        browser.until_shown("The first 10,000 orders by id are listed").await;
        let rows = "document.querySelectorAll('[role=grid] [data-index]').length";
        assert!(browser.get(rows).await.as_u64().unwrap() < 100);
        browser.run("document.querySelector('[role=grid]').focus()", vec![]).await;
        browser.keys(&Key::End).await;
        browser.until_shown_in("[role=grid]", "o09999").await;
        assert!(browser.get(rows).await.as_u64().unwrap() < 100);
        browser.press("Order").await;
        browser.press("Order").await;
        browser.until(&format!("{ROWS}[0] === 'o09999' || document.querySelector('[role=grid]').scrollTop > 0")).await;
        browser.expect_quiet().await;
    }

    async fn a_list_that_is_cut_off_is_not_shown(kind: Kind) {
        let many: Vec<Order> = (0..5_000).map(|i| Order::new(&format!("o{i:04}"))).collect();
        let app = App::with(kind, &many).await;
        let line = Line::to(app.address()).await;
        let browser = Browser::logged_in(&line.address, ROOT.0, ROOT.1).await;
        browser.goto("#/orders").await;
        browser.until_shown_in(".total", "5,000 orders").await;
        app.db.execute("DELETE FROM orders WHERE order_id = 'o0000'").await.unwrap();
        line.cut(true);
        browser.keys("r").await;
        browser.until_shown("The response was cut off or does not come from the API. Nothing of it is shown.").await;
        // The old list stays, and says so.
        browser.until_shown("Could not be refreshed since").await;
        assert_eq!(browser.text(".total").await, "5,000 orders");
        browser.until(&format!("{ROWS}[0] === 'o0000'")).await;
        // Without an old one there is none.
        browser.reload().await;
        browser.until_shown("The response was cut off or does not come from the API. Nothing of it is shown.").await;
        assert_eq!(browser.get(&format!("{ROWS}.length")).await, 0);
        assert_eq!(browser.text(".total").await, "");
        line.cut(false);
        browser.keys("r").await;
        browser.until_shown_in(".total", "4,999 orders").await;
    }

    async fn an_order_is_shown_with_its_children_and_its_trail(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        app.db.insert(&[Order::new("failed|left").state("FINISHED")]).await;
        let log = json!({"comment": "wait for it", "ticketLink": "T-1"});
        let suspend = with_controller(json!({"orderIds": ["late"], "auditLog": log}));
        app.post("/orders/suspend", &suspend).await.ok();
        let browser = opened_at(&app, "orders?state=SUSPENDED").await;
        browser.until_shown_in("[role=grid]", "late").await;
        browser.run("document.querySelector('[role=grid]').focus()", vec![]).await;
        browser.keys(&Key::Down).await;
        browser.keys(&Key::Enter).await;
        browser.until_shown_in("aside", "“wait for it”").await;
        let shown = browser.text("aside").await;
        for text in ["late", "SUSPENDED", "BLOCKED", "./orders/suspend", "root", "T-1", "/sos/eod"] {
            assert!(shown.contains(text), "{text}: {shown}");
        }
        browser.keys(&Key::Escape).await;
        browser.until("document.querySelector('aside').hidden").await;
        assert_eq!(browser.focused().await, "Orders");
    }

    async fn hostile_names_stay_text(kind: Kind) {
        let hostile = ["<img src=x onerror=alert(1)>", "\"quoted\" & 'so' </script>", "right\u{202e}to left"];
        let app = App::with(kind, &hostile.map(Order::new)).await;
        let browser = opened_at(&app, "orders").await;
        browser.until_shown_in("[role=grid]", hostile[0]).await;
        browser.until_shown_in("[role=grid]", hostile[1]).await;
        browser.until_shown_in("[role=grid]", "right\\u{202e}to left").await;
        browser.run("document.querySelector('[role=grid]').focus()", vec![]).await;
        for _ in 0..3 {
            browser.keys(&Key::Down).await;
            browser.keys(&Key::Enter).await;
            browser.until_shown_in("aside", "/sos/eod").await;
            browser.keys(&Key::Escape).await;
        }
        assert_eq!(browser.get("document.querySelectorAll('img[src=x], main script').length").await, 0);
        browser.press_at("[data-path='/'] bdi").await;
        browser.press("Cancel …").await;
        browser.until_shown_in("dialog", hostile[0]).await;
        browser.expect_quiet().await;
    }
}
