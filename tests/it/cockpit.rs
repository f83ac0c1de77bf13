//! What clients ask for right after login.

use chrono::TimeDelta;
use joc_orders::http::password;
use serde_json::json;

use crate::harness::{App, Kind, Order};

/// An app with the controllers `east`, `prod` and `west`.
async fn app(kind: Kind) -> App {
    let app = App::start(kind, &[]).await;
    app.db.insert_into("west", &[Order::new("o")]).await;
    app.db.insert_into("east", &[]).await;
    app
}

/// An account with permissions for controllers, logged in.
async fn account(app: &App, name: &str, permissions: &[(&str, &str)]) -> String {
    app.store.add_role(name).await.unwrap();
    for (permission, controller) in permissions {
        app.store.grant(name, permission, controller).await.unwrap();
    }
    let hash = password::hash("a-password").unwrap();
    app.store.add_account(name, &hash, &[name.into()]).await.unwrap();
    app.login(name, "a-password").await
}

on_both! {
    async fn lists_controllers_with_any_permission(kind: Kind) {
        let app = app(kind).await;
        let all = app.post_as(&app.token, "/controllers", "").await.ok();
        let ids: Vec<&str> = all["controllers"].as_array().unwrap().iter()
            .map(|c| c["controllerId"].as_str().unwrap()).collect();
        assert_eq!(ids, ["east", "prod", "west"]);
        let east = &all["controllers"][0];
        assert_eq!(east["id"], 3794847435604015_u64);
        assert_ne!(east["id"], all["controllers"][1]["id"]);
        assert_eq!(east["connectionState"]["_text"], "established");
        assert_eq!(east["version"], "2.7.3");
        assert_eq!(app.url, format!("{}/joc/api", east["url"].as_str().unwrap()));
        assert!(all["deliveryDate"].is_string());

        let token = account(&app, "eastern", &[("sos:products:controller:view", "east"),
                                               ("sos:products:controller:orders", "west")]).await;
        let ids = app.post_as(&token, "/controller/ids", "").await.ok();
        assert_eq!(ids["controllerIds"], json!(["east", "west"]));
        assert_eq!(ids["selected"], "east");
        let named = |id: &str| json!({"controllerId": id}).to_string();
        let one = app.post_as(&token, "/controllers", named("east")).await.ok();
        assert_eq!(one["controllers"].as_array().unwrap().len(), 1);
        assert_eq!(one["controllers"][0]["controllerId"], "east");
        let all = app.post_as(&token, "/controllers", named("")).await.ok();
        assert_eq!(all["controllers"].as_array().unwrap().len(), 2);
        assert_eq!(app.post_as(&token, "/controllers", named("west")).await.status, 403);
        assert_eq!(app.post_as(&token, "/controllers", named("prod")).await.status, 403);
        let gone = app.post_as(&token, "/controllers", named("gone")).await;
        gone.fails_with("JOC-404 controllerId: ");
        let bad = app.post_as(&token, "/controllers", r#"{"controllerId": 1}"#).await.refused();
        assert!(bad.starts_with("controllerId: "), "{bad}");

        let nobody = account(&app, "nobody", &[]).await;
        let ids = app.post_as(&nobody, "/controller/ids", "{}").await.ok();
        assert_eq!((&ids["controllerIds"], &ids["selected"]), (&json!([]), &json!("")));
    }

    async fn shows_one_controller(kind: Kind) {
        let app = app(kind).await;
        let token = account(&app, "viewer", &[("sos:products:controller:view", "east"),
                                              ("sos:products:controller:orders", "west")]).await;
        let body = json!({"controllerId": "east"});
        let all = app.post_as(&token, "/controllers", body.to_string()).await.ok();
        let east = &all["controllers"][0];
        for call in ["/controllers", "/controllers/p"] {
            let listed = app.post_as(&token, call, body.to_string()).await.ok();
            assert_eq!(listed["controllers"], json!([east]), "{call}");
            let listed = app.post_as(&token, call, "").await.ok();
            assert_eq!(listed["controllers"].as_array().unwrap().len(), 2, "{call}");
        }
        let url = east["url"].as_str().unwrap();
        for call in ["/controller", "/controller/p"] {
            let named = |url: &str| json!({"controllerId": "east", "url": url}).to_string();
            for body in [body.to_string(), named(url), named(&format!("{url}/")), named("")] {
                let one = app.post_as(&token, call, body).await.ok();
                assert_eq!(&one["controller"], east, "{call}");
                assert!(one["deliveryDate"].is_string(), "{call}");
            }
            let elsewhere = app.post_as(&token, call, named("http://other:4444")).await;
            elsewhere.fails_with("JOC-404 url: there is no controller");
        }
        // What PowerShell's module sends to connect, whose choice of a controller is its own.
        let ids = app.post_as(&token, "/controller/ids", "{}").await.ok();
        let answer = app.post_as(&token, "/controller/switch", body.to_string()).await.ok();
        assert_eq!(answer["ok"], true);
        assert_eq!(app.post_as(&token, "/controller/ids", "{}").await.ok()["selected"], ids["selected"]);
        for call in ["/controller", "/controller/p", "/controller/switch"] {
            for (body, problem) in [
                ("{}", "controllerId: "),
                (r#"{"controllerId": ""}"#, "controllerId: "),
                (r#"{"controllerId": 1}"#, "controllerId: "),
                (r#"{"controllerId": "gone"}"#, "JOC-404 controllerId: "),
                (r#"{"controllerId": "a|b"}"#, "controllerId: "),
                ("", "body: "),
                ("[]", "body: "),
            ] {
                app.post_as(&token, call, body).await.fails_with(problem);
            }
            let denied = app.post_as(&token, call, r#"{"controllerId": "west"}"#).await;
            assert_eq!(denied.status, 403, "{call}");
        }
    }

    async fn tells_clients_that_start_its_version_and_settings(kind: Kind) {
        let app = App::start(kind, &["--comment-required=true"]).await;
        for body in ["", "{}", r#"{"controllerId": "gone"}"#, "no JSON"] {
            let version = app.post_as(&app.token, "/joc/version", body).await.ok();
            assert_eq!(version, json!({"version": "2.7.3"}));
            let mut active = app.post_as(&app.token, "/joc/is_active", body).await.ok();
            for date in ["deliveryDate", "surveyDate"] {
                assert!(active.as_object_mut().unwrap().remove(date).unwrap().is_string());
            }
            assert_eq!(active, json!({"ok": true}));
        }
        let properties = app.post_as(&app.token, "/joc/properties", "").await.ok();
        assert_eq!(properties["forceCommentsForAuditLog"], true);
        // What JOC's schema requires, by type.
        for text in ["deliveryDate", "securityLevel", "defaultProfileAccount", "apiVersion",
                     "inventoryVersion", "jocVersion"] {
            assert!(properties[text].is_string(), "{text}: {properties}");
        }
        assert_eq!((&properties["comments"], &properties["showViews"]), (&json!([]), &json!({})));
        assert_eq!(properties["displayFoldersInViews"], true);

        let app = app.replica(&[]).await;
        let properties = app.post_as(&app.token, "/joc/properties", "").await.ok();
        assert_eq!(properties["forceCommentsForAuditLog"], false);
        // It says that arguments need no declaration.
        assert_eq!(properties["allowUndeclaredVariables"], true);
        app.db.insert(&[Order::new("o").workflow("/w", "1")]).await;
        let order = json!({"workflowPath": "/w", "arguments": {"undeclared": 1}});
        let added = json!({"controllerId": "prod", "orders": [order]});
        app.post("/orders/add", &added).await.ok();
    }

    async fn other_endpoints_of_joc_are_not_found_by_name(kind: Kind) {
        let app = App::start(kind, &[]).await;
        for call in ["/jobs/overview/summary", "/controller/components", "/joc/license", "/joc",
                     "/workflows/search", "/daily_plan/orders", "/order/log", "/iam/accounts"] {
            for token in [&*app.token, ""] {
                let answer = app.post_as(token, call, "{}").await;
                assert_eq!(answer.status, 404, "{call}");
                let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
                assert!(message.ends_with(&format!(" /joc/api{call}")), "{call}: {message}");
            }
        }
    }

    async fn shows_the_versions_of_the_api(kind: Kind) {
        let app = app(kind).await;
        let all = app.post_as(&app.token, "/joc/versions", "").await.ok();
        assert_eq!(all["jocVersion"], "2.7.3");
        assert_eq!(all["agentVersions"], json!([]));
        assert_eq!(all["controllerVersions"].as_array().unwrap().len(), 3);
        assert_eq!(all["controllerVersions"][2], json!({
            "controllerId": "west", "uri": app.url.strip_suffix("/joc/api").unwrap(),
            "version": "2.7.3", "compatibility": "COMPATIBLE",
        }));
        assert_eq!(all["version"], "2.7.3");
        let some = app.post("/joc/versions", &json!({"controllerIds": ["west", "gone"]})).await.ok();
        assert_eq!(some["controllerVersions"].as_array().unwrap().len(), 1);
        let agents = app.post("/joc/versions", &json!({"agentIds": ["a"]})).await.ok();
        assert_eq!(agents["controllerVersions"], json!([]));
        let token = account(&app, "western", &[("sos:products:controller", "west")]).await;
        let all = app.post_as(&token, "/joc/versions", "{}").await.ok();
        assert_eq!(all["controllerVersions"].as_array().unwrap().len(), 1);
    }

    async fn touch_extends_the_session(kind: Kind) {
        let app = App::start(kind, &[]).await;
        for body in ["", "{}", "{}", " "] {
            app.pass(TimeDelta::minutes(29));
            let answer = app.post_as(&app.token, "/touch", body).await.ok();
            let mut fields: Vec<&String> = answer.as_object().unwrap().keys().collect();
            fields.sort();
            assert_eq!(fields, ["deliveryDate", "ok", "surveyDate"]);
            assert_eq!(answer["ok"], true);
        }
        app.pass(TimeDelta::minutes(31));
        for call in ["/touch", "/controllers", "/controller/ids", "/joc/versions",
                     "/authentication/joc_cockpit_permissions"] {
            assert_eq!(app.post_as(&app.token, call, "").await.status, 440, "{call}");
            assert_eq!(app.post_as("", call, "").await.status, 401, "{call}");
        }
    }

    async fn shows_permissions_as_a_tree_of_booleans(kind: Kind) {
        let app = app(kind).await;
        let call = "/authentication/joc_cockpit_permissions";
        let root = app.post_as(&app.token, call, "").await.ok();
        assert_eq!(root["roles"], json!(["all"]));
        assert_eq!(root["joc"]["administration"]["customization"]["share"], true);
        assert_eq!(root["controllerDefaults"]["orders"]["suspendResume"], true);
        assert!(!root.to_string().contains("false"), "{root}");
        assert_eq!(root["controllers"].as_object().unwrap().len(), 3);

        let token = account(&app, "clerk", &[
            ("sos:products:joc:auditlog:view", "*"),
            ("sos:products:controller:workflows:view", "*"),
            ("sos:products:controller:orders", "west"),
            ("sos:products:controller:orders:cancel", "east"),
        ])
        .await;
        let clerk = app.post_as(&token, call, "{}").await.ok();
        assert_eq!(clerk["roles"], json!(["clerk"]));
        assert_eq!(clerk["joc"]["auditLog"], json!({"view": true}));
        assert_eq!(clerk["joc"]["inventory"], json!({"view": false, "manage": false, "deploy": false}));
        assert_eq!(clerk["controllerDefaults"]["orders"]["cancel"], false);
        assert_eq!(clerk["controllerDefaults"]["workflows"]["view"], true);
        assert_eq!(clerk["controllerDefaults"]["view"], false);
        let orders = |controller: &str| clerk["controllers"][controller]["orders"].clone();
        assert_eq!(orders("west"), json!({
            "view": true, "create": true, "cancel": true, "modify": true, "suspendResume": true,
            "resumeFailed": true, "confirm": true, "managePositions": true,
        }));
        assert_eq!(orders("east"), json!({
            "view": false, "create": false, "cancel": true, "modify": false, "suspendResume": false,
            "resumeFailed": false, "confirm": false, "managePositions": false,
        }));
        assert_eq!(orders("prod")["cancel"], false);
        assert_eq!(clerk["controllers"]["prod"]["workflows"]["view"], true);

        // A permission for one controller is shown as granted.
        let token = account(&app, "western", &[("sos:products:joc:auditlog:view", "west")]).await;
        let western = app.post_as(&token, call, "{}").await.ok();
        assert_eq!(western["joc"]["auditLog"]["view"], true);
        assert_eq!(western["joc"]["inventory"]["view"], false);
        app.post_as(&token, "/audit_log", "{}").await.ok();
    }
}
