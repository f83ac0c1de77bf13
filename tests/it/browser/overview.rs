//! The overview.

use chrono::TimeDelta;
use serde_json::json;

use super::{opened, orders};
use crate::harness::{App, Order};

on_both! {
    async fn states_are_bars_that_lead_to_their_orders(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened(&app).await;
        browser.until_shown("154 orders that have not ended").await;
        browser.press("FAILED").await;
        browser.until_shown_in("[role=grid]", "failed").await;
        assert_eq!(browser.get("location.hash.includes('state=FAILED')").await, true);
        let rows = "document.querySelectorAll('[role=grid] [data-index]').length";
        assert_eq!(browser.get(rows).await, 1);
        browser.back().await;
        browser.until_shown("154 orders that have not ended").await;
    }

    async fn what_is_scheduled_and_what_was_cancelled_is_counted(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        for ids in [&["p000", "p001"][..], &["p002"]] {
            app.cancel(json!({"orderIds": ids})).await.ok();
        }
        app.pass(TimeDelta::minutes(1));
        let browser = opened(&app).await;
        browser.until_shown("1 overdue").await;
        browser.until_shown("1 never").await;
        let bar = |caption: &str, title: &str| {
            format!("document.querySelector('svg[aria-label^=\"{caption}\"] [aria-label^=\"{title}\"]')\
                     ?.getAttribute('aria-label')")
        };
        browser.until(&bar("Orders by when they are scheduled", "Mon 23 13:00")).await;
        let label = browser.get(&bar("Orders by when they are scheduled", "Mon 23 13:00")).await;
        assert_eq!(label, "Mon 23 13:00 UTC: 147");
        let label = browser.get(&bar("Orders by when they were cancelled", "Mon 23")).await;
        assert_eq!(label, "Mon 23 UTC: 3 in 2 requests");
        // The same in the browser's zone.
        browser.run("const zone = document.querySelector('#zone'); zone.value = 'Europe/Berlin';
            zone.dispatchEvent(new Event('change'));", vec![]).await;
        let local = bar("Orders by when they are scheduled", "Mon 23 14:00");
        browser.until(&local).await;
        assert_eq!(browser.get(&local).await, "Mon 23 14:00 Europe/Berlin: 147");
        browser.expect_quiet().await;
    }

    async fn orders_that_wait_longest_for_their_end_are_named(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        app.cancel(json!({"orderIds": ["runs"]})).await.ok();
        let browser = opened(&app).await;
        browser.until_shown("The first 1 of 1 order").await;
        browser.until_shown_in("table", "runs").await;
        browser.press("runs").await;
        browser.until("location.hash.includes('order=runs')").await;
    }

    async fn the_numbers_refresh_themselves(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let browser = opened(&app).await;
        browser.until_shown("1 order that").await;
        app.db.insert(&[Order::new("b")]).await;
        browser.until_shown("2 orders that").await;
    }
}
