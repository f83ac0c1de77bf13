//! The code of each rejection, as JOC's clients read it: at requests that change, add, preview and
//! read, and what the command line makes of it.

use serde_json::{Value, json};

use crate::harness::{
    App, Order, Response, client, everything, launch_command, start, with_controller,
};

/// The endpoints that change orders, and what they say if there are none to change.
const CHANGES: [(&str, &str); 7] = [
    ("cancel", "No orders found."),
    ("suspend", "No suspendible orders found."),
    ("resume", "No resumable orders found."),
    ("confirm", "No prompting orders found."),
    ("continue", "No orders found."),
    ("change", "No orders found."),
    ("remove_when_terminated", "No orders found."),
];

/// The other endpoints that take a `controllerId`, with what else they require.
fn others() -> Vec<(&'static str, Value)> {
    let orders = json!({"orders": [{"workflowPath": "/sos/eod"}]});
    vec![
        ("/orders/add", orders.clone()),
        ("/orders/add/preview", orders),
        ("/orders", json!({})),
        ("/order", json!({"orderId": "a"})),
        ("/orders/overview/snapshot", json!({})),
        ("/orders/overview/folders", json!({})),
        ("/orders/overview/schedule", json!({"dateFrom": "0", "dateTo": "1h", "unit": "HOUR"})),
        ("/orders/overview/cancelling", json!({})),
        ("/orders/history", json!({})),
        ("/order/history", json!({"orderId": "done"})),
        ("/audit_log", json!({})),
        ("/audit_log/details", json!({"auditLogId": 1})),
        ("/audit_log/overview", json!({"dateFrom": "1d", "dateTo": "0d", "unit": "DAY"})),
        ("/workflows", json!({})),
        ("/workflow", json!({"workflowId": {"path": "/sos/eod"}})),
        ("/workflows/order_count", json!({"workflowIds": [{"path": "/sos/eod"}]})),
        ("/tree", json!({})),
        ("/controllers", json!({})),
    ]
}

/// A request, its code, and how the message begins.
type Case = (String, Value, &'static str, &'static str);

/// Each changing endpoint and its preview with these fields.
fn changes(fields: &Value, code: &'static str, message: &'static str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, _) in CHANGES {
        for path in [format!("/orders/{name}"), format!("/orders/{name}/preview")] {
            let mut fields = with(&json!({"priority": 1}), fields);
            if name == "resume" {
                fields.as_object_mut().unwrap().remove("priority");
            }
            cases.push((path, fields, code, message));
        }
    }
    cases
}

/// These fields, and more; a field that both have is that of `more`.
fn with(fields: &Value, more: &Value) -> Value {
    let mut all = fields.clone();
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

async fn app(kind: crate::harness::Kind, flags: &[&str]) -> App {
    let app = App::start(kind, flags).await;
    app.db
        .insert(&[
            Order::new("a").workflow("/sos/eod", "1"),
            Order::new("b").workflow("/hr/eod", "1"),
            Order::new("c").workflow("/hr/eod", "1").state("RUNNING"),
            Order::new("done").workflow("/sos/eod", "1").state("FINISHED"),
        ])
        .await;
    app
}

/// All that a request could change.
async fn tables(app: &App) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    for table in ["orders", "workflows", "audit_logs", "audit_log_details"] {
        let sql = format!("SELECT * FROM {table} ORDER BY 1, 2, 3");
        rows.extend(app.db.rows(&sql).await.unwrap());
    }
    rows
}

#[track_caller]
fn check(response: &Response, status: u16, code: &str, message: &str, what: &str) {
    assert_eq!(response.status, status, "{what}: {}", response.text);
    let body = response.json();
    let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["deliveryDate", "error"], "{what}: {body}");
    assert_eq!(body["error"]["code"], code, "{what}: {body}");
    let got = body["error"]["message"].as_str().unwrap();
    assert!(got.starts_with(message), "{what}: {got:?} is not {message:?}");
}

