//! The commands that list and show, and the one that waits, against the real service.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{App, CONTROLLER, Order, launch_command, program, start, words};

on_both! {
    async fn lists_the_past_workflows_and_controllers(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("a").workflow("/sos/eod", "1"),
            Order::new("b").workflow("/sos/billing/eod", "1").state("FINISHED"),
            Order::new("c").workflow("/sos/eod", "1").state("CANCELLED"),
        ])
        .await;
        for (args, expected) in [
            ("orders history -o name --order-id ?", &["b", "c"][..]),
            ("orders history -o name --state failed --folder /sos", &["c"]),
            ("workflows list -o name", &["/sos/billing/eod", "/sos/eod"]),
            ("workflows list -o name --folder /sos/billing", &["/sos/billing/eod"]),
            ("controllers list -o name", &[CONTROLLER]),
        ] {
            let ran = start(&app.url, &words(args)).await;
            let mut names: Vec<&str> = ran.ok().lines().collect();
            names.sort_unstable();
            assert_eq!(names, expected, "{args}");
        }
        let ran = start(&app.url, &words("orders history --state incomplete")).await;
        assert!(ran.exits(2).contains("--state"), "{ran:?}");
    }

    async fn shows_as_yaml_what_it_shows_as_json(kind: Kind) {
        let app = App::with(kind, &[Order::new("#2026-11-23#P1").workflow("/sos/eod", "1")]).await;
        for (args, parts) in [
            ("orders list", &["\norders:\n", "orderId: \"#2026-11-23#P1\"\n", "path: /sos/eod\n", "versionId: \"1\"\n"][..]),
            ("orders show #2026-11-23#P1", &["order:\n", "\nchildren: []\n"]),
            ("orders cancel --folder / --dry-run", &["total: 1\n", "\norders:\n"]),
            ("orders suspend --folder / -y", &["affected: 1\n", "ok: true\n"]),
            ("workflows list", &["\nworkflows:\n"]),
            ("orders add --workflow /sos/eod --order-name n", &["\norderIds:\n- \"#"]),
        ] {
            let args = [words(args), vec!["-o", "yaml"]].concat();
            let ran = start(&app.url, &args).await;
            for part in parts {
                assert!(format!("\n{}", ran.ok()).contains(part), "{args:?} {part:?} {ran:?}");
            }
        }
        let mut command = program(&app.db.url);
        command.args(["account", "list", "-o", "yaml"]);
        let ran = launch_command(command, "").await;
        assert!(ran.ok().contains("- account: root\n"), "{ran:?}");
    }

    async fn shows_an_order_with_its_children_and_its_audit_log(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("p%").workflow("/sos/eod", "1").state("WAITING"),
            Order::new("p%|east").workflow("/sos/eod", "1").state("RUNNING"),
            Order::new("p%|west").workflow("/sos/eod", "1").state("FINISHED"),
            Order::new("pp|east").workflow("/sos/eod", "1"),
        ])
        .await;
        let why = ["orders", "cancel", "-y", "--deep", "--comment", "too late", "--order-id", "p%"];
        start(&app.url, &why).await.ok();
        let ran = start(&app.url, &["orders", "show", "p%", "-o", "json"]).await;
        let shown: Value = serde_json::from_str(ran.ok()).unwrap();
        assert_eq!(shown["order"]["orderId"], "p%");
        assert_eq!(shown["order"]["marked"]["_text"], "CANCELLING");
        let ids: Vec<_> = shown["children"].as_array().unwrap().iter().map(|o| &o["orderId"]).collect();
        assert_eq!(ids, ["p%|east", "p%|west"]);
        assert_eq!(shown["auditLog"].as_array().unwrap().len(), 1);
        assert_eq!(shown["auditLog"][0]["comment"], "too late");

        let ran = start(&app.url, &["orders", "show", "p%"]).await;
        let text = ran.ok();
        for part in ["order_id  ", "WAITING", "\nChild orders:\n", "p%|west", "\nAudit log:\n", "too late"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("pp|east"), "{text}");
        assert_eq!(start(&app.url, &["orders", "show", "p%", "-o", "name"]).await.ok(), "p%\n");
        let ran = start(&app.url, &["orders", "show", "gone"]).await;
        assert!(ran.exits(3).contains("there is no order 'gone'"), "{ran:?}");
    }

    async fn waits_until_orders_have_ended(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("a").workflow("/sos/eod", "1").state("RUNNING"),
            Order::new("b").workflow("/sos/eod", "1").state("RUNNING"),
            Order::new("c").workflow("/sos/eod", "1").state("FINISHED"),
        ])
        .await;
        let wait = "orders wait --interval 1";
        let line = |more: &str| format!("{wait} {more}");
        // What has ended is not waited for.
        for more in ["--order-id c", "--state failed,suspended", "--folder /none"] {
            start(&app.url, &words(&line(more))).await.ok();
        }
        for more in ["--order-id a --timeout 0", "--state running --timeout 1", "--folder /sos --timeout 1"] {
            let ran = start(&app.url, &words(&line(more))).await;
            assert!(ran.exits(10).contains("not all orders have ended after"), "{more}: {ran:?}");
        }
        let ran = start(&app.url, &words(&line("--order-id a --order-id gone"))).await;
        assert!(ran.exits(3).contains("there is no order gone"), "{ran:?}");
        for more in ["", "--state finished"] {
            let ran = start(&app.url, &words(line(more).trim_end())).await;
            assert!(ran.exits(2).contains("--state"), "{more}: {ran:?}");
        }

        let line = line("--order-id a --order-id c --timeout 60");
        let line = words(&line);
        let (ran, ()) = tokio::join!(start(&app.url, &line), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let end = "UPDATE orders SET state = 'FINISHED' WHERE order_id = 'a'";
            app.db.execute(end).await.unwrap();
        });
        assert_eq!(ran.ok(), "");
        assert_eq!(app.db.ids_in("RUNNING").await, ["b"]);
    }
}
