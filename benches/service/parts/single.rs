//! Cancels single orders by id, with one client and with several.

use anyhow::ensure;
use serde_json::json;

use crate::bench::Bench;
use crate::data::CONTROLLER;
use crate::raw::Raw;
use crate::service::Service;
use crate::targets::{MANY_CLIENTS, ONE_CLIENT, SINGLES};
use crate::{load, rate};

const CLIENTS: [(usize, &str); 3] = [(1, "1 client"), (8, "8 clients"), (32, "32 clients")];

pub async fn single(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    match bench.raw {
        Raw::Postgres { url } => postgres(bench, url).await,
        Raw::Sqlite { .. } => sqlite(bench).await,
    }
}

async fn postgres(bench: &mut Bench<'_>, url: &str) -> anyhow::Result<()> {
    let first = json!({"controllerId": CONTROLLER, "orderIds": ["#single-0"]});
    let statements = bench.beside("/orders/cancel", &first, Vec::new()).await?;
    bench.restore()?;
    let session = bench.session().await?;
    let (seconds, singles) = (bench.args.seconds, bench.shape.singles);
    for (clients, name) in CLIENTS {
        let ours =
            load::single(&session.service, &session.token, clients, seconds, singles).await?;
        bench.restore()?;
        // As many, so that neither runs out of orders.
        let theirs = rate::pgbench(url, &statements, clients, ours.count)?;
        let cancelled = bench.raw.value(
            "SELECT count(*) FROM orders WHERE controller_id = 'main' AND state = 'CANCELLED' \
             AND order_id LIKE '#single-%'",
        )?;
        ensure!(cancelled == theirs.count.to_string(), "pgbench cancels {cancelled} orders");
        bench.restore()?;
        let work = format!("cancel one by id, {name}, beside pgbench");
        bench.report.rates(&SINGLES, &work, &ours, &theirs);
        bench.report.point(true, "service", clients, ours.per_second);
        bench.report.point(true, "pgbench", clients, theirs.per_second);
    }
    session.service.stop()
}

async fn sqlite(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let (seconds, singles) = (bench.args.seconds, bench.shape.singles);
    for synchronous in ["normal", "full"] {
        let url = format!("{}?synchronous={synchronous}", bench.raw.url());
        let service = Service::start(&url)?;
        let token = service.token().await?;
        for (clients, name) in CLIENTS {
            let theirs = load::sqlite(&bench.raw.url(), synchronous, seconds, singles).await?;
            bench.restore()?;
            let ours = load::single(&service, &token, clients, seconds, singles).await?;
            bench.restore()?;
            let topic = if clients == 1 { &ONE_CLIENT } else { &MANY_CLIENTS };
            let work =
                format!("cancel one by id, {name}, beside a loop, synchronous = {synchronous}");
            bench.report.rates(topic, &work, &ours, &theirs);
            if synchronous == "full" {
                bench.report.point(true, "service", clients, ours.per_second);
                bench.report.point(true, "bare loop", clients, theirs.per_second);
            }
        }
        service.stop()?;
    }
    Ok(())
}
