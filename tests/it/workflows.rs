//! Workflows, their counts of orders, and the tree of their folders.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Kind, Order, ROOT, quote, with_controller};

const VIEW: &str = "sos:products:controller:workflows:view";

/// Inserts a version of a workflow with its time of creation.
async fn deploy(app: &App, path: &str, version: &str, created: &str) {
    let sql = format!(
        "INSERT INTO workflows (controller_id, path, version_id, created) \
         VALUES ('{CONTROLLER}', {}, {}, '{created}')",
        quote(path),
        quote(version)
    );
    app.db.execute(&sql).await.unwrap();
}

/// An app with workflows: `/a/one` in three versions, the first with a living order and the second
/// with a finished one; `/a/b/two`, `/a_/two`, `/root`.
async fn app(kind: Kind) -> App {
    let app = App::start(kind, &[]).await;
    deploy(&app, "/a/one", "v1", "2026-01-01T00:00:00.000Z").await;
    deploy(&app, "/a/one", "v2", "2026-01-02T00:00:00.000Z").await;
    deploy(&app, "/a/one", "v3", "2026-01-03T00:00:00.000Z").await;
    deploy(&app, "/a/b/two", "v1", "2026-01-04T00:00:00.123Z").await;
    // Created at the same instant: the later version's name decides.
    deploy(&app, "/a_/two", "v1", "2026-01-05T00:00:00.000Z").await;
    deploy(&app, "/a_/two", "v2", "2026-01-05T00:00:00.000Z").await;
    deploy(&app, "/root", "v1", "2026-01-06T00:00:00.000Z").await;
    app.db
        .insert(&[
            Order::new("living").workflow("/a/one", "v1").state("RUNNING"),
            Order::new("ended").workflow("/a/one", "v2").state("FINISHED"),
        ])
        .await;
    app
}

fn ids(answer: &Value) -> Vec<String> {
    let id =
        |w: &Value| format!("{} {}", w["path"].as_str().unwrap(), w["versionId"].as_str().unwrap());
    answer["workflows"].as_array().unwrap().iter().map(id).collect()
}

async fn list(app: &App, fields: Value) -> Vec<String> {
    ids(&app.post("/workflows", &with_controller(fields)).await.ok())
}

