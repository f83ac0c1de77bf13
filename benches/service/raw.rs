//! The database without the service: statements sent to psql or sqlite3, timed by those programs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};

use crate::by_hand::PREPARED;

/// The columns of an order in a CSV.
const COLUMNS: &str = "controller_id, order_id, workflow_path, workflow_version_id, state, \
                       suspended, reason, scheduled_for, created, started, state_since";

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

    /// The one value that a statement returns.
    pub fn value(&self, statement: &str) -> anyhow::Result<String> {
        let mut shell = self.shell();
        match self {
            Self::Postgres { .. } => shell.args(["-A", "-t", "-c", statement]),
            Self::Sqlite { .. } => shell.arg(statement),
        };
        let output = shell.output().context("psql or sqlite3")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().into())
    }

    /// Writes the rows of a statement as text or JSON, and returns how many bytes and how long.
    pub fn dump(&self, statement: &str) -> anyhow::Result<(u64, Duration)> {
        let mut shell = self.shell();
        match self {
            Self::Postgres { .. } => shell.args(["-A", "-t", "-c", statement]),
            Self::Sqlite { .. } => shell.args(["-json", statement]),
        };
        let started = Instant::now();
        let mut child = shell.stdout(Stdio::piped()).spawn().context("psql or sqlite3")?;
        let mut rows = child.stdout.take().context("piped")?;
        let bytes = std::io::copy(&mut rows, &mut std::io::sink())?;
        ensure!(child.wait()?.success(), "{statement:.500}");
        Ok((bytes, started.elapsed()))
    }

    /// Gathers statistics after a load.
    pub fn settle(&self) -> anyhow::Result<()> {
        match self {
            Self::Postgres { .. } => self.run("VACUUM ANALYZE;\nCHECKPOINT;"),
            Self::Sqlite { .. } => {
                self.run("PRAGMA optimize = 0x10002;\nPRAGMA wal_checkpoint(TRUNCATE);")
            }
        }
    }

    /// Makes the orders fresh again that were cancelled since the instant.
    pub fn restore(&self, since: DateTime<Utc>) -> anyhow::Result<()> {
        let since = since.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        self.without_triggers(
            &["orders"],
            &format!(
                "UPDATE orders SET state = 'FRESH', state_since = NULL \
                 WHERE controller_id = 'main' AND state = 'CANCELLED' \
                 AND state IN ('FINISHED', 'CANCELLED') \
                 AND coalesce(state_since, created) >= '{since}';"
            ),
        )?;
        self.tidy()
    }

    /// Makes every order of the controller fresh.
    pub fn revive(&self) -> anyhow::Result<()> {
        self.without_triggers(
            &["orders"],
            "UPDATE orders SET state = 'FRESH', suspended = false, mark = NULL, reason = NULL, \
             started = NULL, state_since = NULL, remove_when_terminated = false \
             WHERE controller_id = 'main' AND (state <> 'FRESH' OR suspended);",
        )?;
        self.tidy()
    }

    /// Runs statements without the triggers of these tables.
    pub fn without_triggers(&self, tables: &[&str], script: &str) -> anyhow::Result<()> {
        match self {
            Self::Postgres { .. } => {
                self.run(&format!("SET session_replication_role = replica;\n{script}"))
            }
            Self::Sqlite { .. } => {
                let tables = tables.join("', '");
                let of = format!(
                    "FROM sqlite_schema WHERE type = 'trigger' AND tbl_name IN ('{tables}')"
                );
                let drop = self.value(&format!(
                    "SELECT group_concat('DROP TRIGGER ' || name || ';', char(10)) {of}"
                ))?;
                let create =
                    self.value(&format!("SELECT group_concat(sql || ';', char(10)) {of}"))?;
                self.run(&format!("BEGIN IMMEDIATE;\n{drop}\n{script}\n{create}\nCOMMIT;"))
            }
        }
    }

    fn tidy(&self) -> anyhow::Result<()> {
        match self {
            Self::Postgres { .. } => self.run("VACUUM orders;\nCHECKPOINT;"),
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
                    "INSERT INTO orders ({COLUMNS}) SELECT controller_id, order_id, workflow_path, workflow_version_id, state, suspended, nullif(reason, ''), nullif(scheduled_for, ''), created, nullif(started, ''), nullif(state_since, '') FROM staged;"
                )?;
                writeln!(script, "COMMIT;\nPRAGMA optimize = 0x10002;")?;
            }
        }
        let started = Instant::now();
        self.run(&script)?;
        Ok(started.elapsed())
    }
}
