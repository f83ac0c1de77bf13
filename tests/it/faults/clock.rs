//! The machine's clock was wrong and is set back while the service runs.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::shim::Faults;
use super::{agrees, cancel, works};
use crate::harness::{Database, Order, with_controller};

/// How far the clock was ahead, in seconds.
const AHEAD: i64 = 3 * 3600;

on_both! {
    async fn survives_a_clock_that_is_set_back(kind: Kind) {
        let db = Database::create(kind).await;
        let due = Utc::now() + TimeDelta::hours(1);
        db.insert(&["a", "b", "c"].map(|id| Order { scheduled_for: Some(due), ..Order::new(id) })).await;
        let args = ["--session-timeout", "600", "--seal-every", "1"];
        let (faults, mut served) = tokio::task::block_in_place(|| Faults::under(&db, &args, AHEAD));
        let [busy, idle] = [served.login().await, served.login().await];
        let states = async |state: &str| {
            let body = with_controller(json!({"folders": [{"folder": "/"}], "states": [state]}));
            served.post(&busy, "/orders/cancel/preview", &body).await.ok()["total"].clone()
        };
        let add = async || {
            let order = json!({"workflowPath": "/sos/eod", "orderName": "n", "scheduledFor": "now + 60"});
            let answer = served.post(&busy, "/orders/add", &with_controller(json!({"orders": [order]}))).await;
            answer.ok()["orderIds"][0].clone()
        };
        let sealed = async || db.count("SELECT coalesce(sum(entries), 0) FROM audit_seals").await;
        let all_sealed = async || {
            let entries = db.count("SELECT count(*) FROM audit_logs").await;
            let sealing = async {
                while sealed().await < entries {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(15), sealing).await.expect("sealed no more");
        };

        assert_eq!(states("BLOCKED").await, 3);
        let first = cancel(&served, &busy, "ahead", &["a".into()], None).await;
        assert_eq!(first.answer.affected(), 1);
        let added_ahead = add().await;
        all_sealed().await;

        faults.set_clock(0);
        // Windows and states follow the corrected time.
        assert_eq!(states("BLOCKED").await, 0);
        assert_eq!(states("SCHEDULED").await, 3);
        let window = with_controller(json!({"dateFrom": "30m", "dateTo": "90m"}));
        let preview = served.post(&busy, "/orders/cancel/preview", &window).await.ok();
        assert_eq!(preview["total"], 2);
        let from: DateTime<Utc> = preview["dateFrom"].as_str().unwrap().parse().unwrap();
        assert!((from - Utc::now() - TimeDelta::minutes(30)).abs() < TimeDelta::minutes(1), "{from}");

        // Sessions survive, but no longer than promised.
        let second = cancel(&served, &busy, "back", &["b".into()], None).await;
        assert_eq!(second.answer.affected(), 1);
        served.login().await;
        let expires = db.rows("SELECT expires FROM sessions").await.unwrap();
        assert_eq!(expires.len(), 3);
        for row in expires {
            let text = row[0].clone().unwrap().replace(' ', "T").replace("+00", "Z").replace("ZZ", "Z");
            let expires: DateTime<Utc> = text.parse().unwrap_or_else(|_| panic!("{text}"));
            let left = expires - Utc::now();
            assert!(TimeDelta::seconds(500) < left && left <= TimeDelta::seconds(600), "{left}");
        }
        served.post(&idle, "/touch", &json!({})).await.ok();

        // The trail stays in the order of ids, and sealing continues.
        assert!(first.answer.entry() < second.answer.entry());
        let rows = db.rows("SELECT request_id FROM audit_logs ORDER BY created").await.unwrap();
        assert_eq!(rows[0][0].as_deref(), Some("back"));
        assert_ne!(added_ahead, add().await);
        all_sealed().await;

        works(&mut served, &db, &busy, "afterwards").await;
        agrees(&db).await;
        for line in served.log().lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            if let Some(elapsed) = line["fields"]["elapsed_ms"].as_str() {
                assert!(elapsed.parse::<u64>().unwrap() < 60_000, "{line}");
            }
        }
        let metrics = served.page("/metrics").await.text;
        let sums = metrics.lines().filter(|line| line.contains("_seconds_sum"));
        for sum in sums {
            let seconds: f64 = sum.rsplit_once(' ').unwrap().1.parse().unwrap();
            assert!((0.0..60.0).contains(&seconds), "{sum}");
        }
    }
}
