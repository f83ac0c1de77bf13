//! What concerns the whole database: the import, the cold start, and a cancel of all orders.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use crate::bench::{Bench, Session, median};
use crate::client::Client;
use crate::data::{self, CONTROLLER, Shape};
use crate::raw::Raw;
use crate::report::{Report, millis};
use crate::service::Service;
use crate::set::Set;
use crate::targets::{DURATION, IMPORT, MEMORY, START, grouped};

/// Copies the orders from a CSV, as the baseline of the import.
pub fn import(
    raw: &Raw,
    shape: Shape,
    folder: &Path,
    imported: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    let csv = folder.join("orders.csv");
    data::write_csv(shape, &csv)?;
    let copied = raw.copy(&csv)?;
    std::fs::remove_file(&csv)?;
    report.times(&IMPORT, "import of all orders", imported, copied);
    Ok(())
}

pub async fn start(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let Session { service, token } = bench.session().await?;
    service.stop()?;
    let mut times = Vec::new();
    for _ in 0..bench.args.runs {
        let started = Instant::now();
        let service = Service::start(&bench.raw.url())?;
        let mut client = Client::connect(service.address, &token).await?;
        client.succeed("/orders/cancel/preview", &Set::Workflow.request()).await?;
        times.push(started.elapsed());
        service.stop()?;
    }
    let work = "cold start to the first response";
    bench.report.only(&START, work, millis(median(times)));
    Ok(())
}

pub async fn memory(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    bench.raw.revive()?;
    let session = bench.session().await?;
    let body = json!({"controllerId": CONTROLLER, "folders": [{"folder": "/"}]});
    let before = session.service.peak_memory()?;
    let response = session.client().await?.succeed("/orders/cancel", &body).await?;
    ensure!(response.affected == bench.shape.orders, "{} are cancelled", response.affected);
    let peak = session.service.peak_memory()?;
    let work =
        format!("peak memory while {} are cancelled, and before", grouped(response.affected));
    let shown = (MEMORY.shown(peak), MEMORY.shown(before));
    bench.report.row(&MEMORY, &work, shown, peak);
    bench.report.only(&DURATION, "duration of that cancel", millis(response.took));
    let each = response.took.as_secs_f64() * 1e6 / response.affected as f64;
    bench.report.point(false, "service", response.affected, each);
    Ok(())
}
