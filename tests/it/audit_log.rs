//! Reading the audit trail: `/audit_log` and `/audit_log/details`.

use chrono::TimeDelta;
use joc_orders::http::password;
use joc_orders::model::folders::Folder;
use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Order, Response, with_controller};

const VIEW: &str = "sos:products:joc:auditlog:view";

/// The items of a response.
#[track_caller]
fn items<'a>(answer: &'a Value, name: &str) -> &'a Vec<Value> {
    answer[name].as_array().unwrap_or_else(|| panic!("no {name}: {answer}"))
}

/// The comments of entries, by which the tests identify them.
#[track_caller]
fn comments(answer: &Response) -> Vec<String> {
    let text = |entry: &Value| entry["comment"].as_str().unwrap_or("-").to_owned();
    items(&answer.ok(), "auditLog").iter().map(text).collect()
}

async fn read(app: &App, filter: Value) -> Vec<String> {
    comments(&app.post("/audit_log", &filter).await)
}

async fn read_as(app: &App, token: &str, filter: Value) -> Response {
    app.post_as(token, "/audit_log", filter.to_string()).await
}

/// Cancels these orders with a comment, and returns the entry's id.
async fn cancel(app: &App, ids: &[&str], comment: &str) -> i64 {
    let log = json!({"comment": comment, "ticketLink": format!("T-{comment}")});
    app.cancel(json!({"orderIds": ids, "auditLog": log})).await.entry()
}

/// An account that sees all of one controller, or only these folders of it, and no other
/// controller.
async fn account_on(app: &App, name: &str, controller: &str, folders: &[&str]) -> String {
    app.store.add_role(name).await.unwrap();
    app.store.grant(name, VIEW, controller).await.unwrap();
    let folder = |folder: &&str| Folder { folder: (*folder).into(), recursive: true };
    app.store.limit(name, &folders.iter().map(folder).collect::<Vec<_>>()).await.unwrap();
    let hash = password::hash("a-password").unwrap();
    app.store.add_account(name, &hash, &[name.into()]).await.unwrap();
    app.login(name, "a-password").await
}

