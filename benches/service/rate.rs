//! Throughput and latencies, and how pgbench measures them.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

/// Throughput and latencies of many requests.
pub struct Rate {
    pub count: usize,
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

impl Rate {
    pub fn of(mut latencies: Vec<Duration>, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        let at = |share: f64| {
            let place = (latencies.len() as f64 * share) as usize;
            latencies.get(place.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        let per_second = latencies.len() as f64 / elapsed.as_secs_f64();
        Self { count: latencies.len(), per_second, p50: at(0.5), p99: at(0.99) }
    }
}

/// Cancels so many single orders with pgbench, using the statements for the first of them.
pub fn pgbench(
    url: &str,
    statements: &[String],
    clients: usize,
    orders: usize,
) -> anyhow::Result<Rate> {
    let folder = tempfile::tempdir()?;
    let each = orders / clients;
    let mut script = format!("\\set n :n + 1\n\\set i :client_id * {each} + :n\n");
    if statements.len() > 1 {
        script += "BEGIN;\n";
    }
    for statement in statements {
        let statement = statement
            .replace("'#single-0'", "('#single-' || :i)")
            .replace("'{#single-0}'", "('{#single-' || :i || '}')");
        script += &format!("{statement};\n");
    }
    if statements.len() > 1 {
        script += "COMMIT;\n";
    }
    let file = folder.path().join("cancel.sql");
    std::fs::write(&file, script)?;
    let output = Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-j", "2", "-D", "n=-1", "-l"])
        .args(["-c", &clients.to_string(), "-t", &each.to_string(), "-f"])
        .arg(&file)
        .arg(url)
        .current_dir(folder.path())
        .output()
        .context("pgbench")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8_lossy(&output.stdout);
    let tps = shown.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
    let per_second: f64 = tps.context("pgbench's tps")?.parse()?;
    let mut latencies = Vec::new();
    for entry in std::fs::read_dir(folder.path())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "sql") {
            continue;
        }
        for line in std::fs::read_to_string(path)?.lines() {
            let micros = line.split(' ').nth(2).and_then(|word| word.parse().ok());
            latencies.push(Duration::from_micros(micros.context("pgbench's log")?));
        }
    }
    let elapsed = latencies.len() as f64 / per_second;
    Ok(Rate::of(latencies, Duration::from_secs_f64(elapsed)))
}
