//! `joc-orders demo`: a tour on a sample controller with a few hundred orders. Every request is
//! shown as a shell command, with exactly the output of that command.

use std::io::Cursor;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::guide::{ACCOUNT, CONTROLLER_ID, Guide, ORDER_ID, PASSWORD, WORKFLOW, say, who};
use crate::cli::import::{self, InputFormat};
use crate::cli::stop::{self, Signals};
use crate::clock::Clock;
use crate::config::Settings;
use crate::http::{self, BASE, Service, password};
use crate::store::{self, Access, DEFAULT_CONNECTIONS, Store};

mod guide;
#[cfg(target_os = "linux")]
mod process;

/// The default log level, so that log lines do not interrupt the tour.
pub const LOG: &str = "warn,sqlx=error";

/// A JOC response to `/orders`, of a sample controller.
const ORDERS: &str = include_str!("../../tests/fixtures/orders.json");
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
        #[cfg(target_os = "linux")]
        process::tour(&guide, &store, &file).await?;
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

async fn set_up(file: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let url = format!("sqlite:{}", file.display());
    let store = store::open(&url, DEFAULT_CONNECTIONS, Access::Create).await?;
    let format = InputFormat::Response { controller_id: CONTROLLER_ID.into() };
    let due = json!({
        "orderId": ORDER_ID, "workflowId": {"path": WORKFLOW, "versionId": "1"},
        "state": {"_text": "BLOCKED"}, "scheduledFor": 0,
    });
    let mut orders: Value = serde_json::from_str(ORDERS)?;
    orders["orders"].as_array_mut().context("the sample has no orders")?.push(due);
    let orders = Cursor::new(orders.to_string());
    let (imported, _) = import::import(&*store, orders, format, false).await?;
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
    who(store, order_id, file).await?;
    Ok(guide)
}

/// Shows what to try next.
async fn your_turn(guide: &Guide, origin: &str) -> anyhow::Result<()> {
    let body = json!({"controllerId": CONTROLLER_ID, "folders": [{"folder": "/mft"}]});
    let mut preview = body.clone();
    preview["limit"] = json!(1);
    say(&format!(
        "\n# Your turn: open {origin}/ (account {ACCOUNT}, password {PASSWORD}).\n# Or, in another \
         terminal, set JOC and TOKEN as above. The orders below /mft are still there:"
    ))?;
    guide.preview(&preview).await?;
    say("\n# Cancel them:")?;
    say(&Guide::cancel_line(&body))?;
    say(&format!("\n# API documentation, to read and try: {origin}/docs\n# Serving until Ctrl-C."))
}
