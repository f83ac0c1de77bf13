//! What SOS's own clients send, as `tests/clients/requests.jsonl` has it: each request is taken and
//! its response has what the client reads, or it is refused by name ([docs/clients.md]).
//!
//! [docs/clients.md]: ../../docs/clients.md

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::harness::{App, Order};

/// A line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    client: String,
    operation: String,
    path: String,
    /// The orders that it finds, with their effective states.
    orders: BTreeMap<String, String>,
    body: Value,
    /// Pointers to what the client reads of the response.
    reads: Vec<String>,
    /// Part of the message if the request is refused.
    refused: Option<String>,
    /// Part of the message if the request is valid, and there is nothing to do.
    nothing: Option<String>,
}

fn order(id: &str, state: &str) -> Order {
    let order = Order::new(id);
    match state {
        "PENDING" => order.never(),
        "SCHEDULED" => order,
        "SUSPENDED" => order.suspended(),
        "SLEEPING" => order.waits("SLEEPING"),
        "RUNNING" => order.state("RUNNING"),
        "FAILED" => order.state("FAILED"),
        "PROMPTING" => order.state("PROMPTING"),
        "FINISHED" => order.state("FINISHED"),
        state => panic!("{state}"),
    }
}

on_both! {
    async fn takes_what_soss_clients_send(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        for line in include_str!("../clients/requests.jsonl").lines() {
            let sent: Sent = serde_json::from_str(line).unwrap();
            let case = format!("{} {}", sent.client, sent.operation);
            let orders: Vec<Order> =
                sent.orders.iter().map(|(id, state)| order(id, state)).collect();
            app.db.insert(&orders).await;
            let entries = app.db.count("SELECT count(*) FROM audit_logs").await;

            let response = app.post(&sent.path, &sent.body).await;
            let message = response.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
            if let Some(refused) = &sent.refused {
                assert_eq!(response.status, 420, "{case}: {}", response.text);
                assert!(message.starts_with(refused.as_str()), "{case}: {message}");
                assert_eq!(app.db.count("SELECT count(*) FROM audit_logs").await, entries, "{case}");
            } else if let Some(nothing) = &sent.nothing {
                assert_eq!(response.status, 420, "{case}: {}", response.text);
                assert!(message.contains(nothing.as_str()), "{case}: {message}");
            } else {
                assert_eq!(response.status, 200, "{case}: {}", response.text);
                let body = response.json();
                for read in &sent.reads {
                    assert!(body.pointer(read).is_some(), "{case}: no {read} in {body}");
                }
            }
        }
    }
}
