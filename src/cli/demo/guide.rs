//! Posts requests on the tour and shows them.

use std::path::Path;

use anyhow::Context;
use reqwest::Response;
use serde::Serialize;
use serde_json::Value;

use crate::cli::http_client::{Trust, http_client};
use crate::cli::terminal::write;
use crate::model::window::iso;
use crate::store::Store;

pub(super) const CONTROLLER_ID: &str = "demo";
pub(super) const ACCOUNT: &str = "root";
pub(super) const PASSWORD: &str = "demo-password";
/// An order that is due, of a workflow that an agent runs.
pub(super) const ORDER_ID: &str = "report";
pub(super) const WORKFLOW: &str = "/demo/report";

/// What a preview shows on the tour, for jq; [`Guide::preview`] does the same.
const COUNTS: &str = "{total, cancelled, marked, byState}, (.orders[] | {orderId, state, effect})";
/// The response headers that the tour shows, for grep; [`Guide::cancel`] does the same.
const HEADERS: &str = "^(HTTP|x-audit-log-id|x-orders-affected)";

pub(super) fn say(text: &str) -> anyhow::Result<()> {
    write(format!("{text}\n").as_bytes())
}

/// Shows who changed an order.
pub(super) async fn who(store: &dyn Store, order_id: &str, file: &Path) -> anyhow::Result<()> {
    say(&format!(
        "$ sqlite3 -json {} \"SELECT l.created, l.account, l.comment, l.ticket_link, \
         d.previous_state, d.new_state FROM audit_log_details d JOIN audit_logs l \
         ON l.id = d.audit_log_id WHERE d.order_id = '{}'\"",
        file.display(),
        order_id.replace('\'', "''"),
    ))?;
    let trail = store.trail(CONTROLLER_ID, order_id).await?;
    let rows: Vec<_> = trail
        .into_iter()
        .map(|touch| TrailRow {
            created: iso(&touch.created),
            account: touch.account,
            comment: touch.comment,
            ticket_link: touch.ticket_link,
            previous_state: touch.previous_state,
            new_state: touch.new_state,
        })
        .collect();
    say(&serde_json::to_string(&rows)?)
}

/// A row of the audit trail, as sqlite3 writes it.
#[derive(Serialize)]
struct TrailRow {
    created: String,
    account: String,
    comment: Option<String>,
    ticket_link: Option<String>,
    previous_state: String,
    new_state: String,
}

/// Posts requests and shows them.
pub(super) struct Guide {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Guide {
    pub(super) async fn login(url: String) -> anyhow::Result<Self> {
        let client = http_client(&url.parse()?, Trust::System)?;
        let login = client.post(format!("{url}/authentication/login"));
        let response = login.basic_auth(ACCOUNT, Some(PASSWORD)).send().await?;
        let response: Value = response.error_for_status()?.json().await?;
        let token = response["accessToken"].as_str().context("no access token")?.to_owned();
        Ok(Self { client, url, token })
    }

    pub(super) async fn preview(&self, body: &Value) -> anyhow::Result<Value> {
        say(&line("", "/orders/cancel/preview", body, &format!("jq -cS '{COUNTS}'")))?;
        let response: Value = self.post("/orders/cancel/preview", body).await?.json().await?;
        say(&picked(&response, &["total", "cancelled", "marked", "byState"]))?;
        for order in response["orders"].as_array().into_iter().flatten() {
            say(&picked(order, &["orderId", "state", "effect"]))?;
        }
        Ok(response)
    }

    pub(super) async fn refused(&self, body: &Value) -> anyhow::Result<()> {
        say(&line("", "/orders/cancel", body, "jq -cS .error"))?;
        let response: Value = self.post("/orders/cancel", body).await?.json().await?;
        say(&picked(&response["error"], &["code", "message"]))
    }

    pub(super) fn cancel_line(body: &Value) -> String {
        let show = format!("tr -d '\\r' | grep -iE '{HEADERS}' | sort");
        line("-D - -o /dev/null ", "/orders/cancel", body, &show)
    }

    pub(super) async fn cancel(&self, body: &Value) -> anyhow::Result<()> {
        say(&Self::cancel_line(body))?;
        let response = self.post("/orders/cancel", body).await?;
        say(&format!("{:?} {}", response.version(), response.status()))?;
        for name in ["x-audit-log-id", "x-orders-affected"] {
            let value = response.headers().get(name).with_context(|| format!("no {name}"))?;
            say(&format!("{name}: {}", value.to_str()?))?;
        }
        Ok(())
    }

    pub(super) async fn post(&self, call: &str, body: &Value) -> reqwest::Result<Response> {
        let request = self.client.post(format!("{}{call}", self.url));
        request.header("X-Access-Token", &self.token).json(body).send().await
    }
}

/// A request as a line for a shell.
pub(super) fn line(options: &str, call: &str, body: &Value, show: &str) -> String {
    format!("$ curl -s {options}-H \"X-Access-Token: $TOKEN\" $JOC{call} -d '{body}' | {show}")
}

/// These fields of an object in one line, as `jq -cS` writes them.
pub(super) fn picked(object: &Value, fields: &[&str]) -> String {
    let picked: Value =
        fields.iter().map(|field| ((*field).to_owned(), object[*field].clone())).collect();
    picked.to_string()
}
