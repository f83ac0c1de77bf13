//! Many clients at once, connections that do nothing, and TLS.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::bench::{Bench, Session, median};
use crate::client::Client;
use crate::data::CONTROLLER;
use crate::rate::Rate;
use crate::report::{millis, ms, show};
use crate::service::Service;
use crate::targets::{IDLE, IDLE_MEMORY, LOGIN, LOGIN_MEMORY, TLS, grouped};
use crate::wire::{Wire, trusting};

const LOGINS: usize = 64;
const IDLE_CONNECTIONS: usize = 10_000;
/// Requests of one kind in a row.
const REQUESTS: usize = 500;

pub async fn edges(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    logins(bench).await?;
    idle(bench).await?;
    tls(bench).await
}

/// Many clients log in again and again, each with an account and an address of its own: logins of
/// one account, or from one address, wait for each other.
async fn logins(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let Session { service, .. } = bench.session().await?;
    bench.raw.run(&format!(
        "INSERT INTO accounts (account, password_hash) WITH RECURSIVE s (n) AS \
         (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {LOGINS}) \
         SELECT 'client-' || n, password_hash FROM s, accounts WHERE account = 'root';\n\
         INSERT INTO account_roles SELECT account, 'all' FROM accounts \
         WHERE account LIKE 'client-%';"
    ))?;
    let before = service.peak_memory()?;
    let address = service.address;
    let started = Instant::now();
    let until = started + Duration::from_secs(bench.args.seconds);
    let mut tasks = Vec::new();
    for client in 0..LOGINS {
        let from = Ipv4Addr::new(127, 0, 1, client as u8 + 1);
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < until {
                let before = Instant::now();
                Service::log_in(from, address, &format!("client-{client}")).await?;
                latencies.push(before.elapsed());
            }
            anyhow::Ok(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let rate = Rate::of(latencies, started.elapsed());
    let work = format!("log in (argon2id), {LOGINS} clients");
    bench.report.row(&LOGIN, &work, (show(&rate), "-".into()), millis(rate.p99));
    let peak = service.peak_memory()?;
    let shown = (LOGIN_MEMORY.shown(peak), LOGIN_MEMORY.shown(before));
    bench.report.row(&LOGIN_MEMORY, "peak memory during that, and before", shown, peak);
    service.stop()
}

/// Requests beside connections that are kept open.
async fn idle(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let connections = raise_file_limit(IDLE_CONNECTIONS)?;
    let clients = (connections + 1000).to_string();
    let service = Service::start_with(&bench.raw.url(), &["--clients", &clients])?;
    let token = service.token().await?;
    let alone = latency(&service, &token).await?;
    let before = service.memory()?;
    let mut open = Vec::new();
    for _ in 0..connections {
        let mut client = Client::connect(service.address, &token).await?;
        // A connection without a request is closed soon.
        client.succeed("/joc/is_active", &json!({})).await?;
        open.push(client);
    }
    let after = service.memory()?;
    let beside = latency(&service, &token).await?;
    let last = open.last_mut().context("a connection")?;
    last.succeed("/joc/is_active", &json!({})).await?;
    let work = format!("memory with {} idle connections, and without", grouped(connections));
    let shown = (IDLE_MEMORY.shown(after), IDLE_MEMORY.shown(before));
    bench.report.row(&IDLE_MEMORY, &work, shown, after);
    let ratio = beside.p50.as_secs_f64() / alone.p50.as_secs_f64();
    let work =
        format!("show one order beside {} idle connections, and without", grouped(connections));
    bench.report.row(&IDLE, &work, (show(&beside), show(&alone)), ratio);
    drop(open);
    service.stop()
}

/// Shows one order again and again.
async fn latency(service: &Service, token: &str) -> anyhow::Result<Rate> {
    let mut client = Client::connect(service.address, token).await?;
    let body = json!({"controllerId": CONTROLLER, "orderId": "#one-0"});
    let started = Instant::now();
    let mut latencies = Vec::new();
    for _ in 0..REQUESTS {
        latencies.push(client.succeed("/order", &body).await?.took);
    }
    Ok(Rate::of(latencies, started.elapsed()))
}

/// Lets this process and those it starts open so many files and some more, or as many as allowed,
/// and returns the number without the reserve.
fn raise_file_limit(files: usize) -> anyhow::Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1)).context("a file limit")?;
    let hard = hard.parse().unwrap_or(usize::MAX);
    let files = files.min(hard.saturating_sub(1000));
    let limit = format!("--nofile={}:", files + 1000);
    let process = format!("--pid={}", std::process::id());
    let status = Command::new("prlimit").args([process, limit]).status().context("prlimit")?;
    ensure!(status.success(), "prlimit: {status}");
    Ok(files)
}

/// The same requests over TLS and plain HTTP in turns.
async fn tls(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(&certificate, signed.cert.pem())?;
    std::fs::write(&key, signed.signing_key.serialize_pem())?;
    let shown = |path: &Path| path.display().to_string();
    let (certificate, key) = (shown(&certificate), shown(&key));
    let arguments = ["--tls-cert", certificate.as_str(), "--tls-key", key.as_str()];
    let Session { service: plain, token } = bench.session().await?;
    let secured = Service::start_with(&bench.raw.url(), &arguments)?;
    let config = trusting(signed.cert.der())?;
    let (secure, open) = (secured.address, plain.address);
    let order = json!({"controllerId": CONTROLLER, "orderId": "#one-0"}).to_string();
    let list = json!({"controllerId": CONTROLLER, "limit": 10_000}).to_string();
    let runs = bench.args.runs;
    let rows = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let connect = |is_secure: bool| {
            let (address, tls) = if is_secure { (secure, Some(&config)) } else { (open, None) };
            Wire::connect(address, &token, tls)
        };
        let mut rows = Vec::new();
        for (work, call, body, times) in [
            ("show one order", "/order", &order, REQUESTS),
            ("list up to 10,000 orders", "/orders", &list, 3),
        ] {
            let took = in_turns(runs, |is_secure| {
                let mut wire = connect(is_secure)?;
                let times = (0..times).map(|_| wire.call(call, body));
                Ok(median(times.collect::<anyhow::Result<_>>()?))
            })?;
            rows.push((work, took));
        }
        let took = in_turns(runs, |is_secure| {
            let started = Instant::now();
            for _ in 0..20 {
                connect(is_secure)?.call("/order", &order)?;
            }
            Ok(started.elapsed() / 20)
        })?;
        rows.push(("connect and show one order", took));
        Ok(rows)
    });
    for (work, (ours, theirs)) in rows.await?? {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let work = format!("{work} over TLS, and over plain HTTP");
        bench.report.row(&TLS, &work, (ms(ours), ms(theirs)), ratio);
    }
    secured.stop()?;
    plain.stop()
}

/// The median times of a work with TLS and without it.
fn in_turns(
    runs: usize,
    work: impl Fn(bool) -> anyhow::Result<Duration>,
) -> anyhow::Result<(Duration, Duration)> {
    let (mut secure, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        secure.push(work(true)?);
        plain.push(work(false)?);
    }
    Ok((median(secure), median(plain)))
}
