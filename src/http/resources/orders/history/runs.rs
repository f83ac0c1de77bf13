//! Runs of an order's job.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::date::Instant;
use crate::store::runs::Run;

/// A run of an order's job.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunItem {
    /// Counts from 1.
    run: i64,
    /// The agent that ran it.
    agent: String,
    started: Instant,
    /// Absent until its end was reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Instant>,
    /// The exit status of its process, unless a signal ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<i32>,
    /// The signal that ended its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    /// Why it failed, if not by its process alone, such as `TIMEOUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl From<Run> for RunItem {
    fn from(run: Run) -> Self {
        Self {
            run: run.run,
            agent: run.agent,
            started: Instant(run.started),
            ended: run.ended.map(Instant),
            exit_status: run.exit_status,
            signal: run.signal,
            failure: run.failure,
        }
    }
}
