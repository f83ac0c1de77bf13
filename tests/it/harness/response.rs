//! The responses that clients get.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// A response to a request.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Response {
    /// Sends a request.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// How many orders a success affected.
    #[track_caller]
    pub fn affected(&self) -> u64 {
        self.ok();
        self.headers["x-orders-affected"].to_str().unwrap().parse().unwrap()
    }

    /// The audit entry of a change.
    #[track_caller]
    pub fn entry(&self) -> i64 {
        self.ok();
        self.headers["x-audit-log-id"].to_str().unwrap().parse().unwrap()
    }

    /// The message of a failure with this code.
    #[track_caller]
    pub fn failed(&self, code: &str) -> String {
        assert_eq!(self.status, 420, "{}", self.text);
        let body = self.json();
        assert_eq!(body["error"]["code"], code, "{body}");
        body["error"]["message"].as_str().unwrap().into()
    }

    /// The message of a request that is wrong, but not for its dates.
    #[track_caller]
    pub fn refused(&self) -> String {
        self.failed("JOC-420")
    }

    /// The message of a request that names what is not there.
    #[track_caller]
    pub fn not_found(&self) -> String {
        self.failed("JOC-400")
    }

    /// What JOC says if a change applies to no order, without the exception's name.
    #[track_caller]
    pub fn nothing_found(&self) -> String {
        let message = self.not_found();
        let text = message.strip_prefix("ControllerObjectNotExistException: ");
        text.unwrap_or_else(|| panic!("no exception: {message}")).into()
    }

    /// Expects a failure whose message begins like this, after its code if that is not JOC-420:
    /// `JOC-405 dateTo: `. Returns the message.
    #[track_caller]
    pub fn fails_with(&self, expected: &str) -> String {
        let (code, beginning) = match expected.split_once(' ') {
            Some((code, beginning)) if code.starts_with("JOC-") => (code, beginning),
            _ => ("JOC-420", expected),
        };
        let message = self.failed(code);
        assert!(message.starts_with(beginning), "{message:?} is not {expected}");
        message
    }
}
