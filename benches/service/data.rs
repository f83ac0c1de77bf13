//! The orders of the benchmark: a main controller of the chosen size, three in ten of its orders
//! living, with 2,000 workflows in folders five levels deep, and two other controllers.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

/// The controller whose orders are cancelled.
pub const CONTROLLER: &str = "main";
/// The condition that every selection adds.
pub const LIVING: &str = "state NOT IN ('FINISHED', 'CANCELLED')";
/// How many orders each selection in [`Set::THOUSANDS`] finds.
pub const SELECTED: usize = 1000;
pub const WORKFLOWS: usize = 2000;
/// Orders of each state that one request confirms or continues.
pub const STARTED: usize = 50;
/// Trees of three levels: a root, nine children, ten grandchildren each.
pub const TREES: usize = 10;
const TREE: usize = 1 + 9 + 9 * 10;

/// How many orders of each kind a controller has.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// All orders.
    pub orders: usize,
    /// Living ones that are cancelled one by one: `#single-0` and so on.
    pub singles: usize,
    /// Those that one folder, state and window select.
    pub bulk: usize,
}

impl Shape {
    pub fn of(orders: usize) -> Self {
        let living = orders * 3 / 10;
        let free = living.saturating_sub(2 * SELECTED + TREES * TREE);
        let some = (free / 3).min(orders / 10);
        Self { orders, singles: some, bulk: some }
    }

    fn living(&self) -> usize {
        self.orders * 3 / 10
    }

    /// The milliseconds between two orders of the bulk, which a day holds.
    pub fn step(&self) -> usize {
        86_400_000 / self.bulk.max(1)
    }
}

/// An order, as COPY and `.import` read it.
pub struct BenchOrder {
    pub controller_id: &'static str,
    pub order_id: String,
    pub workflow_path: String,
    pub state: &'static str,
    pub suspended: bool,
    pub reason: Option<&'static str>,
    pub scheduled_for: Option<DateTime<Utc>>,
    pub created: DateTime<Utc>,
    pub started: Option<DateTime<Utc>>,
    pub state_since: Option<DateTime<Utc>>,
}

/// The path of the workflow with this number, which has a folder of its own.
pub fn workflow(number: usize) -> String {
    let w = number % WORKFLOWS;
    let (f, g, h, i, j) = (w % 4, w / 4 % 5, w / 20 % 5, w / 100 % 5, w / 500);
    format!("/f{f}/g{g}/h{h}/i{i}/j{j}/w{w}")
}

/// Every order, those of the main controller first.
pub fn rows(shape: Shape) -> impl Iterator<Item = BenchOrder> {
    let now: DateTime<Utc> =
        DateTime::from_timestamp(Utc::now().timestamp(), 0).unwrap_or_default();
    let main = (0..shape.orders).map(move |n| row(CONTROLLER, n, shape, now));
    let others = ["second", "third"].into_iter().flat_map(move |controller_id| {
        (shape.orders - shape.orders / 20..shape.orders)
            .map(move |n| row(controller_id, n, shape, now))
    });
    main.chain(others)
}

fn row(controller_id: &'static str, n: usize, shape: Shape, now: DateTime<Utc>) -> BenchOrder {
    let hot = DateTime::from_timestamp(1_577_836_800, 0).unwrap_or_default(); // 2020
    let spread = now + TimeDelta::minutes((n as i64 * 7919) % 86_400 - 43_200);
    let created = now - TimeDelta::days(400);
    let fresh = |order_id, workflow_path, at| BenchOrder {
        controller_id,
        order_id,
        workflow_path,
        state: "FRESH",
        suspended: false,
        reason: None,
        scheduled_for: Some(at),
        created,
        started: None,
        state_since: None,
    };
    let mut rest = n;
    let mut is_of = |size: usize| {
        let is = rest < size;
        if !is {
            rest -= size;
        }
        is.then_some(rest)
    };
    if let Some(n) = is_of(SELECTED) {
        let at = hot + TimeDelta::milliseconds(n as i64);
        return fresh(format!("#hot-{n}"), format!("/hot/a/b/c/d/w{}", n % 10), at);
    }
    if let Some(n) = is_of(SELECTED) {
        return fresh(format!("#one-{n}"), "/one/a/b/c/d/single".into(), spread);
    }
    if let Some(n) = is_of(TREES * TREE) {
        let (tree, place) = (n / TREE, n % TREE);
        let id = match place {
            0 => format!("#tree-{tree}"),
            1..=9 => format!("#tree-{tree}|{place}"),
            _ => format!("#tree-{tree}|{}|{}", (place - 10) / 10 + 1, place % 10),
        };
        return fresh(id, "/deep/a/b/c/d/tree".into(), spread);
    }
    if let Some(n) = is_of(shape.singles) {
        return fresh(format!("#single-{n}"), workflow(n * 4 + 1), spread);
    }
    if let Some(n) = is_of(shape.bulk) {
        let at = hot + TimeDelta::days(366) + TimeDelta::milliseconds((n * shape.step()) as i64);
        return fresh(format!("#bulk-{n}"), workflow(n * 4), at);
    }
    for (name, state, reason) in
        [("asks", "PROMPTING", None), ("sleeps", "WAITING", Some("SLEEPING"))]
    {
        if let Some(n) = is_of(STARTED) {
            let order = fresh(format!("#{name}-{n}"), workflow(n), spread);
            return BenchOrder { state, reason, started: Some(now), ..order };
        }
    }
    let row = fresh(format!("#2026-11-23#T{n:011}-order"), workflow(n), spread);
    if n >= shape.living() {
        // Spread over a year.
        let ended = now - TimeDelta::minutes((n as i64 * 7919) % 525_600);
        let started = Some(ended - TimeDelta::minutes(5));
        let (scheduled_for, state_since) = (started, Some(ended));
        return BenchOrder { state: "FINISHED", scheduled_for, started, state_since, ..row };
    }
    match n % 20 {
        0 => BenchOrder { state: "FAILED", started: Some(now), ..row },
        1 => BenchOrder { state: "WAITING", started: Some(now), ..row },
        2 => BenchOrder { suspended: true, ..row },
        3 => BenchOrder { scheduled_for: None, ..row },
        _ => row,
    }
}

/// Writes the orders as lines for `joc-orders import`.
pub fn write_json_lines(shape: Shape, path: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for row in rows(shape) {
        let millis = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
        let line = json!({"controllerId": row.controller_id, "order": {
            "orderId": row.order_id,
            "workflowId": {"path": row.workflow_path, "versionId": "1"},
            "state": {"_text": row.state, "_reason": row.reason},
            "suspended": row.suspended,
            "scheduledFor": millis(row.scheduled_for),
            "created": row.created.timestamp_millis(),
            "startTime": millis(row.started),
            "stateSince": millis(row.state_since),
        }});
        writeln!(file, "{line}")?;
    }
    file.flush().context("the lines to import")
}

/// Writes the orders as CSV, with an empty field for NULL.
pub fn write_csv(shape: Shape, path: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for row in rows(shape) {
        let BenchOrder { controller_id, order_id, workflow_path, state, .. } = &row;
        write!(file, "{controller_id},{order_id},{workflow_path},1,{state},")?;
        write!(file, "{},{}", i32::from(row.suspended), row.reason.unwrap_or_default())?;
        for at in [row.scheduled_for, Some(row.created), row.started, row.state_since] {
            let at = at.map(|at| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
            write!(file, ",{}", at.unwrap_or_default())?;
        }
        writeln!(file)?;
    }
    file.flush().context("the CSV to copy")
}
