//! Compares the service with the database alone, its baseline, on both databases in one run: `cargo
//! bench --bench service`. docs/performance.md has the results.

#![allow(missing_docs, clippy::unwrap_used)]

mod by_hand;
mod client;
mod data;
mod load;
mod raw;
mod report;
mod service;
mod typed;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use serde_json::{Value, json};

use self::client::Client;
use self::data::{CONTROLLER, SELECTED, Set, Shape};
use self::raw::{Cluster, Raw};
use self::report::{Report, ms};
use self::service::Service;
use self::typed::Listener;

/// Below this size a controller has no room for the selections of a thousand orders.
const SMALLEST: usize = 10_000;

/// How many reads each measurement averages: sqlite3 shows whole milliseconds.
const READS: u32 = 10;

/// Compares the service with the database alone
#[derive(Debug, Parser)]
struct Args {
    /// Orders of the largest controller
    #[arg(long, default_value_t = 1_000_000)]
    orders: usize,
    /// Runs of each work; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Duration of the single cancels, in seconds
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Only this database
    #[arg(long, value_parser = ["postgres", "sqlite"])]
    database: Option<String>,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Import,
    Single,
    Sets,
    Bulk,
    Mixed,
    Start,
    Memory,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}

/// One database of one size, with the service on it.
struct Bench<'a> {
    args: &'a Args,
    raw: &'a Raw,
    /// Captures the service's own statements, on PostgreSQL.
    listener: Option<Listener>,
    shape: Shape,
    report: &'a mut Report,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let folder = tempfile::tempdir()?;
    let mut report = Report::new();
    let kinds = ["postgres", "sqlite"];
    for kind in kinds.into_iter().filter(|kind| args.database.as_deref().is_none_or(|d| d == *kind))
    {
        let cluster = if kind == "postgres" { Some(Cluster::start()?) } else { None };
        let database = |name: &str| -> anyhow::Result<Raw> {
            let raw = match &cluster {
                Some(cluster) => {
                    let admin = Raw::Postgres { url: cluster.url.clone() };
                    admin.run(&format!("CREATE DATABASE {name};"))?;
                    let (server, _) = cluster.url.rsplit_once('/').context("a URL")?;
                    Raw::Postgres { url: format!("{server}/{name}") }
                }
                None => Raw::Sqlite { file: folder.path().join(format!("{name}.db")) },
            };
            service::run(&raw.url(), &["migrate"])?;
            Ok(raw)
        };
        report.database(kind);
        for orders in [args.orders / 100, args.orders / 10, args.orders] {
            let is_largest = orders == args.orders;
            if orders < SMALLEST || !is_largest && !args.wants(Part::Sets) {
                continue;
            }
            let shape = Shape::of(orders);
            let raw = database(&format!("bench_{orders}"))?;
            report.size(orders);
            let lines = folder.path().join("orders.jsonl");
            data::write_json_lines(shape, &lines)?;
            let started = Instant::now();
            service::run(&raw.url(), &["import", &lines.display().to_string()])?;
            let imported = started.elapsed();
            std::fs::remove_file(&lines)?;
            if is_largest && args.wants(Part::Import) {
                import(&database("bench_copy")?, shape, folder.path(), imported, &mut report)?;
            }
            raw.restore()?;
            let compares = [Part::Single, Part::Sets, Part::Bulk].map(|part| args.wants(part));
            let listener = match &cluster {
                Some(cluster) if compares.contains(&true) => {
                    Some(Listener::start(&raw.url(), cluster.log()?).await?)
                }
                _ => None,
            };
            let mut bench = Bench { args: &args, raw: &raw, listener, shape, report: &mut report };
            if args.wants(Part::Sets) {
                bench.sets().await?;
            }
            if is_largest {
                bench.largest().await?;
            }
            if let Some(listener) = bench.listener {
                listener.stop()?;
            }
        }
    }
    Ok(())
}

