//! Request bodies, sent to the real handlers: the endpoint's path on the first line, the body
//! below. The service must accept exactly what its description allows.

#![no_main]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use actix_web::App;
use actix_web::body::to_bytes;
use actix_web::dev::Service as _;
use actix_web::rt::SystemRunner;
use actix_web::test::{TestRequest, init_service};
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use clap::Parser;
use joc_orders::clock::Clock;
use joc_orders::config::Settings;
use joc_orders::http::{BASE, Service, routes};
use joc_orders::model::json::Json;
use joc_orders_fuzz::NoDatabase;
use jsonschema::Validator;
use libfuzzer_sys::{Corpus, fuzz_target};
use regex::Regex;
use serde_json::Value;

#[derive(Parser)]
struct SettingsOnly {
    #[command(flatten)]
    settings: Settings,
}

struct Response {
    status: u16,
    body: Value,
}

/// What the description says of an endpoint's body.
struct Described {
    fits: Validator,
    fields: Vec<String>,
}

type Ask = dyn Fn(&SystemRunner, TestRequest) -> Response;

/// The service, used by one thread.
struct FuzzedService {
    system: SystemRunner,
    send: Box<Ask>,
    endpoints: HashMap<String, Described>,
}

thread_local! {
    static SERVICE: FuzzedService = FuzzedService::start();
}

impl FuzzedService {
    fn start() -> Self {
        let now: DateTime<Utc> = "2026-11-23T12:34:56.789Z".parse().unwrap();
        let settings = SettingsOnly::parse_from(["fuzz"]).settings;
        let service =
            Service::new(Arc::new(NoDatabase::default()), settings, Clock::new(move || now));
        let system = actix_web::rt::System::new();
        let app = App::new().app_data(Data::new(service)).configure(routes);
        let app = system.block_on(init_service(app));
        let send = move |system: &SystemRunner, request: TestRequest| {
            system.block_on(async {
                let response =
                    app.call(request.to_request()).await.unwrap_or_else(|e| panic!("{e}"));
                let status = response.status().as_u16();
                let body =
                    to_bytes(response.into_body()).await.unwrap_or_else(|_| panic!("aborted"));
                Response { status, body: serde_json::from_slice(&body).unwrap() }
            })
        };
        let description = send(&system, TestRequest::get().uri("/openapi.json")).body;
        let endpoints = described(&description);
        Self { system, send: Box::new(send), endpoints }
    }

    fn ask(&self, path: &str, body: &[u8]) -> Response {
        let request = TestRequest::post()
            .uri(&format!("{BASE}{path}"))
            .insert_header(("X-Access-Token", "a"))
            .set_payload(body.to_vec());
        (self.send)(&self.system, request)
    }
}

/// Every endpoint with a body.
fn described(description: &Value) -> HashMap<String, Described> {
    let mut endpoints = HashMap::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        let schema = &operations["post"]["requestBody"]["content"]["application/json"]["schema"];
        let Some(schema) = resolved(description, schema) else { continue };
        let fields = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let mut schema = schema.clone();
        schema["components"] = description["components"].clone();
        let fits = jsonschema::draft202012::new(&schema).unwrap();
        endpoints.insert(path[BASE.len()..].to_owned(), Described { fits, fields });
    }
    assert!(endpoints.len() > 25, "{:?}", endpoints.keys());
    endpoints
}

/// The schema of an object, named or inline.
fn resolved<'a>(description: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let schema = match schema["$ref"].as_str() {
        Some(place) => description.pointer(place.trim_start_matches('#'))?,
        None => schema,
    };
    schema["properties"].is_object().then_some(schema)
}

fuzz_target!(|text: &[u8]| -> Corpus {
    let Some(end) = text.iter().position(|byte| *byte == b'\n') else { return Corpus::Reject };
    let Ok(path) = str::from_utf8(&text[..end]) else { return Corpus::Reject };
    SERVICE.with(|service| {
        let Some(endpoint) = service.endpoints.get(path) else { return Corpus::Reject };
        let body = &text[end + 1..];
        let response = service.ask(path, body);
        match serde_json::from_slice(body) {
            Ok(Json(parsed)) => {
                check(endpoint, &parsed, &response);
                // A repeated field may be rejected; serialised again, it is there once.
                let once = parsed.to_string();
                is_as_described(endpoint, &parsed, &service.ask(path, once.as_bytes()));
            }
            Err(_) => is_no_json(body, &response),
        }
        Corpus::Keep
    })
});

