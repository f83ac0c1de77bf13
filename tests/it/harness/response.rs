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

    /// The message of a JOC-400.
    #[track_caller]
    pub fn refused(&self) -> String {
        assert_eq!(self.status, 420, "{}", self.text);
        let body = self.json();
        assert_eq!(body["error"]["code"], "JOC-400", "{body}");
        body["error"]["message"].as_str().unwrap().into()
    }
}
