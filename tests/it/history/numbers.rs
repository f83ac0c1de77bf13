//! `historyId`: the number by which clients ask for the history of an order.

use serde_json::json;

use super::app;
use crate::harness::{App, Order, with_controller};

on_both! {
    async fn an_order_is_found_by_its_history_id(kind: Kind) {
        let app = app(kind).await;
        app.db.insert_into("east", &[Order::new("a").state("FINISHED")]).await;
        let numbers = async |app: &App| -> Vec<(String, u64)> {
            let answer = app.post("/orders/history", &json!({"limit": -1})).await.ok();
            let items = answer["history"].as_array().unwrap().iter();
            let mut numbers: Vec<_> = items.map(|item| {
                let id = format!("{}/{}", item["controllerId"], item["orderId"]);
                (id.replace('"', ""), item["historyId"].as_u64().unwrap())
            }).collect();
            numbers.sort_unstable();
            numbers
        };
        let before = numbers(&app).await;
        let number = |id: &str| before.iter().find(|(of, _)| of == id).unwrap().1;
        let distinct: std::collections::BTreeSet<u64> = before.iter().map(|(_, n)| *n).collect();
        assert_eq!((before.len(), distinct.len()), (5, 5));
        assert!(distinct.iter().all(|n| (1..1 << 53).contains(n)));

        let by_id = app.post("/order/history", &with_controller(json!({"orderId": "b"}))).await.ok();
        assert_eq!(by_id["historyId"], number("prod/b"));
        for body in [
            json!({"historyId": number("prod/b")}),
            json!({"historyId": number("prod/b") as f64}),
            json!({"controllerId": "", "historyId": number("prod/b")}),
            json!({"controllerId": "prod", "historyId": number("prod/b")}),
            // As in JOC, the number wins.
            json!({"historyId": number("prod/b"), "orderId": "f"}),
        ] {
            let history = app.post("/order/history", &body).await.ok();
            for field in ["historyId", "states", "children"] {
                assert_eq!(history[field], by_id[field], "{body}");
            }
        }
        let other = json!({"controllerId": "east", "historyId": number("prod/b")});
        app.post("/order/history", &other).await.fails_with("JOC-400 historyId: there is no order ");
        let wrong = json!({"historyId": number("prod/b"), "orderId": "a\u{7}"});
        app.post("/order/history", &wrong).await.fails_with("JOC-420 orderId: ");
        let view = "sos:products:controller:orders:view";
        let limited = app.account("limited", view, &[("/sosx", true)]).await;
        for (order, is_seen) in [("prod/c", true), ("prod/b", false)] {
            let body = json!({"historyId": number(order)}).to_string();
            let answer = app.post_as(&limited, "/order/history", body).await;
            assert_eq!(answer.status == 200, is_seen, "{answer:?}");
        }

        // A change keeps the number, and nobody gets that of an order which is deleted.
        app.db.execute("UPDATE orders SET arguments = '{}' WHERE order_id = 'living'").await.unwrap();
        app.cancel(json!({"orderIds": ["other", "living"]})).await.ok();
        let all = numbers(&app).await;
        let highest = all.iter().max_by_key(|(_, number)| *number).unwrap().clone();
        assert!(before.iter().all(|known| all.contains(known)));
        let (controller, order) = highest.0.split_once('/').unwrap();
        app.db.execute(&format!(
            "DELETE FROM orders WHERE controller_id = '{controller}' AND order_id = '{order}'"
        )).await.unwrap();
        app.db.insert(&[Order::new("new").state("FINISHED")]).await;
        let add = json!({"controllerId": "prod", "orders": [
            {"workflowPath": "/sos/eod", "orderName": "x"}, {"workflowPath": "/sos/eod", "orderName": "y"},
        ]});
        let added = app.post("/orders/add", &add).await.ok();
        app.cancel(json!({"orderIds": added["orderIds"]})).await.ok();
        let last = numbers(&app).await;
        let new: Vec<u64> = last.iter().filter(|known| !all.contains(known)).map(|(_, n)| *n).collect();
        assert_eq!(new.len(), 3);
        assert!(new.iter().all(|number| *number > highest.1), "{new:?} {highest:?}");
        let update = "UPDATE orders SET history_id = 1000000 WHERE order_id = 'new'";
        assert!(app.db.execute(update).await.is_err());
    }
}
