//! Cancelling, suspending and resuming what the filter means, and undoing it.

use super::{opened_at, orders};
use crate::harness::{App, Order};

on_both! {
    async fn a_cancel_is_previewed_confirmed_and_undone(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened_at(&app, "orders?folder=%2Fsos%2Fbilling").await;
        browser.press("Cancel …").await;
        browser.until_shown_in("dialog .count", "150 orders").await;
        let preview = browser.text("dialog").await;
        for text in ["SCHEDULED", "There is no window", "The first 20 of 150 orders", "p000", "150 ended at once"] {
            assert!(preview.contains(text), "{text}: {preview}");
        }
        browser.fill("Comment", "wrong folder").await;
        browser.fill("Ticket", "T-9").await;
        browser.press("The same as a command").await;
        let lines = browser.text("dialog pre").await;
        for text in ["/joc/api/orders/cancel", "\"maxOrders\":150", "wrong folder", "joc-orders orders cancel", "--max-orders=150"] {
            assert!(lines.contains(text), "{text}: {lines}");
        }
        // Without the number nothing happens.
        browser.press("Cancel 150 orders").await;
        browser.until_shown_in("dialog .problem", "This is not 150").await;
        browser.fill("Type 150 to confirm", "15").await;
        browser.press("Cancel 150 orders").await;
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs WHERE request LIKE './orders/%'").await, 0);
        browser.fill("Type 150 to confirm", "150").await;
        browser.press("Cancel 150 orders").await;
        browser.until_shown_in("dialog", "150 orders cancelled or marked").await;
        let written = "SELECT count(*) FROM audit_logs WHERE outcome = 'DONE' AND affected = 150
            AND comment = 'wrong folder' AND ticket_link = 'T-9'";
        assert_eq!(app.db.count(written).await, 1);
        assert_eq!(app.db.count("SELECT count(*) FROM idempotency_keys").await, 1);
        let cancelled = "SELECT count(*) FROM orders WHERE state = 'CANCELLED'";
        assert_eq!(app.db.count(cancelled).await, 150);

        browser.press("Undo …").await;
        browser.until_shown_in("dialog .count", "150 orders").await;
        browser.fill("Type 150 to confirm", "150").await;
        browser.press("Restore 150 orders").await;
        browser.until_shown_in("dialog", "150 orders restored").await;
        assert_eq!(app.db.count(cancelled).await, 0);
        browser.press("Close").await;
        browser.until_shown_in("[role=grid]", "p000").await;
        browser.expect_quiet().await;
    }

    async fn more_orders_than_were_shown_are_never_changed(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened_at(&app, "orders?folder=%2Fops").await;
        browser.press("Suspend …").await;
        browser.until_shown_in("dialog .count", "1 order").await;
        app.db.insert(&[Order::new("new").workflow("/ops/ship", "3")]).await;
        browser.press("Suspend 1 order").await;
        browser.until_shown_in("dialog", "2 orders would be affected, at most 1 are allowed").await;
        browser.until_shown_in("dialog .count", "2 orders").await;
        assert_eq!(app.db.state("new").await, "FRESH");
        browser.press("Suspend 2 orders").await;
        browser.until_shown_in("dialog", "2 orders suspended or marked").await;
        assert_eq!(app.db.state("new").await, "FRESH~");
        browser.press("Close").await;
        browser.goto("#/orders?state=SUSPENDED").await;
        browser.until_shown_in("[role=grid]", "new").await;
        browser.press("Resume …").await;
        browser.press("Resume 1 order").await;
        browser.until_shown_in("dialog", "1 order resumed").await;
        assert_eq!(app.db.state("new").await, "FRESH");
    }

    async fn jobs_are_killed_only_after_a_warning(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened_at(&app, "orders?state=RUNNING").await;
        browser.press("Cancel …").await;
        browser.until_shown_in("dialog", "1 running order goes on until the job ends").await;
        browser.press("Kill running jobs").await;
        browser.until_shown_in("dialog", "The jobs of 1 running order are killed").await;
        browser.press("Cancel 1 order").await;
        browser.until_shown_in("dialog", "1 order cancelled or marked").await;
        assert_eq!(app.db.state("runs").await, "RUNNING+CANCELLING!");
    }

    async fn an_error_stands_at_the_field_that_it_names(kind: Kind) {
        let app = App::start(kind, &["--comment-required", "true"]).await;
        app.db.insert(&orders()).await;
        let browser = opened_at(&app, "orders?state=FAILED").await;
        browser.press("Cancel …").await;
        browser.until_shown_in("dialog .count", "1 order").await;
        browser.press("Cancel 1 order").await;
        browser.until("document.querySelector('[name=\"auditLog.comment\"][aria-invalid]')").await;
        assert_eq!(browser.focused().await, "auditLog.comment");
        assert_eq!(app.db.state("failed").await, "FAILED");
        browser.fill("Comment (required)", &"x".repeat(2001)).await;
        browser.press("Cancel 1 order").await;
        browser.until_shown_in("dialog .problem", "auditLog.comment").await;
    }

    async fn nothing_is_meant_by_an_empty_filter_or_a_text(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened_at(&app, "orders").await;
        let disabled = "[...document.querySelectorAll('.actions button')].filter(isShown)
            .every((button) => button.disabled)";
        browser.until_shown("choose what is meant").await;
        browser.until(disabled).await;
        browser.goto("#/orders?text=p0&folder=%2F").await;
        browser.until_shown("A change cannot select by text").await;
        browser.until(disabled).await;
    }
}
