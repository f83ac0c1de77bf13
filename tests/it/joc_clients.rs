//! Clients that were written for JOC.

use std::path::Path;
use std::process::Command;

use crate::harness::{App, CONTROLLER, Order, ROOT, launch_command};

/// Python with SOS's client, which `scripts/js7-client` installs.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/js7-client/bin/python");

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

    async fn runs_the_python_client_of_sos_unchanged(kind: Kind) {
        assert!(Path::new(PYTHON).exists(), "scripts/js7-client installs what this test needs");
        let app = App::today(kind, &[]).await;
        let orders = [
            Order::new("#1#P1-asks").state("PROMPTING"),
            Order::new("#1#P2-sleeps").waits("SLEEPING"),
            Order::new("#1#P3-fails").state("FAILED"),
            Order::new("#1#P4-runs").state("RUNNING"),
            Order::new("#1#P5-ends").state("FINISHED"),
        ];
        let orders =
            orders.map(|order| Order { created: None, ..order.workflow("/sos/billing/eod", "1") });
        app.db.insert(&orders).await;
        let newer = "INSERT INTO workflows (controller_id, path, version_id, created) \
                     VALUES ('prod', '/sos/billing/eod', '2', '2100-01-01T00:00:00.000Z')";
        app.db.execute(newer).await.unwrap();
        app.account("reader", "sos:products:controller:orders:view", &[]).await;
        let mut script = Command::new(PYTHON);
        script.args([
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/js7_client.py"),
            app.url.strip_suffix("/joc/api").unwrap(),
            &format!("{}:{}", ROOT.0, ROOT.1),
            "reader:a-password",
            CONTROLLER,
        ]);
        let ran = launch_command(script, "").await;
        assert!(ran.success, "{}", ran.stderr);
        assert_eq!(ran.stderr, "");
        for order_id in ran.stdout.split_whitespace() {
            assert_eq!(app.db.state(order_id).await, "CANCELLED");
        }
        let started = "SELECT order_id, state, mark FROM orders WHERE order_id LIKE '#1#%' \
                       ORDER BY order_id";
        let started = app.db.rows(started).await.unwrap();
        let row = |order, state: &str, mark: Option<&str>| {
            vec![Some(format!("#1#{order}")), Some(state.to_owned()), mark.map(Into::into)]
        };
        assert_eq!(started, [
            row("P1-asks", "INPROGRESS", None),
            row("P2-sleeps", "INPROGRESS", None),
            row("P3-fails", "INPROGRESS", None),
            row("P4-runs", "RUNNING", Some("CANCELLING")),
            row("P5-ends", "FINISHED", None),
        ]);
        let by_python = "SELECT count(*) FROM audit_logs WHERE comment = 'by Python' \
                         AND ticket_link = 'OPS-1' AND outcome = 'DONE'";
        assert_eq!(app.db.count(by_python).await, 2);
    }

    // The requests of `Connect-JS7` and of the cmdlets that show a controller, and what they read.
    async fn connects_as_the_powershell_module_does(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("f").state("FINISHED"), Order::new("c").state("CANCELLED"),
        ]).await;
        let post = async |call: &str, body: &str| app.post_as(&app.token, call, body.to_owned()).await;
        let id = format!("{{\r\n  \"controllerId\": \"{CONTROLLER}\"\r\n}}");
        assert_eq!(post("/controller/switch", &id).await.ok()["ok"], true);
        assert_eq!(post("/controller/ids", "{}").await.ok()["selected"], CONTROLLER);
        let versions = r#"{ "controllerIds": [ "prod" ], "agentIds": [ "unknown" ] }"#;
        let versions = post("/joc/versions", versions).await.ok();
        assert_eq!(versions["jocVersion"], "2.7.3");
        assert_eq!(versions["controllerVersions"][0]["version"], "2.7.3");
        assert_eq!(post("/controllers", &id).await.ok()["controllers"].as_array().unwrap().len(), 1);

        // A controller is active if its address is the one that responds and it is in no cluster.
        let volatile = post("/controller", &id).await.ok()["controller"].clone();
        assert!(volatile["clusterNodeState"].is_null());
        assert_eq!(volatile["componentState"]["_text"], "operational");
        assert_eq!(volatile["connectionState"]["_text"], "established");
        let permanent = post("/controller/p", &id).await.ok()["controller"].clone();
        for field in ["controllerId", "title", "version"] {
            assert!(permanent[field].is_string(), "{field}: {permanent}");
        }
        let nodes = post("/controllers/p", &id).await.ok()["controllers"].clone();
        assert_eq!(nodes.as_array().unwrap().len(), 1);
        assert_eq!(nodes[0]["url"], volatile["url"]);

        let day = r#"{ "controllerId": "prod", "dateFrom": "2026-11-23T00:00:00Z", "dateTo": "2026-11-24T00:00:00Z" }"#;
        let counts = post("/orders/overview/summary", day).await.ok()["orders"].clone();
        assert_eq!(counts, serde_json::json!({"successful": 1, "failed": 1}));
        assert!(post("/joc/properties", "").await.ok()["jocVersion"].is_string());
        assert_eq!(post("/jobs/overview/summary", day).await.status, 404);
        assert_eq!(post("/controller/components", &id).await.status, 404);
    }

    async fn accepts_repeated_slashes(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let body = format!("{{\"controllerId\": \"{CONTROLLER}\"}}");
        for call in ["/orders/", "//orders", "/orders//overview/snapshot/"] {
            app.post_as(&app.token, call, body.clone()).await.ok();
        }
    }
}