fn is_no_json(body: &[u8], response: &Response) {
    // Ignored values may be malformed, and some endpoints accept an empty body.
    if response.status != 200 {
        let (_, message) = refusal(response);
        assert!(message.contains(": "), "{:?}", String::from_utf8_lossy(body));
    }
}

/// The code and the message of a rejection.
fn refusal(response: &Response) -> (&str, &str) {
    assert_eq!(response.status, 420, "{}", response.body);
    let error = &response.body["error"];
    let code = error["code"].as_str().unwrap();
    let message = error["message"].as_str().unwrap();
    assert!(["JOC-400", "JOC-404", "JOC-405", "JOC-420"].contains(&code), "{code} {message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(message.chars().count() < 1500, "{message}");
    (code, message)
}

/// A rejection names the field.
fn check(endpoint: &Described, body: &Value, response: &Response) {
    if response.status == 200 {
        return;
    }
    let (_, message) = refusal(response);
    let sent = body.as_object().into_iter().flat_map(|fields| fields.keys()).map(|key| shown(key));
    let mut places = endpoint.fields.iter().cloned().chain(sent).chain(["body".to_owned()]);
    let named = places.any(|place| {
        message.strip_prefix(&place).is_some_and(|rest| rest.starts_with([':', '.', '[', ',']))
    });
    assert!(named || UNNAMED.is_match(message), "{message:?}");
}

/// The value with numbers that fit a double, as the validator needs them; no schema has a larger
/// bound.
fn with_doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            let float = number.as_str().parse::<f64>().unwrap();
            float.clamp(f64::MIN, f64::MAX).into()
        }
        Value::Array(values) => values.iter().map(with_doubles).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), with_doubles(value))).collect()
        }
        other => other.clone(),
    }
}

/// An accepted body fits its schema; one that fits is rejected only for reasons that no schema
/// expresses.
fn is_as_described(endpoint: &Described, body: &Value, response: &Response) {
    let body = &with_doubles(body);
    let errors: Vec<String> = endpoint
        .fits
        .iter_errors(body)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    if response.status == 200 {
        assert!(errors.is_empty(), "accepted, though {errors:?}");
    } else if errors.is_empty() {
        let (code, message) = refusal(response);
        let is_no_day = code == "JOC-405" && names_no_day(message, body);
        let refused = format!("{code} {message}");
        assert!(is_no_day || RIGHT.is_match(&refused), "refused: {refused:?}");
    }
}

/// Messages that name no field.
static UNNAMED: LazyLock<Regex> = LazyLock::new(|| Regex::new("^Workflow '").unwrap());

/// Reasons to reject a body that fits its schema, each with its code.
static RIGHT: LazyLock<Regex> = LazyLock::new(|| {
    let reasons = [
        "JOC-400 orderId: there is no order '.*'",
        "JOC-400 Workflow '.*'( in version '.*')? doesn't exist",
        "JOC-420 orderIds, workflowIds, folders, states, dateFrom, dateTo: at least one selector is required.*",
        r"JOC-405 \w+: the window is empty: .*",
        r"JOC-405 (orders\[\d+\]\.)?\w+: '.*' leaves the years 1 to 9999",
        r"JOC-420 .*: a number of at most \d+ digits, written without an exponent, is expected",
        // Instructions and branches alternate, with an instruction at the end.
        r"JOC-420 (position|orders\[\d+\]\.startPosition): (labels are not supported, )?a list such as .* is expected",
        "JOC-420 regex: '.*' is not a regular expression: .*",
    ];
    Regex::new(&format!("(?s)^(?:{})$", reasons.join("|"))).unwrap()
});

/// Whether the rejected field has a day that does not exist in its month or year.
fn names_no_day(message: &str, body: &Value) -> bool {
    static FIELD: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(?:orders\[(\d+)\]\.)?(\w+): '").unwrap());
    let Some(captures) = FIELD.captures(message) else { return false };
    let place = match captures.get(1) {
        Some(index) => &body["orders"][index.as_str().parse::<usize>().unwrap()],
        None => body,
    };
    let text = place[&captures[2]].as_str().unwrap_or_default();
    text.get(..10).is_some_and(|day| day.parse::<chrono::NaiveDate>().is_err())
}

/// A client's field name, as messages show it.
fn shown(key: &str) -> String {
    let shown: String = key.chars().take(60).flat_map(char::escape_debug).collect();
    if key.chars().nth(60).is_some() { shown + "…" } else { shown }
}
