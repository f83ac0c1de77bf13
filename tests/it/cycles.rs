//! Whether an order of a cycle that is named by id stands for every fresh order of its cycle.

use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Kind, Order, start, with_controller};

/// The common part of the cycle's ids.
const CYCLE: &str = "#2026-12-01#C4038226057";

fn id(index: u32) -> String {
    format!("{CYCLE}-{index:05}-6-backup")
}

fn order(index: u32) -> Order {
    Order::new(&id(index)).at(&format!("2026-12-01T0{index}:00:00Z"))
}

/// Ids that differ from the cycle's in one place each.
const OTHERS: &[&str] = &[
    "#2026-12-01#C40382260570-00003-6-backup",
    "#2026-12-01#C403822605-00003-6-backup",
    "#2026-12-01#C4038226058-00003-6-backup",
    "#2026-12-02#C4038226057-00003-6-backup",
    "#2026-12-01#T4038226057-00003-6-backup",
    "#2026-12-01#c4038226057-00003-6-backup",
    "#2026-12-01#C4038226057",
    "#2026-12-01#C4038226057.00003-6-backup",
    "#2026-12-01#C4038226057_00003-6-backup",
    "x#2026-12-01#C4038226057-00003-6-backup",
];

/// A cycle of six orders, of which the first has started, the second has ended, the fourth is
/// suspended and the sixth is in another folder; a fresh child; and orders that are not of it.
async fn started(kind: Kind, flags: &[&str]) -> App {
    let app = App::start(kind, flags).await;
    let mut orders = vec![
        order(1).state("RUNNING"),
        order(2).state("FINISHED"),
        order(3),
        order(4).suspended(),
        order(5),
        order(6).workflow("/other/eod", "1"),
        Order::new(&format!("{}|east", id(1))),
    ];
    orders.extend(OTHERS.iter().map(|id| Order::new(id)));
    app.db.insert(&orders).await;
    app.db.insert_into("another", &[order(3), order(5)]).await;
    app
}

async fn all(kind: Kind) -> App {
    started(kind, &["--orders-cycles", "all"]).await
}

/// The states of the cycle's orders, by index.
async fn states(app: &App) -> Vec<String> {
    let mut states = Vec::new();
    for index in 1..=6 {
        states.push(app.db.state(&id(index)).await);
    }
    states
}

/// Asserts that nothing outside of the cycle has changed.
async fn others_are_untouched(app: &App) {
    for id in OTHERS {
        assert_eq!(app.db.state(id).await, "FRESH", "{id}");
    }
    assert_eq!(app.db.state(&format!("{}|east", id(1))).await, "FRESH");
    let another = app.db.rows(
        "SELECT DISTINCT state || CASE WHEN suspended THEN '~' ELSE '' END FROM orders \
         WHERE controller_id = 'another'",
    );
    assert_eq!(another.await.unwrap(), [[Some("FRESH".into())]]);
}

/// Previews and sends a request, which must affect as many orders as the preview counts.
async fn send(app: &App, call: &str, fields: Value) -> Value {
    let body = with_controller(fields);
    let preview = app.post(&format!("/orders/{call}/preview"), &body).await.ok();
    let answer = app.post(&format!("/orders/{call}"), &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["x-orders-affected"], preview["total"].to_string());
    let audited = answer.entry();
    let sql = format!(
        "SELECT order_id FROM audit_log_details WHERE controller_id = '{CONTROLLER}' \
         AND audit_log_id = {audited} ORDER BY order_id"
    );
    let ids: Vec<_> =
        app.db.rows(&sql).await.unwrap().into_iter().map(|row| json!(row[0])).collect();
    let previewed = preview["orders"].as_array().unwrap().iter();
    assert_eq!(previewed.map(|order| order["orderId"].clone()).collect::<Vec<_>>(), ids);
    preview
}

