//! `joc-orders demo`: a tour on a sample controller with a few hundred orders. Every request is
//! shown as a shell command, with exactly the output of that command.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use reqwest::Response;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::cli::http_client::{Trust, http_client};
use crate::cli::import::{self, InputFormat};
use crate::cli::stop::{self, Signals};
use crate::cli::terminal::write;
use crate::clock::Clock;
use crate::config::Settings;
use crate::http::{self, BASE, Service, password};
use crate::model::window::iso;
use crate::store::{self, Access, DEFAULT_CONNECTIONS, Store};

/// The default log level, so that log lines do not interrupt the tour.
pub const LOG: &str = "warn,sqlx=error";

/// A JOC response to `/orders`, of a sample controller.
const ORDERS: &str = include_str!("../../tests/fixtures/orders.json");
const CONTROLLER_ID: &str = "demo";
const ACCOUNT: &str = "root";
const PASSWORD: &str = "demo-password";

/// What a preview shows on the tour, for jq; [`Guide::preview`] does the same.
const COUNTS: &str = "{total, cancelled, marked, byState}, (.orders[] | {orderId, state, effect})";
/// The response headers that the tour shows, for grep; [`Guide::cancel`] does the same.
const HEADERS: &str = "^(HTTP|x-audit-log-id|x-orders-affected)";

const EXAMPLES: &str = "\
Examples:
  joc-orders demo          # the tour; then try it yourself until Ctrl-C
  joc-orders demo --once   # the tour alone

The commands shown need curl, jq and sqlite3. The database is a temporary file.";

/// Try it: cancel orders of a sample controller, and see who did it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    #[command(flatten)]
    settings: Settings,
    /// Exit after the tour instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
}

/// Runs the tour, then serves until Ctrl-C.
///
/// # Errors
///
/// If a step of the tour fails.
pub async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("a port for the demo")?;
    let origin = format!("http://{}", listener.local_addr()?);
    let folder = tempfile::tempdir().context("a folder for the demo's database")?;
    let file = folder.path().join("demo.db");
    let store = set_up(&file).await?;

    // The tour has no comments in some requests.
    let settings = Settings { comment_required: false, ..args.settings };
    let service = Service::new(store.clone(), settings, Clock::system());
    let server = http::serve([listener], service, None)?;
    let toured = Notify::new();
    let signals = (!args.once).then(Signals::stop_or_hangup).transpose()?;
    let stop = async || match &signals {
        Some(signals) => signals.next().await,
        None => toured.notified().await,
    };
    let serving = async { server.until(stop).await.context("the server") };
    let touring = async {
        let guide = tour(&origin, &*store, &file).await?;
        toured.notify_one();
        if !args.once {
            your_turn(&guide, &origin).await?;
        }
        Ok(())
    };
    tokio::try_join!(serving, touring)?;
    stop::close(&*store).await;
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    write(format!("{text}\n").as_bytes())
}

async fn set_up(file: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let url = format!("sqlite:{}", file.display());
    let store = store::open(&url, DEFAULT_CONNECTIONS, Access::Create).await?;
    let format = InputFormat::Response { controller_id: CONTROLLER_ID.into() };
    let (imported, _) = import::import(&*store, ORDERS.as_bytes(), format, false).await?;
    store.add_account(ACCOUNT, &password::hash(PASSWORD)?, &["all".into()]).await?;
    let file = file.display();
    say(&format!("# A sample controller with {} orders, in {file}", imported.inserted))?;
    Ok(store)
}

async fn tour(origin: &str, store: &dyn Store, file: &Path) -> anyhow::Result<Guide> {
    let url = format!("{origin}{BASE}");
    say("\n# Log in; every request carries the access token.")?;
    say(&format!("$ JOC={url}"))?;
    say(&format!(
        "$ TOKEN=$(curl -s -u {ACCOUNT}:{PASSWORD} -X POST $JOC/authentication/login | \
         jq -r .accessToken)"
    ))?;
    let guide = Guide::login(url).await?;

    let body = json!({
        "controllerId": CONTROLLER_ID,
        "folders": [{"folder": "/sos/billing"}],
        "states": ["SCHEDULED", "BLOCKED", "RUNNING"],
        "auditLog": {"comment": "billing is down", "ticketLink": "https://tickets.example.com/OPS-4711"},
    });
    let with = |field: &str, value: Value| {
        let mut body = body.clone();
        body[field] = value;
        body
    };
    say("\n# What would be cancelled: orders below /sos/billing in three states.")?;
    let preview = guide.preview(&with("limit", json!(3))).await?;
    say("\n# A misspelt selector is rejected by name; it does not cancel everything else.")?;
    guide.refused(&with("folder", json!("/sos/billing"))).await?;
    say("\n# Cancel them, unless there are more by now.")?;
    let cancel = with("maxOrders", preview["total"].clone());
    guide.cancel(&cancel).await?;
    say("\n# Once more: there is nothing left to cancel.")?;
    guide.refused(&cancel).await?;

    let order_id = preview["orders"][0]["orderId"].as_str().context("no order was selected")?;
    say(&format!("\n# Who cancelled {order_id}, when and why?"))?;
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
    say(&serde_json::to_string(&rows)?)?;
    Ok(guide)
}

