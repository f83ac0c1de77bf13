//! One run of an order: from its start to its report.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, sleep_until};

use super::context::Context;
use super::environment;
use super::guard::{Control, Ended};
use super::jobs::Job;
use super::process::Process;
use crate::store::runs::{Outcome, Reported, Taken};

/// How long to wait before a report is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the agent tells a run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Message {
    /// The lease was renewed until then.
    Lease(Duration),
    /// The order has to end, by a mark: the mark is `SUSPENDING`, or not.
    Mark { suspends: bool },
    /// Its time is over.
    Kill,
    /// The order belongs to another agent.
    Lost,
    /// The agent stops.
    Stop,
}

/// Why a job was sent `SIGTERM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Cancelled,
    Suspended,
    Timeout,
    Stopped,
    Lost,
}

impl Why {
    fn failure(self) -> &'static str {
        match self {
            Self::Cancelled | Self::Suspended => "KILLED",
            Self::Timeout => "TIMEOUT",
            Self::Stopped => "AGENT_STOPPED",
            Self::Lost => "LEASE_EXPIRED",
        }
    }
}

/// Runs the job of an order that was taken, and reports how it ended.
pub(super) async fn run(
    context: &Context,
    job: &Job,
    order: &Taken,
    until: Duration,
    messages: UnboundedReceiver<Message>,
) {
    let (ended, why) = execute(context, job, order, until, messages).await;
    let (state, outcome) = judge(job, order, &ended, why);
    tracing::info!(
        order = order.order_id,
        run = order.run,
        exit_status = outcome.exit_status,
        signal = outcome.signal,
        failure = outcome.failure,
        "the job has ended"
    );
    report(context, order, state, &outcome).await;
}

async fn execute(
    context: &Context,
    job: &Job,
    order: &Taken,
    until: Duration,
    mut messages: UnboundedReceiver<Message>,
) -> (Ended, Option<Why>) {
    let (variables, left_out) = environment::of(job, &context.holder.controller_id, order);
    let (id, number) = (order.order_id.clone(), order.run);
    if !left_out.is_empty() {
        tracing::info!(order = id, arguments = ?left_out, "on standard input only");
    }
    let log = move |line: &str| tracing::info!(order = id, run = number, "{line}");
    let started = Process::start(job, variables, order.arguments.clone(), until, log).await;
    let mut process = match started {
        Ok(process) => process,
        Err(error) => {
            let ended = Ended { problem: Some(error.to_string()), ..Ended::default() };
            return (ended, None);
        }
    };
    tracing::info!(
        order = order.order_id,
        run = order.run,
        workflow = order.workflow_path,
        "the job has started"
    );
    let far = Duration::from_secs(u32::MAX.into());
    let mut why: Option<Why> = None;
    let timeout = sleep_until(Instant::now() + job.timeout().unwrap_or(far));
    let kill = sleep_until(Instant::now() + far);
    tokio::pin!(timeout, kill);
    let ended = loop {
        let terminate_for = tokio::select! {
            ended = process.next() => break ended,
            () = &mut kill => {
                kill.as_mut().reset(Instant::now() + far);
                process.control(Control::Kill).await;
                continue;
            }
            () = &mut timeout => {
                timeout.as_mut().reset(Instant::now() + far);
                Why::Timeout
            }
            Some(message) = messages.recv() => match message {
                Message::Lease(until) => {
                    process.control(Control::Lease(until)).await;
                    continue;
                }
                Message::Kill => {
                    process.control(Control::Kill).await;
                    continue;
                }
                Message::Lost => {
                    why = Some(Why::Lost);
                    process.control(Control::Kill).await;
                    continue;
                }
                Message::Mark { suspends: true } => Why::Suspended,
                Message::Mark { suspends: false } => Why::Cancelled,
                Message::Stop => Why::Stopped,
            },
        };
        // Once.
        if why.is_none() {
            process.control(Control::Terminate).await;
            if matches!(terminate_for, Why::Timeout | Why::Stopped) {
                kill.as_mut().reset(Instant::now() + job.grace());
            }
        }
        why = why.or(Some(terminate_for));
    };
    process.end().await;
    (ended, why)
}

/// What to report of a job that has ended.
fn judge(job: &Job, order: &Taken, ended: &Ended, why: Option<Why>) -> (&'static str, Outcome) {
    if let Some(problem) = &ended.problem {
        tracing::error!(order = order.order_id, problem, "the job did not start");
    }
    let failure = match why {
        _ if ended.problem.is_some() => Some("NOT_STARTED"),
        _ if ended.expired => Some(Why::Lost.failure()),
        Some(Why::Timeout) => Some(Why::Timeout.failure()),
        _ if ended.exit_status == Some(0) => None,
        why => why.map(Why::failure),
    };
    let outcome = Outcome { exit_status: ended.exit_status, signal: ended.signal, failure };
    let state = if ended.exit_status == Some(0) && failure.is_none() {
        "FINISHED"
    } else if why == Some(Why::Suspended) || order.run <= i64::from(job.retries) {
        "INPROGRESS"
    } else {
        "FAILED"
    };
    (state, outcome)
}

/// Reports until the database has an answer.
async fn report(context: &Context, order: &Taken, state: &str, outcome: &Outcome) {
    let Context { store, holder } = context;
    loop {
        match store.report(holder, &order.order_id, order.run, state, outcome).await {
            Ok(Reported::State(now)) => {
                tracing::info!(order = order.order_id, state = now, "reported");
                break;
            }
            Ok(Reported::Late) => {
                tracing::warn!(order = order.order_id, "the order had ended already");
                break;
            }
            Ok(Reported::Lost) => {
                tracing::error!(order = order.order_id, "another agent has settled the order");
                return;
            }
            Err(error) => {
                tracing::warn!(order = order.order_id, %error, "not reported yet");
                sleep(AGAIN).await;
            }
        }
    }
    context.join_parents(&order.order_id).await;
}
