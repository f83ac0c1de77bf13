//! The time of every endpoint, with a year of audit entries.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::cases::{Case, cases};
use crate::bench::{Bench, median};
use crate::client::Client;
use crate::report::{millis, ms};
use crate::targets::LONG;
use crate::trail;

/// Requests of each case, unless they take longer than [`PATIENCE`] together.
const REQUESTS: usize = 21;
const PATIENCE: Duration = Duration::from_secs(3);

/// Endpoints that the logins measure, and the undo: an entry can be undone once, and those here
/// changed nothing.
const ELSEWHERE: [&str; 4] = [
    "/authentication/login",
    "/authentication/logout",
    "/orders/cancel/undo",
    "/orders/cancel/undo/preview",
];

pub async fn calls(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    trail::load(bench).await?;
    let cases = cases(bench)?;
    let session = bench.session().await?;
    let endpoints = session.client().await?.endpoints().await?;
    let is_asked =
        |path: &str| ELSEWHERE.contains(&path) || cases.iter().any(|case| case.call == path);
    let missing: Vec<_> = endpoints.iter().filter(|path| !is_asked(path)).collect();
    ensure!(missing.is_empty() && !endpoints.is_empty(), "cases.rs lacks {missing:?}");
    for case in &cases {
        let mut client = session.client().await?;
        let time = ask(&mut client, case).await?;
        let work = format!("`{}` | {}", case.call, case.of);
        bench.report.row(case.topic, &work, (ms(time), "-".into()), millis(time));
    }
    bench.restore()?;
    session.service.stop()
}

/// The median time of a case; of a long response, the time of the first byte.
async fn ask(client: &mut Client, case: &Case) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    let started = Instant::now();
    for run in 0..REQUESTS {
        let body = case.body.replace('?', &run.to_string());
        let response = client.call(&case.call, body.clone()).await?;
        ensure!(response.status == 200, "{} {body}: {}", case.call, response.status);
        times.push(if case.topic == &LONG { response.first } else { response.took });
        if run >= 2 && started.elapsed() > PATIENCE {
            break;
        }
    }
    Ok(median(times))
}
