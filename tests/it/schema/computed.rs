//! What the schema computes.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use joc_orders::model::window::iso;
use serde_json::json;

use crate::harness::{App, Database, Kind, Order, quote, start_time};

use super::WORLD;

on_both! {
    async fn an_order_has_defaults(kind: Kind) {
        let db = Database::create(kind).await;
        db.execute(WORLD).await.unwrap();
        db.execute("INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id)
            VALUES ('prod', 'a|b', '/sos/eod', '1')").await.unwrap();
        let rows = db.rows("SELECT state, CASE WHEN suspended THEN 1 ELSE 0 END, mark, scheduled_for,
            kill_requested, sigkill_at, folder, parent_id, effective_state,
            CASE WHEN created = modified THEN 1 ELSE 0 END FROM orders_effective").await.unwrap();
        let row: Vec<_> = rows[0].iter().map(Option::as_deref).collect();
        assert_eq!(row, [Some("FRESH"), Some("0"), None, None, None, None, Some("/sos"), Some("a"),
            Some("PENDING"), Some("1")]);
        let age = match kind {
            Kind::Sqlite => "SELECT unixepoch() - unixepoch(created) FROM orders",
            Kind::Postgres => "SELECT extract(epoch FROM now() - created)::bigint FROM orders",
        };
        assert!((0..60).contains(&db.count(age).await));
    }

    async fn folders_names_and_parents_are_computed(kind: Kind) {
        let db = Database::create(kind).await;
        db.execute(WORLD).await.unwrap();
        for (path, folder, name) in [
            ("/eod", "/", "eod"),
            ("/sos/eod", "/sos", "eod"),
            ("/sos/billing/eod", "/sos/billing", "eod"),
            ("/a/a", "/a", "a"),
            ("/aa/a/aa", "/aa/a", "aa"),
            ("/ / ", "/ ", " "),
            ("/日本/東京/日報", "/日本/東京", "日報"),
            ("/O'Brien & \"Söhne\"/it's", "/O'Brien & \"Söhne\"", "it's"),
            ("/50%_ off\\/[a-z]*", "/50%_ off\\", "[a-z]*"),
            ("/🎄/e\u{301}🎄", "/🎄", "e\u{301}🎄"),
        ] {
            let sql = format!(
                "INSERT INTO workflows (controller_id, path, version_id) VALUES ('prod', {0}, 'v');
                 INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id)
                 VALUES ('prod', {0}, {0}, 'v')", quote(path));
            db.execute(&sql).await.unwrap();
            let sql = format!("SELECT w.folder, w.name, o.folder FROM workflows w JOIN orders o
                ON o.workflow_path = w.path WHERE w.path = {} AND w.version_id = 'v'", quote(path));
            let row = db.rows(&sql).await.unwrap().remove(0);
            let row: Vec<_> = row.iter().flatten().collect();
            assert_eq!(row, [folder, name, folder], "{path}");
        }
        for (id, parent) in [
            ("#1", None),
            ("#1|east", Some("#1")),
            ("#1|east|north", Some("#1|east")),
            ("a|a", Some("a")),
            ("ü'\"|日本|🎄", Some("ü'\"|日本")),
        ] {
            db.insert(&[Order::new(id)]).await;
            let sql = format!("SELECT parent_id FROM orders WHERE order_id = {}", quote(id));
            assert_eq!(db.rows(&sql).await.unwrap()[0][0].as_deref(), parent, "{id}");
        }
    }

    async fn the_effective_state_follows_from_state_and_time(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let now = Utc::now();
        let mut orders = Vec::new();
        let mut expected = BTreeMap::new();
        for state in ["FRESH", "RUNNING", "INPROGRESS", "WAITING", "PROMPTING", "FAILED", "FINISHED",
            "CANCELLED"] {
            for suspended in [false, true] {
                let terminal = matches!(state, "FINISHED" | "CANCELLED");
                if suspended && (terminal || state == "RUNNING") {
                    continue;
                }
                for (at, offset) in [("never", None), ("past", Some(-1)), ("long ago", Some(-999_999)),
                    ("future", Some(1)), ("far", Some(999_999))] {
                    let mut order = Order::new(&format!("{state} {suspended} {at}")).state(state);
                    order.suspended = suspended;
                    order.scheduled_for = offset.map(|hours| now + TimeDelta::hours(hours));
                    let effective = match (state, suspended, offset) {
                        (_, true, _) => "SUSPENDED",
                        ("FRESH", _, None) => "PENDING",
                        ("FRESH", _, Some(1..)) => "SCHEDULED",
                        ("FRESH", ..) => "BLOCKED",
                        _ => state,
                    };
                    expected.insert(order.order_id.clone(), effective);
                    orders.push(order);
                }
            }
        }
        app.db.insert(&orders).await;
        let rows = app.db.rows("SELECT order_id, effective_state FROM orders_effective").await.unwrap();
        assert_eq!(rows.len(), expected.len());
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for row in rows {
            let (id, state) = (row[0].clone().unwrap(), row[1].clone().unwrap());
            assert_eq!(state, expected[&id], "{id}");
            *counts.entry(state).or_default() += 1;
        }

        // The service shows the same, for the orders that it can affect.
        let preview = app.preview(json!({"folders": [{"folder": "/"}]})).await;
        counts.retain(|state, _| state != "FINISHED" && state != "CANCELLED");
        assert_eq!(preview["byState"], json!(counts));
        for order in preview["orders"].as_array().unwrap() {
            assert_eq!(order["state"], expected[order["orderId"].as_str().unwrap()]);
        }
        for (state, count) in counts {
            let preview = app.preview(json!({"states": [state]})).await;
            assert_eq!(preview["byState"], json!({state: count}));
        }
    }

    async fn an_order_due_now_is_scheduled(kind: Kind) {
        let now = iso(&start_time());
        let app = App::with(kind, &[
            Order::new("now").at(&now),
            Order::new("before").at("2026-11-23T12:34:56.788Z"),
        ])
        .await;
        let preview = app.preview(json!({"folders": [{"folder": "/"}]})).await;
        assert_eq!(preview["orders"][0]["state"], "BLOCKED");
        assert_eq!(preview["orders"][1]["state"], "SCHEDULED");
        app.pass(TimeDelta::milliseconds(1));
        let preview = app.preview(json!({"folders": [{"folder": "/"}]})).await;
        assert_eq!(preview["byState"], json!({"BLOCKED": 2}));
    }
}
