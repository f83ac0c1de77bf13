//! What `joc-orders agent` needs: orders are taken, run and reported, each step one transaction.
//! docs/executors.md explains the statements.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::Result;

/// Who runs orders.
#[derive(Debug, Clone)]
pub struct LeaseHolder {
    /// Of which controller.
    pub controller_id: String,
    /// The name of the agent, unique among all that ever ran.
    pub agent: String,
    /// How many seconds an order stays with an agent that says nothing.
    pub lease: u32,
}

/// An order that was taken, with the number of its run.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its id.
    pub order_id: String,
    /// The number of the run, from 1.
    pub run: i64,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// When it was due.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// The text of a JSON object.
    pub arguments: String,
}

/// A started order that may continue.
#[derive(Debug, Clone)]
pub struct Continuing {
    /// Its id.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// `INPROGRESS` or `WAITING`.
    pub state: String,
    /// What it waits for.
    pub reason: Option<String>,
}

/// What a mark asks for.
#[derive(Debug, Clone)]
pub struct Marked {
    /// The id of the order.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The mark.
    pub mark: String,
    /// When `SIGKILL` is to follow.
    pub sigkill_at: Option<DateTime<Utc>>,
    /// `SIGTERM`, `SIGKILL` or `SETTLE`.
    pub action: String,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The exit status of its process.
    pub exit_status: Option<i32>,
    /// The signal that ended its process.
    pub signal: Option<i32>,
    /// Why it failed, if not by the process itself.
    pub failure: Option<&'static str>,
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reported {
    /// The state of the order now; a mark may have led to another one than was reported.
    State(String),
    /// The order is terminal or gone.
    Late,
    /// The run belongs to this agent no longer.
    Lost,
}

/// A run of an order.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its number, from 1.
    pub run: i64,
    /// Who ran it.
    pub agent: String,
    /// When it was taken.
    pub started: DateTime<Utc>,
    /// When its end was reported.
    pub ended: Option<DateTime<Utc>>,
    /// The exit status of its process.
    pub exit_status: Option<i32>,
    /// The signal that ended its process.
    pub signal: Option<i32>,
    /// Why it failed, if not by the process itself.
    pub failure: Option<String>,
}

/// Notices that marks may have changed, or orders may continue.
#[async_trait]
pub trait Watch: Send {
    /// Waits for the next change on a controller.
    async fn changed(&mut self, controller_id: &str) -> Result<()>;
}

/// Runs orders. Every method but the queries is one transaction.
#[async_trait]
pub trait Runs {
    /// The paths of the workflows with these paths or names.
    async fn workflow_paths(
        &self,
        controller_id: &str,
        workflows: &[String],
    ) -> Result<Vec<String>>;
    /// Takes due orders of these workflows, the highest priority first.
    async fn take_due(
        &self,
        holder: &LeaseHolder,
        paths: &[String],
        limit: u32,
    ) -> Result<Vec<Taken>>;
    /// Orders that may continue, the highest priority first.
    async fn continuing(&self, controller_id: &str) -> Result<Vec<Continuing>>;
    /// Runs a started order again, unless it is run already, marked, suspended or terminal.
    async fn run_again(&self, holder: &LeaseHolder, order_id: &str) -> Result<Option<Taken>>;
    /// Ends a run of this agent, and reports the state of its order.
    async fn report(
        &self,
        holder: &LeaseHolder,
        order_id: &str,
        run: i64,
        state: &str,
        outcome: &Outcome,
    ) -> Result<Reported>;
    /// What marks ask for now.
    async fn marks(&self, controller_id: &str) -> Result<Vec<Marked>>;
    /// Does what the mark of an order asks for that has no job.
    async fn settle(&self, controller_id: &str, order_id: &str) -> Result<Option<String>>;
    /// Lets a parent continue whose children have all ended; returns whether it does.
    async fn join(&self, controller_id: &str, order_id: &str) -> Result<bool>;
    /// Ends parents that were cancelled while they had living children, and returns their ids.
    async fn end_cancelled_parents(&self, controller_id: &str) -> Result<Vec<String>>;
    /// Renews the leases of these orders; returns those that are still with this agent.
    async fn renew(&self, holder: &LeaseHolder, order_ids: &[String])
    -> Result<Vec<(String, i64)>>;
    /// Runs whose lease has expired: order, run and the path of the workflow.
    async fn expired(&self, controller_id: &str) -> Result<Vec<(String, i64, String)>>;
    /// Ends a run whose lease has expired, and reports the state of its order.
    async fn take_over(
        &self,
        controller_id: &str,
        order_id: &str,
        run: i64,
        state: &str,
    ) -> Result<Reported>;
    /// The runs of an order.
    async fn runs(&self, controller_id: &str, order_id: &str) -> Result<Vec<Run>>;
    /// Begins to watch.
    async fn watch_marks(&self) -> Result<Box<dyn Watch>>;
}