/// Shows what to try next.
async fn your_turn(guide: &Guide, origin: &str) -> anyhow::Result<()> {
    let body = json!({"controllerId": CONTROLLER_ID, "folders": [{"folder": "/mft"}]});
    let mut preview = body.clone();
    preview["limit"] = json!(1);
    say(
        "\n# Your turn, in another terminal: set JOC and TOKEN as above. The orders below /mft are \
         still there:",
    )?;
    guide.preview(&preview).await?;
    say("\n# Cancel them:")?;
    say(&Guide::cancel_line(&body))?;
    say(&format!(
        "\n# API documentation, to read and try: {origin}/docs (account {ACCOUNT}, password \
         {PASSWORD})\n# Serving until Ctrl-C."
    ))
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
struct Guide {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Guide {
    async fn login(url: String) -> anyhow::Result<Self> {
        let client = http_client(&url.parse()?, Trust::System)?;
        let login = client.post(format!("{url}/authentication/login"));
        let response = login.basic_auth(ACCOUNT, Some(PASSWORD)).send().await?;
        let response: Value = response.error_for_status()?.json().await?;
        let token = response["accessToken"].as_str().context("no access token")?.to_owned();
        Ok(Self { client, url, token })
    }

    async fn preview(&self, body: &Value) -> anyhow::Result<Value> {
        say(&line("", "/orders/cancel/preview", body, &format!("jq -cS '{COUNTS}'")))?;
        let response: Value = self.post("/orders/cancel/preview", body).await?.json().await?;
        say(&picked(&response, &["total", "cancelled", "marked", "byState"]))?;
        for order in response["orders"].as_array().into_iter().flatten() {
            say(&picked(order, &["orderId", "state", "effect"]))?;
        }
        Ok(response)
    }

    async fn refused(&self, body: &Value) -> anyhow::Result<()> {
        say(&line("", "/orders/cancel", body, "jq -cS .error"))?;
        let response: Value = self.post("/orders/cancel", body).await?.json().await?;
        say(&picked(&response["error"], &["code", "message"]))
    }

    fn cancel_line(body: &Value) -> String {
        let show = format!("tr -d '\\r' | grep -iE '{HEADERS}' | sort");
        line("-D - -o /dev/null ", "/orders/cancel", body, &show)
    }

    async fn cancel(&self, body: &Value) -> anyhow::Result<()> {
        say(&Self::cancel_line(body))?;
        let response = self.post("/orders/cancel", body).await?;
        say(&format!("{:?} {}", response.version(), response.status()))?;
        for name in ["x-audit-log-id", "x-orders-affected"] {
            let value = response.headers().get(name).with_context(|| format!("no {name}"))?;
            say(&format!("{name}: {}", value.to_str()?))?;
        }
        Ok(())
    }

    async fn post(&self, call: &str, body: &Value) -> reqwest::Result<Response> {
        let request = self.client.post(format!("{}{call}", self.url));
        request.header("X-Access-Token", &self.token).json(body).send().await
    }
}

/// A request as a line for a shell.
fn line(options: &str, call: &str, body: &Value, show: &str) -> String {
    format!("$ curl -s {options}-H \"X-Access-Token: $TOKEN\" $JOC{call} -d '{body}' | {show}")
}

/// These fields of an object in one line, as `jq -cS` writes them.
fn picked(object: &Value, fields: &[&str]) -> String {
    let picked: Value =
        fields.iter().map(|field| ((*field).to_owned(), object[*field].clone())).collect();
    picked.to_string()
}
