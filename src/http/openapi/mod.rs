//! The description of the service: an OpenAPI document, made of the calls and of the types that
//! they read and write, and a page to read and try it.

use std::sync::LazyLock;

use actix_web::web::{self, Bytes};
use actix_web::{HttpResponse, http::header::ContentType};
use schemars::Schema;
use serde_json::{Map, Value, json};

use crate::http::error::{FailureBody, RefusalBody};
use crate::http::server;

mod endpoint;
pub mod page;
mod schemas;

use self::endpoint::response;
pub use self::endpoint::{Endpoint, action};
pub use self::schemas::{Schemas, add_property};

/// The controller of the examples: none has this name, so an example that is sent as it stands
/// changes nothing.
pub const CONTROLLER: &str = "your-controller";
/// Where the document is.
const PATH: &str = "/openapi.json";
const INTRODUCTION: &str = include_str!("introduction.md");
/// Examples of answers: of each success by the path of its call, of each failure by its name.
const EXAMPLES: &str = include_str!("examples.json");

/// The document itself, as a call.
pub fn document_endpoint() -> Endpoint {
    let anything = Schema::from(true);
    Endpoint::document("Description", PATH, web::get().to(document), "This description")
        .answers(anything)
}

async fn document() -> HttpResponse {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| describe().to_string().into());
    HttpResponse::Ok().content_type(ContentType::json()).body(DOCUMENT.clone())
}

/// The description of every call.
fn describe() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for call in server::all(&mut schemas) {
        paths.insert(call.path, json!({ call.method: call.operation }));
    }
    let failure = schemas.answer::<FailureBody>();
    let refusal = schemas.answer::<RefusalBody<'_>>();
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
        "tags": server::TAGS.map(|name| json!({ "name": name })),
        "paths": paths,
        "components": {
            "schemas": schemas.named(),
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "accessToken": {
                    "type": "apiKey", "in": "header", "name": "X-Access-Token",
                    "description": "What the login answered",
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
            },
            "headers": {
                "X-Request-Id": header(
                    "The id of the request: the client's own or a new one",
                    json!({ "type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$" }),
                ),
                "X-Audit-Log-Id": header("The `id` of the audit entry", whole_number()),
                "X-Orders-Affected": header("How many orders were changed", whole_number()),
                "X-Access-Token": header("The access token", json!({ "type": "string" })),
                "X-JOC-Timeout": header("The `sessionTimeout`, in milliseconds", whole_number()),
                "Retry-After": header("After how many seconds to try again", whole_number()),
                "WWW-Authenticate": header("`Basic`, in UTF-8", json!({ "type": "string" })),
                "Allow": header("The methods that the path takes", json!({ "type": "string" })),
            },
            "responses": {
                "NoSession": response("No access token at all", &refusal, &[]),
                "WrongCredentials": response(
                    "Wrong account or password, or no readable `Authorization: Basic`. Any but a \
                     missing one counts as a failed login",
                    &refusal,
                    &["WWW-Authenticate"],
                ),
                "Denied": response("Not permitted; the attempt is audited", &refusal, &[]),
                "NoSuchCall": response("There is no such call", &failure, &[]),
                "WrongMethod": response("The path takes another method", &failure, &["Allow"]),
                "TooLarge": response(
                    "The body is larger than a setting allows, or than 4096 bytes where the call \
                     ignores it. One that says so by its `Content-Length` is refused before it is \
                     read, and before the session is checked",
                    &failure,
                    &[],
                ),
                "Invalid": response(
                    "Reason phrase `Invalid Request`. `JOC-400`: the request is malformed, or \
                     there is nothing to act on; the message begins with the field. `JOC-300`: \
                     the obligatory comment is missing. `JOC-500`: anything unforeseen",
                    &failure,
                    &[],
                ),
                "Throttled": response(
                    "Too many failed logins, or calls of the account that were denied",
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
                     down, or too many logins wait. If the database was lost during a change, and \
                     its outcome cannot be found out, the message says so: the change was applied \
                     fully or not at all",
                    &failure,
                    &["Retry-After"],
                ),
            },
        },
    });
    add_examples(&mut description);
    description
}

/// Puts the examples of answers where they belong.
fn add_examples(description: &mut Value) {
    let examples: Map<String, Value> = serde_json::from_str(EXAMPLES).unwrap_or_default();
    for (name, example) in examples {
        let place = if name.starts_with('/') {
            let path = name.replace('/', "~1");
            let method = if description["paths"][&name]["get"].is_null() { "post" } else { "get" };
            format!("/paths/{path}/{method}/responses/200")
        } else {
            format!("/components/responses/{name}")
        };
        let content = description.pointer_mut(&format!("{place}/content"));
        for content in content.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
        {
            content["example"] = example.clone();
        }
    }
}

fn header(description: &str, schema: Value) -> Value {
    json!({ "description": description, "required": true, "schema": schema })
}

fn whole_number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}
