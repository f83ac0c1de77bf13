//! `joc-orders orders list --watch`: the list, and then what changes in it.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::connection::{ApiSession, ConnectionArgs};
use super::listing::ORDERS;
use crate::cli::error::CliError;
use crate::cli::output::{self, OutputFormat};
use crate::cli::table::{Column, Screen, table};
use crate::cli::terminal::{tell, write};

/// Clears the terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Shows the orders of a request until Ctrl-C: on a terminal a table, again and again; elsewhere
/// first all orders, then those that change.
///
/// # Errors
///
/// Any, except that the service cannot be reached for a while.
pub(super) async fn watch(
    connection: &ConnectionArgs,
    format: OutputFormat,
    body: &Value,
    interval: Duration,
) -> anyhow::Result<()> {
    let watched = connection
        .session(async |session| show_changes(session, format, body, interval).await)
        .await;
    match watched {
        Err(error) if matches!(error.downcast_ref(), Some(CliError::Interrupted)) => Ok(()),
        watched => watched,
    }
}

async fn show_changes(
    session: &ApiSession,
    format: OutputFormat,
    body: &Value,
    interval: Duration,
) -> anyhow::Result<()> {
    let redraws = format == OutputFormat::Table && io::stdout().is_terminal();
    let mut known = None;
    let mut is_lost = false;
    loop {
        match session.call(ORDERS.path, body).await {
            Ok(mut response) => {
                if std::mem::take(&mut is_lost) {
                    tell("the service responds again\n");
                }
                let orders = response.body[ORDERS.field].take();
                if redraws {
                    let rows = table(ORDERS.columns, &orders, &Screen::stdout());
                    let total = output::totals(&orders, ORDERS.noun, ORDERS.word);
                    write(format!("{CLEAR}{rows}{total}\n").as_bytes())?;
                } else {
                    let now = by_id(orders);
                    print(format, known.as_ref(), &now)?;
                    known = Some(now);
                }
            }
            // Not at the start, when the URL may be wrong.
            Err(error @ (CliError::Unreachable(_) | CliError::Aborted(_)))
                if redraws || known.is_some() =>
            {
                if !std::mem::replace(&mut is_lost, true) {
                    tell(&format!("{error}; trying again\n"));
                }
            }
            Err(error) => return Err(error.into()),
        }
        sleep(interval).await;
    }
}

fn by_id(orders: Value) -> BTreeMap<String, Value> {
    let Value::Array(orders) = orders else { return BTreeMap::new() };
    let with_id = |order: Value| Some((order["orderId"].as_str()?.to_owned(), order));
    orders.into_iter().filter_map(with_id).collect()
}

/// Prints what differs from the orders that are known.
fn print(
    format: OutputFormat,
    known: Option<&BTreeMap<String, Value>>,
    now: &BTreeMap<String, Value>,
) -> anyhow::Result<()> {
    let none = BTreeMap::new();
    let before = known.unwrap_or(&none);
    let mut changes: Vec<(&str, &Value)> = Vec::new();
    for (order_id, order) in now {
        match before.get(order_id) {
            None => changes.push(("ADDED", order)),
            Some(old) if old != order => changes.push(("CHANGED", order)),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|(order_id, _)| !now.contains_key(*order_id));
    changes.extend(gone.map(|(_, order)| ("GONE", order)));
    if changes.is_empty() && known.is_some() {
        return Ok(());
    }
    if format.is_whole() {
        for (change, order) in changes {
            if format == OutputFormat::Yaml {
                write(b"---\n")?;
            }
            output::whole(format, &json!({ "change": change, "order": order }))?;
        }
        return Ok(());
    }
    let rows = changes.into_iter().map(|(change, order)| {
        let mut row = order.clone();
        row["change"] = change.into();
        row
    });
    // The first column is the one for other commands.
    let (first, others) = ORDERS.columns.split_at(1);
    let columns = [first, &[Column::new("change", "/change")], others].concat();
    output::items(format, &columns, &rows.collect())
}
