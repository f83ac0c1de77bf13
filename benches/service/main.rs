//! Compares the service with the database alone, its baseline, on both databases in one run: `cargo
//! bench --bench service`. docs/performance.md has the results.

#![allow(missing_docs, clippy::unwrap_used)]

mod bench;
mod by_hand;
mod chart;
mod client;
mod cluster;
mod data;
mod load;
mod parts;
mod rate;
mod raw;
mod report;
mod service;
mod set;
mod targets;
mod trail;
mod typed;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Parser;

use self::bench::Bench;
use self::cluster::Cluster;
use self::data::Shape;
use self::raw::Raw;
use self::report::Report;
use self::typed::Listener;

/// Below this size a controller has no room for the selections of a thousand orders.
const SMALLEST: usize = 10_000;

/// Compares the service with the database alone
#[derive(Debug, Parser)]
struct Args {
    /// Orders of the largest controller, at least 20000
    #[arg(long, default_value_t = 1_000_000, value_parser = at_least_20_000)]
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
    /// Only these parts; by default all but peers
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Also compare with pg-boss, graphile-worker and Prefect, which npm and pip install
    #[arg(long)]
    peers: bool,
    /// Measure this program, such as that of another release
    #[arg(long)]
    program: Option<PathBuf>,
    /// Draw the throughput and the cost per order as an SVG
    #[arg(long)]
    chart: Option<PathBuf>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The import of all orders
    Import,
    /// Cancels of single orders
    Single,
    /// Cancels, previews and lists of 1,000 of 10⁴, 10⁵ and 10⁶ orders
    Sets,
    /// Cancels of 1 to 100,000 orders, a list of 100,000, and a count of all
    Bulk,
    /// Single cancels and lists during a long cancel
    Mixed,
    /// The cold start
    Start,
    /// Every endpoint, with a year of audit entries
    Calls,
    /// 64 logins at once, 10,000 idle connections, and TLS
    Edges,
    /// Other schedulers
    Peers,
    /// A cancel of all orders
    Memory,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        let is_default = self.parts.is_empty() && part != Part::Peers;
        is_default || self.parts.contains(&part) || part == Part::Peers && self.peers
    }
}

fn at_least_20_000(orders: &str) -> Result<usize, String> {
    let orders = orders.parse().map_err(|_| "a number".to_owned())?;
    if orders < 20_000 { Err("fewer have no room for every selection".into()) } else { Ok(orders) }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(program) = &args.program {
        let _ = service::PROGRAM.set(program.canonicalize().context("--program")?);
    }
    let folder = tempfile::tempdir()?;
    if args.wants(Part::Peers) {
        parts::peers::install()?;
    }
    let mut report = Report::default();
    let measured = databases(&args, folder.path(), &mut report).await;
    // Also what was measured before a failure.
    report.print();
    if let Some(file) = &args.chart {
        std::fs::write(file, chart::draw(&report.points)).context("the chart")?;
    }
    measured
}

async fn databases(args: &Args, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    for (kind, name) in [("postgres", "PostgreSQL"), ("sqlite", "SQLite")] {
        if args.database.as_deref().is_none_or(|database| database == kind) {
            database(args, name, folder, report).await?;
        }
    }
    Ok(())
}

/// Measures one database at each size.
async fn database(
    args: &Args,
    name: &'static str,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let cluster = if name == "PostgreSQL" { Some(Cluster::start()?) } else { None };
    for orders in [args.orders / 100, args.orders / 10, args.orders] {
        let is_largest = orders == args.orders;
        if orders < SMALLEST || !is_largest && !args.wants(Part::Sets) {
            continue;
        }
        report.place(name, orders);
        let shape = Shape::of(orders);
        let raw = create(cluster.as_ref(), folder, &format!("bench_{orders}"))?;
        let lines = folder.join("orders.jsonl");
        data::write_json_lines(shape, &lines)?;
        let started = Instant::now();
        service::run(&raw.url(), &["import", &lines.display().to_string()])?;
        let imported = started.elapsed();
        std::fs::remove_file(&lines)?;
        raw.settle()?;
        if is_largest && args.wants(Part::Import) {
            let copy = create(cluster.as_ref(), folder, "bench_copy")?;
            parts::import(&copy, shape, folder, imported, report)?;
        }
        let listener = match &cluster {
            Some(cluster) => Some(Listener::start(&raw.url(), cluster.log()?).await?),
            None => None,
        };
        let mut bench = Bench::new(args, &raw, listener, shape, report);
        let parts = [
            Part::Sets,
            Part::Single,
            Part::Bulk,
            Part::Mixed,
            Part::Start,
            Part::Calls,
            Part::Edges,
            Part::Peers,
            // The last, since no order is left.
            Part::Memory,
        ];
        for part in parts {
            if args.wants(part) && (is_largest || part == Part::Sets) {
                let started = Instant::now();
                bench.measure(part).await?;
                eprintln!(
                    "{name} {orders}: {part:?} took {:.0} s",
                    started.elapsed().as_secs_f64()
                );
            }
        }
        bench.stop()?;
    }
    Ok(())
}

/// A new database.
fn create(cluster: Option<&Cluster>, folder: &Path, name: &str) -> anyhow::Result<Raw> {
    let raw = match cluster {
        Some(cluster) => Raw::Postgres { url: cluster.create(name)? },
        None => Raw::Sqlite { file: folder.join(format!("{name}.db")) },
    };
    service::run(&raw.url(), &["migrate"])?;
    Ok(raw)
}
