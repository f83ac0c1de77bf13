//! The agent as a whole: takes orders, honours marks, keeps its leases and takes over those of
//! agents that are gone.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::context::Context;
use super::guard::clock;
use super::jobs::Jobs;
use super::run::{self, Message};
use crate::store::runs::{LeaseHolder, Reported, Taken};
use crate::store::{Result, Store};

/// How often due orders and expired leases are looked for.
const TICK: Duration = Duration::from_secs(1);
/// How often marks are looked for without a notification.
const MARKS: Duration = Duration::from_secs(10);
/// How long reports may take once every job has ended, and jobs once they were killed.
const LAST: Duration = Duration::from_secs(20);

/// What an agent needs.
pub struct Agent {
    context: Context,
    jobs: Jobs,
    slots: usize,
    running: Mutex<HashMap<String, Running>>,
    /// A job has ended or a mark may have changed.
    wake: Notify,
}

/// A run of this agent.
struct Running {
    run: i64,
    messages: UnboundedSender<Message>,
}

impl Agent {
    /// An agent over an open store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, jobs: Jobs, holder: LeaseHolder, slots: usize) -> Arc<Self> {
        let (running, wake) = (Mutex::default(), Notify::new());
        let context = Context { store, holder };
        Arc::new(Self { context, jobs, slots, running, wake })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, order_id: &str, message: Message) -> bool {
        let running = self.running();
        running.get(order_id).is_some_and(|running| running.messages.send(message).is_ok())
    }

    /// The instant at which a job must have ended, whose lease was taken at an instant of [`clock`].
    fn until(&self, taken: Duration) -> Duration {
        taken + self.lease() * 9 / 10
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(self.context.holder.lease.into())
    }

    /// Runs orders until it is stopped. Then jobs have a while to end; a second stop terminates them
    /// at once.
    pub async fn run<F: Future>(self: Arc<Self>, stop: impl Fn() -> F, drain: Duration) {
        let watching = tokio::spawn(self.clone().watch());
        let renewing = tokio::spawn(self.clone().renew());
        let stopped = stop();
        tokio::pin!(stopped);
        let mut marks = Instant::now();
        loop {
            marks = self.turn(marks, true).await;
            tokio::select! {
                _ = &mut stopped => break,
                () = self.wake.notified() => marks = Instant::now(),
                () = sleep_until(marks.min(Instant::now() + TICK)) => {}
            }
        }
        tracing::info!(jobs = self.running().len(), "stopping: nothing more is taken");
        let again = stop();
        tokio::pin!(again);
        let mut end = Instant::now() + drain;
        let mut is_terminated = false;
        while !self.running().is_empty() {
            marks = self.turn(marks, false).await;
            tokio::select! {
                _ = &mut again, if !is_terminated => end = Instant::now(),
                () = self.wake.notified() => marks = Instant::now(),
                () = sleep_until(marks.min(Instant::now() + TICK).min(end)) => {}
            }
            if Instant::now() < end {
                continue;
            }
            if is_terminated {
                tracing::error!("orders were not settled: another agent will, once leases expire");
                break;
            }
            is_terminated = true;
            let ids: Vec<String> = self.running().keys().cloned().collect();
            tracing::warn!(jobs = ids.len(), "terminating what still runs");
            for id in &ids {
                self.tell(id, Message::Stop);
            }
            end = Instant::now() + self.jobs.longest_grace() + LAST;
        }
        watching.abort();
        renewing.abort();
    }

    /// Does what there is to do now. Returns when to look at the marks next.
    async fn turn(self: &Arc<Self>, marks: Instant, takes: bool) -> Instant {
        let mut next = marks;
        if Instant::now() >= marks {
            next = match self.honour_marks().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "cannot look at the marks");
                    Instant::now() + TICK
                }
            };
        }
        if takes && let Err(error) = self.take().await {
            tracing::warn!(%error, "cannot take orders");
        }
        next
    }

    /// Acts on marks. Returns when to look again.
    async fn honour_marks(&self) -> Result<Instant> {
        let mut next = MARKS;
        for marked in self.context.store.marks(&self.context.holder.controller_id).await? {
            let suspends = marked.mark == "SUSPENDING";
            match &*marked.action {
                "SETTLE" => {
                    if self.jobs.find(&marked.workflow_path).is_some() {
                        self.settle(&marked.order_id).await?;
                    }
                }
                "SIGTERM" => {
                    if self.tell(&marked.order_id, Message::Mark { suspends })
                        && let Some(at) = marked.sigkill_at
                    {
                        let left = (at - Utc::now()).to_std().unwrap_or_default();
                        next = next.min(left.max(Duration::from_millis(50)));
                    }
                }
                _ => {
                    self.tell(&marked.order_id, Message::Mark { suspends });
                    self.tell(&marked.order_id, Message::Kill);
                }
            }
        }
        Ok(Instant::now() + next)
    }

    async fn settle(&self, order_id: &str) -> Result<()> {
        if let Some(state) =
            self.context.store.settle(&self.context.holder.controller_id, order_id).await?
        {
            tracing::info!(order = order_id, state, "settled a mark");
            self.context.join_parents(order_id).await;
        }
        Ok(())
    }

    /// Takes over expired leases, and starts what may run.
    async fn take(self: &Arc<Self>) -> Result<()> {
        let controller_id = &self.context.holder.controller_id;
        for (order_id, run, path) in self.context.store.expired(controller_id).await? {
            let retries = self.jobs.find(&path).map_or(0, |job| job.retries);
            let state = if run <= i64::from(retries) { "INPROGRESS" } else { "FAILED" };
            let reported =
                self.context.store.take_over(controller_id, &order_id, run, state).await?;
            if let Reported::State(state) = reported {
                tracing::warn!(
                    order = order_id,
                    run,
                    state,
                    "settled an order whose agent is gone"
                );
                self.context.join_parents(&order_id).await;
            }
        }
        if self.free() == 0 {
            return Ok(());
        }
        for order in self.context.store.continuing(controller_id).await? {
            if self.jobs.find(&order.workflow_path).is_none() {
                continue;
            }
            if order.state == "WAITING" {
                if order.reason.as_deref() == Some("FORKED")
                    && self.context.store.join(controller_id, &order.order_id).await?
                {
                    self.wake.notify_one();
                }
                continue;
            }
            if self.free() == 0 {
                return Ok(());
            }
            let at = clock();
            if let Some(taken) =
                self.context.store.run_again(&self.context.holder, &order.order_id).await?
            {
                self.start(taken, at);
            }
        }
        let paths =
            self.context.store.workflow_paths(controller_id, &self.jobs.workflows()).await?;
        let free = u32::try_from(self.free()).unwrap_or(u32::MAX);
        if free > 0 && !paths.is_empty() {
            let at = clock();
            for taken in self.context.store.take_due(&self.context.holder, &paths, free).await? {
                self.start(taken, at);
            }
        }
        Ok(())
    }

    fn free(&self) -> usize {
        self.slots.saturating_sub(self.running().len())
    }

    /// Runs an order whose lease was taken at an instant of [`clock`].
    fn start(self: &Arc<Self>, order: Taken, at: Duration) {
        let Some(job) = self.jobs.find(&order.workflow_path).cloned() else { return };
        let (messages, receiver) = unbounded_channel();
        let running = Running { run: order.run, messages };
        self.running().insert(order.order_id.clone(), running);
        let (agent, until) = (self.clone(), self.until(at));
        tokio::spawn(async move {
            run::run(&agent.context, &job, &order, until, receiver).await;
            agent.running().remove(&order.order_id);
            agent.wake.notify_one();
        });
    }

    /// Renews the leases. A guard ends a job whose lease was not renewed in time.
    async fn renew(self: Arc<Self>) {
        let every = self.lease() / 3;
        loop {
            let mine: Vec<(String, i64)> =
                self.running().iter().map(|(id, running)| (id.clone(), running.run)).collect();
            if mine.is_empty() {
                sleep(every.min(TICK)).await;
                continue;
            }
            let ids: Vec<String> = mine.iter().map(|(id, _)| id.clone()).collect();
            let at = clock();
            match timeout(every, self.context.store.renew(&self.context.holder, &ids)).await {
                Ok(Ok(held)) => {
                    for order in &mine {
                        let is_held = held.contains(order);
                        let lease = Message::Lease(self.until(at));
                        self.tell(&order.0, if is_held { lease } else { Message::Lost });
                    }
                    sleep(every).await;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "cannot renew the leases");
                    sleep(TICK).await;
                }
                Err(_) => tracing::warn!("cannot renew the leases: the database does not respond"),
            }
        }
    }

    /// Wakes the agent when marks may have changed.
    async fn watch(self: Arc<Self>) {
        loop {
            let watched = async {
                let mut watch = self.context.store.watch_marks().await?;
                loop {
                    // Something may have changed before.
                    self.wake.notify_one();
                    watch.changed(&self.context.holder.controller_id).await?;
                }
            };
            let ended: Result<()> = watched.await;
            if let Err(error) = ended {
                tracing::warn!(%error, "cannot watch for marks");
            }
            sleep(TICK).await;
        }
    }
}
