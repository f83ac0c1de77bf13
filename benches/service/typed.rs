//! The statements that the service sends to PostgreSQL for a request, taken from the server's log
//! in the form that a person would type.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::client::Client;
use crate::service::Service;

/// A service whose statements the server logs.
pub struct Listener {
    service: Service,
    token: String,
    log: PathBuf,
}

impl Listener {
    /// Starts it on a database of a server that logs JSON to a file.
    pub async fn start(url: &str, log: PathBuf) -> anyhow::Result<Self> {
        let service =
            Service::start(&format!("{url}?options=-c%20log_min_duration_statement%3D0"))?;
        let token = service.token().await?;
        Ok(Self { service, token, log })
    }

    /// Sends a request, and returns its statements on orders.
    pub async fn hear(&self, call: &str, body: &Value) -> anyhow::Result<Vec<String>> {
        let before = std::fs::read(&self.log)?.len();
        Client::connect(self.service.address, &self.token).await?.succeed(call, body).await?;
        let mut heard = Vec::new();
        // The log collector writes with a delay.
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(50));
            heard = statements(&String::from_utf8_lossy(&std::fs::read(&self.log)?[before..]))?;
            if !heard.is_empty() {
                break;
            }
        }
        ensure!(!heard.is_empty(), "{call} says nothing of orders to the server");
        Ok(heard)
    }

    pub fn stop(self) -> anyhow::Result<()> {
        self.service.stop()
    }
}

/// The statements on orders in a log, with the values of their parameters.
fn statements(log: &str) -> anyhow::Result<Vec<String>> {
    let mut statements = Vec::new();
    // The last line may be incomplete.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        let line: Value = serde_json::from_str(line)?;
        let message = line["message"].as_str().unwrap_or_default();
        let Some((head, text)) = message.split_once(": ").and_then(|(_, m)| m.split_once(": "))
        else {
            continue;
        };
        if head.contains(" execute ") && text.contains("FROM orders") {
            let values = values(line["detail"].as_str().unwrap_or_default());
            statements.push(typed(text, &values).context("a parameter that is not logged")?);
        }
    }
    Ok(statements)
}

/// The values in `parameters: $1 = 'a', $2 = NULL`, unchanged.
fn values(detail: &str) -> Vec<&str> {
    let mut values = Vec::new();
    let mut rest = detail;
    while let Some((_, value)) = rest.split_once(" = ") {
        let mut is_quoted = false;
        let end = value.find(|c| {
            is_quoted ^= c == '\'';
            c == ',' && !is_quoted
        });
        let (value, after) = value.split_at(end.unwrap_or(value.len()));
        values.push(value);
        rest = after;
    }
    values
}

/// A statement with its parameters replaced by values.
fn typed(text: &str, values: &[&str]) -> Option<String> {
    let mut pieces = text.split('$');
    let mut typed = pieces.next()?.to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let (number, after) = piece.split_at(end);
        let value = values.get(number.parse::<usize>().ok()?.checked_sub(1)?)?;
        typed += value;
        // The type of the parameter, which the protocol transmits separately.
        typed += match value.trim_matches('\'') {
            "NULL" => "",
            _ if after.starts_with("::") => "",
            object if serde_json::from_str::<Value>(object).is_ok_and(|o| o.is_object()) => {
                "::json"
            }
            list if list.starts_with('{') => "::text[]",
            number if number.parse::<i64>().is_ok() => "::bigint",
            at if at.get(4..5) == Some("-") && at.get(10..11) == Some(" ") => "::timestamptz",
            _ => "::text",
        };
        typed += after;
    }
    Some(typed)
}
