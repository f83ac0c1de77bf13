//! One endpoint: its path, its handler, and its description.

use actix_web::Route;
use actix_web::middleware::from_fn;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::http::context::body::RequestBody;
use crate::http::openapi::schemas::Schemas;
use crate::http::transport::limits;
use crate::http::transport::request::BASE;
use crate::model::permission::Permission;

/// The header of every change of orders.
const AFFECTED: &str = "X-Orders-Affected";
/// The header of a response that is given again.
pub(super) const REPLAYED: &str = "Idempotency-Replayed";

/// An endpoint of the service. Made as a whole, so that no route lacks a description.
pub struct Endpoint {
    /// `post`, the only method allowed, or `get`, which also allows HEAD.
    pub method: &'static str,
    pub path: String,
    pub route: Route,
    pub operation: Value,
}

impl Endpoint {
    fn new(method: &'static str, path: String, route: Route, summary: &str) -> Self {
        let id: Vec<&str> = path.trim_start_matches(BASE).split(['/', '.']).collect();
        let operation = json!({
            "operationId": id.join("_").trim_matches('_'),
            "summary": summary,
            "parameters": [{ "$ref": "#/components/parameters/RequestId" }],
        });
        Self { method, path, route, operation }
    }

    /// An endpoint of the API that needs a session.
    pub fn post(path: &str, route: Route, summary: &str) -> Self {
        Self::new("post", format!("{BASE}{path}"), route, summary)
            .security(json!([{ "accessToken": [] }, { "accessTokenInQuery": [] }]))
            .fails("401", "NoSession")
            .fails("413", "TooLarge")
            .fails("420", "Invalid")
            .fails("440", "SessionEnded")
            .fails("503", "Unavailable")
    }

    /// The endpoint that opens a session.
    pub fn login(path: &str, route: Route, summary: &str) -> Self {
        Self::new("post", format!("{BASE}{path}"), route, summary)
            .security(json!([{ "basic": [] }]))
            .fails("401", "WrongCredentials")
            .fails("413", "TooLarge")
            .fails("420", "Invalid")
            .fails("429", "Throttled")
            .fails("503", "Unavailable")
    }

    /// A document of the service, which needs no session.
    pub fn document(path: &str, route: Route, summary: &str) -> Self {
        Self::new("get", path.into(), route, summary).security(json!([]))
    }

    /// The statuses in its description.
    pub fn statuses(&self) -> impl Iterator<Item = &str> {
        self.operation["responses"].as_object().into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// The action's name in metrics, if the endpoint changes orders.
    pub fn action(&self) -> Option<&str> {
        self.operation.pointer("/responses/200/headers/X-Orders-Affected")?;
        self.path.strip_prefix(BASE)?.strip_prefix("/orders/")?.rsplit('/').next()
    }

    /// The group in which the description shows it.
    pub fn tag(mut self, tag: &str) -> Self {
        self.operation["tags"] = json!([tag]);
        self
    }

    /// More than the summary says.
    pub fn describe(mut self, text: &str) -> Self {
        self.operation["description"] = text.into();
        self
    }

    /// Requires one of these permissions.
    pub fn needs(mut self, permissions: &[Permission]) -> Self {
        self.operation["x-permissions"] = json!(permissions);
        self.fails("403", "Denied").fails("429", "Throttled")
    }

    /// The request's body.
    pub fn takes<B: RequestBody>(self, schemas: &mut Schemas) -> Self {
        let schema = schemas.body::<B>();
        self.takes_schema(schema, !B::OPTIONAL)
    }

    /// The request's body, by its schema.
    pub fn takes_schema(mut self, schema: impl Into<Value>, required: bool) -> Self {
        self.operation["requestBody"] = json!({
            "required": required,
            "content": { "application/json": { "schema": schema.into(), "example": {} } },
        });
        self
    }

    /// Any body of the request is ignored, so it may not be long.
    pub fn ignores_body(mut self) -> Self {
        self.route = self.route.wrap(from_fn(limits::ignored_body));
        let description = format!("Ignored, and at most {} bytes", limits::IGNORED_BODY);
        self.takes_schema(json!({ "description": description }), false)
    }

    /// The response to a success.
    pub fn returns<T: JsonSchema>(self, schemas: &mut Schemas) -> Self {
        let schema = schemas.response::<T>();
        self.returns_schema(&schema)
    }

    /// The response to a success, by its schema.
    pub fn returns_schema(self, schema: &Schema) -> Self {
        self.response("200", response("Success", schema, &[]))
    }

    /// A successful response in plain text.
    pub fn returns_text(self) -> Self {
        let mut success = response("Success", &Schema::from(true), &[]);
        success["content"] = json!({ "text/plain": { "schema": { "type": "string" } } });
        self.response("200", success)
    }

    /// Headers of a successful response, by their names in the components.
    pub fn with_headers(mut self, names: &[&str]) -> Self {
        for name in names {
            self.operation["responses"]["200"]["headers"][name] = header(name);
        }
        // What changes orders is audited, and takes a key.
        if names.contains(&AFFECTED) {
            self.operation["responses"]["200"]["headers"][REPLAYED] = header(REPLAYED);
            if let Some(parameters) = self.operation["parameters"].as_array_mut() {
                parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
            }
        }
        self
    }

    /// A failure, by its name in the components.
    pub fn fails(self, status: &str, response: &str) -> Self {
        let response = json!({ "$ref": format!("#/components/responses/{response}") });
        self.response(status, response)
    }

    /// An example of a successful response.
    pub fn example(mut self, example: &Value) -> Self {
        add_example(&mut self.operation["responses"]["200"], example);
        self
    }

    fn security(mut self, schemes: Value) -> Self {
        self.operation["security"] = schemes;
        self
    }

    fn response(mut self, status: &str, response: Value) -> Self {
        self.operation["responses"][status] = response;
        self
    }
}

/// Adds examples, JSON with a `request` and a `response` by path. A preview takes the same request
/// as the endpoint itself.
pub fn with_examples(endpoints: Vec<Endpoint>, examples: &str) -> Vec<Endpoint> {
    let examples: Value = serde_json::from_str(examples).unwrap_or_default();
    let add = |mut endpoint: Endpoint| {
        let path = endpoint.path.strip_prefix(BASE).unwrap_or(&endpoint.path);
        let response = &examples[path]["response"];
        let request = &examples[path.trim_end_matches("/preview")]["request"];
        if !request.is_null() {
            add_example(&mut endpoint.operation["requestBody"], request);
        }
        endpoint.example(response)
    };
    endpoints.into_iter().map(add).collect()
}

/// Adds an example to each content of a body.
pub fn add_example(body: &mut Value, example: &Value) {
    let contents = body.get_mut("content").and_then(Value::as_object_mut);
    for content in contents.into_iter().flat_map(Map::values_mut) {
        content["example"] = example.clone();
    }
}

/// A response with a body and headers, by their names in the components.
pub fn response(description: &str, body: &Schema, headers: &[&str]) -> Value {
    let headers = std::iter::once(&"X-Request-Id").chain(headers);
    let headers: Map<_, _> = headers.map(|name| ((*name).to_owned(), header(name))).collect();
    json!({
        "description": description,
        "headers": headers,
        "content": { "application/json": { "schema": body } },
    })
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}
