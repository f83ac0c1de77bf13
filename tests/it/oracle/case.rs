//! What is generated: a controller, its orders and requests.

use std::fmt;

use chrono::TimeDelta;
use joc_orders::model::window::iso;
use serde_json::{Map, Value, json};

use crate::harness::{Order, ROOT};

/// The folders that the accounts are limited to; the first account is not.
pub const ACCOUNTS: &[&[(&str, bool)]] = &[
    &[],
    &[("/sos", true)],
    &[("/sos", false), ("/sos_x", true)],
    &[("/", false)],
    &[("/sos/a", true), ("/Über", false), ("/sos%", true)],
    // Padded to many folders.
    &[("/sos", true), ("/o'b \"q", false), ("/sos_x", false)],
];

/// The account that is limited to very many folders.
const MANY: usize = 5;

/// The account whose folders apply when an account resumes failed orders; `None` if it may not.
pub const FAILED_AS: &[Option<usize>] = &[Some(0), None, Some(3), Some(4), Some(0), Some(2)];

/// A controller and the requests sent to it in turn.
#[derive(Clone)]
pub struct Case {
    /// Sorted by id.
    pub orders: Vec<Order>,
    pub requests: Vec<Request>,
}

/// A request; an empty list is left out, or sent empty.
#[derive(Debug, Clone)]
pub struct Request {
    /// The last part of the endpoint's path.
    pub call: &'static str,
    pub reset: bool,
    /// Sent also where it is ignored.
    pub priority: i32,
    pub position: Option<Value>,
    pub variables: Option<Map<String, Value>>,
    /// The time that passes before it.
    pub pass: TimeDelta,
    /// Whether it goes to the service that takes whole cycles.
    pub whole_cycles: bool,
    /// Index into [`ACCOUNTS`].
    pub account: usize,
    pub order_ids: Vec<String>,
    pub workflow_ids: Vec<(String, Option<String>)>,
    pub folders: Vec<(String, Option<bool>)>,
    pub states: Vec<&'static str>,
    pub date_from: Option<String>,
    pub date_to: Option<String>,
    pub time_zone: Option<String>,
    pub kill: bool,
    pub deep: bool,
    pub order_type: Option<&'static str>,
    /// Whether ignored fields are sent all the same, and `version` for `versionId`.
    pub verbose: bool,
}

/// The name of an account.
pub fn account_name(account: usize) -> String {
    if account == 0 { ROOT.0.into() } else { format!("limited {account}") }
}

/// An account's folders.
pub fn padded(folders: &[(&str, bool)], account: usize) -> Vec<(String, bool)> {
    let more = (0..if account == MANY { 40 } else { 0 }).map(|i| (format!("/none/{i}"), true));
    folders.iter().map(|(f, r)| ((*f).to_owned(), *r)).chain(more).collect()
}

impl Request {
    /// The request body.
    pub fn body(&self, controller: &str) -> Value {
        let version = if self.verbose { "version" } else { "versionId" };
        let workflows = self.workflow_ids.iter().map(|(path, version_id)| match version_id {
            Some(id) => json!({"path": path, version: id}),
            None => json!({"path": path}),
        });
        let folders = self.folders.iter().map(|(folder, recursive)| match recursive {
            Some(recursive) => json!({"folder": folder, "recursive": recursive}),
            None => json!({"folder": folder}),
        });
        let mut body = json!({
            "orderIds": self.order_ids,
            "workflowIds": workflows.collect::<Vec<_>>(),
            "folders": folders.collect::<Vec<_>>(),
            "states": self.states,
            "dateFrom": self.date_from,
            "dateTo": self.date_to,
            "timeZone": self.time_zone,
            "kill": self.kill,
            "deep": self.deep,
            "orderType": self.order_type,
            "reset": self.reset,
            "position": self.position,
            "variables": self.variables,
        });
        if !self.verbose {
            let empty = |value: &Value| match value {
                Value::Array(list) => list.is_empty(),
                value => value.is_null() || *value == json!(false),
            };
            body.as_object_mut().unwrap().retain(|_, value| !empty(value));
        }
        body["priority"] = json!(self.priority);
        body["controllerId"] = json!(controller);
        body
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for o in &self.orders {
            let at = o.scheduled_for.as_ref().map_or_else(|| "never".into(), iso);
            let (path, version) = &o.workflow;
            let mark = o.mark.unwrap_or_default();
            let suspended = if o.suspended { " suspended" } else { "" };
            let killed = if o.killed { " killed" } else { "" };
            let removed = if o.remove_when_terminated { " removed" } else { "" };
            let (id, state, reason) = (&o.order_id, o.state, o.reason.unwrap_or_default());
            write!(
                f,
                "\n{id}  {path} {version}  {state}{suspended}{removed} {reason} {mark}{killed}  {at}"
            )?;
        }
        for (i, request) in self.requests.iter().enumerate() {
            let (account, pass) = (account_name(request.account), request.pass);
            let (call, body) = (request.call, request.body("c"));
            let cycles = if request.whole_cycles { ", whole cycles" } else { "" };
            write!(f, "\n{i}: as {account}, {pass} later{cycles}: {call} {body}")?;
        }
        Ok(())
    }
}
