//! The database without the service: statements sent to psql or sqlite3, timed by those programs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::by_hand::PREPARED;

/// The columns of an order in a CSV.
const COLUMNS: &str = "controller_id, order_id, workflow_path, workflow_version_id, state, \
                       suspended, scheduled_for";

/// A database of the benchmark.
pub enum Raw {
    Postgres { url: String },
    Sqlite { file: PathBuf },
}

impl Raw {
    pub fn url(&self) -> String {
        match self {
            Self::Postgres { url } => url.clone(),
            Self::Sqlite { file } => format!("sqlite:{}", file.display()),
        }
    }

    fn shell(&self) -> Command {
        let mut command;
        match self {
            Self::Postgres { url } => {
                command = Command::new("psql");
                command.args(["-X", "-v", "ON_ERROR_STOP=1", "-P", "pager=off", url]);
            }
            Self::Sqlite { file } => {
                command = Command::new("sqlite3");
                command.args(["-bail", "-cmd", ".timeout 60000"]).arg(file);
            }
        }
        command
    }

    /// Runs a script, and returns the time of the statements after `\timing` or `.timer`.
    fn script(&self, script: &str) -> anyhow::Result<Duration> {
        let mut shell = self.shell();
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().context("psql or sqlite3")?;
        let mut stdin = child.stdin.take().context("piped")?;
        let text = script.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        let _ = writer.join();
        let shown = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && complaint.is_empty(), "{script:.500}\n{complaint}");
        let times = shown.lines().filter_map(|line| match self {
            Self::Postgres { .. } => {
                let ms: f64 = line.strip_prefix("Time: ")?.split(' ').next()?.parse().ok()?;
                Some(ms / 1000.0)
            }
            Self::Sqlite { .. } => {
                line.strip_prefix("Run Time: real ")?.split(' ').next()?.parse().ok()
            }
        });
        Ok(Duration::from_secs_f64(times.sum()))
    }

    /// Runs a script without timing it.
    pub fn run(&self, script: &str) -> anyhow::Result<()> {
        self.script(script).map(drop)
    }

    /// The time of the statements, without the cost of a new connection.
    pub fn time(&self, statements: &[String]) -> anyhow::Result<Duration> {
        let statements = statements.join(";\n");
        self.script(&match self {
            // Planning them once first loads the catalog.
            Self::Postgres { .. } => format!(
                "\\o /dev/null\nEXPLAIN {};\n\\timing on\n{statements};\n",
                statements.replace(";\n", ";\nEXPLAIN ")
            ),
            Self::Sqlite { .. } => {
                format!("{PREPARED}.timer on\n.output /dev/null\n{statements};\n")
            }
        })
    }

    /// Makes the cancelled orders fresh again.
    pub fn restore(&self) -> anyhow::Result<()> {
        self.without_finality(
            "UPDATE orders SET state = 'FRESH', state_since = NULL \
             WHERE controller_id = 'main' AND state = 'CANCELLED';",
        )?;
        self.tidy()
    }

    /// Makes every order of the controller fresh.
    pub fn revive(&self) -> anyhow::Result<()> {
        self.without_finality(
            "UPDATE orders SET state = 'FRESH', suspended = false, mark = NULL, \
             state_since = NULL WHERE controller_id = 'main' AND (state <> 'FRESH' OR suspended);",
        )?;
        self.tidy()
    }

    fn without_finality(&self, update: &str) -> anyhow::Result<()> {
        match self {
            Self::Postgres { .. } => {
                self.run(&format!("SET session_replication_role = replica;\n{update}"))
            }
            Self::Sqlite { file } => {
                let trigger = Command::new("sqlite3")
                    .arg(file)
                    .arg("SELECT group_concat(sql, ';' || char(10)) FROM sqlite_schema WHERE name IN ('orders_terminal_is_final', 'orders_refuse_update')")
                    .output()?;
                let trigger = String::from_utf8(trigger.stdout)?;
                self.run(&format!(
                    "BEGIN IMMEDIATE;\nDROP TRIGGER orders_terminal_is_final;\n\
                     DROP TRIGGER orders_refuse_update;\n\
                     {update}\n{trigger};\nCOMMIT;"
                ))
            }
        }
    }

    fn tidy(&self) -> anyhow::Result<()> {
        match self {
            Self::Postgres { .. } => self.run("VACUUM ANALYZE orders;\nCHECKPOINT;"),
            Self::Sqlite { .. } => self.run("PRAGMA wal_checkpoint(TRUNCATE);"),
        }
    }

    /// Loads the orders of a CSV into empty tables, and returns the time of the whole process.
    pub fn copy(&self, csv: &Path) -> anyhow::Result<Duration> {
        let csv = csv.display();
        let mut script = String::new();
        match self {
            Self::Postgres { .. } => {
                writeln!(script, "BEGIN; CREATE TEMP TABLE staged (c text, w text, v text);")?;
                writeln!(
                    script,
                    "INSERT INTO controllers (controller_id) VALUES ('main'), ('second'), ('third');"
                )?;
                writeln!(
                    script,
                    "\\copy staged FROM PROGRAM 'cut -d, -f1,3,4 {csv} | sort -u' CSV"
                )?;
                writeln!(
                    script,
                    "INSERT INTO workflows (controller_id, path, version_id) SELECT * FROM staged;"
                )?;
                writeln!(script, "\\copy orders ({COLUMNS}) FROM '{csv}' CSV")?;
                writeln!(script, "ANALYZE orders; COMMIT;")?;
            }
            Self::Sqlite { .. } => {
                writeln!(script, "PRAGMA foreign_keys = on;\nPRAGMA temp_store = file;")?;
                writeln!(script, "CREATE TEMP TABLE staged ({COLUMNS});")?;
                writeln!(script, ".import --csv --schema temp {csv} staged\nBEGIN;")?;
                writeln!(
                    script,
                    "INSERT INTO controllers (controller_id) VALUES ('main'), ('second'), ('third');"
                )?;
                writeln!(
                    script,
                    "INSERT INTO workflows (controller_id, path, version_id) SELECT DISTINCT controller_id, workflow_path, workflow_version_id FROM staged;"
                )?;
                writeln!(
                    script,
                    "INSERT INTO orders ({COLUMNS}) SELECT controller_id, order_id, workflow_path, workflow_version_id, state, suspended, nullif(scheduled_for, '') FROM staged;"
                )?;
                writeln!(script, "COMMIT;\nPRAGMA optimize = 0x10002;")?;
            }
        }
        let started = Instant::now();
        self.run(&script)?;
        Ok(started.elapsed())
    }
}

