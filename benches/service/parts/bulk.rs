//! Cancels from one order to a tenth of all by folder, state and window, lists as many, and the
//! same while other clients work.

use std::time::Duration;

use serde_json::json;

use crate::bench::{Bench, Session, median};
use crate::data::CONTROLLER;
use crate::report::{millis, show};
use crate::set::Set;
use crate::targets::{BULK, FEW, LISTED, READING, SNAPSHOT, WAITING, digits, grouped};
use crate::{by_hand, load};

pub async fn bulk(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let session = bench.session().await?;
    let most = bench.shape.bulk;
    let sizes = [1, 10, 100, 1000, 10_000].into_iter().filter(|size| *size < most);
    for size in sizes.chain([most]) {
        let set = Set::bulk(bench.shape, size);
        let topic = if size < 1000 { &FEW } else { &BULK };
        let name = format!("cancel {} {}", grouped(size), set.name());
        let runs = bench.args.runs.min(3);
        let (ours, theirs) = bench.cancel(&session, (topic, &name), (set, size), runs).await?;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / size as f64;
        bench.report.point(false, "service", size, each(ours));
        bench.report.point(false, "typed statement", size, each(theirs));
    }
    list(bench, &session).await?;
    let (call, body) = ("/orders/overview/snapshot", json!({"controllerId": CONTROLLER}));
    let statements = by_hand::snapshot();
    bench.read(&session, (&SNAPSHOT, "count all orders"), (call, &body), &statements).await?;
    session.service.stop()
}

/// Lists the bulk.
async fn list(bench: &mut Bench<'_>, session: &Session) -> anyhow::Result<()> {
    let set = Set::bulk(bench.shape, bench.shape.bulk);
    let mut body = set.request();
    body["limit"] = json!(-1);
    let statement = by_hand::list(set).concat();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut sent, mut dumped) = (0, 0);
    for _ in 0..bench.args.runs {
        let response = session.client().await?.succeed("/orders", &body).await?;
        ours.push(response.took);
        sent = response.bytes as u64;
        let (bytes, took) = bench.raw.dump(&statement)?;
        theirs.push(took);
        dumped = bytes;
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let speed = |bytes: u64, time: Duration| {
        let megabytes = bytes as f64 / 1e6;
        let (ms, rate) = (digits(millis(time)), digits(megabytes / time.as_secs_f64()));
        format!("{ms} ms, {} MB, {rate} MB/s", digits(megabytes))
    };
    let name = format!("list {} {}", grouped(bench.shape.bulk), set.name());
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    bench.report.row(&LISTED, &name, (speed(sent, ours), speed(dumped, theirs)), ratio);
    Ok(())
}

/// Short requests during a long cancel, and without it.
pub async fn mixed(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let Session { service, token } = bench.session().await?;
    let quiet = load::mixed(&service, &token, bench.shape, None).await?;
    bench.restore()?;
    let most = bench.shape.bulk;
    let long = Set::bulk(bench.shape, most).request();
    let busy = load::mixed(&service, &token, bench.shape, Some(long)).await?;
    bench.restore()?;
    let took = digits(millis(busy.long.unwrap_or_default()));
    for (topic, work, quiet, busy) in [
        (&WAITING, "single cancels", &quiet.cancels, &busy.cancels),
        (&READING, "lists of 1,000", &quiet.lists, &busy.lists),
    ] {
        let work =
            format!("{work} during a cancel of {} ({took} ms), and without it", grouped(most));
        bench.report.row(topic, &work, (show(busy), show(quiet)), millis(busy.p99));
    }
    service.stop()
}
