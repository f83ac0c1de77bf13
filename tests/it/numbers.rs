//! Numbers keep all their digits.

use serde_json::json;

use crate::harness::{
    App, CONTROLLER, Database, Kind, Order, Ran, Response, client, launch, launch_command,
};

/// Arguments with numbers that a double cannot represent.
const ARGUMENTS: &str = r#"{"acct": 12345678901234567890123, "f": 0.1234567890123456789,
    "t": 1e-400, "list": [{"n": -1.50, "m": 18446744073709551617}]}"#;
const NUMBERS: [&str; 4] = [
    r#""acct":12345678901234567890123"#,
    r#""f":0.1234567890123456789"#,
    r#""n":-1.50"#,
    r#""m":18446744073709551617"#,
];
/// The key by which serde_json marks a number of arbitrary precision.
const PRIVATE: &str = r#"{"$serde_json::private::Number": "1"}"#;

/// `1e-400` as PostgreSQL writes it.
fn written_out() -> String {
    format!("0.{}1", "0".repeat(399))
}

/// Checks that a text has all of [`ARGUMENTS`], in their stored form if `kind` is given.
#[track_caller]
fn assert_exact(text: &str, kind: Option<Kind>) {
    let text: String = text.split_whitespace().collect();
    for number in NUMBERS {
        assert!(text.contains(number), "{number}: {text}");
    }
    let tiny = match kind {
        Some(Kind::Postgres) => format!(r#""t":{}"#, written_out()),
        Some(Kind::Sqlite) | None => r#""t":1e-400"#.to_owned(),
    };
    assert!(text.contains(&tiny), "{tiny}: {text}");
}

async fn text(db: &Database, sql: &str) -> String {
    db.rows(sql).await.unwrap()[0][0].clone().unwrap()
}

/// The arguments of the order whose id ends like this.
async fn arguments(db: &Database, end: &str) -> String {
    let sql = "SELECT CAST(arguments AS text) FROM orders WHERE order_id LIKE '%";
    text(db, &format!("{sql}{end}'")).await
}

async fn parameters(db: &Database) -> String {
    text(db, "SELECT CAST(parameters AS text) FROM audit_logs ORDER BY id DESC LIMIT 1").await
}

fn body(fields: &str) -> String {
    format!(r#"{{"controllerId": "{CONTROLLER}", {fields}}}"#)
}

async fn add(app: &App, arguments: &str) -> Response {
    let order = format!(
        r#"{{"workflowPath": "/sos/eod", "orderName": "n", "scheduledFor": "never", "arguments": {arguments}}}"#
    );
    app.post_as(&app.token, "/orders/add", body(&format!(r#""orders": [{order}]"#))).await
}

/// The program as a client of the app.
async fn say(app: &App, args: &[&str], stdin: &str) -> Ran {
    launch_command(client(&app.url, args), stdin).await
}

on_both! {
    async fn add_keeps_every_digit(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let added = add(&app, ARGUMENTS).await.ok();
        let id = added["orderIds"][0].as_str().unwrap();
        assert_exact(&arguments(&app.db, "-n").await, Some(kind));
        assert_exact(&parameters(&app.db).await, None);

        let by_id = json!({"controllerId": CONTROLLER, "orderIds": [id]});
        assert_exact(&app.post("/orders", &by_id).await.text, Some(kind));
        let one = json!({"controllerId": CONTROLLER, "orderId": id});
        assert_exact(&app.post("/order", &one).await.text, Some(kind));
        let entries = app.post("/audit_log", &json!({"controllerId": CONTROLLER})).await.text;
        assert_exact(&entries.replace("\\\"", "\""), None);

        let order = format!(r#"{{"workflowPath": "/sos/eod", "arguments": {ARGUMENTS}}}"#);
        let preview = body(&format!(r#""orders": [{order}]"#));
        let preview = app.post_as(&app.token, "/orders/add/preview", preview).await;
        preview.ok();
        assert_exact(&preview.text, None);
    }

    async fn merging_keeps_every_digit(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let id = add(&app, ARGUMENTS).await.ok()["orderIds"][0].clone();
        let order_ids = json!({"controllerId": CONTROLLER, "orderIds": [id]});
        app.post("/orders/suspend", &order_ids).await.ok();
        let more = r#"{"more": 98765432109876543210.5, "f": 0.98765432109876543210}"#;
        let resume = body(&format!(r#""orderIds": [{id}], "variables": {more}"#));
        assert_eq!(app.post_as(&app.token, "/orders/resume", resume).await.affected(), 1);
        let merged: String = arguments(&app.db, "-n").await.split_whitespace().collect();
        for number in [r#""more":98765432109876543210.5"#, r#""f":0.98765432109876543210"#] {
            assert!(merged.contains(number), "{merged}");
        }
        let merged = merged.replace("0.98765432109876543210", "0.1234567890123456789");
        assert_exact(&merged, Some(kind));
        let kept = parameters(&app.db).await;
        assert!(kept.contains(r#""f":0.98765432109876543210"#), "{kept}");
    }

    async fn import_and_copy_keep_every_digit(kind: Kind) {
        let db = Database::create(kind).await;
        let order = |id: &str| format!(
            r#"{{"orderId": "{id}", "workflowId": {{"path": "/sos/eod", "versionId": "1"}},
                "state": {{"_text": "PENDING"}}, "arguments": {ARGUMENTS}}}"#
        ).replace('\n', " ");
        let line = format!(r#"{{"controllerId": "{CONTROLLER}", "order": {}}}"#, order("line"));
        launch(&db.owner, &["import", "-"], line).await.ok();
        let answer = format!(r#"{{"orders": [{}]}}"#, order("answer"));
        launch(&db.owner, &["import", "--controller-id", CONTROLLER, "-"], answer).await.ok();
        for id in ["line", "answer"] {
            assert_exact(&arguments(&db, id).await, Some(kind));
        }
        for other in [Kind::Sqlite, Kind::Postgres] {
            let to = Database::create(other).await;
            launch("", &["copy", "--from", &db.owner, "--to", &to.owner], "").await.ok();
            let written = match (kind, other) {
                (Kind::Sqlite, Kind::Sqlite) => Kind::Sqlite,
                _ => Kind::Postgres,
            };
            assert_exact(&arguments(&to, "line").await, Some(written));
        }
    }

    async fn the_command_line_keeps_every_digit(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let ran = say(&app, &["orders", "add", "--workflow", "/sos/eod", "--order-name", "flags",
            "--argument", "acct=12345678901234567890123", "--argument", "t=1e-400",
            "--argument", "f=0.1234567890123456789"], "").await;
        ran.ok();
        let stored: String = arguments(&app.db, "-flags").await.split_whitespace().collect();
        for number in &NUMBERS[..2] {
            assert!(stored.contains(number), "{stored}");
        }
        let orders =
            format!(r#"[{{"workflowPath": "/sos/eod", "orderName": "file", "arguments": {ARGUMENTS}}}]"#);
        say(&app, &["orders", "add", "--from-file", "-"], &orders).await.ok();
        assert_exact(&arguments(&app.db, "-file").await, Some(kind));
        let ran = say(&app, &["orders", "list", "--output", "json"], "").await;
        assert_exact(ran.ok(), Some(kind));
    }

    async fn rejects_numbers_that_are_too_long(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let db = &app.db;
        let fits = format!(r#"{{"a": 1e999, "b": 1e-999, "c": -{}}}"#, "9".repeat(1000));
        add(&app, &fits).await.ok();
        let entries = db.count("SELECT count(*) FROM audit_logs").await;
        let expected = "a number of at most 1000 digits, written without an exponent, is expected";
        let nines = "9".repeat(1001);
        for number in ["1e400000", "1e-20000", "-1e1000", "1e-1000", "0e99999999999999999999", &nines] {
            for (arguments, field) in [
                (format!(r#"{{"x": {number}}}"#), "arguments.x"),
                (format!(r#"{{"x": [{{"y": {number}}}]}}"#), "arguments.x[0].y"),
            ] {
                let refused = add(&app, &arguments).await.refused();
                assert_eq!(refused, format!("orders[0].{field}: {expected}"));
                let line = format!(
                    r#"{{"controllerId": "{CONTROLLER}", "order": {{"orderId": "i", "workflowId":
                    {{"path": "/sos/eod", "versionId": "1"}}, "state": {{"_text": "PENDING"}},
                    "arguments": {arguments}}}}}"#
                ).replace('\n', " ");
                let ran = launch(&db.url, &["import", "-"], line).await;
                let complaint = ran.failed();
                assert!(complaint.contains(&format!("line 1: order.{field}: {expected}")), "{complaint}");
            }
            let fields = format!(r#""orderIds": ["a"], "variables": {{"x": {number}}}"#);
            // A cancel ignores it, but the audit trail keeps it.
            for call in ["/orders/resume", "/orders/cancel"] {
                let refused = app.post_as(&app.token, call, body(&fields)).await.refused();
                assert_eq!(refused, format!("variables.x: {expected}"), "{call}");
            }
            let fields = format!(r#""orderIds": ["a"], "maxOrders": {number}"#);
            let refused = app.post_as(&app.token, "/orders/cancel", body(&fields)).await.refused();
            assert!(refused.starts_with("maxOrders: "), "{refused}");
        }
        assert_eq!(db.count("SELECT count(*) FROM audit_logs").await, entries);
        assert_eq!(db.state("a").await, "FRESH");
    }

    async fn never_takes_an_object_for_a_number(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let refused = add(&app, &format!(r#"{{"x": {{"y": {PRIVATE}}}}}"#)).await.refused();
        assert_eq!(refused, "orders[0].arguments.x.y: a text, a number or a flag is expected");
        for (call, fields, field) in [
            ("/orders/cancel", format!(r#""orderIds": ["a"], "maxOrders": {PRIVATE}"#), "maxOrders"),
            ("/orders/cancel/preview", format!(r#""orderIds": ["a"], "limit": {PRIVATE}"#), "limit"),
            ("/orders", format!(r#""limit": {PRIVATE}"#), "limit"),
            ("/orders/change", format!(r#""orderIds": ["a"], "priority": {PRIVATE}"#), "priority"),
            ("/orders/resume", format!(r#""orderIds": ["a"], "position": [{PRIVATE}]"#), "position"),
            ("/orders/resume", format!(r#""orderIds": ["a"], "variables": {PRIVATE}, "arguments": {{}}"#), "variables, arguments"),
        ] {
            let refused = app.post_as(&app.token, call, body(&fields)).await.refused();
            assert!(refused.starts_with(&format!("{field}: ")), "{call}: {refused}");
        }
        // Where an object may have any members, this one is kept as it is.
        add(&app, &format!(r#"{{"x": [{PRIVATE}], "y": {PRIVATE}}}"#)).await.ok();
        let text: String = PRIVATE.split_whitespace().collect();
        for stored in [arguments(&app.db, "-n").await, parameters(&app.db).await] {
            let stored: String = stored.split_whitespace().collect();
            assert_eq!(stored.matches(&text).count(), 2, "{stored}");
        }
        let listed = json!({"controllerId": CONTROLLER});
        let listed = app.post("/orders", &listed).await;
        listed.ok();
        let listed: String = listed.text.split_whitespace().collect();
        assert_eq!(listed.matches(&text).count(), 2, "{listed}");
    }
}