on_both! {
    async fn by_default_only_the_named_order_changes(kind: Kind) {
        let app = started(kind, &[]).await;
        let preview = send(&app, "cancel", json!({"orderIds": [id(3)]})).await;
        assert_eq!(preview["total"], 1);
        assert_eq!(preview.get("byCycle"), None);
        assert_eq!(
            states(&app).await,
            ["RUNNING", "FINISHED", "CANCELLED", "FRESH~", "FRESH", "FRESH"]
        );
        others_are_untouched(&app).await;
        let listed = app.post("/orders", &with_controller(json!({}))).await.ok();
        assert!(!listed.to_string().contains("cyclicOrder"), "{listed}");
    }

    async fn an_id_stands_for_the_fresh_orders_of_its_cycle(kind: Kind) {
        let app = all(kind).await;
        let preview = send(&app, "cancel", json!({"orderIds": [id(3)]})).await;
        assert_eq!(preview["total"], 4);
        assert_eq!(preview["byCycle"], 3);
        assert_eq!(preview["byState"], json!({"SCHEDULED": 3, "SUSPENDED": 1}));
        assert_eq!(
            states(&app).await,
            ["RUNNING", "FINISHED", "CANCELLED", "CANCELLED", "CANCELLED", "CANCELLED"]
        );
        others_are_untouched(&app).await;
    }

    async fn named_orders_of_the_same_cycle_count_once(kind: Kind) {
        let app = all(kind).await;
        let ids = [id(1), id(3), id(5), OTHERS[4].into(), "missing".into()];
        let preview =
            send(&app, "cancel", json!({"orderIds": ids, "deep": true, "maxOrders": 7})).await;
        // The two others of the cycle; the started order has a child.
        assert_eq!(preview["total"], 7);
        assert_eq!(preview["byCycle"], 2);
        assert_eq!(preview["marked"], 1);
        assert_eq!(app.db.state(OTHERS[4]).await, "CANCELLED");
        assert_eq!(app.db.state(OTHERS[3]).await, "FRESH");
    }

    async fn an_order_that_is_not_fresh_stands_for_itself(kind: Kind) {
        let app = all(kind).await;
        let preview = send(&app, "cancel", json!({"orderIds": [id(1)]})).await;
        assert_eq!((&preview["total"], &preview["byCycle"]), (&json!(1), &json!(0)));
        for gone in [id(2), format!("{CYCLE}-00007-6-backup")] {
            let preview = app.preview(json!({"orderIds": [gone]})).await;
            assert_eq!(preview["total"], 0);
        }
        others_are_untouched(&app).await;
    }

    async fn the_command_line_says_how_many_were_not_named(kind: Kind) {
        let app = all(kind).await;
        let id = id(3);
        let ran = start(&app.url, &["orders", "cancel", "--dry-run", "--order-id", &id]).await;
        let said = "would cancel 4 orders (3 of them not named, but of the cycle of an order that is); \
                    dry run, nothing changed";
        assert!(ran.ok().contains(said), "{ran:?}");
    }

    async fn max_orders_counts_the_whole_cycle(kind: Kind) {
        let app = all(kind).await;
        let answer = app.cancel(json!({"orderIds": [id(3)], "maxOrders": 3})).await;
        assert_eq!(answer.status, 420);
        assert!(answer.text.contains("4 orders would be affected"), "{}", answer.text);
        assert_eq!(app.db.state(&id(3)).await, "FRESH");
        app.cancel(json!({"orderIds": [id(3)], "maxOrders": 4})).await.ok();
    }

    async fn the_window_limits_the_cycle(kind: Kind) {
        let app = all(kind).await;
        let fields = json!({"orderIds": [id(3)], "dateFrom": "2026-12-01T05:00:00Z"});
        let preview = send(&app, "cancel", fields).await;
        assert_eq!((&preview["total"], &preview["byCycle"]), (&json!(2), &json!(2)));
        assert_eq!(app.db.state(&id(3)).await, "FRESH");
        assert_eq!(app.db.state(&id(5)).await, "CANCELLED");
    }

    async fn only_visible_orders_of_a_cycle_change(kind: Kind) {
        let app = all(kind).await;
        let token =
            app.account("limited", "sos:products:controller:orders:cancel", &[("/sos", true)]).await;
        let body = |index| with_controller(json!({"orderIds": [id(index)]})).to_string();
        let preview = app.post_as(&token, "/orders/cancel/preview", body(3)).await.ok();
        assert_eq!((&preview["total"], &preview["byCycle"]), (&json!(3), &json!(2)));
        // An order that the account cannot see stands for nothing.
        let preview = app.post_as(&token, "/orders/cancel/preview", body(6)).await.ok();
        assert_eq!(preview["total"], 0);
        app.post_as(&token, "/orders/cancel", body(3)).await.ok();
        assert_eq!(app.db.state(&id(6)).await, "FRESH");
        assert_eq!(app.db.state(&id(5)).await, "CANCELLED");
    }

    async fn whole_cycles_are_suspended_resumed_and_changed(kind: Kind) {
        let app = all(kind).await;
        let preview = send(&app, "suspend", json!({"orderIds": [id(3)]})).await;
        assert_eq!((&preview["total"], &preview["byCycle"]), (&json!(3), &json!(2)));
        assert_eq!(
            states(&app).await,
            ["RUNNING", "FINISHED", "FRESH~", "FRESH~", "FRESH~", "FRESH~"]
        );
        let preview = send(&app, "resume", json!({"orderIds": [id(6)]})).await;
        assert_eq!((&preview["total"], &preview["byCycle"]), (&json!(4), &json!(3)));
        let change = json!({"orderIds": [id(5)], "priority": 7});
        let preview = send(&app, "change", change).await;
        assert_eq!((&preview["total"], &preview["byCycle"]), (&json!(4), &json!(3)));
        let changed = "SELECT count(*) FROM orders WHERE priority = 7";
        assert_eq!(app.db.rows(changed).await.unwrap(), [[Some("4".into())]]);
        let remove = json!({"orderIds": [id(5)]});
        let preview = send(&app, "remove_when_terminated", remove).await;
        assert_eq!(preview["total"], 1);
        assert_eq!(preview.get("byCycle"), None);
        others_are_untouched(&app).await;
    }

    async fn lists_show_a_cycle_as_its_first_fresh_order(kind: Kind) {
        let app = all(kind).await;
        let list = async |fields: Value| -> Vec<Value> {
            let answer = app.post("/orders", &with_controller(fields)).await.ok();
            answer["orders"].as_array().unwrap().clone()
        };
        let of_cycle = |orders: &[Value]| -> Vec<Value> {
            let id = |order: &&Value| order["orderId"].as_str().unwrap().starts_with(&format!("{CYCLE}-"));
            orders.iter().filter(id).cloned().collect()
        };
        let everything = list(json!({})).await;
        // The cycles of other ids have one order each.
        let single = everything.iter().filter(|order| order["cyclicOrder"]["count"] == 1);
        assert_eq!(single.count(), 4);
        assert_eq!(everything.len(), 3 + OTHERS.len());
        let seen = of_cycle(&everything);
        let ids: Vec<_> = seen.iter().map(|order| order["orderId"].as_str().unwrap()).collect();
        assert_eq!(ids, [id(1), format!("{}|east", id(1)), id(3)]);
        assert_eq!(seen[0].get("cyclicOrder"), None);
        assert_eq!(seen[2]["cyclicOrder"], json!({
            "count": 4,
            "firstOrderId": id(3),
            "lastOrderId": id(6),
            "firstStart": "2026-12-01T03:00:00.000Z",
            "lastStart": "2026-12-01T06:00:00.000Z",
        }));
        // What the request does not select does not count.
        let seen = of_cycle(&list(json!({"states": ["SCHEDULED"], "folders": [{"folder": "/sos"}]})).await);
        assert_eq!(seen[1]["orderId"], json!(id(3)));
        assert_eq!(seen[1]["cyclicOrder"]["count"], 2);
        assert_eq!(seen[1]["cyclicOrder"]["lastOrderId"], json!(id(5)));
        let seen = list(json!({"regex": "C4038226057-.*backup$", "states": ["FINISHED", "SCHEDULED", "RUNNING"]})).await;
        let ids: Vec<_> = seen.iter().map(|order| &order["orderId"]).collect();
        assert_eq!(ids[..3], [&json!(id(1)), &json!(id(2)), &json!(id(3))]);
        // The limit counts what is shown; ids are shown one by one.
        let seen = list(json!({"regex": "#C4038226057-", "dateFrom": "2026-12-01T03:00:00Z", "limit": 1})).await;
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0]["cyclicOrder"]["count"], 4);
        let seen = list(json!({"orderIds": [id(3), id(5)]})).await;
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].get("cyclicOrder"), None);
    }
}
