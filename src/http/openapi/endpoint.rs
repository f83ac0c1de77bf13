//! One call: where it is, what answers it, and what its description says.

use actix_web::Route;
use actix_web::middleware::from_fn;
use schemars::Schema;
use serde_json::{Map, Value, json};

use crate::http::transport::limits;
use crate::http::transport::request::BASE;
use crate::model::permission::Permission;

/// A call of the service. Its route and its description are made together, so that neither is
/// without the other.
pub struct Endpoint {
    /// `post`, the only method that it takes, or `get`, beside which it takes HEAD.
    pub method: &'static str,
    pub path: String,
    pub route: Route,
    pub operation: Value,
}

/// What a call below the base does to orders, by its path.
pub fn action(path: &str) -> Option<&str> {
    path.strip_prefix("/orders/")
}

impl Endpoint {
    fn new(method: &'static str, path: String, route: Route, summary: &str) -> Self {
        let id: Vec<&str> = path.trim_start_matches(BASE).split(['/', '.']).collect();
        let operation = json!({
            "operationId": id.join("_").trim_matches('_'),
            "summary": summary,
        });
        Self { method, path, route, operation }
    }

    /// A call that needs a session.
    pub fn call(tag: &str, path: &str, route: Route, summary: &str) -> Self {
        let mut call = Self::new("post", format!("{BASE}{path}"), route, summary);
        call.operation["tags"] = json!([tag]);
        call.security(json!([{ "accessToken": [] }, { "accessTokenInQuery": [] }]))
            .parameter("RequestId")
            .fails("401", "NoSession")
            .fails("413", "TooLarge")
            .fails("420", "Invalid")
            .fails("440", "SessionEnded")
            .fails("503", "Unavailable")
    }

    /// The call that opens a session.
    pub fn login(path: &str, route: Route, summary: &str) -> Self {
        let mut call = Self::new("post", format!("{BASE}{path}"), route, summary);
        call.operation["tags"] = json!(["Session"]);
        call.security(json!([{ "basic": [] }]))
            .parameter("RequestId")
            .fails("401", "WrongCredentials")
            .fails("413", "TooLarge")
            .fails("420", "Invalid")
            .fails("429", "Throttled")
            .fails("503", "Unavailable")
    }

    /// A document of the service, for anybody.
    pub fn document(tag: &str, path: &str, route: Route, summary: &str) -> Self {
        let mut document = Self::new("get", path.into(), route, summary);
        document.operation["tags"] = json!([tag]);
        document.security(json!([])).parameter("RequestId")
    }

    /// The statuses that its description has.
    pub fn statuses(&self) -> impl Iterator<Item = &str> {
        self.operation["responses"].as_object().into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// What it does to orders, as metrics name it, if it changes any.
    pub fn action(&self) -> Option<&str> {
        let changes = self.operation.pointer("/responses/200/headers/X-Orders-Affected").is_some();
        action(self.path.strip_prefix(BASE)?).filter(|_| changes)
    }

    /// More than the summary says.
    pub fn describe(mut self, text: impl Into<String>) -> Self {
        self.operation["description"] = text.into().into();
        self
    }

    /// Any of these permissions is needed.
    pub fn needs(mut self, permissions: &[Permission]) -> Self {
        self.operation["x-permissions"] = json!(permissions);
        self.fails("403", "Denied").fails("429", "Throttled")
    }

    /// The request has a body.
    pub fn takes(self, body: Schema, example: &Value) -> Self {
        self.body(json!(body), example, true)
    }

    /// The request may have a body; without one it is as if it were `{}`.
    pub fn may_take(self, body: Schema, example: &Value) -> Self {
        self.body(json!(body), example, false)
    }

    /// Whatever body the request has says nothing, so it may not be long.
    pub fn ignores_its_body(mut self) -> Self {
        self.route = self.route.wrap(from_fn(limits::ignored_body));
        let description = format!("Ignored, and at most {} bytes", limits::IGNORED_BODY);
        self.body(json!({ "description": description }), &json!({}), false)
    }

    fn body(mut self, schema: Value, example: &Value, required: bool) -> Self {
        let body = json!({
            "required": required,
            "content": { "application/json": { "schema": schema, "example": example } },
        });
        self.operation["requestBody"] = body;
        self
    }

    /// A success.
    pub fn answers(self, schema: Schema) -> Self {
        self.answers_with(schema, &[])
    }

    /// A success with headers, of those that the description has by name.
    pub fn answers_with(self, schema: Schema, headers: &[&str]) -> Self {
        self.response("200", response("Success", &schema, headers))
    }

    /// A success that is no JSON.
    pub fn answers_in_text(self) -> Self {
        let mut success = response("Success", &Schema::from(true), &[]);
        success["content"] = json!({ "text/plain": { "schema": { "type": "string" } } });
        self.response("200", success)
    }

    fn security(mut self, schemes: Value) -> Self {
        self.operation["security"] = schemes;
        self
    }

    fn parameter(mut self, name: &str) -> Self {
        let reference = format!("#/components/parameters/{name}");
        self.operation["parameters"] = json!([{ "$ref": reference }]);
        self
    }

    /// A failure, of those that the description has by name.
    pub fn fails(self, status: &str, response: &str) -> Self {
        let response = json!({ "$ref": format!("#/components/responses/{response}") });
        self.response(status, response)
    }

    fn response(mut self, status: &str, response: Value) -> Self {
        self.operation["responses"][status] = response;
        self
    }
}

/// An answer with a body and headers, of those that the description has by name.
pub fn response(description: &str, body: &Schema, headers: &[&str]) -> Value {
    let headers = std::iter::once(&"X-Request-Id").chain(headers).map(|name| {
        ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))
    });
    json!({
        "description": description,
        "headers": headers.collect::<Map<_, _>>(),
        "content": { "application/json": { "schema": body } },
    })
}
