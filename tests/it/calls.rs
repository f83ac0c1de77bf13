//! What all requests that change orders have in common: headers, audit, previews, limits,
//! permissions, folders, rejections, and what happens when they compete.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Database, Kind, Order, everything, with_controller};

/// A changing endpoint, its permission and its message when there is nothing to do.
struct Endpoint {
    name: &'static str,
    permission: &'static str,
    nothing: &'static str,
}

const CALLS: &[Endpoint] = &[
    call("suspend", "suspend_resume", "No suspendible orders found."),
    call("resume", "suspend_resume", "No resumable orders found."),
    call("confirm", "confirm", "No prompting orders found."),
    call("continue", "modify", "No orders found."),
    call("change", "modify", "No orders found."),
    call("remove_when_terminated", "modify", "No orders found."),
];

const fn call(name: &'static str, permission: &'static str, nothing: &'static str) -> Endpoint {
    Endpoint { name, permission, nothing }
}

impl Endpoint {
    fn path(&self) -> String {
        format!("/orders/{}", self.name)
    }

    fn preview(&self) -> String {
        self.path() + "/preview"
    }

    fn permission(&self) -> String {
        format!("sos:products:controller:orders:{}", self.permission)
    }

    /// An order that the endpoint affects.
    fn order(&self, id: &str, folder: &str) -> Order {
        let order = Order::new(id).workflow(&format!("{folder}/w"), "1");
        match self.name {
            "resume" => order.suspended(),
            "confirm" => order.state("PROMPTING"),
            "continue" => order.waits("SLEEPING"),
            _ => order,
        }
    }

    /// A body, with the endpoint's required fields.
    fn body(&self, fields: Value) -> Value {
        let mut body = with_controller(fields);
        if self.name == "change" {
            body["priority"] = json!(7);
        }
        body
    }

    /// An app with one order in each of three folders.
    async fn app(&self, kind: Kind, flags: &[&str]) -> App {
        let app = App::start(kind, flags).await;
        let orders = ["/a", "/a/b", "/c"].map(|folder| self.order(folder, folder));
        app.db.insert(&orders).await;
        app
    }
}

