//! The orders of the benchmark: a main controller of the chosen size, three in ten of its orders
//! living, with 2,000 workflows in folders five levels deep, and two other controllers.

use std::fmt::Write as _;
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
const WORKFLOWS: usize = 2000;
/// Trees of three levels: a root, nine children, ten grandchildren each.
const TREES: usize = 10;
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
        // A small controller has room only for the selections of a thousand.
        let some = if orders < 100_000 { 0 } else { orders / 10 };
        Self { orders, singles: some, bulk: some }
    }

    fn living(&self) -> usize {
        self.orders * 3 / 10
    }
}

/// An order, as COPY and `.import` read it.
pub struct BenchOrder {
    pub controller_id: &'static str,
    pub order_id: String,
    pub workflow_path: String,
    pub state: &'static str,
    pub suspended: bool,
    pub scheduled_for: Option<DateTime<Utc>>,
}

fn workflow(number: usize) -> String {
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
    let fresh = |order_id, workflow_path, at| BenchOrder {
        controller_id,
        order_id,
        workflow_path,
        state: "FRESH",
        suspended: false,
        scheduled_for: Some(at),
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
        let at = hot + TimeDelta::days(366) + TimeDelta::seconds(n as i64 % 86_400);
        return fresh(format!("#bulk-{n}"), workflow(n * 4), at);
    }
    let living = shape.living() > n;
    let id = format!("#2026-11-23#T{n:011}-order");
    let mut row = fresh(id, workflow(n), spread);
    if !living {
        row.state = "FINISHED";
    } else {
        match n % 20 {
            0 => row.state = "FAILED",
            1 => row.state = "WAITING",
            2 => row.suspended = true,
            3 => row.scheduled_for = None,
            _ => {}
        }
    }
    row
}

/// Writes the orders as lines for `joc-orders import`.
pub fn write_json_lines(shape: Shape, path: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for row in rows(shape) {
        let state = match (row.state, row.scheduled_for) {
            _ if row.suspended => "SUSPENDED",
            ("FRESH", None) => "PENDING",
            ("FRESH", Some(_)) => "SCHEDULED",
            (state, _) => state,
        };
        let line = json!({"controllerId": row.controller_id, "order": {
            "orderId": row.order_id,
            "workflowId": {"path": row.workflow_path, "versionId": "1"},
            "state": {"_text": state},
            "scheduledFor": row.scheduled_for.map(|at| at.timestamp_millis()),
        }});
        writeln!(file, "{line}")?;
    }
    file.flush().context("the lines to import")
}

/// Writes the orders as CSV, with an empty field for NULL.
pub fn write_csv(shape: Shape, path: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut line = String::new();
    for row in rows(shape) {
        line.clear();
        let BenchOrder { controller_id, order_id, workflow_path, state, .. } = row;
        write!(line, "{controller_id},{order_id},{workflow_path},1,{state},")?;
        write!(line, "{},", i32::from(row.suspended))?;
        if let Some(at) = row.scheduled_for {
            write!(line, "{}", at.format("%Y-%m-%dT%H:%M:%S%.3fZ"))?;
        }
        writeln!(file, "{line}")?;
    }
    file.flush().context("the CSV to copy")
}

/// What a request selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    Folder,
    Workflow,
    BareName,
    Window,
    Ids,
    Deep,
    Bulk,
}

impl Set {
    pub const THOUSANDS: [Self; 6] =
        [Self::Folder, Self::Workflow, Self::BareName, Self::Window, Self::Ids, Self::Deep];

    pub fn name(self) -> &'static str {
        match self {
            Self::Folder => "by folder",
            Self::Workflow => "by workflow",
            Self::BareName => "by bare name",
            Self::Window => "by window",
            Self::Ids => "by 1,000 ids",
            Self::Deep => "deep over 3 levels",
            Self::Bulk => "by folder, state and window",
        }
    }

    /// The fields of a request.
    pub fn request(self) -> serde_json::Value {
        let mut body = match self {
            Self::Folder => json!({"folders": [{"folder": "/hot/a/b/c"}]}),
            Self::Workflow => json!({"workflowIds": [{"path": "/one/a/b/c/d/single"}]}),
            Self::BareName => json!({"workflowIds": [{"path": "single"}]}),
            Self::Window => {
                json!({"dateFrom": "2020-01-01T00:00:00", "dateTo": "2020-01-01T00:01:00"})
            }
            Self::Ids => json!({"orderIds": ids("#hot-", SELECTED)}),
            Self::Deep => json!({"orderIds": ids("#tree-", TREES), "deep": true}),
            Self::Bulk => json!({
                "folders": [{"folder": "/f0"}],
                "states": ["BLOCKED"],
                "dateFrom": "2021-01-01T00:00:00",
                "dateTo": "2021-01-02T00:00:00",
            }),
        };
        body["controllerId"] = json!(CONTROLLER);
        body
    }

    /// The condition that a person would type.
    pub fn condition(self) -> String {
        // One range, minus what sorts between the folder and those below it.
        let folder = |folder: &str| {
            format!(
                "folder >= '{folder}' AND folder < '{folder}0' \
                 AND (folder = '{folder}' OR folder >= '{folder}/')"
            )
        };
        let list = |ids: Vec<String>| {
            ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Folder => folder("/hot/a/b/c"),
            Self::Workflow => "workflow_path = '/one/a/b/c/d/single'".into(),
            Self::BareName => format!(
                "workflow_path IN (SELECT path FROM workflows WHERE controller_id = '{CONTROLLER}' \
                 AND name = 'single')"
            ),
            Self::Window => "scheduled_for >= '2020-01-01T00:00:00.000Z' \
                             AND scheduled_for < '2020-01-01T00:01:00.000Z'"
                .into(),
            Self::Ids => format!("order_id IN ({})", list(ids("#hot-", SELECTED))),
            Self::Deep => {
                let roots = list(ids("#tree-", TREES));
                format!(
                    "order_id IN (SELECT order_id FROM orders WHERE controller_id = \
                     '{CONTROLLER}' AND order_id IN ({roots}) UNION ALL SELECT order_id \
                     FROM orders WHERE controller_id = '{CONTROLLER}' AND {LIVING} \
                     AND parent_id IS NOT NULL AND root_id IN ({roots}))"
                )
            }
            Self::Bulk => format!(
                "{} AND effective_state = 'BLOCKED' AND scheduled_for >= \
                 '2021-01-01T00:00:00.000Z' AND scheduled_for < '2021-01-02T00:00:00.000Z'",
                folder("/f0")
            ),
        }
    }
}

fn ids(prefix: &str, number: usize) -> Vec<String> {
    (0..number).map(|n| format!("{prefix}{n}")).collect()
}
