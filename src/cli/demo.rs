//! `joc-orders demo`: the main job on a controller of a few hundred orders, each request shown
//! as a line for curl.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::cli::client;
use crate::cli::import::{self, ImportArgs};
use crate::cli::stop::{self, Stop};
use crate::clock::Clock;
use crate::config::{Database, Settings};
use crate::http::{self, BASE, Service, password};
use crate::store::{self, Access, DEFAULT_CONNECTIONS, Store};

/// A JOC's answer to `/orders`: a made-up controller.
const ORDERS: &str = include_str!("../../tests/fixtures/orders.json");
const CONTROLLER_ID: &str = "demo";
const ACCOUNT: &str = "root";
const PASSWORD: &str = "demo-password";

/// Try it: cancel orders of a made-up controller, and see who did it
#[derive(Debug, Args)]
pub struct DemoArgs {
    #[command(flatten)]
    settings: Settings,
    /// End after the tour instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
}

/// Runs the tour, then serves until Ctrl-C.
///
/// # Errors
///
/// If a step of the tour fails.
pub async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("a folder for the demo's database")?;
    let file = folder.path().join("demo.db");
    let store = set_up(&file, folder.path()).await?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}{BASE}", listener.local_addr()?);
    let service = Service::new(store.clone(), args.settings, Clock::system());
    let server = http::serve(listener, service, None)?;
    let toured = Notify::new();
    let signals = (!args.once).then(Stop::listen).transpose()?;
    let stop = async || match &signals {
        Some(signals) => signals.asked().await,
        None => toured.notified().await,
    };
    let serving = async { server.until(stop).await.context("the server") };
    let touring = async {
        tour(&url, &*store, &file).await?;
        toured.notify_one();
        if !args.once {
            println!("\nServing at {url} until Ctrl-C: paste any of the lines above.");
        }
        Ok(())
    };
    tokio::try_join!(serving, touring)?;
    stop::close(&*store).await;
    Ok(())
}

async fn set_up(file: &Path, folder: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let url = format!("sqlite:{}", file.display());
    let orders = folder.join("orders.json");
    tokio::fs::write(&orders, ORDERS).await?;
    println!("# A database with the orders of a made-up controller: {}", file.display());
    import::run(ImportArgs {
        file: orders,
        controller_id: Some(CONTROLLER_ID.into()),
        replace: false,
        database: Database { url: url.clone(), connections: DEFAULT_CONNECTIONS },
    })
    .await?;
    let store = store::open(&url, DEFAULT_CONNECTIONS, Access::Create).await?;
    store.add_account(ACCOUNT, &password::hash(PASSWORD)?, &["all".into()]).await?;
    Ok(store)
}

async fn tour(url: &str, store: &dyn Store, file: &Path) -> anyhow::Result<()> {
    println!("\n# Log in; the access token comes in a header, and every call carries it.");
    println!(
        "$ TOKEN=$(curl -s -u {ACCOUNT}:{PASSWORD} -X POST {url}/authentication/login | jq -r .accessToken)"
    );
    let client = client::transport(&url.parse()?)?;
    let login = format!("{url}/authentication/login");
    let answer = client.post(login).basic_auth(ACCOUNT, Some(PASSWORD)).send().await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    let token = answer["accessToken"].as_str().context("no access token")?.to_owned();
    println!("{token}");
    println!("$ TOKEN={token}");
    let guide = Guide { client, url, token };

    let body = json!({
        "controllerId": CONTROLLER_ID,
        "folders": [{"folder": "/sos/billing"}],
        "states": ["SCHEDULED", "BLOCKED", "RUNNING"],
        "auditLog": {"comment": "billing is down", "ticketLink": "https://tickets.example.com/OPS-4711"},
    });
    let mut with_limit = body.clone();
    with_limit["limit"] = json!(3);
    println!("\n# What would be cancelled: orders below /sos/billing in three states.");
    let (_, preview) = guide.post("/orders/cancel/preview", &with_limit).await?;
    println!("\n# A misspelt selector is refused by name, instead of cancelling everything else.");
    let mut misspelt = body.clone();
    misspelt["folder"] = json!("/sos/billing");
    guide.post("/orders/cancel", &misspelt).await?;
    println!("\n# Cancel them, but not if they have become more since.");
    let mut cancel = body;
    cancel["maxOrders"] = preview["total"].clone();
    let (headers, _) = guide.post("/orders/cancel", &cancel).await?;
    for name in ["x-audit-log-id", "x-orders-affected", "x-request-id"] {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        println!("{name}: {value}");
    }
    println!("\n# Once more: there is nothing left to cancel.");
    guide.post("/orders/cancel", &cancel).await?;

    let order_id = preview["orders"][0]["orderId"].as_str().context("no order was selected")?;
    println!("\n# Who cancelled {order_id}, when and why?");
    println!(
        "$ sqlite3 -json {} \"SELECT l.created, l.account, l.comment, l.ticket_link, \
         d.previous_state, d.new_state FROM audit_log_details d JOIN audit_logs l \
         ON l.id = d.audit_log_id WHERE d.order_id = '{}'\"",
        file.display(),
        order_id.replace('\'', "''"),
    );
    for touch in store.trail(CONTROLLER_ID, order_id).await? {
        let touch = json!([{
            "created": touch.created, "account": touch.account, "comment": touch.comment,
            "ticket_link": touch.ticket_link, "previous_state": touch.previous_state,
            "new_state": touch.new_state,
        }]);
        println!("{touch}");
    }
    Ok(())
}

/// Posts requests and shows them.
struct Guide<'a> {
    client: reqwest::Client,
    url: &'a str,
    token: String,
}

impl Guide<'_> {
    async fn post(&self, call: &str, body: &Value) -> anyhow::Result<(HeaderMap, Value)> {
        let url = format!("{}{call}", self.url);
        println!("$ curl -s -H \"X-Access-Token: $TOKEN\" {url} -d '{body}'");
        let request = self.client.post(url).header("X-Access-Token", &self.token).json(body);
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let answer: Value = response.json().await?;
        println!("{} {answer:#}", status.as_u16());
        Ok((headers, answer))
    }
}
