//! JOC's filters that the service does not have.

use serde_json::{Value, json};

use crate::harness::{App, Order, with_controller};

/// JOC's filters that an endpoint does not have.
fn unsupported() -> [(&'static str, Value, &'static [&'static str]); 6] {
    let nothing = json!({});
    let workflows = json!({"workflowIds": [{"path": "/sos/eod"}]});
    [
        ("/orders", nothing.clone(), &["orderTags", "workflowTags", "scheduledNever"]),
        (
            "/orders/overview/snapshot",
            nothing.clone(),
            &[
                "orderIds",
                "regex",
                "states",
                "stateDateFrom",
                "stateDateTo",
                "orderTags",
                "workflowTags",
                "scheduledNever",
            ],
        ),
        ("/orders/history", nothing.clone(), &["orderTags", "workflowTags", "regex"]),
        (
            "/workflows",
            nothing.clone(),
            &["tags", "workflowTags", "orderTags", "agentNames", "instructionStates"],
        ),
        ("/workflows/order_count", workflows, &["orderTags"]),
        (
            "/tree",
            nothing,
            &[
                "onlyWithAssignReference",
                "forInventoryTrash",
                "forDescriptors",
                "forDescriptorsTrash",
            ],
        ),
    ]
}

on_both! {
    async fn rejects_filters_of_joc_that_it_does_not_have(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        for (call, fields, filters) in unsupported() {
            let with = |more: Vec<(&str, Value)>| {
                let mut body = with_controller(fields.clone());
                more.into_iter().for_each(|(name, value)| body[name] = value);
                body
            };
            for filter in filters {
                for value in [json!(["x"]), json!("x"), json!({"x": null}), json!(true), json!(0), json!([[]])] {
                    let refused = app.post(call, &with(vec![(filter, value.clone())])).await;
                    assert_eq!(refused.status, 420, "{call} {filter} {value}: {}", refused.text);
                    let message = format!("{filter}: this filter is not supported");
                    assert_eq!(refused.json()["error"]["message"], message, "{call} {value}");
                }
                for value in [json!([]), json!(""), json!({}), json!(null), json!(false)] {
                    app.post(call, &with(vec![(filter, value)])).await.ok();
                }
            }
            // A filter that is empty hides none that is not, and the last of two counts.
            let both = with(vec![(filters[0], json!([])), (filters[filters.len() - 1], json!(["x"]))]);
            assert_eq!(app.post(call, &both).await.status, 420, "{call}");
            let twice = with(vec![]).to_string();
            let twice = twice.replacen('{', &format!("{{\"{0}\": [], \"{0}\": [1], ", filters[0]), 1);
            assert_eq!(app.post_as(&app.token, call, twice).await.status, 420, "{call}");
            // Other fields that the endpoint does not know are ignored, also of the same name deeper.
            let others = vec![
                ("withoutWorkflowTags", json!(true)),
                ("compact", json!(true)),
                ("unknown", json!([1])),
                ("folders", json!([{"folder": "/", filters[0]: ["x"]}])),
            ];
            app.post(call, &with(others)).await.ok();
        }
        let body = with_controller(json!({"onlyValidObjects": true, "forInventory": true}));
        app.post("/tree", &body).await.ok();
    }
}
