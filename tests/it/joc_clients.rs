//! Clients that were written for JOC.

use std::process::Command;

use crate::harness::{App, CONTROLLER, Order, ROOT, launch_command};

on_both! {
    async fn runs_a_shell_script_written_for_joc(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&[Order::new("other").workflow("/sos/billing/nightly", "1").never()]).await;
        let url = app.url.strip_suffix("/joc/api").unwrap();
        let credentials = format!("{}:{}", ROOT.0, ROOT.1);
        // As it runs every night.
        for _ in 0..2 {
            let mut script =
                Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/joc.sh"));
            script.args([url, &credentials, CONTROLLER, "/sos/billing/nightly"]);
            let ran = launch_command(script, "").await;
            assert!(ran.success, "{ran:?}");
            assert_eq!(ran.stderr, "");
            let order_id = ran.stdout.trim();
            assert_eq!(app.db.state(order_id).await, "CANCELLED");
            let arguments = format!("SELECT count(*) FROM orders WHERE order_id = '{order_id}' \
                                     AND CAST(arguments AS text) LIKE '%half%'");
            assert_eq!(app.db.count(&arguments).await, 1);
        }
        assert_eq!(app.db.state("other").await, "FRESH");
    }

    async fn accepts_repeated_slashes(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let body = format!("{{\"controllerId\": \"{CONTROLLER}\"}}");
        for call in ["/orders/", "//orders", "/orders//overview/snapshot/"] {
            app.post_as(&app.token, call, body.clone()).await.ok();
        }
    }
}