/// Everything that changing requests could touch.
async fn tables(db: &Database) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    for table in ["orders", "audit_logs", "audit_log_details"] {
        rows.extend(db.rows(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")).await.unwrap());
    }
    rows
}

on_both! {
    async fn a_change_does_what_its_preview_says(kind: Kind) {
        for call in CALLS {
            let app = call.app(kind, &[]).await;
            let fields = call.body(json!({
                "folders": [{"folder": "/a"}],
                "auditLog": {"comment": "why", "timeSpent": 5, "ticketLink": "OPS-1"},
            }));
            let before = tables(&app.db).await;
            let preview = app.post(&call.preview(), &fields).await.ok();
            assert_eq!(tables(&app.db).await, before, "{}", call.name);
            let answer = app.post(&call.path(), &fields).await;
            assert_eq!(answer.affected(), 2, "{}", call.name);
            assert_eq!(preview["total"], 2, "{preview}");
            let mut answered: Vec<String> =
                answer.ok().as_object().unwrap().keys().cloned().collect();
            answered.sort();
            assert_eq!(answered, ["deliveryDate", "ok", "surveyDate"]);

            let log = app
                .db
                .rows("SELECT id, account, request, category, comment, time_spent, ticket_link, \
                       outcome, affected FROM audit_logs")
                .await
                .unwrap();
            let id = answer.headers["x-audit-log-id"].to_str().unwrap();
            let request = format!("./orders/{}", call.name);
            let wanted =
                [id, "root", &request, "CONTROLLER", "why", "5", "OPS-1", "DONE", "2"];
            assert_eq!(log, [wanted.map(|value| Some(value.to_owned())).to_vec()]);
            let details = app
                .db
                .rows("SELECT order_id, previous_state, folder FROM audit_log_details \
                       ORDER BY order_id")
                .await
                .unwrap();
            let previewed: Vec<Vec<Option<String>>> = preview["orders"]
                .as_array()
                .unwrap()
                .iter()
                .map(|order| {
                    let id = order["orderId"].as_str().unwrap().to_owned();
                    vec![Some(id.clone()), order["state"].as_str().map(Into::into), Some(id)]
                })
                .collect();
            assert_eq!(details, previewed);
        }
    }

    async fn each_endpoint_has_its_own_message_when_nothing_is_found(kind: Kind) {
        for call in CALLS {
            let app = App::with(kind, &[Order::new("a").state("FINISHED").remove_when_terminated()])
                .await;
            let body = call.body(everything());
            assert_eq!(app.post(&call.path(), &body).await.nothing_found(), call.nothing);
            let preview = app.post(&call.preview(), &body).await.ok();
            assert_eq!(preview["total"], 0);
            let log = app.db.rows("SELECT request, outcome FROM audit_logs").await.unwrap();
            let wanted = [format!("./orders/{}", call.name), "NO_ORDERS".into()].map(Some);
            assert_eq!(log, [wanted.to_vec()]);
        }
    }

    async fn a_rejected_request_changes_nothing(kind: Kind) {
        for call in CALLS {
            let app = call.app(kind, &["--comment-required=true"]).await;
            let before = tables(&app.db).await;
            let why = json!({"comment": "why"});
            let all = |field: &str, value: Value| {
                let mut body = call.body(everything());
                body["auditLog"] = why.clone();
                body[field] = value;
                body
            };
            for (body, field) in [
                (all("orderId", json!("a")), "orderId"),
                (all("orderIds", json!(["a", "a"])), "orderIds[1]"),
                (all("orderIds", json!(["\u{0}"])), "orderIds[0]"),
                (all("folders", json!([{"folder": "/", "deep": 1}])), "folders[0].deep"),
                (all("states", json!(["RUNNING", "running"])), "states[1]"),
                (all("dateFrom", json!("1q")), "JOC-405 dateFrom"),
                (all("kill", json!("yes")), "kill"),
                (all("auditLog", json!({"why": 1})), "auditLog.why"),
                (all("auditLog", json!({"comment": "<"})), "auditLog.comment"),
                (all("maxOrders", json!("3")), "maxOrders"),
                (all("controllerId", json!("nowhere")), "JOC-404 controllerId"),
                (all("controllerId", json!("a|b")), "controllerId"),
                (call.body(json!({"auditLog": why})), "orderIds, workflowIds, folders"),
                (call.body(json!({"orderIds": [], "folders": []})), "orderIds, workflowIds"),
            ] {
                for path in [call.path(), call.preview()] {
                    app.post(&path, &body).await.fails_with(field);
                }
            }
            let refused = app.post(&call.path(), &all("limit", json!(1))).await.refused();
            assert!(refused.starts_with("limit: "), "{refused}");
            let refused = app.post(&call.path(), &all("maxOrders", json!(2))).await.refused();
            assert!(refused.starts_with("maxOrders: ") && refused.contains('3'), "{refused}");
            if call.name == "remove_when_terminated" {
                let terminal = app.post(&call.path(), &all("states", json!(["FINISHED"]))).await;
                assert_eq!(terminal.nothing_found(), call.nothing);
                continue;
            }
            let answer = app.post(&call.path(), &call.body(everything())).await;
            assert_eq!(answer.status, 420);
            assert_eq!(answer.json()["error"]["code"], "JOC-300");
            assert_eq!(tables(&app.db).await, before, "{}", call.name);
            assert_eq!(app.post(&call.path(), &all("maxOrders", json!(3))).await.affected(), 3);
        }
    }

    async fn permissions_and_folder_limits_apply(kind: Kind) {
        for call in CALLS {
            let app = call.app(kind, &[]).await;
            let others = ["view", "cancel", "create", "suspend_resume", "confirm", "modify"];
            app.account("stranger", "sos:products:joc", &[]).await;
            for permission in others.into_iter().filter(|other| *other != call.permission) {
                let permission = format!("sos:products:controller:orders:{permission}");
                app.store.grant("stranger", &permission, "*").await.unwrap();
            }
            app.store.grant("stranger", &call.permission(), "elsewhere").await.unwrap();
            // A session may have cached its account's permissions.
            let stranger = app.login("stranger", "a-password").await;
            let body = call.body(everything()).to_string();
            for path in [call.path(), call.preview()] {
                let answer = app.post_as(&stranger, &path, body.clone()).await;
                assert_eq!(answer.status, 403, "{path}: {}", answer.text);
                assert_eq!(answer.json()["isPermitted"], false);
            }
            let log = "SELECT account, request, outcome, affected FROM audit_logs ORDER BY id";
            let denied = |request: String| {
                [Some("stranger".to_owned()), Some(request), Some("DENIED".into()), Some("0".into())]
            };
            let path = format!("./orders/{}", call.name);
            assert_eq!(app.db.rows(log).await.unwrap(),
                [denied(path.clone()).to_vec(), denied(path + "/preview").to_vec()]);
            assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details").await, 0);

            let limited = app.account("limited", &call.permission(), &[("/a", false)]).await;
            let preview = app.post_as(&limited, &call.preview(), body.clone()).await.ok();
            assert_eq!(preview["total"], 1);
            let named = call.body(json!({"orderIds": ["/c", "/a/b"]})).to_string();
            let answer = app.post_as(&limited, &call.path(), named).await;
            assert_eq!(answer.nothing_found(), call.nothing);
            assert_eq!(app.post_as(&limited, &call.path(), body).await.affected(), 1);
            let touched = app.db.rows("SELECT order_id FROM audit_log_details").await.unwrap();
            assert_eq!(touched, [[Some("/a".to_owned())]]);
        }
    }

    async fn previews_list_a_limited_number_of_orders(kind: Kind) {
        let orders: Vec<Order> = (0..10_001).map(|i| Order::new(&format!("o{i}"))).collect();
        let app = App::with(kind, &orders).await;
        let body = |limit: u32| with_controller(json!({"folders": [{"folder": "/"}], "limit": limit}));
        let preview = app.post("/orders/cancel/preview", &body(10_000)).await.ok();
        assert_eq!(preview["orders"].as_array().unwrap().len(), 10_000);
        assert_eq!((&preview["total"], &preview["cancelled"]), (&json!(10_001), &json!(10_001)));
        assert_eq!(app.post("/orders/cancel/preview", &body(0)).await.ok()["orders"], json!([]));
        let previews = CALLS.iter().map(Endpoint::preview).chain(["/orders/cancel/preview".into()]);
        for path in previews {
            for limit in [10_001, u32::MAX] {
                let mut body = body(limit);
                body["priority"] = json!(1);
                let refused = app.post(&path, &body).await.refused();
                assert!(refused.starts_with("limit: at most 10000 "), "{path}: {refused}");
            }
        }
    }

    async fn concurrent_changes_keep_orders_and_audit_consistent(kind: Kind) {
        const ORDERS: usize = 60;
        let states = ["FRESH", "RUNNING", "WAITING", "PROMPTING", "FAILED", "INPROGRESS"];
        let orders: Vec<Order> = (0..ORDERS)
            .map(|i| Order::new(&format!("o{i:02}")).state(states[i % states.len()]))
            .collect();
        let app = App::with(kind, &orders).await;
        let client = async |i: usize| {
            let mut affected = 0;
            for round in 0..6 {
                let name = ["suspend", "resume", "cancel", "suspend", "confirm"][(i + round) % 5];
                // Cancels only some, so that the others remain.
                let ids: Vec<String> = (0..ORDERS)
                    .filter(|n| name != "cancel" || n % 12 == (i + round) % 12)
                    .map(|n| format!("o{n:02}"))
                    .collect();
                let fields = json!({"orderIds": ids, "kill": round % 2 == 0});
                let answer = app.post(&format!("/orders/{name}"), &with_controller(fields)).await;
                if answer.status == 420 {
                    assert!(answer.nothing_found().ends_with("orders found."), "{}", answer.text);
                } else {
                    affected += answer.affected();
                }
            }
            affected
        };
        let sum: u64 =
            futures_util::future::join_all((0..12).map(client)).await.into_iter().sum();
        assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details").await as u64, sum);
        assert_eq!(app.db.count("SELECT sum(affected) FROM audit_logs").await as u64, sum);
        // Each request found an order as the one before had left it, and the last left it as it is
        // now.
        let sql = "SELECT order_id, previous_state, new_state, mark FROM audit_log_details \
                   ORDER BY order_id, audit_log_id";
        let mut last = std::collections::BTreeMap::<String, String>::new();
        let mut broken = Vec::new();
        for row in app.db.rows(sql).await.unwrap() {
            let [id, previous, new] = [0, 1, 2].map(|i| row[i].clone().unwrap());
            if last.get(&id).is_some_and(|left| *left != previous) {
                broken.push(format!("{id}: {} is not {previous}", last[&id]));
            }
            last.insert(id, new);
        }
        // Entry ids are drawn before orders are locked, so only SQLite's show the order of
        // requests.
        if kind == Kind::Sqlite {
            assert!(broken.is_empty(), "{broken:?}");
        }
        let agrees = "SELECT o.order_id, o.state, o.suspended, o.mark FROM orders o \
                      WHERE (o.state = 'CANCELLED') <> EXISTS (SELECT 1 FROM audit_log_details d \
                      WHERE d.order_id = o.order_id AND d.new_state = 'CANCELLED') \
                      OR (o.mark IS NOT NULL AND NOT EXISTS (SELECT 1 FROM audit_log_details d \
                      WHERE d.order_id = o.order_id AND d.mark = o.mark)) \
                      OR (SELECT count(*) FROM audit_log_details d WHERE d.order_id = o.order_id \
                      AND d.previous_state <> 'SUSPENDED' AND d.new_state = 'SUSPENDED') \
                      - (SELECT count(*) FROM audit_log_details d WHERE d.order_id = o.order_id \
                      AND d.previous_state = 'SUSPENDED' AND d.new_state <> 'SUSPENDED') \
                      <> CASE WHEN o.suspended THEN 1 ELSE 0 END";
        assert_eq!(app.db.rows(agrees).await.unwrap(), Vec::<Vec<Option<String>>>::new());
        let twice = "SELECT order_id FROM audit_log_details WHERE new_state = 'CANCELLED' \
                     GROUP BY order_id HAVING count(*) > 1";
        assert!(app.db.rows(twice).await.unwrap().is_empty());
    }

    async fn an_order_is_hidden_once(kind: Kind) {
        const ORDERS: usize = 200;
        let orders: Vec<Order> =
            (0..ORDERS).map(|i| Order::new(&format!("o{i}")).state("FINISHED")).collect();
        let app = App::with(kind, &orders).await;
        let body = with_controller(everything());
        let calls = (0..8).map(|_| app.post("/orders/remove_when_terminated", &body));
        let mut affected = 0;
        for answer in futures_util::future::join_all(calls).await {
            if answer.status == 420 {
                assert_eq!(answer.nothing_found(), "No orders found.");
            } else {
                affected += answer.affected();
            }
        }
        assert_eq!(affected, ORDERS as u64);
        let details = app.db.count("SELECT count(*) FROM audit_log_details").await;
        assert_eq!(details, ORDERS as i64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn continue_skips_an_order_whose_reason_to_wait_has_changed() {
    let app = App::with(Kind::Postgres, &[Order::new("a").waits("SLEEPING")]).await;
    let executor = app.db.execute(
        "BEGIN; UPDATE orders SET reason = 'WAITING_FOR_LOCK'; SELECT pg_sleep(1); COMMIT",
    );
    let client = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let body = json!({"controllerId": CONTROLLER, "orderIds": ["a"]});
        app.post("/orders/continue", &body).await
    };
    let (executed, answer) = tokio::join!(executor, client);
    executed.unwrap();
    assert_eq!(answer.nothing_found(), "No orders found.");
    assert_eq!(app.db.state("a").await, "WAITING");
}