/// Throughput and latencies of single cancels.
pub struct Rate {
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
        Self { per_second, p50: at(0.5), p99: at(0.99) }
    }
}

/// Cancels single orders with pgbench, using the statement for the first of them.
pub fn pgbench(
    url: &str,
    statement: &str,
    clients: usize,
    seconds: u64,
    singles: usize,
) -> anyhow::Result<Rate> {
    let folder = tempfile::tempdir()?;
    let share = singles / clients;
    let statement = statement.replace("'#single-0'::text", "('#single-' || :i)");
    let script = format!("\\set n :n + 1\n\\set i :client_id * {share} + :n\n{statement};\n");
    let file = folder.path().join("cancel.sql");
    std::fs::write(&file, script)?;
    let output = Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-j", "2", "-D", "n=-1", "-l"])
        .args(["-c", &clients.to_string(), "-T", &seconds.to_string(), "-f"])
        .arg(&file)
        .arg(url)
        .current_dir(folder.path())
        .output()
        .context("pgbench")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
    ensure!(latencies.len() <= singles, "pgbench ran out of orders");
    Ok(Rate::of(latencies, Duration::from_secs(seconds)))
}

/// A PostgreSQL cluster; stops when dropped.
pub struct Cluster {
    pub url: String,
    process: Child,
}

impl Cluster {
    pub fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres"))
            .env(
                "PG_OPTIONS",
                "-c shared_buffers=2GB -c max_wal_size=8GB -c logging_collector=on \
                 -c log_destination=jsonlog -c log_filename=log -c log_rotation_size=0",
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let stdout = process.stdout.as_mut().context("piped")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut url)?;
        Ok(Self { url: url.trim().into(), process })
    }

    /// The server's log.
    pub fn log(&self) -> anyhow::Result<PathBuf> {
        let shown = Command::new("psql")
            .args(["-X", "-A", "-t", "-c", "SHOW data_directory", &self.url])
            .output()?;
        Ok(Path::new(String::from_utf8(shown.stdout)?.trim()).join("log/log.json"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