on_both! {
    async fn an_entry_says_who_did_what_and_why(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        let body = json!({"orderIds": ["a", "b"], "auditLog": {
            "comment": "it's 100% \"wrong\"", "timeSpent": 5, "ticketLink": "T-1"}});
        let body = with_controller(body);
        let request = app.client.post(format!("{}/orders/cancel", app.url));
        let request = request.header("X-Access-Token", &app.token).header("X-Request-Id", "r-1");
        let id = Response::of(request.body(body.to_string())).await.entry();

        let answer = app.post("/audit_log", &with_controller(json!({}))).await;
        assert_eq!(answer.headers["content-type"], "application/json");
        let answer = answer.ok();
        assert_eq!(answer["surveyDate"], "2026-11-23T12:34:56.789Z");
        assert_eq!(answer["deliveryDate"], "2026-11-23T12:34:56.789Z");
        let mut entry = items(&answer, "auditLog")[0].clone();
        let parameters: Value =
            serde_json::from_str(entry["parameters"].as_str().unwrap()).unwrap();
        assert_eq!(parameters, body);
        entry["parameters"] = Value::Null;
        assert_eq!(entry, json!({
            "id": id, "created": "2026-11-23T12:34:56.789Z", "controllerId": CONTROLLER,
            "account": "root", "request": "./orders/cancel", "category": "CONTROLLER",
            "parameters": null, "comment": "it's 100% \"wrong\"", "timeSpent": 5,
            "ticketLink": "T-1", "outcome": "DONE", "affected": 2, "requestId": "r-1",
            "clientAddress": "127.0.0.1",
        }));
    }

    async fn details_say_what_was_done_to_each_order(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("p").state("WAITING"),
            Order::new("p|east").state("RUNNING").workflow("/sos/east", "7"),
        ])
        .await;
        let fields = json!({"orderIds": ["p"], "deep": true, "kill": true});
        let id = app.cancel(fields).await.headers["x-audit-log-id"].to_str().unwrap().to_owned();
        let id: i64 = id.parse().unwrap();
        let answer = app.post("/audit_log/details", &json!({"auditLogId": id})).await.ok();
        let details = items(&answer, "auditLogDetails");
        assert_eq!(details[0], json!({
            "path": "/sos/eod,p", "type": "ORDER", "orderId": "p",
            "workflowId": {"path": "/sos/eod", "versionId": "1"},
            "previousState": "WAITING", "newState": "WAITING", "mark": "CANCELLING", "kill": false,
            "before": {"mark": null},
        }));
        assert_eq!(details[1], json!({
            "path": "/sos/east,p|east", "type": "ORDER", "orderId": "p|east",
            "workflowId": {"path": "/sos/east", "versionId": "7"},
            "previousState": "RUNNING", "newState": "RUNNING", "mark": "CANCELLING",
            "kill": true, "viaParent": "p",
            "before": {"mark": null, "kill_requested": null, "sigkill_at": null},
        }));
        assert_eq!(details.len(), 2);
        for other in [
            json!({"auditLogId": id, "controllerId": CONTROLLER}),
            json!({"auditLogId": id, "controllerId": "", "unknown": 1}),
        ] {
            let again = app.post("/audit_log/details", &other).await.ok();
            assert_eq!(&again["auditLogDetails"], &answer["auditLogDetails"]);
        }
        for nothing in [id + 1, 0, i64::MAX] {
            let none = app.post("/audit_log/details", &json!({"auditLogId": nothing})).await.ok();
            assert_eq!(none["auditLogDetails"], json!([]), "{nothing}");
        }
        app.db.insert_into("east", &[]).await;
        let body = json!({"auditLogId": id, "controllerId": "east"});
        let other = app.post("/audit_log/details", &body).await.ok();
        assert_eq!(other["auditLogDetails"], json!([]));
    }

    async fn filters_and_wildcards_select_entries(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("#2026-11-23#P1-a"),
            Order::new("#2026-11-23#P2-b").workflow("/sos/x/load_[1]%", "1"),
            Order::new("c").workflow("/other/eod2", "1"),
            Order::new("d").workflow("/rooted", "1"),
        ])
        .await;
        cancel(&app, &["#2026-11-23#P1-a"], "one").await;
        app.pass(TimeDelta::minutes(10));
        cancel(&app, &["#2026-11-23#P2-b"], "two").await;
        app.pass(TimeDelta::minutes(10));
        cancel(&app, &["c", "d"], "three").await;
        app.cancel(json!({"orderIds": ["c"], "auditLog": {"comment": "none"}})).await.nothing_found();
        let all = ["none", "three", "two", "one"];
        for (filter, wanted) in [
            (json!({}), &all[..]),
            (json!({"account": "", "comment": null, "objectName": "", "folders": []}), &all),
            (json!({"account": "root", "categories": ["CONTROLLER"]}), &all),
            (json!({"account": "r?*t"}), &all),
            (json!({"account": "Root"}), &[]),
            (json!({"account": "roo"}), &[]),
            (json!({"categories": ["IDENTITY"]}), &[]),
            (json!({"categories": ["IDENTITY", "CONTROLLER"]}), &all),
            (json!({"comment": "t*"}), &["three", "two"]),
            (json!({"comment": "%"}), &[]),
            (json!({"ticketLink": "T-two"}), &["two"]),
            (json!({"ticketLink": "T_two"}), &[]),
            (json!({"ticketLink": "?-t?o"}), &["two"]),
            (json!({"objectName": "#2026-11-23#P2-b"}), &["two"]),
            (json!({"objectName": "#2026-11-23#*"}), &["two", "one"]),
            (json!({"objectName": "/sos/x/load_[1]%"}), &["two"]),
            (json!({"objectName": "load_[1]%"}), &["two"]),
            (json!({"objectName": "load_[1]?"}), &["two"]),
            (json!({"objectName": "load_[1*"}), &["two"]),
            (json!({"objectName": "loadx[1]*"}), &[]),
            (json!({"objectName": "eod"}), &["one"]),
            (json!({"objectName": "EOD"}), &[]),
            (json!({"objectName": "eod*"}), &["three", "one"]),
            (json!({"objectName": "rooted"}), &["three"]),
            (json!({"objectName": "c"}), &["three"]),
            (json!({"objectName": "' OR 1=1 --"}), &[]),
            (json!({"folders": [{"folder": "/"}]}), &["three", "two", "one"]),
            (json!({"folders": [{"folder": "/", "recursive": false}]}), &["three"]),
            (json!({"folders": [{"folder": "/sos"}]}), &["two", "one"]),
            (json!({"folders": [{"folder": "/sos", "recursive": false}]}), &["one"]),
            (json!({"folders": [{"folder": "/so"}, {"folder": "/other"}]}), &["three"]),
            // All of the same order.
            (json!({"folders": [{"folder": "/other"}], "objectName": "d"}), &[]),
            (json!({"folders": [{"folder": "/sos"}], "objectName": "#2026-11-23#P1-a"}), &["one"]),
            (json!({"objectTypes": ["ORDER"]}), &["three", "two", "one"]),
            (json!({"objectTypes": ["WORKFLOW", "ORDER"]}), &["three", "two", "one"]),
            (json!({"objectTypes": ["SCHEDULE"], "limit": -1}), &[]),
            (json!({"limit": 2}), &["none", "three"]),
            (json!({"categories": ["INVENTORY", "DAILYPLAN", "DEPLOYMENT", "DOCUMENTATIONS"]}), &[]),
            (json!({"categories": ["CERTIFICATES", "SETTINGS", "MONITORING", "UNKNOWN"]}), &[]),
            (json!({"limit": -1}), &all),
            // Unsigned periods lie in the past.
            (json!({"dateFrom": "10m"}), &["none", "three", "two"]),
            (json!({"dateTo": "5m"}), &["two", "one"]),
            (json!({"dateFrom": "15m", "dateTo": "5m"}), &["two"]),
            (json!({"dateFrom": "0d", "timeZone": "Asia/Tokyo"}), &all),
            (json!({"dateTo": "1d"}), &[]),
            (json!({"dateFrom": "2026-11-23T12:44:56.789", "dateTo": "2026-11-23T12:54:56.789Z"}),
             &["two"]),
        ] {
            assert_eq!(read(&app, with_controller(filter.clone())).await, wanted, "{filter}");
        }
        let long = "x*".repeat(127);
        assert!(read(&app, json!({"comment": long, "account": long})).await.is_empty());
        let folders: Vec<Value> = (0..2000).map(|i| json!({"folder": format!("/f{i}")})).collect();
        let with_one = [folders, vec![json!({"folder": "/other"})]].concat();
        assert_eq!(read(&app, json!({"folders": with_one})).await, ["three"]);
    }

    async fn without_a_controller_lists_every_permitted_one(kind: Kind) {
        let app = App::with(kind, &[]).await;
        for controller in ["east", "west", "north"] {
            app.db.insert_into(controller, &[Order::new(controller)]).await;
            let body = json!({"controllerId": controller, "orderIds": [controller],
                              "auditLog": {"comment": controller}});
            app.post("/orders/cancel", &body).await.ok();
            app.pass(TimeDelta::seconds(1));
        }
        app.try_login("nobody", "wrong").await;
        // A rejected login belongs to no controller.
        assert_eq!(read(&app, json!({})).await, ["-", "north", "west", "east"]);
        let login = app.post("/audit_log", &json!({"categories": ["IDENTITY"]})).await.ok();
        let login = &items(&login, "auditLog")[0];
        assert_eq!(login["controllerId"], "-");
        assert_eq!((&login["account"], &login["outcome"]), (&json!("nobody"), &json!("DENIED")));
        assert_eq!(read(&app, json!({"controllerId": "west"})).await, ["west"]);
        assert_eq!(read(&app, json!({"controllerId": ""})).await.len(), 4);

        let east = account_on(&app, "east", "east", &[]).await;
        assert_eq!(comments(&read_as(&app, &east, json!({})).await), ["east"]);
        assert_eq!(comments(&read_as(&app, &east, json!({"controllerId": "east"})).await), ["east"]);
        let west = read_as(&app, &east, json!({"controllerId": "west"})).await;
        assert_eq!(west.status, 403, "{}", west.text);
        // The attempt is audited.
        let denied = app.post("/audit_log", &json!({"account": "east"})).await.ok();
        let denied = &items(&denied, "auditLog")[0];
        assert_eq!(denied["request"], "./audit_log");
        assert_eq!((&denied["controllerId"], &denied["outcome"]), (&json!("west"), &json!("DENIED")));

        // Two roles: all of the west, and one folder elsewhere.
        app.store.add_role("both").await.unwrap();
        app.store.grant("both", VIEW, "west").await.unwrap();
        app.account("limited", VIEW, &[("/sos", true)]).await;
        app.store.assign("both", "limited").await.unwrap();
        let limited = app.login("limited", "a-password").await;
        let body = json!({"controllerId": "west", "orderIds": ["x"], "auditLog": {"comment": "none"}});
        app.post("/orders/cancel", &body).await.nothing_found();
        app.pass(TimeDelta::seconds(10));
        let seen = comments(&read_as(&app, &limited, json!({})).await);
        assert_eq!(seen, ["none", "-", "north", "west", "east"]);
    }

    async fn a_folder_limit_hides_details_outside(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("mine").workflow("/mine/deep/a", "1"),
            Order::new("mine too").workflow("/mine/b", "1"),
            Order::new("theirs"),
            Order::new("theirs too"),
        ])
        .await;
        let mixed = cancel(&app, &["mine", "mine too", "theirs"], "mixed").await;
        let theirs = cancel(&app, &["theirs too"], "theirs").await;
        app.cancel(json!({"orderIds": ["theirs"]})).await.nothing_found();
        app.try_login("nobody", "wrong").await;
        // Overlapping folders count an order once.
        let folders = [("/mine", true), ("/mine/deep", true), ("/mine/b", false)];
        let token = app.account("limited", VIEW, &folders).await;
        for filter in [json!({}), with_controller(json!({}))] {
            let answer = read_as(&app, &token, filter).await.ok();
            let entries = items(&answer, "auditLog");
            assert_eq!(entries.len(), 1);
            assert_eq!(entries[0]["comment"], "mixed");
            assert_eq!(entries[0]["affected"], 2);
            assert!(entries[0].get("parameters").is_none());
        }
        for (filter, wanted) in [
            (json!({"objectName": "mine"}), 1),
            (json!({"objectName": "theirs"}), 0),
            (json!({"objectName": "their*"}), 0),
            (json!({"folders": [{"folder": "/sos"}]}), 0),
            (json!({"folders": [{"folder": "/"}]}), 1),
            (json!({"objectTypes": ["ORDER"]}), 1),
        ] {
            let seen = comments(&read_as(&app, &token, filter.clone()).await);
            assert_eq!(seen.len(), wanted, "{filter}");
        }
        for (id, wanted) in [(mixed, &["mine", "mine too"][..]), (theirs, &[])] {
            let body = json!({"auditLogId": id}).to_string();
            let answer = app.post_as(&token, "/audit_log/details", body).await.ok();
            let details = items(&answer, "auditLogDetails");
            let ids: Vec<&str> = details.iter().map(|d| d["orderId"].as_str().unwrap()).collect();
            assert_eq!(ids, wanted);
        }
    }

    async fn entries_are_found_by_their_number_and_request(kind: Kind) {
        let app = App::with(kind, &["a", "b", "c"].map(Order::new)).await;
        let first = cancel(&app, &["a", "b"], "first").await;
        let body = with_controller(json!({"orderIds": ["c"], "auditLog": {"comment": "second"}}));
        let request = app.client.post(format!("{}/orders/suspend", app.url));
        let request = request.header("X-Access-Token", &app.token).header("X-Request-Id", "r-2");
        Response::of(request.body(body.to_string())).await.ok();

        for (filter, expected) in [
            (json!({"auditLogId": first}), vec!["first"]),
            (json!({"auditLogId": first, "controllerId": "prod"}), vec!["first"]),
            (json!({"auditLogId": first, "account": "nobody"}), vec![]),
            (json!({"auditLogId": 999_999}), vec![]),
            (json!({"auditLogId": null, "requestId": "", "request": ""}), vec!["second", "first"]),
            (json!({"requestId": "r-2"}), vec!["second"]),
            // Not a pattern.
            (json!({"requestId": "r-*"}), vec![]),
            (json!({"request": "./orders/suspend"}), vec!["second"]),
            (json!({"request": "./orders/*"}), vec!["second", "first"]),
            (json!({"request": "./orders/suspend", "requestId": "r-1"}), vec![]),
        ] {
            assert_eq!(read(&app, filter.clone()).await, expected, "{filter}");
        }
        for (filter, message) in [
            (json!({"auditLogId": -1}), "auditLogId: is negative"),
            (json!({"requestId": "a\nb"}), "requestId: contains a control character"),
            (json!({"request": "a\nb"}), "request: contains a control character"),
        ] {
            let refused = app.post("/audit_log", &filter).await.failed("JOC-420");
            assert!(refused.starts_with(message.split(' ').next().unwrap()), "{refused}");
        }

        for (order, expected) in [("a", vec!["a"]), ("c", vec![]), ("", vec!["a", "b"])] {
            let body = json!({"auditLogId": first, "orderId": order});
            let details = app.post("/audit_log/details", &body).await.ok();
            let details = items(&details, "auditLogDetails").iter();
            let ids: Vec<_> = details.map(|detail| detail["orderId"].clone()).collect();
            assert_eq!(ids, expected, "{order}");
        }

        app.post("/orders/cancel/undo", &with_controller(json!({"auditLogId": first}))).await.ok();
        let entries = app.post("/audit_log", &json!({"request": "./orders/cancel*"})).await.ok();
        let undoes: Vec<_> =
            items(&entries, "auditLog").iter().map(|entry| entry.get("undoes").cloned()).collect();
        assert_eq!(undoes, [Some(json!(first)), None]);
    }

    async fn requires_the_permission_to_read(kind: Kind) {
        let app = App::with(kind, &[]).await;
        let token = app.account("canceller", "sos:products:controller:orders:cancel", &[]).await;
        for (call, body) in [
            ("/audit_log", json!({})),
            ("/audit_log", with_controller(json!({}))),
            ("/audit_log/details", json!({"auditLogId": 1})),
            ("/audit_log/details", with_controller(json!({"auditLogId": 1}))),
        ] {
            let answer = app.post_as(&token, call, body.to_string()).await;
            assert_eq!(answer.status, 403, "{call} {body}: {}", answer.text);
            assert_eq!(app.post_as("wrong", call, body.to_string()).await.status, 440);
        }
        let denied = "SELECT count(*) FROM audit_logs WHERE outcome = 'DENIED' AND controller_id =";
        assert_eq!(app.db.count(&format!("{denied} '-'")).await, 2);
        assert_eq!(app.db.count(&format!("{denied} '{CONTROLLER}'")).await, 2);
    }

    async fn rejects_invalid_fields_by_name(kind: Kind) {
        let app = App::with(kind, &[]).await;
        for (body, field) in [
            (json!({"controllerId": "nowhere"}), "JOC-404 controllerId: there is no controller"),
            (json!({"controllerId": "a/b"}), "controllerId: "),
            (json!({"categories": ["CONTROLLER", "INVENTARY"]}), "categories[1]: "),
            (json!({"objectTypes": ["ORDERS"]}), "objectTypes[0]: "),
            (json!({"objectName": "a\0"}), "objectName: "),
            (json!({"account": "\0"}), "account: "),
            (json!({"comment": "x".repeat(256)}), "comment: "),
            (json!({"ticketLink": 5}), "ticketLink: "),
            (json!({"folders": [{"folder": "/"}, {"folder": "sos"}]}), "folders[1].folder: "),
            (json!({"folders": "/sos"}), "folders: "),
            (json!({"limit": 0}), "limit: a positive number is expected, or -1 for no limit"),
            (json!({"limit": -2}), "limit: "),
            (json!({"limit": 1.5}), "limit: "),
            (json!({"limit": 1e30}), "limit: "),
            (json!({"dateFrom": "1q"}), "JOC-405 dateFrom: '1q' is neither"),
            (json!({"dateFrom": "1h", "dateTo": "2h"}), "JOC-405 dateTo: the window is empty"),
            (json!({"timeZone": "Mars/Phobos"}), "JOC-405 timeZone: "),
            (json!([]), "body: "),
        ] {
            app.post("/audit_log", &body).await.fails_with(field);
        }
        for (body, field) in [
            (json!({}), "auditLogId: is missing"),
            (json!({"auditLogId": -1}), "auditLogId: "),
            (json!({"auditLogId": "1"}), "auditLogId: "),
            (json!({"auditLogId": 1, "controllerId": "nowhere"}), "JOC-404 controllerId: "),
        ] {
            app.post("/audit_log/details", &body).await.fails_with(field);
        }
    }
}
