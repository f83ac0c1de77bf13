//! `joc-orders orders wait`: until orders have ended.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::connection::{ApiSession, ConnectionArgs};
use super::selectors::{ControllerArgs, SelectorArgs, expect_any};
use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::exit::help_end;
use crate::model::counted::counted;
use crate::model::order::EffectiveState;

/// Wait until the selected orders have ended
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders wait --order-id '#2026-11-23#P1-eod' --timeout 600
  joc-orders orders wait --folder /sos/billing --state running,inprogress"))]
pub(super) struct WaitArgs {
    #[command(flatten)]
    selectors: SelectorArgs,
    /// Seconds to wait [default: without end]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Seconds between two requests
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    interval: u32,
    #[command(flatten)]
    controller: ControllerArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs the command.
pub(super) async fn run(args: WaitArgs) -> anyhow::Result<()> {
    let selectors = &args.selectors;
    expect_any(selectors.select_any())?;
    if selectors.states().any(is_end) {
        let problem = "--state: FINISHED and CANCELLED orders have ended";
        return Err(CliError::Usage(problem.into()).into());
    }
    let mut body = args.controller.body(&args.connection)?;
    selectors.put_into_list(&mut body);
    // One order is enough to wait for; of ids, each must be known.
    body.put("limit", selectors.order_ids().is_empty().then_some(1));
    let body = body.into();
    let deadline = args.timeout.map(|seconds| Instant::now() + seconds_of(seconds));
    args.connection
        .session(async |session| {
            let mut orders = list(session, &body).await?;
            expect_known(selectors.order_ids(), &orders)?;
            while orders.iter().any(|order| !order["state"]["_text"].as_str().is_some_and(is_end)) {
                let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
                if left.is_some_and(|left| left.is_zero()) {
                    let seconds = counted(args.timeout.unwrap_or_default().into(), "second");
                    return Err(CliError::TimedOut(seconds).into());
                }
                let interval = seconds_of(args.interval);
                sleep(left.map_or(interval, |left| left.min(interval))).await;
                orders = list(session, &body).await?;
            }
            Ok(())
        })
        .await
}

async fn list(session: &ApiSession, body: &Value) -> anyhow::Result<Vec<Value>> {
    match session.call("/orders", body).await?.body["orders"].take() {
        Value::Array(orders) => Ok(orders),
        _ => Err(CliError::Other("the response has no orders".into()).into()),
    }
}

/// An order with a misspelt id would never be waited for.
fn expect_known(ids: &[String], orders: &[Value]) -> Result<(), CliError> {
    let known: BTreeSet<_> = orders.iter().filter_map(|order| order["orderId"].as_str()).collect();
    match ids.iter().find(|id| !known.contains(id.as_str())) {
        None => Ok(()),
        Some(id) => Err(CliError::Nothing(format!("there is no order {}", visible(id)))),
    }
}

fn is_end(state: &str) -> bool {
    let states = [EffectiveState::Finished, EffectiveState::Cancelled];
    states.iter().any(|end| end.as_str().eq_ignore_ascii_case(state))
}

fn seconds_of(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