/// Sends each request, and expects that nothing changes.
async fn reject(app: &App, cases: &[Case]) {
    let before = tables(app).await;
    for (path, fields, code, message) in cases {
        let body = with(&with_controller(json!({})), fields);
        let response = app.post(path, &body).await;
        check(&response, 420, code, message, &format!("{path} {fields}"));
    }
    assert_eq!(tables(app).await, before);
}

on_both! {
    async fn joc_400_is_for_what_is_not_there(kind: Kind) {
        let app = app(kind, &[]).await;
        let gone = json!({"orders": [{"workflowPath": "/sos/eod"}, {"workflowPath": "/sos/gone"}]});
        let add = "orders[1].workflowPath: there is no workflow '/sos/gone'";
        let cases = [
            ("/order", json!({"orderId": "gone"}), "orderId: there is no order 'gone'"),
            ("/order/history", json!({"orderId": "gone"}), "orderId: there is no order 'gone'"),
            ("/workflow", json!({"workflowId": {"path": "/gone"}}), "Workflow '/gone' doesn't exist"),
            ("/workflow", json!({"workflowId": {"path": "/sos/eod", "versionId": "9"}}),
                "Workflow '/sos/eod' in version '9' doesn't exist"),
            ("/orders/add", gone.clone(), add),
            ("/orders/add/preview", gone, add),
            ("/orders/add", json!({"orders": [{"workflowPath": "gone"}]}),
                "orders[0].workflowPath: there is no workflow 'gone'"),
        ];
        let cases = cases.map(|(path, fields, message)| (path.into(), fields, "JOC-400", message));
        reject(&app, &cases).await;
    }

    async fn joc_400_is_for_no_order_to_change(kind: Kind) {
        let app = app(kind, &[]).await;
        let orders = "SELECT * FROM orders ORDER BY 1, 2";
        let before = app.db.rows(orders).await.unwrap();
        for (name, nothing) in CHANGES {
            let path = format!("/orders/{name}");
            for fields in [
                json!({"orderIds": ["gone"]}),
                json!({"workflowIds": [{"path": "/gone"}]}),
                json!({"folders": [{"folder": "/gone"}], "dateTo": "1d", "maxOrders": 0}),
            ] {
                let fields = if name == "change" { with(&fields, &json!({"priority": 1})) } else { fields };
                let response = app.post(&path, &with_controller(fields.clone())).await;
                check(&response, 420, "JOC-400", "", &path);
                let message = response.json()["error"]["message"].as_str().unwrap().to_owned();
                assert_eq!(message, format!("ControllerObjectNotExistException: {nothing}"));
                // A preview of nothing is no error.
                let preview = app.post(&format!("{path}/preview"), &with_controller(fields)).await;
                assert_eq!(preview.ok()["total"], 0, "{path}");
            }
        }
        assert_eq!(app.db.rows(orders).await.unwrap(), before);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details").await, 0);
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs WHERE outcome <> 'NO_ORDERS'").await, 0);
    }

    async fn joc_404_is_for_an_unknown_controller(kind: Kind) {
        let app = app(kind, &[]).await;
        let nowhere = json!({"controllerId": "nowhere"});
        let message = "controllerId: there is no controller 'nowhere'";
        let mut cases = changes(&with(&everything(), &nowhere), "JOC-404", message);
        for (path, fields) in others() {
            cases.push((path.into(), with(&fields, &nowhere), "JOC-404", message));
        }
        reject(&app, &cases).await;
    }

    async fn joc_405_is_for_dates_and_time_zones(kind: Kind) {
        let app = app(kind, &[]).await;
        let mut cases = Vec::new();
        // A window is inverted whichever way its numbers point.
        let inverted = ["2026-11-24T00:00:00Z", "2026-11-23T00:00:00Z"];
        for (fields, message) in [
            (json!({"dateFrom": "1q"}), "dateFrom: '1q' is neither a date nor a period"),
            (json!({"dateFrom": ""}), "dateFrom: '' is neither a date nor a period"),
            (json!({"dateFrom": "9999y"}), "dateFrom: '9999y' leaves the years 1 to 9999"),
            (json!({"dateTo": "2026-02-30T00:00:00"}), "dateTo: "),
            (json!({"dateFrom": inverted[0], "dateTo": inverted[1]}), "dateTo: the window is empty"),
            (json!({"dateTo": "1d", "timeZone": "Mars"}), "timeZone: 'Mars' is not an IANA time zone"),
        ] {
            cases.extend(changes(&with(&fields, &everything()), "JOC-405", message));
            for path in ["/orders", "/orders/overview/snapshot", "/orders/history", "/audit_log"] {
                cases.push((path.into(), fields.clone(), "JOC-405", message));
            }
        }
        for (path, fields, message) in [
            ("/orders", json!({"stateDateFrom": "1q"}), "stateDateFrom: '1q' is neither"),
            ("/orders", json!({"stateDateTo": ""}), "stateDateTo: '' is neither"),
            ("/orders", json!({"stateDateFrom": "1h", "stateDateTo": "2h"}), "stateDateTo: the window is empty"),
            ("/orders/history", json!({"completedDateFrom": "1q"}), "completedDateFrom: '1q' is neither"),
            ("/orders/history", json!({"completedDateTo": "x"}), "completedDateTo: 'x' is neither"),
            ("/orders/history", json!({"completedDateFrom": "1h", "completedDateTo": "2h"}),
                "completedDateTo: the window is empty"),
            ("/orders/overview/schedule", json!({"dateFrom": "1q", "dateTo": "1h", "unit": "HOUR"}),
                "dateFrom: '1q' is neither"),
            ("/orders/overview/schedule", json!({"dateFrom": "+2h", "dateTo": "+1h", "unit": "DAY"}),
                "dateTo: the window is empty"),
            ("/audit_log/overview", json!({"dateFrom": "1d", "dateTo": "x", "unit": "DAY"}),
                "dateTo: 'x' is neither"),
            ("/workflows/order_count", json!({"workflowIds": [{"path": "eod"}], "dateTo": "1q"}),
                "dateTo: '1q' is neither"),
            ("/workflows/order_count", json!({"workflowIds": [{"path": "eod"}], "timeZone": "Mars"}),
                "timeZone: 'Mars' is not"),
        ] {
            cases.push((path.into(), fields, "JOC-405", message));
        }
        for (order, message) in [
            (json!({"scheduledFor": "soon"}), "orders[0].scheduledFor: 'soon' is neither"),
            (json!({"scheduledFor": "2026-02-30 10:00"}), "orders[0].scheduledFor: '2026-02-30 10:00' is neither"),
            (json!({"scheduledFor": "now + 999999999999"}), "orders[0].scheduledFor: 'now + 999999999999' leaves"),
            (json!({"timeZone": "Mars"}), "orders[0].timeZone: 'Mars' is not"),
        ] {
            let fields = json!({"orders": [with(&order, &json!({"workflowPath": "/sos/eod"}))]});
            for path in ["/orders/add", "/orders/add/preview"] {
                cases.push((path.into(), fields.clone(), "JOC-405", message));
            }
        }
        reject(&app, &cases).await;
    }

    async fn joc_420_is_for_any_other_mistake(kind: Kind) {
        let app = app(kind, &[]).await;
        let mut cases = Vec::new();
        for (fields, message) in [
            (json!({"folder": "/"}), "folder: there is no such field"),
            (json!({"orderIds": "a"}), "orderIds: "),
            (json!({"orderIds": ["a", "a"]}), "orderIds[1]: 'a' occurs twice"),
            (json!({"folders": [{"folder": "sos"}]}), "folders[0].folder: "),
            (json!({"states": ["SLEEPY"]}), "states[0]: "),
            (json!({"states": vec!["FAILED"; 1001]}), "states: has more than 1000 values"),
            // A date of the wrong type is no date that cannot be read.
            (json!({"dateFrom": 5}), "dateFrom: invalid type"),
            (json!({"controllerId": null}), "controllerId: "),
            (json!({"controllerId": "a|b"}), "controllerId: '|' is not allowed"),
            (json!({}), "orderIds, workflowIds, folders, states, dateFrom, dateTo: "),
            (json!({"orderIds": ["a"], "auditLog": {"comment": "<"}}), "auditLog.comment: "),
            (json!({"orderIds": ["a"], "limit": "1"}), "limit: "),
        ] {
            cases.extend(changes(&fields, "JOC-420", message));
        }
        for (path, fields) in others() {
            cases.push((path.into(), with(&fields, &json!({"controllerId": 5})), "JOC-420", "controllerId: "));
        }
        for (path, fields, message) in [
            ("/orders/cancel", with(&everything(), &json!({"maxOrders": 1})), "maxOrders: 3 orders would be"),
            ("/orders/cancel", with(&everything(), &json!({"limit": 1})), "limit: only previews"),
            ("/orders/change", everything(), "priority: is missing"),
            ("/orders/resume", with(&everything(), &json!({"fromCurrentBlock": true})), "fromCurrentBlock: is not supported"),
            ("/orders", json!({"limit": 0}), "limit: "),
            ("/orders", json!({"regex": "("}), "regex: "),
            ("/order", json!({}), "orderId: is missing"),
            ("/orders/history", json!({"historyStates": ["DONE"]}), "historyStates[0]: "),
            ("/audit_log", json!({"categories": ["?"]}), "categories[0]: "),
            ("/audit_log/details", json!({}), "auditLogId: is missing"),
            ("/workflow", json!({"workflowId": {"path": "eod"}}), "workflowId.path: several workflows"),
            ("/workflow", json!({"workflowId": {"path": "a/b"}}), "workflowId.path: "),
            ("/workflows/order_count", json!({"workflowIds": []}), "workflowIds: is empty"),
            ("/tree", json!({"types": ["MOON"]}), "types[0]: "),
            ("/orders/add", json!({"orders": []}), "orders: is empty"),
            ("/orders/add", json!({"orders": [{"workflowPath": "eod"}]}),
                "orders[0].workflowPath: 'eod' is the name of 2 workflows"),
            ("/orders/add/preview", json!({"orders": [{"workflowPath": "/sos/eod", "blockPosition": [0]}]}),
                "orders[0].blockPosition: is not supported"),
            ("/orders/add", json!({"orders": [{"workflowPath": "/sos/eod", "scheduledFor": 5}]}),
                "orders[0].scheduledFor: invalid type"),
        ] {
            cases.push((path.into(), fields, "JOC-420", message));
        }
        reject(&app, &cases).await;

        let before = tables(&app).await;
        let paths = CHANGES.map(|(name, _)| format!("/orders/{name}")).into_iter();
        for path in paths.chain(others().into_iter().map(|(path, _)| path.to_owned())) {
            for body in [&b"{"[..], b"[]", b"not JSON", b"{\"controllerId\":\"\xff\"}"] {
                let response = app.post_as(&app.token, &path, body.to_vec()).await;
                check(&response, 420, "JOC-420", "body: ", &path);
            }
        }
        assert_eq!(tables(&app).await, before);
    }

    async fn joc_420_has_a_status_of_its_own_where_http_has_one(kind: Kind) {
        let app = app(kind, &["--body-limit=1000", "--header-limit=2000"]).await;
        let before = tables(&app).await;
        let body = with_controller(everything()).to_string();
        for path in ["/orders/cancle", "/orders/cancel/x", "/nothing", ""] {
            let response = app.post_as(&app.token, path, body.clone()).await;
            check(&response, 404, "JOC-420", "there is no endpoint /joc/api", path);
        }
        let get = app.client.get(format!("{}/orders/cancel", app.url));
        check(&Response::of(get).await, 405, "JOC-420", "/joc/api/orders/cancel takes only POST", "GET");
        let long = format!("{body}{}", " ".repeat(1000));
        for path in ["/orders/cancel", "/orders", "/orders/add"] {
            let response = app.post_as(&app.token, path, long.clone()).await;
            check(&response, 413, "JOC-420", "the body is larger than 1000 bytes", path);
        }
        let response = app.post_as(&app.token, &format!("/orders?{}", "x".repeat(2000)), body).await;
        check(&response, 431, "JOC-420", "the header fields are larger than 2000 bytes", "query");
        assert_eq!(tables(&app).await, before);
    }

    async fn joc_300_and_500_stay(kind: Kind) {
        let app = app(kind, &["--comment-required=true"]).await;
        let all = everything();
        let mut cases = changes(&all, "JOC-300", "missing comment");
        let add = json!({"orders": [{"workflowPath": "/sos/gone"}]});
        cases.push(("/orders/add".into(), add, "JOC-300", "missing comment"));
        reject(&app, &cases).await;
        let ran = start(&app.url, &["orders", "cancel", "--yes", "--folder", "/"]).await;
        assert!(ran.exits(4).ends_with("Error: missing comment\n"), "{ran:?}");

        app.db.execute("ALTER TABLE workflows RENAME TO elsewhere").await.unwrap();
        for (path, fields) in [
            ("/workflows", json!({})),
            ("/orders/add", json!({"orders": [{"workflowPath": "/sos/eod"}], "auditLog": {"comment": "why"}})),
        ] {
            let response = app.post(path, &with_controller(fields)).await;
            check(&response, 420, "JOC-500", "internal error; see the log", path);
        }
        let ran = start(&app.url, &["orders", "add", "--workflow", "/sos/eod", "--comment", "why"]).await;
        assert!(ran.exits(1).contains("JOC-500: internal error"), "{ran:?}");
    }

    async fn the_command_line_tells_nothing_found_from_mistakes(kind: Kind) {
        let app = app(kind, &[]).await;
        let before = tables(&app).await;
        // Those that it has commands for.
        for (verb, nothing) in &CHANGES[..3] {
            for (flags, code, error) in [
                (&["--order-id", "gone"][..], 3, *nothing),
                (&["--order-id", "a", "--controller-id", "nowhere"], 4, "controllerId: there is no controller"),
                (&["--folder", "/", "--date-to", "1q"], 4, "dateTo: '1q' is neither a date nor a period"),
                (&["--folder", "/", "--date-to", "1d", "--time-zone", "Mars"], 4, "timeZone: 'Mars' is not"),
                (&["--folder", "sos"], 4, "folders[0].folder: "),
            ] {
                let args = [&["orders", verb, "--yes"], flags].concat();
                let ran = start(&app.url, &args).await;
                assert!(ran.exits(code).contains(&format!("Error: {error}")), "{args:?}: {ran:?}");
            }
        }
        for (args, code, error) in [
            (&["orders", "add", "--workflow", "/gone"][..], 3, "orders[0].workflowPath: there is no workflow '/gone'"),
            (&["orders", "add", "--workflow", "eod"], 4, "orders[0].workflowPath: 'eod' is the name of 2"),
            (&["orders", "add", "--workflow", "/sos/eod", "--scheduled-for", "soon"], 4, "orders[0].scheduledFor: 'soon'"),
            (&["orders", "add", "--workflow", "/sos/eod", "--time-zone", "Mars"], 4, "orders[0].timeZone: "),
            (&["orders", "list", "--date-from", "1q"], 4, "dateFrom: '1q'"),
            (&["orders", "list", "--controller-id", "nowhere"], 4, "controllerId: "),
            (&["audit", "--date-from", "1q"], 4, "dateFrom: '1q'"),
        ] {
            let ran = start(&app.url, args).await;
            assert!(ran.exits(code).contains(&format!("Error: {error}")), "{args:?}: {ran:?}");
        }
        // An endpoint that does not exist is that of another service.
        let elsewhere = app.url.replace("/joc/api", "/joc");
        let ran = launch_command(client(&elsewhere, &["orders", "list"]), "").await;
        assert!(ran.exits(2).contains("there is no API at"), "{ran:?}");
        assert_eq!(tables(&app).await, before);
    }
}
