//! Other schedulers that cancel by id, installed by their package managers: pg-boss and
//! graphile-worker on PostgreSQL, Prefect on SQLite. The scripts in `benches/service/peers` run
//! them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::bench::{Bench, Session, median};
use crate::cluster::create_beside;
use crate::data::CONTROLLER;
use crate::load;
use crate::rate::Rate;
use crate::raw::Raw;
use crate::set::ids;
use crate::targets::{PEER, grouped};

const NODE: [&str; 3] = ["pg-boss@10.4.2", "graphile-worker@0.16.6", "pg@8.23.1"];
const PYTHON: [&str; 1] = ["prefect==3.9.1"];

/// Most flow runs of Prefect that one comparison cancels: creating one takes longer.
const FLOWS: usize = 500;

/// A scheduler.
struct Peer {
    name: &'static str,
    /// What its figures include.
    does: &'static str,
    program: PathBuf,
    script: PathBuf,
}

impl Peer {
    /// The name without the version.
    fn id(&self) -> &'static str {
        self.name.split(' ').next().unwrap_or_default()
    }

    /// Those that work on a database.
    fn on(raw: &Raw) -> Vec<Self> {
        let (node, python) = (folder().join("node"), folder().join("python"));
        match raw {
            Raw::Postgres { .. } => vec![
                Self {
                    name: "pg-boss 10.4.2",
                    does: "no audit and no HTTP: a call within its process, with the ids. An \
                           UPDATE to the state `cancelled`; no selection, no check of children",
                    program: "node".into(),
                    script: node.join("jobs.mjs"),
                },
                Self {
                    name: "graphile-worker 0.16.6",
                    does: "no audit and no HTTP: a call within its process, with the ids. It has \
                           no cancel; `permanentlyFailJobs` uses up the attempts of the job",
                    program: "node".into(),
                    script: node.join("jobs.mjs"),
                },
            ],
            Raw::Sqlite { .. } => vec![Self {
                name: "Prefect 3.9.1",
                does: "HTTP, with the ids. It keeps the states of each run, but not who changed \
                       them and why. At most 50 runs a request, each in its own transaction",
                program: python.join("bin/python"),
                script: python.join("flows.py"),
            }],
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers")
}

/// Installs the pinned versions below `target`, unless they are there.
pub fn install() -> anyhow::Result<()> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/service/peers");
    let (node, python) = (folder().join("node"), folder().join("python"));
    let versions = [NODE.join(" "), PYTHON.join(" ")];
    for ((folder, script), versions) in
        [(&node, "jobs.mjs"), (&python, "flows.py")].into_iter().zip(versions)
    {
        std::fs::create_dir_all(folder)?;
        let installed = folder.join("installed");
        if std::fs::read_to_string(&installed).ok().as_ref() != Some(&versions) {
            eprintln!("installing {versions}");
            if folder == &node {
                let prefix = folder.display().to_string();
                let options = ["install", "--no-audit", "--no-fund", "--prefix", &prefix];
                run("npm", &[&options[..], &NODE].concat())?;
            } else {
                let environment = folder.display().to_string();
                run("python3", &["-m", "venv", &environment])?;
                let pip = folder.join("bin/pip").display().to_string();
                run(&pip, &[&["install", "--quiet"][..], &PYTHON].concat())?;
            }
            std::fs::write(installed, versions)?;
        }
        std::fs::copy(scripts.join(script), folder.join(script))?;
    }
    run("node", &["--version"])
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    let status = command.args(arguments).stdout(Stdio::null()).status();
    let status = status.with_context(|| {
        format!("the part `peers` needs npm, Node.js, Python 3 and its venv: {program}")
    })?;
    ensure!(status.success(), "{program} {arguments:?}: {status}");
    Ok(())
}

/// A scheduler that runs.
struct Running {
    process: Child,
    /// Closed to end it.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Running {
    fn start(peer: &Peer, url: &str) -> anyhow::Result<Self> {
        let mut process = Command::new(&peer.program)
            .arg(&peer.script)
            .args([peer.id(), url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} does not start", peer.name))?;
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("piped")?);
        Ok(Self { process, commands, answers })
    }

    fn ask(&mut self, command: &str) -> anyhow::Result<Value> {
        let commands = self.commands.as_mut().context("open until it ends")?;
        writeln!(commands, "{command}")?;
        commands.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("{command}: {line}"))
    }

    fn bulk(&mut self, count: usize) -> anyhow::Result<Duration> {
        self.ask(&format!("fill {count}"))?;
        let answer = self.ask(&format!("bulk {count}"))?;
        ensure!(answer["count"] == json!(count), "{answer}");
        Ok(Duration::from_secs_f64(answer["seconds"].as_f64().context("seconds")?))
    }

    fn single(&mut self, clients: usize, seconds: u64) -> anyhow::Result<Rate> {
        let answer = self.ask(&format!("single {clients} {seconds}"))?;
        let millis = answer["millis"].as_array().context("latencies")?.iter();
        let latencies = millis.filter_map(Value::as_f64).map(|ms| ms / 1000.0);
        let seconds = answer["seconds"].as_f64().context("seconds")?;
        Ok(Rate::of(
            latencies.map(Duration::from_secs_f64).collect(),
            Duration::from_secs_f64(seconds),
        ))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.process.wait();
    }
}

/// Cancels many by id in one call, and single ones, here and there in turns.
pub async fn compare(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    for peer in Peer::on(bench.raw) {
        let url = match bench.raw {
            Raw::Postgres { url } => create_beside(url, peer.id())?,
            // It makes its own file.
            Raw::Sqlite { .. } => String::new(),
        };
        let mut running = Running::start(&peer, &url)?;
        let session = bench.session().await?;
        let is_slow = matches!(bench.raw, Raw::Sqlite { .. });
        let most = bench.shape.bulk;
        bulk(bench, &session, (&peer, &mut running), if is_slow { FLOWS.min(most) } else { most })
            .await?;
        single(bench, &session, (&peer, &mut running), if is_slow { 100 } else { 5000 }).await?;
        bench.report.note(&format!("{}: {}.", peer.name, peer.does));
        session.service.stop()?;
    }
    Ok(())
}

async fn bulk(
    bench: &mut Bench<'_>,
    session: &Session,
    (peer, running): (&Peer, &mut Running),
    count: usize,
) -> anyhow::Result<()> {
    let body = json!({"controllerId": CONTROLLER, "orderIds": ids("#bulk-", count)});
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.args.runs.min(3) {
        let response = session.client().await?.succeed("/orders/cancel", &body).await?;
        ensure!(response.affected == count, "{} are cancelled", response.affected);
        ours.push(response.took);
        bench.restore()?;
        theirs.push(running.bulk(count)?);
    }
    let work = format!("cancel {} by ids in one call, beside {}", grouped(count), peer.name);
    bench.report.times(&PEER, &work, median(ours), median(theirs));
    Ok(())
}

async fn single(
    bench: &mut Bench<'_>,
    session: &Session,
    (peer, running): (&Peer, &mut Running),
    per_second: u64,
) -> anyhow::Result<()> {
    let (seconds, singles) = (bench.args.seconds, bench.shape.singles);
    for (clients, name) in [(1, "1 client"), (8, "8 clients")] {
        let ours =
            load::single(&session.service, &session.token, clients, seconds, singles).await?;
        bench.restore()?;
        running.ask(&format!("fill {}", per_second * seconds))?;
        let theirs = running.single(clients, seconds)?;
        let work = format!("cancel one by id, {name}, beside {}", peer.name);
        bench.report.rates(&PEER, &work, &ours, &theirs);
    }
    Ok(())
}
