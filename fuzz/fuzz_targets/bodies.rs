//! Bodies of requests, sent to the service itself: the path of a call on the first line, and below
//! it the body. What is accepted must be what the description says, and the other way round.

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

struct Answer {
    status: u16,
    body: Value,
}

/// What the description says of the body of a call.
struct Described {
    fits: Validator,
    fields: Vec<String>,
}

type Ask = dyn Fn(&SystemRunner, TestRequest) -> Answer;

/// The service, which one thread asks.
struct Client {
    system: SystemRunner,
    send: Box<Ask>,
    calls: HashMap<String, Described>,
}

thread_local! {
    static CLIENT: Client = Client::start();
}

impl Client {
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
                let answer = app.call(request.to_request()).await.unwrap_or_else(|e| panic!("{e}"));
                let status = answer.status().as_u16();
                let body =
                    to_bytes(answer.into_body()).await.unwrap_or_else(|_| panic!("broken off"));
                Answer { status, body: serde_json::from_slice(&body).unwrap() }
            })
        };
        let description = send(&system, TestRequest::get().uri("/openapi.json")).body;
        let calls = described(&description);
        Self { system, send: Box::new(send), calls }
    }

    fn ask(&self, path: &str, body: &[u8]) -> Answer {
        let request = TestRequest::post()
            .uri(&format!("{BASE}{path}"))
            .insert_header(("X-Access-Token", "a"))
            .set_payload(body.to_vec());
        (self.send)(&self.system, request)
    }
}

/// Every call that takes a body.
fn described(description: &Value) -> HashMap<String, Described> {
    let mut calls = HashMap::new();
    for (path, call) in description["paths"].as_object().unwrap() {
        let schema = &call["post"]["requestBody"]["content"]["application/json"]["schema"];
        let Some(schema) = resolved(description, schema) else { continue };
        let fields = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let mut schema = schema.clone();
        schema["components"] = description["components"].clone();
        let fits = jsonschema::draft202012::new(&schema).unwrap();
        calls.insert(path[BASE.len()..].to_owned(), Described { fits, fields });
    }
    assert!(calls.len() > 25, "{:?}", calls.keys());
    calls
}

/// A schema of an object, whether it has a name or not.
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
    CLIENT.with(|client| {
        let Some(call) = client.calls.get(path) else { return Corpus::Reject };
        let body = &text[end + 1..];
        let answer = client.ask(path, body);
        match serde_json::from_slice(body) {
            Ok(Json(parsed)) => {
                check(call, &parsed, &answer);
                // A field that is there twice may be refused; it is once in what was parsed.
                let once = parsed.to_string();
                is_as_described(call, &parsed, &client.ask(path, once.as_bytes()));
            }
            Err(_) => is_no_json(body, &answer),
        }
        Corpus::Keep
    })
});

fn is_no_json(body: &[u8], answer: &Answer) {
    // Values that are not looked at may be no JSON, and some calls take an empty body.
    if answer.status != 200 {
        assert!(refusal(answer).contains(": "), "{:?}", String::from_utf8_lossy(body));
    }
}

/// What an answer says is wrong.
fn refusal(answer: &Answer) -> &str {
    assert_eq!(answer.status, 420, "{}", answer.body);
    let error = &answer.body["error"];
    let message = error["message"].as_str().unwrap();
    assert_eq!(error["code"], "JOC-400", "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(message.chars().count() < 1500, "{message}");
    message
}

/// What is refused is named.
fn check(call: &Described, body: &Value, answer: &Answer) {
    if answer.status == 200 {
        return;
    }
    let message = refusal(answer);
    let sent = body.as_object().into_iter().flat_map(|fields| fields.keys()).map(|key| shown(key));
    let mut places = call.fields.iter().cloned().chain(sent).chain(["body".to_owned()]);
    let named = places.any(|place| {
        message.strip_prefix(&place).is_some_and(|rest| rest.starts_with([':', '.', '[', ',']))
    });
    assert!(named || UNNAMED.is_match(message), "{message:?}");
}

/// The same with numbers that a double holds, as the validator wants them; no schema has a bound
/// that is larger.
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

/// What is accepted is described, and what is described is refused only for what no schema says.
fn is_as_described(call: &Described, body: &Value, answer: &Answer) {
    let body = &with_doubles(body);
    let errors: Vec<String> = call
        .fits
        .iter_errors(body)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    if answer.status == 200 {
        assert!(errors.is_empty(), "accepted, though {errors:?}");
    } else if errors.is_empty() {
        let message = refusal(answer);
        assert!(RIGHT.is_match(message) || names_no_day(message, body), "refused: {message:?}");
    }
}

/// What is said of no field.
static UNNAMED: LazyLock<Regex> = LazyLock::new(|| Regex::new("^Workflow '").unwrap());

/// Why a body may be refused that fits its schema.
static RIGHT: LazyLock<Regex> = LazyLock::new(|| {
    let reasons = [
        "orderId: there is no order '.*'",
        "Workflow '.*'( in version '.*')? doesn't exist",
        "orderIds, workflowIds, folders, states, dateFrom, dateTo: at least one is expected.*",
        r"\w+: the window is empty: .*",
        r"(orders\[\d+\]\.)?\w+: '.*' leaves the years 1 to 9999",
        r".*: a number of at most \d+ digits, written without an exponent, is expected",
        // Instructions and branches in turn, an instruction at the end.
        r"(position|orders\[\d+\]\.startPosition): a list such as .* is expected",
        "regex: '.*' is not a regular expression: .*",
    ];
    Regex::new(&format!("(?s)^(?:{})$", reasons.join("|"))).unwrap()
});

/// Whether the field that is refused names a day that its month, or a year, does not have.
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

/// A name that the client made, as messages show it.
fn shown(key: &str) -> String {
    let shown: String = key.chars().take(60).flat_map(char::escape_debug).collect();
    if key.chars().nth(60).is_some() { shown + "…" } else { shown }
}
