//! Logging in, and sessions that end.

use chrono::TimeDelta;

use super::{Browser, opened, opened_at, orders};
use crate::harness::{App, Cluster, Database, Order, ROOT, Served};

on_both! {
    async fn a_wrong_password_is_refused_in_the_words_of_the_api(kind: Kind) {
        let app = App::with(kind, &[]).await;
        let browser = Browser::open(app.address()).await;
        browser.log_in("root", "wrong").await;
        browser.until_shown_in("[role=alert]", "request").await;
        let said = app.try_login("root", "wrong").await;
        let message = said.json()["message"].as_str().unwrap().to_owned();
        assert!(browser.text("[role=alert]").await.starts_with(&message), "{message}");
        browser.fill("Password", ROOT.1).await;
        browser.press("Log in").await;
        browser.until_shown("Orders by state").await;
    }

    async fn the_token_is_kept_in_the_tab_and_nowhere_else(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened(&app).await;
        assert_eq!(browser.get("document.cookie").await, "");
        let token = browser.get("sessionStorage.getItem('joc-orders.token')").await;
        let token = token.as_str().unwrap().to_owned();
        let elsewhere = format!("JSON.stringify({{...localStorage}}).includes('{token}')");
        assert_eq!(browser.get(&elsewhere).await, false);
        browser.reload().await;
        browser.until_shown("Orders by state").await;
        browser.press("Log out").await;
        browser.until_shown("Log in to joc-orders").await;
        assert_eq!(browser.get("sessionStorage.length").await, 0);
        assert_eq!(app.post_as(&token, "/touch", "{}").await.status, 440);
        browser.expect_quiet().await;
    }

    async fn an_ended_session_asks_again_and_keeps_what_was_typed(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened_at(&app, "orders?state=FAILED").await;
        browser.press("Cancel …").await;
        browser.until_shown("1 order").await;
        browser.fill("Comment", "typed before").await;
        let token = browser.get("sessionStorage.getItem('joc-orders.token')").await;
        app.post_as(token.as_str().unwrap(), "/authentication/logout", "{}").await.ok();
        browser.press("Cancel 1 order").await;
        browser.until_shown("Your session has ended").await;
        browser.fill("Password", ROOT.1).await;
        browser.press("Log in").await;
        browser.until_shown("1 order cancelled or marked").await;
        assert_eq!(app.db.state("failed").await, "CANCELLED");
        let typed = "SELECT count(*) FROM audit_logs WHERE comment = 'typed before'";
        assert_eq!(app.db.count(typed).await, 1);
    }

    async fn a_session_about_to_end_can_be_renewed(kind: Kind) {
        // The page warns when a quarter is left. The clock of the service stands still.
        let app = App::start(kind, &["--session-timeout=12"]).await;
        app.db.insert(&orders()).await;
        let browser = opened(&app).await;
        browser.press("Pause refresh").await;
        let is_warned = "!document.querySelector('#ending').hidden";
        browser.until(is_warned).await;
        browser.until_shown_in("#ending", "Your session ends in").await;
        browser.press("Stay logged in").await;
        browser.until(&format!("!({is_warned})")).await;
        app.pass(TimeDelta::seconds(13));
        browser.until_shown("Your session has ended. Log in again").await;
        browser.log_in(ROOT.0, ROOT.1).await;
        browser.until(&format!("!({is_warned}) && !document.querySelector('dialog')")).await;
        assert!(browser.text("main").await.contains("Orders by state"));
    }

    async fn a_limited_account_sees_and_may_only_what_it_is_granted(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        app.account("viewer", "sos:products:controller:orders:view", &[("/ops", true)]).await;
        let browser = Browser::logged_in(app.address(), "viewer", "a-password").await;
        browser.until_shown("1 order that has not ended").await;
        assert!(!browser.text("nav").await.contains("Audit"));
        browser.goto("#/orders").await;
        browser.until_shown_in("[role=grid]", "runs").await;
        let page = browser.text("body").await;
        for hidden in ["p000", "billing", "Cancel", "Suspend", "Resume"] {
            assert!(!page.contains(hidden), "{hidden}: {page}");
        }
        browser.goto("#/audit").await;
        browser.until_shown("may not see the audit log").await;
        browser.expect_quiet().await;
    }

    async fn a_service_that_is_gone_is_told_and_comes_back(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a")]).await;
        let served = Served::over(&db, &[]);
        let address = served.address().to_owned();
        let browser = Browser::logged_in(&address, ROOT.0, ROOT.1).await;
        browser.until_shown("1 order").await;
        served.stop();
        browser.keys("r").await;
        browser.until_shown("Could not be refreshed since").await;
        // The old numbers stay.
        browser.until_shown("1 order").await;
        let _served = Served::over(&db, &["--listen", &address]);
        browser.keys("r").await;
        browser.until_gone("Could not be refreshed").await;
    }

    async fn the_documentation_shares_the_login(kind: Kind) {
        let app = App::with(kind, &orders()).await;
        let browser = opened(&app).await;
        browser.goto("docs/index.html").await;
        browser.until("document.querySelector('.authorize.locked, .authorize .locked')").await;
        browser.expect_quiet().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_told_and_comes_back() {
    let mut cluster = Cluster::start();
    let db = Database::of(&cluster).await;
    db.insert(&[Order::new("a")]).await;
    let served = Served::over(&db, &[]);
    let browser = Browser::logged_in(served.address(), ROOT.0, ROOT.1).await;
    browser.until_shown("1 order").await;
    cluster.tell("INT");
    browser.keys("r").await;
    browser.until_shown("Could not be refreshed since").await;
    cluster.tell("start");
    browser.keys("r").await;
    browser.until_gone("Could not be refreshed").await;
}