/// Copies the orders from a CSV, as the baseline of the import.
fn import(
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
    report.times("import of all orders", imported, copied, 2.0);
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

impl Bench<'_> {
    fn service(&self) -> anyhow::Result<Service> {
        Service::start(&self.raw.url())
    }

    /// The statements of the baseline: the service's own, or those that a person would type.
    async fn beside(
        &self,
        call: &str,
        body: &Value,
        by_hand: Vec<String>,
    ) -> anyhow::Result<Vec<String>> {
        match &self.listener {
            Some(listener) => listener.hear(call, body).await,
            None => Ok(by_hand),
        }
    }

    /// Cancels, previews and lists the selections of a thousand orders.
    async fn sets(&mut self) -> anyhow::Result<()> {
        let service = self.service()?;
        let token = service.token().await?;
        for set in Set::THOUSANDS {
            self.cancel(&service, &token, set, SELECTED, self.args.runs).await?;
        }
        for set in Set::THOUSANDS {
            let (call, body) = ("/orders/cancel/preview", set.request());
            let statements = self.beside(call, &body, by_hand::preview(set)).await?;
            let name = format!("preview of 1,000 {}", set.name());
            self.read(&service, &token, &name, (call, &body), &statements).await?;
            // Lists have no `deep`.
            if set != Set::Deep {
                let (call, mut body) = ("/orders", set.request());
                body["limit"] = json!(-1);
                let statements = self.beside(call, &body, by_hand::list(set)).await?;
                let name = format!("list of 1,000 {}", set.name());
                self.read(&service, &token, &name, (call, &body), &statements).await?;
            }
        }
        service.stop()
    }

    /// Reads from the service and the database in turn.
    async fn read(
        &mut self,
        service: &Service,
        token: &str,
        name: &str,
        (call, body): (&str, &Value),
        statements: &[String],
    ) -> anyhow::Result<()> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let repeated = vec![statements; READS as usize].concat();
        for _ in 0..self.args.runs {
            // A new connection, since the baseline may take longer than the service keeps an idle
            // one.
            let mut client = Client::connect(service.address, token).await?;
            let mut took = Duration::ZERO;
            for _ in 0..READS {
                took += client.succeed(call, body).await?.took;
            }
            ours.push(took / READS);
            theirs.push(self.raw.time(&repeated)? / READS);
        }
        self.report.times(name, median(ours), median(theirs), 1.5);
        Ok(())
    }

    /// Cancels a set through the service and on the database alone in turn.
    async fn cancel(
        &mut self,
        service: &Service,
        token: &str,
        set: Set,
        expected: usize,
        runs: usize,
    ) -> anyhow::Result<()> {
        let (call, body) = ("/orders/cancel", set.request());
        let statements = self.beside(call, &body, by_hand::cancel(set)).await?;
        self.raw.restore()?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            // A new connection, since restoring takes longer than the service keeps an idle one.
            let mut client = Client::connect(service.address, token).await?;
            let response = client.succeed(call, &body).await?;
            ensure!(response.affected == expected, "{} are cancelled", response.affected);
            ours.push(response.took);
            self.raw.restore()?;
            theirs.push(self.raw.time(&statements)?);
            self.raw.restore()?;
        }
        let name = format!("cancel {expected} {}", set.name());
        self.report.times(&name, median(ours), median(theirs), 1.2);
        Ok(())
    }

    /// Measures what needs the full size.
    async fn largest(&mut self) -> anyhow::Result<()> {
        if self.args.wants(Part::Single) {
            self.single().await?;
        }
        if self.args.wants(Part::Bulk) {
            let service = self.service()?;
            let token = service.token().await?;
            let runs = self.args.runs.min(3);
            self.cancel(&service, &token, Set::Bulk, self.shape.bulk, runs).await?;
            let (call, body) = ("/orders/overview/snapshot", json!({"controllerId": CONTROLLER}));
            let statements = self.beside(call, &body, by_hand::snapshot()).await?;
            self.read(&service, &token, "snapshot", (call, &body), &statements).await?;
            service.stop()?;
        }
        if self.args.wants(Part::Mixed) {
            let service = self.service()?;
            let token = service.token().await?;
            let quiet = load::mixed(&service, &token, self.shape, None).await?;
            self.raw.restore()?;
            let busy = load::mixed(&service, &token, self.shape, Some(Set::Bulk.request())).await?;
            self.report.mixed(&quiet, &busy);
            self.raw.restore()?;
            service.stop()?;
        }
        if self.args.wants(Part::Start) {
            let service = self.service()?;
            let token = service.token().await?;
            service.stop()?;
            let mut times = Vec::new();
            for _ in 0..self.args.runs {
                let started = Instant::now();
                let service = self.service()?;
                let mut client = Client::connect(service.address, &token).await?;
                client.succeed("/orders/cancel/preview", &Set::Workflow.request()).await?;
                times.push(started.elapsed());
                service.stop()?;
            }
            let time = median(times);
            self.report.only("cold start to the first response", &ms(time), "< 200 ms");
        }
        if self.args.wants(Part::Memory) {
            self.raw.revive()?;
            let service = self.service()?;
            let token = service.token().await?;
            let mut client = Client::connect(service.address, &token).await?;
            let body = json!({"controllerId": CONTROLLER, "folders": [{"folder": "/"}]});
            let before = service.peak_memory()?;
            let response = client.succeed("/orders/cancel", &body).await?;
            ensure!(response.affected == self.shape.orders, "{} are cancelled", response.affected);
            let peak = format!("{:.0} MiB (before: {before:.0})", service.peak_memory()?);
            let name = format!("peak memory while {} are cancelled", response.affected);
            self.report.only(&name, &peak, "< 150 MiB");
            self.report.only("duration of that cancel", &ms(response.took), "-");
        }
        Ok(())
    }

    /// Cancels single orders by id, with one client and with several.
    async fn single(&mut self) -> anyhow::Result<()> {
        let seconds = self.args.seconds;
        let singles = self.shape.singles;
        match self.raw {
            Raw::Postgres { url } => {
                let first = json!({"controllerId": CONTROLLER, "orderIds": ["#single-0"]});
                let statements = self.beside("/orders/cancel", &first, Vec::new()).await?;
                let [statement] = statements.as_slice() else { anyhow::bail!("{statements:?}") };
                self.raw.restore()?;
                let service = self.service()?;
                let token = service.token().await?;
                for clients in [1, 8, 32] {
                    let ours = load::single(&service, &token, clients, seconds, singles).await?;
                    self.raw.restore()?;
                    let theirs = raw::pgbench(url, statement, clients, seconds, singles)?;
                    self.raw.restore()?;
                    self.report.rates(&format!("{clients} clients"), &ours, &theirs, 0.8);
                }
                service.stop()?;
            }
            Raw::Sqlite { .. } => {
                for synchronous in ["normal", "full"] {
                    let theirs =
                        load::sqlite(&self.raw.url(), synchronous, seconds, singles).await?;
                    self.raw.restore()?;
                    let url = format!("{}?synchronous={synchronous}", self.raw.url());
                    let service = Service::start(&url)?;
                    let token = service.token().await?;
                    for (clients, target) in [(1, 0.8), (8, 1.0), (32, 1.0)] {
                        let ours =
                            load::single(&service, &token, clients, seconds, singles).await?;
                        self.raw.restore()?;
                        let name = format!("{clients} clients, synchronous = {synchronous}");
                        self.report.rates(&name, &ours, &theirs, target);
                    }
                    service.stop()?;
                }
            }
        }
        Ok(())
    }
}
