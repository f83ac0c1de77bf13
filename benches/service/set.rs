//! The selections of the benchmark, as requests and as SQL.

use chrono::{DateTime, SecondsFormat};
use serde_json::json;

use crate::data::{CONTROLLER, LIVING, SELECTED, Shape, TREES};

/// What a request selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    Folder,
    Workflow,
    BareName,
    Window,
    Ids,
    Deep,
    /// The first milliseconds of a day, in a folder and a state.
    Bulk(usize),
}

impl Set {
    pub const THOUSANDS: [Self; 6] =
        [Self::Folder, Self::Workflow, Self::BareName, Self::Window, Self::Ids, Self::Deep];

    /// So many orders of the bulk.
    pub fn bulk(shape: Shape, orders: usize) -> Self {
        Self::Bulk(shape.step() * orders)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Folder => "by folder",
            Self::Workflow => "by workflow",
            Self::BareName => "by bare name",
            Self::Window => "by window",
            Self::Ids => "by 1,000 ids",
            Self::Deep => "deep over 3 levels",
            Self::Bulk(_) => "by folder, state and window",
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
            Self::Bulk(millis) => json!({
                "folders": [{"folder": "/f0"}],
                "states": ["BLOCKED"],
                "dateFrom": in_bulk(0),
                "dateTo": in_bulk(millis),
            }),
        };
        body["controllerId"] = json!(CONTROLLER);
        body
    }

    /// The condition that a person would type.
    pub fn condition(self) -> String {
        let folder =
            |folder: &str| format!("workflow_path >= '{folder}/' AND workflow_path < '{folder}0'");
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
            Self::Bulk(millis) => format!(
                "{} AND effective_state = 'BLOCKED' AND scheduled_for >= '{}' \
                 AND scheduled_for < '{}'",
                folder("/f0"),
                in_bulk(0),
                in_bulk(millis)
            ),
        }
    }
}

pub fn ids(prefix: &str, number: usize) -> Vec<String> {
    (0..number).map(|n| format!("{prefix}{n}")).collect()
}

/// An instant of the day at which the bulk is scheduled, so many milliseconds after it began.
fn in_bulk(millis: usize) -> String {
    let day = 1_609_459_200_000; // 2021
    let at = DateTime::from_timestamp_millis(day + millis as i64).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
