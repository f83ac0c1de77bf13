//! The operators' page, in a real browser.

mod audit;
mod change;
mod chromium;
mod cut;
mod looks;
mod orders;
mod overview;
mod pictures;
mod session;

use self::chromium::Browser;
use crate::harness::{App, Order, ROOT};

/// Opens the page as [`ROOT`].
async fn opened(app: &App) -> Browser {
    Browser::logged_in(app.address(), ROOT.0, ROOT.1).await
}

/// Opens a view of the page as [`ROOT`].
async fn opened_at(app: &App, view: &str) -> Browser {
    let browser = opened(app).await;
    browser.goto(&format!("#/{view}")).await;
    browser
}

/// Orders `p000` to `p149` of `/sos/billing/print`, and a few of other workflows and states.
fn orders() -> Vec<Order> {
    let print = |i| Order::new(&format!("p{i:03}")).workflow("/sos/billing/print", "1");
    let mut orders: Vec<Order> = (0..150).map(print).collect();
    orders.extend([
        Order::new("late").at("2026-11-23T11:00:00Z"),
        Order::new("failed").state("FAILED"),
        Order::new("runs").state("RUNNING").workflow("/ops/ship", "3"),
        Order::new("never").never(),
    ]);
    orders
}
