//! The description of the calls that change orders and of their previews, made of [`CALLS`].

use actix_web::web::post;
use schemars::Schema;
use serde_json::{Value, json};

use super::preview::Previewed;
use super::{CALLS, ChangeCall, ModifyOrders, SENT_ALONG, change, preview_orders};
use crate::http::context::body;
use crate::http::context::response::{Dated, Done};
use crate::http::openapi::{CONTROLLER, Endpoint, Schemas, add_property};
use crate::model::order::LIVING;
use crate::model::permission::Permission;

/// The calls and their previews.
pub fn endpoints(tag: &str, schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoints = CALLS.iter().flat_map(|call| {
        let change = move |request, payload, service| change(call, request, payload, service);
        let preview =
            move |request, payload, service| preview_orders(call, request, payload, service);
        let path = format!("{}/preview", call.path);
        let summary = format!("What {} would do", call.path);
        let permissions: Vec<Permission> =
            call.permissions.iter().map(|(permission, _)| *permission).collect();
        let (previewed_body, example) = call.body(schemas);
        let mut body = previewed_body.clone();
        if let Some(fields) = body.pointer_mut("/properties").and_then(Value::as_object_mut) {
            fields.remove("limit");
        }
        let changes = Endpoint::call(tag, call.path, post().to(change), call.summary)
            .describe("Orders and audit are changed in one transaction")
            .needs(&permissions)
            .takes(body, &example)
            .answers_with(
                schemas.answer::<Dated<Done>>(),
                &["X-Audit-Log-Id", "X-Orders-Affected"],
            );
        let mut previewed = schemas.own_answer::<Dated<Previewed>>();
        for count in call.counts {
            let orders = json!({ "type": "integer", "minimum": 0 });
            add_property(&mut previewed, count, orders, true);
        }
        let previews = Endpoint::call(tag, &path, post().to(preview), &summary)
            .describe("It changes nothing and is not audited. Nothing to do is no error")
            .needs(&permissions)
            .takes(previewed_body, &example)
            .answers(previewed);
        [changes, previews]
    });
    endpoints.collect()
}

impl ChangeCall {
    /// The schema of its body, but for what only previews have, and an example.
    fn body(&self, schemas: &mut Schemas) -> (Schema, Value) {
        let mut body = schemas.closed_body::<ModifyOrders>();
        let mut example = json!({
            "controllerId": CONTROLLER,
            "folders": [{ "folder": "/sos/billing" }],
            "maxOrders": 100,
            "auditLog": { "comment": "billing is down", "timeSpent": 5, "ticketLink": "OPS-4711" },
        });
        let (own, fields) = (self.own)(schemas);
        for (name, value) in fields.as_object().into_iter().flatten() {
            example[name] = value.clone();
        }
        let required = own.get("required").and_then(Value::as_array);
        let own_fields = own.get("properties").and_then(Value::as_object);
        for (name, property) in own_fields.into_iter().flatten() {
            let required = required.is_some_and(|names| names.contains(&json!(name)));
            add_property(&mut body, name, property.clone(), required);
        }
        if let Some(not) = own.get("not") {
            body.insert("not".into(), not.clone());
        }
        for name in SENT_ALONG {
            if own_fields.is_none_or(|fields| !fields.contains_key(*name)) {
                let ignored = json!({ "description": "Ignored: another of JOC's calls takes it" });
                add_property(&mut body, name, ignored, false);
            }
        }
        if !self.reaches_terminal(&example) {
            let living: Vec<&str> = LIVING.iter().map(|state| state.as_str()).collect();
            let states = json!({ "type": "string", "enum": living });
            if let Some(schema) = body.pointer_mut("/properties/states/items") {
                *schema = states;
            }
        }
        (body, example)
    }

    /// Whether its action, as a body asks for it, may touch orders that are terminal.
    fn reaches_terminal(&self, body: &Value) -> bool {
        let bytes = body.to_string().into_bytes();
        let action = body::parse_reading(&bytes).and_then(|body| (self.action)(&bytes, &body));
        action.is_ok_and(|action| action.reaches_terminal())
    }
}