on_both! {
    async fn lists_current_versions_and_those_with_living_orders(kind: Kind) {
        let app = app(kind).await;
        let all = ["/root v1", "/a_/two v2", "/a/b/two v1", "/a/one v3", "/a/one v1"];
        assert_eq!(list(&app, json!({})).await, all);
        assert_eq!(list(&app, json!({"workflowIds": [], "folders": null, "unknown": 1})).await, all);
        let answer = app.post("/workflows", &with_controller(json!({"compact": true}))).await.ok();
        assert_eq!(answer["surveyDate"], "2026-11-23T12:34:56.789Z");
        assert!(answer["deliveryDate"].is_string());
        assert_eq!(answer["workflows"][2], json!({
            "path": "/a/b/two", "versionId": "v1", "isCurrentVersion": true,
            "versionDate": "2026-01-04T00:00:00.123Z",
            "state": {"_text": "IN_SYNC", "severity": 6}, "suspended": false,
            "numOfSkippedInstructions": 0, "numOfStoppedInstructions": 0, "instructions": [],
        }));
        assert_eq!(answer["workflows"][4]["isCurrentVersion"], false);
    }

    async fn workflow_ids_name_the_current_version_or_one(kind: Kind) {
        let app = app(kind).await;
        let by = |ids: Value| list(&app, json!({"workflowIds": ids, "folders": [{"folder": "/x"}],
                                                "regex": "nothing"}));
        assert_eq!(by(json!([{"path": "/a/one"}])).await, ["/a/one v3"]);
        assert_eq!(by(json!([{"path": "one", "versionId": ""}])).await, ["/a/one v3"]);
        assert_eq!(by(json!([{"path": "two"}])).await, ["/a_/two v2", "/a/b/two v1"]);
        assert_eq!(
            by(json!([{"path": "/a/one", "versionId": "v2"}, {"path": "two", "version": "v1"},
                      {"path": "/root"}, {"path": "/gone"}, {"path": "/a/one", "versionId": "v9"}]))
                .await,
            ["/root v1", "/a_/two v1", "/a/b/two v1", "/a/one v2"]
        );
        let many: Vec<Value> = (0..5000)
            .flat_map(|i| [json!({"path": format!("/w/{i}")}),
                           json!({"path": format!("w{i}"), "versionId": "v"})])
            .chain([json!({"path": "/root"})])
            .collect();
        assert_eq!(by(json!(many)).await, ["/root v1"]);
    }

    async fn folders_are_ranges_not_patterns(kind: Kind) {
        let app = app(kind).await;
        let by = |folders: Value| list(&app, json!({"folders": folders}));
        assert_eq!(by(json!([{"folder": "/a"}])).await, ["/a/b/two v1", "/a/one v3", "/a/one v1"]);
        let flat = by(json!([{"folder": "/a", "recursive": false}])).await;
        assert_eq!(flat, ["/a/one v3", "/a/one v1"]);
        assert_eq!(by(json!([{"folder": "/", "recursive": false}])).await, ["/root v1"]);
        assert_eq!(by(json!([{"folder": "/a_"}])).await, ["/a_/two v2"]);
        assert_eq!(by(json!([{"folder": "/%"}])).await.len(), 0);
        assert_eq!(by(json!([{"folder": "/"}])).await.len(), 5);
        let many: Vec<Value> =
            (0..100).map(|i| json!({"folder": format!("/f{i}")})).chain([json!({"folder": "/a_"})]).collect();
        assert_eq!(by(json!(many)).await, ["/a_/two v2"]);
    }

    async fn regex_states_and_limit_narrow_the_list(kind: Kind) {
        let app = app(kind).await;
        let by = |regex: &str| list(&app, json!({"regex": regex}));
        assert_eq!(by("TWO").await, ["/a_/two v2", "/a/b/two v1"]);
        assert_eq!(by("^r%t$").await, ["/root v1"]);
        assert_eq!(by("t").await.len(), 3);
        assert_eq!(by("a").await.len(), 0, "the folder is no part of the name");
        assert_eq!(by("").await.len(), 5);
        assert_eq!(by(r"^\w+_?\w*\d*\w$").await.len(), 5);
        let narrowed = |fields: Value| list(&app, fields);
        assert_eq!(narrowed(json!({"regex": "two", "folders": [{"folder": "/a"}]})).await, ["/a/b/two v1"]);
        assert_eq!(narrowed(json!({"limit": 2})).await, ["/root v1", "/a_/two v2"]);
        assert_eq!(narrowed(json!({"limit": -1})).await.len(), 5);
        assert_eq!(narrowed(json!({"limit": i64::MAX})).await.len(), 5);
        assert_eq!(narrowed(json!({"states": ["IN_SYNC", "SUSPENDED"]})).await.len(), 5);
        assert_eq!(narrowed(json!({"states": ["NOT_IN_SYNC", "OUTSTANDING"]})).await.len(), 0);
    }

    async fn rejects_invalid_input_by_name(kind: Kind) {
        let app = app(kind).await;
        for (fields, field) in [
            (json!({"regex": "("}), "regex: '('"),
            (json!({"regex": r"(a)\1"}), "regex: "),
            (json!({"regex": r"\w{1000}{1000}"}), "regex: "),
            (json!({"regex": "(", "workflowIds": [{"path": "x"}]}), "regex: "),
            (json!({"regex": "(\u{0}"}), "regex: "),
            (json!({"regex": "x".repeat(1001)}), "regex: is longer"),
            (json!({"regex": 1}), "regex: "),
            (json!({"states": ["RUNNING"]}), "states[0]: "),
            (json!({"limit": "1"}), "limit: "),
            (json!({"limit": 0}), "limit: a positive number is expected, or -1 for no limit"),
            (json!({"limit": -2}), "limit: "),
            (json!({"folders": [{"folder": "a"}]}), "folders[0].folder: "),
            (json!({"folders": [{"folder": "/a\u{0}"}]}), "folders[0].folder: "),
            (json!({"workflowIds": [{"path": "/a\u{0}"}]}), "workflowIds[0].path: "),
            (json!({"workflowIds": [{"path": "a/b"}]}), "workflowIds[0].path: "),
            (json!({"workflowIds": [{"path": "a", "versionId": "\u{0}"}]}), "workflowIds[0].versionId: "),
        ] {
            let refused = app.post("/workflows", &with_controller(fields.clone())).await.refused();
            assert!(refused.starts_with(field), "{fields}: {refused}");
            assert!(!refused.contains('\n') && !refused.contains('\0'), "{refused:?}");
        }
        for call in ["/workflows", "/tree"] {
            let unknown = app.post(call, &json!({"controllerId": "gone"})).await;
            unknown.fails_with("JOC-404 controllerId: ");
            assert!(app.post(call, &json!({})).await.refused().contains("controllerId"));
        }
        let hostile = list(&app, json!({"workflowIds": [{"path": "'; DROP TABLE x --%_"}]})).await;
        assert_eq!(hostile.len(), 0);
    }

    async fn shows_one_workflow(kind: Kind) {
        let app = app(kind).await;
        let by = |id: Value| {
            let body = with_controller(json!({"workflowId": id}));
            let app = &app;
            async move { app.post("/workflow", &body).await }
        };
        let one = by(json!({"path": "one"})).await.ok();
        assert_eq!(one["workflow"]["path"], "/a/one");
        assert_eq!(one["workflow"]["versionId"], "v3");
        assert_eq!(one["workflow"]["isCurrentVersion"], true);
        assert!(one["surveyDate"].is_string() && one["deliveryDate"].is_string());
        let old = by(json!({"path": "/a/one", "versionId": "v2"})).await.ok();
        assert_eq!(old["workflow"]["versionId"], "v2");
        assert_eq!(old["workflow"]["isCurrentVersion"], false);
        assert_eq!(by(json!({"path": "/a/gone"})).await.not_found(), "Workflow '/a/gone' doesn't exist");
        let gone = by(json!({"path": "one", "versionId": "v9"})).await.not_found();
        assert_eq!(gone, "Workflow 'one' in version 'v9' doesn't exist");
        let two = by(json!({"path": "two"})).await.refused();
        assert!(two.starts_with("workflowId.path: ") && two.contains("/a/b/two"), "{two}");
        assert!(by(json!({"path": "\u{0}"})).await.refused().starts_with("workflowId.path: "));
        assert!(by(json!({})).await.refused().starts_with("workflowId"));
    }

    async fn orders_are_counted_by_effective_state(kind: Kind) {
        let of = |id: &str| Order::new(id).workflow("/w/one", "1");
        let app = App::with(kind, &[
            of("pending").never(),
            of("scheduled"), of("tomorrow").at("2026-11-24T00:00:00.001Z"),
            of("midnight").at("2026-11-24T00:00:00.000Z"),
            of("blocked").at("2026-11-23T12:34:56.788Z"),
            of("suspended").suspended(), of("suspended later").suspended().at("2027-01-01T00:00:00Z"),
            of("in progress").state("INPROGRESS"), of("running").state("RUNNING"),
            of("prompting").state("PROMPTING"), of("waiting").state("WAITING"),
            of("failed").state("FAILED"), of("finished").state("FINISHED"),
            of("cancelled").state("CANCELLED"),
            Order::new("other").workflow("/w/two", "1").state("FAILED"),
            Order::new("not asked for").workflow("/w/three", "1"),
        ])
        .await;
        deploy(&app, "/w/idle", "1", "2026-01-01T00:00:00.000Z").await;
        let asked = json!([{"path": "/w/one"}, {"path": "two"}, {"path": "idle"}, {"path": "gone"}]);
        let count = |more: Value| {
            let mut body = with_controller(more);
            body["workflowIds"] = asked.clone();
            let app = &app;
            async move { app.post("/workflows/order_count", &body).await }
        };
        let answer = count(json!({})).await.ok();
        assert_eq!(ids(&answer), ["/w/idle 1", "/w/one 1", "/w/two 1"]);
        assert_eq!(answer["workflows"][1]["numOfOrders"], json!({
            "pending": 1, "scheduled": 3, "blocked": 1, "suspended": 2, "inProgress": 1, "running": 1,
            "prompting": 1, "waiting": 1, "failed": 1, "terminated": 2,
        }));
        let none: u64 = answer["workflows"][0]["numOfOrders"]
            .as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(none, 0);
        assert_eq!(answer["numOfAllOrders"]["failed"], 2);
        // The workflows themselves show the same numbers.
        let of_two = answer["workflows"][2]["numOfOrders"].clone();
        let two = with_controller(json!({"workflowId": {"path": "two"}}));
        assert_eq!(app.post("/workflow", &two).await.ok()["workflow"]["numOfOrders"], of_two);
        let all = app.post("/workflows", &with_controller(json!({}))).await.ok();
        let all = all["workflows"].as_array().unwrap();
        let listed = all.iter().find(|workflow| workflow["path"] == "/w/two").unwrap();
        assert_eq!(listed["numOfOrders"], of_two);
        let compact = with_controller(json!({"compact": true}));
        let compact = app.post("/workflows", &compact).await.ok();
        assert_eq!(compact["workflows"][0].get("numOfOrders"), None);
        assert_eq!(answer["numOfAllOrders"]["terminated"], 2);
        assert_eq!(answer["surveyDate"], "2026-11-23T12:34:56.789Z");

        for (date_to, scheduled) in [("0d", 0), ("1d", 1), ("2d", 3), ("2h", 1), ("-1d", 0), ("0", 0)] {
            let limited = count(json!({"dateTo": date_to})).await.ok();
            let counts = &limited["workflows"][1]["numOfOrders"];
            assert_eq!(counts["scheduled"], scheduled, "{date_to}");
            assert_eq!((&counts["pending"], &counts["blocked"], &counts["suspended"]),
                       (&json!(1), &json!(1), &json!(2)), "{date_to}");
        }
        let berlin = count(json!({"dateTo": "1d", "timeZone": "Europe/Berlin"})).await.ok();
        assert_eq!(berlin["workflows"][1]["numOfOrders"]["scheduled"], 1);
        count(json!({"dateTo": "1q"})).await.fails_with("JOC-405 dateTo: '1q'");
        count(json!({"timeZone": "Mars"})).await.fails_with("JOC-405 timeZone: ");
        let empty = with_controller(json!({"workflowIds": []}));
        let refused = app.post("/workflows/order_count", &empty).await.refused();
        assert!(refused.starts_with("workflowIds: "), "{refused}");

        app.pass(TimeDelta::hours(24));
        let token = app.login(ROOT.0, ROOT.1).await;
        let body = with_controller(json!({"workflowIds": asked})).to_string();
        let later = app.post_as(&token, "/workflows/order_count", body).await.ok();
        assert_eq!(later["workflows"][1]["numOfOrders"]["blocked"], 4);
        assert_eq!(later["workflows"][1]["numOfOrders"]["scheduled"], 0);
    }

    async fn the_tree_nests_folders(kind: Kind) {
        let app = app(kind).await;
        deploy(&app, "/a/b/c/d/deep", "1", "2026-01-01T00:00:00.000Z").await;
        let by = |fields: Value| {
            let body = with_controller(fields);
            let app = &app;
            async move { app.post("/tree", &body).await.ok()["folders"].clone() }
        };
        let leaf = |path: &str, name: &str| json!({"path": path, "name": name, "permitted": true});
        let node = |path: &str, name: &str, folders: Value| {
            json!({"path": path, "name": name, "permitted": true, "folders": folders})
        };
        let c = node("/a/b/c", "c", json!([leaf("/a/b/c/d", "d")]));
        let all = json!([node("/", "", json!([
            node("/a", "a", json!([node("/a/b", "b", json!([c]))])),
            leaf("/a_", "a_"),
        ]))]);
        assert_eq!(by(json!({})).await, all);
        assert_eq!(by(json!({"types": ["WORKFLOW", "LOCK"], "folders": [{"folder": "/"}]})).await, all);
        let flat = json!([node("/", "", json!([node("/a", "a", json!([leaf("/a/b", "b")]))]))]);
        assert_eq!(by(json!({"folders": [{"folder": "/a", "recursive": false}]})).await, flat);
        let top = json!([node("/", "", json!([leaf("/a", "a"), leaf("/a_", "a_")]))]);
        assert_eq!(by(json!({"folders": [{"folder": "/", "recursive": false}]})).await, top);
        let deep = json!([node("/", "", json!([node("/a", "a", json!([node("/a/b", "b", json!([c]))]))]))]);
        assert_eq!(by(json!({"folders": [{"folder": "/a/b"}]})).await, deep);
        assert_eq!(by(json!({"folders": [{"folder": "/gone"}]})).await, json!([]));
        assert_eq!(by(json!({"types": ["LOCK"]})).await, json!([]));
        let bad = app.post("/tree", &with_controller(json!({"types": ["x\u{0}"]}))).await.refused();
        assert!(bad.starts_with("types[0]: "), "{bad}");
        let bad = app.post("/tree", &with_controller(json!({"folders": [{"folder": "a"}]}))).await;
        assert!(bad.refused().starts_with("folders[0].folder: "));
    }

    async fn folder_limits_hide_other_workflows(kind: Kind) {
        let app = app(kind).await;
        let token = app.account("limited", VIEW, &[("/a/b", true), ("/a_", false)]).await;
        deploy(&app, "/a_/x/hidden", "1", "2026-01-01T00:00:00.000Z").await;
        let post = async |call: &str, fields: Value| {
            app.post_as(&token, call, with_controller(fields).to_string()).await
        };
        let seen = ["/a_/two v2", "/a/b/two v1"];
        assert_eq!(ids(&post("/workflows", json!({})).await.ok()), seen);
        assert_eq!(ids(&post("/workflows", json!({"folders": [{"folder": "/"}]})).await.ok()), seen);
        let named = json!({"workflowIds": [{"path": "/a/one"}, {"path": "two"}]});
        assert_eq!(ids(&post("/workflows", named.clone()).await.ok()), seen);
        let counted = post("/workflows/order_count", named).await.ok();
        assert_eq!(ids(&counted), ["/a/b/two v1", "/a_/two v2"]);
        let outside = post("/workflow", json!({"workflowId": {"path": "/a/one"}})).await.not_found();
        assert_eq!(outside, "Workflow '/a/one' doesn't exist");
        let tree = post("/tree", json!({})).await.ok();
        assert_eq!(tree["folders"], json!([{"path": "/", "name": "", "permitted": false, "folders": [
            {"path": "/a", "name": "a", "permitted": false,
             "folders": [{"path": "/a/b", "name": "b", "permitted": true}]},
            {"path": "/a_", "name": "a_", "permitted": true},
        ]}]));
    }

    async fn requires_the_permission(kind: Kind) {
        let app = app(kind).await;
        let token = app.account("other", "sos:products:controller:orders", &[]).await;
        for call in ["/workflows", "/workflow", "/workflows/order_count", "/tree"] {
            let body = with_controller(json!({
                "workflowId": {"path": "gone"}, "workflowIds": [{"path": "gone"}]}));
            let denied = app.post_as(&token, call, body.to_string()).await;
            assert_eq!(denied.status, 403, "{call}: {}", denied.text);
            assert_eq!(app.post_as("unknown", call, "{}").await.status, 440, "{call}");
        }
        let denied = "SELECT count(*) FROM audit_logs WHERE outcome = 'DENIED' AND account = 'other'";
        assert_eq!(app.db.count(denied).await, 4);
    }

    async fn lists_thousands_of_workflows(kind: Kind) {
        let orders: Vec<Order> = (0..3000)
            .map(|i| Order::new(&format!("o{i}")).workflow(&format!("/f{}/w{i:04}", i % 300), "1"))
            .collect();
        let app = App::with(kind, &orders).await;
        assert_eq!(list(&app, json!({})).await.len(), 3000);
        assert_eq!(list(&app, json!({"regex": r"^w\d+7$"})).await.len(), 300);
        let ids: Vec<Value> = (0..3000).map(|i| json!({"path": format!("w{i:04}")})).collect();
        let body = with_controller(json!({"workflowIds": ids}));
        let counted = app.post("/workflows/order_count", &body).await.ok();
        assert_eq!(counted["numOfAllOrders"]["scheduled"], 3000);
        let tree = app.post("/tree", &with_controller(json!({}))).await.ok();
        assert_eq!(tree["folders"][0]["folders"].as_array().unwrap().len(), 300);
    }
}
