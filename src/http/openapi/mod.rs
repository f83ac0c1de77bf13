//! The description of the service: an OpenAPI document, made of the endpoints and of the types that
//! they read and write, and a page to read and try it.

use serde_json::{Map, Value, json};

use crate::http::error::{FailureBody, RefusalBody};
use crate::model::once::IDEMPOTENCY_KEY;

mod endpoint;
pub mod page;
mod schemas;

pub use self::endpoint::{Endpoint, with_examples};
use self::endpoint::{REPLAYED, add_example, response};
pub use self::schemas::{Schemas, add_property};

const INTRODUCTION: &str = include_str!("introduction.md");
/// Examples of failures, by name. The controller in all examples does not exist, so an example sent
/// unchanged changes nothing.
const FAILURES: &str = include_str!("failures.json");

/// The document that describes these endpoints, with the tags in reading order.
pub fn document(endpoints: Vec<Endpoint>, mut schemas: Schemas, tags: &[&str]) -> Value {
    let paths: Map<String, Value> = endpoints
        .into_iter()
        .map(|endpoint| (endpoint.path, json!({ endpoint.method: endpoint.operation })))
        .collect();
    let failure = schemas.response::<FailureBody>();
    let refusal = schemas.response::<RefusalBody<'_>>();
    let mut description = json!({
        "openapi": "3.1.0",
        "info": {
            "title": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "summary": env!("CARGO_PKG_DESCRIPTION"),
            "description": INTRODUCTION,
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/" }],
        "tags": tags.iter().map(|name| json!({ "name": name })).collect::<Value>(),
        "paths": paths,
        "components": {
            "schemas": schemas.named(),
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "accessToken": {
                    "type": "apiKey", "in": "header", "name": "X-Access-Token",
                    "description": "The access token of the login",
                },
                "accessTokenInQuery": {
                    "type": "apiKey", "in": "query", "name": "accessToken",
                    "description": "The same, if there is no header",
                },
            },
            "parameters": {
                "RequestId": {
                    "name": "X-Request-Id", "in": "header", "schema": { "type": "string" },
                    "description": "An id for the logs and the audit trail: 1 to 128 letters, \
                                    digits, `-`, `_`, `.` and `:`. Any other is replaced",
                },
                "IdempotencyKey": {
                    "name": IDEMPOTENCY_KEY, "in": "header",
                    "schema": { "type": "string", "pattern": "^[ -~]{1,255}$" },
                    "description": "A key of the client's choice, such as a UUID, for this change. \
                                    The same request with the same key gets the first response \
                                    again and changes nothing more; another request with it is \
                                    refused. A key lives for at least seven days",
                },
            },
            "headers": {
                "X-Request-Id": header(
                    "The id of the request: the client's own or a new one",
                    json!({ "type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$" }),
                ),
                "X-Audit-Log-Id": header("The `id` of the audit entry", whole_number()),
                "X-Orders-Affected": header("How many orders were changed", whole_number()),
                REPLAYED: {
                    "description": "This is the response to an earlier request with the same key",
                    "schema": { "type": "string", "const": "true" },
                },
                "X-Access-Token": header("The access token", json!({ "type": "string" })),
                "X-JOC-Timeout": header("The `sessionTimeout`, in milliseconds", whole_number()),
                "Retry-After": header("Seconds to wait before retrying", whole_number()),
                "WWW-Authenticate": header("`Basic`, in UTF-8", json!({ "type": "string" })),
                "Allow": header("The methods that the path takes", json!({ "type": "string" })),
            },
            "responses": {
                "NoSession": response("No access token at all", &refusal, &[]),
                "WrongCredentials": response(
                    "Wrong account or password, or no readable `Authorization: Basic`. All but a \
                     missing one count as failed logins",
                    &refusal,
                    &["WWW-Authenticate"],
                ),
                "Denied": response("Not permitted; the attempt is audited", &refusal, &[]),
                "NoSuchCall": response("There is no such endpoint", &failure, &[]),
                "WrongMethod": response("The path takes another method", &failure, &["Allow"]),
                "TooLarge": response(
                    "The body is larger than a setting allows, or than 4096 bytes where the endpoint \
                     ignores it. A `Content-Length` over the limit is rejected before the body is \
                     read, and before the session is checked",
                    &failure,
                    &[],
                ),
                "Invalid": response(
                    "Reason phrase `Invalid Request`. `JOC-400`: the request is valid, but what \
                     it names is not there: no orders to act on, no such order or workflow. \
                     `JOC-404`: there is no such controller. `JOC-405`: a date, period or time \
                     zone cannot be read, or the window is empty. `JOC-420`: anything else is \
                     wrong with the request; the message names the field. `JOC-300`: the \
                     mandatory comment is missing. `JOC-500`: an unexpected error",
                    &failure,
                    &[REPLAYED],
                ),
                "Throttled": response(
                    "Too many failed logins, or denied requests of the account",
                    &refusal,
                    &["Retry-After"],
                ),
                "SessionEnded": response(
                    "Reason phrase `Login Timeout`: the access token is unknown or expired",
                    &refusal,
                    &[],
                ),
                "Unavailable": response(
                    "The database cannot be reached or has no room left, the service is shutting \
                     down, or too many logins wait. If the connection was lost during a change and \
                     its outcome is unknown, the message says so: the change was applied \
                     fully or not at all",
                    &failure,
                    &["Retry-After"],
                ),
            },
        },
    });
    let failures: Map<String, Value> = serde_json::from_str(FAILURES).unwrap_or_default();
    for (name, example) in failures {
        add_example(&mut description["components"]["responses"][name], &example);
    }
    description
}

fn header(description: &str, schema: Value) -> Value {
    json!({ "description": description, "required": true, "schema": schema })
}

fn whole_number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}
