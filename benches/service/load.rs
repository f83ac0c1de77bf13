//! Concurrent requests.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::data::{CONTROLLER, Shape};
use crate::rate::Rate;
use crate::service::Service;
use crate::set::Set;

fn one(number: usize) -> String {
    format!(r##"{{"controllerId": "{CONTROLLER}", "orderIds": ["#single-{number}"]}}"##)
}

/// Cancels single orders, with one connection per client, until the time is over or the orders are.
pub async fn single(
    service: &Service,
    token: &str,
    clients: usize,
    seconds: u64,
    singles: usize,
) -> anyhow::Result<Rate> {
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let mut client = Client::connect(service.address, token).await?;
        let next = next.clone();
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < until {
                let Some(number) = take(&next, singles) else { break };
                let response = client.call("/orders/cancel", one(number)).await?;
                ensure!(response.affected == 1, "{}: {}", number, response.status);
                latencies.push(response.took);
            }
            anyhow::Ok(latencies)
        }));
    }
    gather(tasks, started).await
}

/// The number of the next order, if there is one.
fn take(next: &AtomicUsize, orders: usize) -> Option<usize> {
    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < orders)
}

/// The rate of all tasks together, until the last one ended.
async fn gather(
    tasks: Vec<JoinHandle<anyhow::Result<Vec<Duration>>>>,
    started: Instant,
) -> anyhow::Result<Rate> {
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    Ok(Rate::of(latencies, started.elapsed()))
}

/// Cancels single orders in a plain loop on one connection.
pub async fn sqlite(
    url: &str,
    synchronous: &str,
    seconds: u64,
    singles: usize,
) -> anyhow::Result<Rate> {
    let mut connection = SqliteConnectOptions::from_str(url)?
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::from_str(synchronous)?)
        .connect()
        .await?;
    let started = Instant::now();
    let mut latencies = Vec::new();
    for number in 0..singles {
        if started.elapsed() > Duration::from_secs(seconds) {
            break;
        }
        let before = Instant::now();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        cancel_one(&mut transaction, &format!("#single-{number}")).await?;
        transaction.commit().await?;
        latencies.push(before.elapsed());
    }
    let rate = Rate::of(latencies, started.elapsed());
    connection.close().await?;
    Ok(rate)
}

async fn cancel_one(connection: &mut SqliteConnection, order_id: &str) -> anyhow::Result<()> {
    let (path, version, folder, state): (String, String, String, String) = sqlx::query_as(
        "SELECT workflow_path, workflow_version_id, folder, effective_state FROM orders_effective \
         WHERE controller_id = ? AND order_id = ? AND state NOT IN ('FINISHED', 'CANCELLED')",
    )
    .bind(CONTROLLER)
    .bind(order_id)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE orders SET state = 'CANCELLED', suspended = 0, mark = NULL, reason = NULL, \
         kill_requested = NULL, sigkill_at = NULL, \
         state_since = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), \
         modified = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') \
         WHERE controller_id = ? AND order_id = ?",
    )
    .bind(CONTROLLER)
    .bind(order_id)
    .execute(&mut *connection)
    .await?;
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome, affected, \
         request_id, client_address) \
         VALUES (?, 'dba', './orders/cancel', ?, 'DONE', 1, 'raw', '127.0.0.1') RETURNING id",
    )
    .bind(CONTROLLER)
    .bind(json!({"controllerId": CONTROLLER, "orderIds": [order_id]}).to_string())
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path, \
         workflow_version_id, folder, previous_state, new_state) \
         VALUES (?, ?, ?, ?, ?, ?, ?, 'CANCELLED')",
    )
    .bind(CONTROLLER)
    .bind(id)
    .bind(order_id)
    .bind(path)
    .bind(version)
    .bind(folder)
    .bind(state)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Single cancels and lists, with or without a long cancel in flight.
pub struct Mixed {
    pub cancels: Rate,
    pub lists: Rate,
    /// The time of the long cancel.
    pub long: Option<Duration>,
}

/// Two clients cancel single orders and two list a thousand, during a long cancel or for two
/// seconds.
pub async fn mixed(
    service: &Service,
    token: &str,
    shape: Shape,
    long: Option<Value>,
) -> anyhow::Result<Mixed> {
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicUsize::new(0));
    let (mut cancels, mut lists) = (Vec::new(), Vec::new());
    let started = Instant::now();
    for _ in 0..2 {
        let mut client = Client::connect(service.address, token).await?;
        let (until, next) = (stop.clone(), next.clone());
        cancels.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let Some(number) = take(&next, shape.singles) else { break };
                let response = client.call("/orders/cancel", one(number)).await?;
                ensure!(response.affected == 1, "{}: {}", number, response.status);
                latencies.push(response.took);
            }
            anyhow::Ok(latencies)
        }));
        let mut client = Client::connect(service.address, token).await?;
        let until = stop.clone();
        lists.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while !until.load(Ordering::Relaxed) {
                latencies.push(client.succeed("/orders", &Set::Workflow.request()).await?.took);
            }
            anyhow::Ok(latencies)
        }));
    }
    let cancels = tokio::spawn(gather(cancels, started));
    let mut took = None;
    match long {
        Some(body) => {
            let mut client = Client::connect(service.address, token).await?;
            took = Some(client.succeed("/orders/cancel", &body).await?.took);
        }
        None => tokio::time::sleep(Duration::from_secs(2)).await,
    }
    stop.store(true, Ordering::Relaxed);
    let cancels = cancels.await??;
    Ok(Mixed { cancels, lists: gather(lists, started).await?, long: took })
}
