//! Gathers concurrent changes of single orders. While two are being written, those that arrive wait,
//! and the next statement writes all of them: most of the cost of such a statement does not depend
//! on the number of orders. One that arrives alone does not wait.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::backend::PgStore;
use super::settle::{Lock, tells_outcome};
use super::together;
use crate::model::selection::{Selection, Subject};
use crate::store::sql::selection::plans_alike;
use crate::store::{Change, Changed, Error, Result};

/// How many statements run at a time before requests wait.
const AT_ONCE: usize = 2;
/// The maximum number of changes in a statement.
const BATCH: usize = 32;
/// How long a statement counts as running: one may wait for a lock that concerns no others.
const PATIENCE: Duration = Duration::from_millis(20);

/// The changes that wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Gatherer(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    running: usize,
    waiting: VecDeque<Waiting>,
}

/// A change that another request may write.
#[derive(Debug)]
struct Waiting {
    change: Arc<Change>,
    lock: Lock,
    /// The instant with which it was sent to the database, once it was.
    sent: Arc<OnceLock<DateTime<Utc>>>,
    turn: oneshot::Sender<Turn>,
}

/// What a change that has waited is told.
#[derive(Debug)]
enum Turn {
    /// To write these together with itself.
    Writes(Running, Vec<Waiting>),
    /// It has been written.
    Written(Changed),
    /// It was not written; it is written alone.
    Skipped,
}

/// A statement that runs. Dropping it starts the next one.
#[derive(Debug)]
struct Running(Gatherer);

impl Gatherer {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a change wait, unless it can run now.
    fn enter(
        &self,
        change: &Change,
        lock: Lock,
        sent: &Arc<OnceLock<DateTime<Utc>>>,
    ) -> Result<oneshot::Receiver<Turn>, Running> {
        let mut queue = self.queue();
        if queue.running < AT_ONCE {
            queue.running += 1;
            return Err(Running(self.clone()));
        }
        let (sender, turn) = oneshot::channel();
        let (change, sent) = (Arc::new(change.clone()), sent.clone());
        queue.waiting.push_back(Waiting { change, lock, sent, turn: sender });
        Ok(turn)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        let Some(first) = queue.waiting.pop_front() else {
            queue.running -= 1;
            return;
        };
        let mut batch = vec![first];
        for waiting in std::mem::take(&mut queue.waiting) {
            let fits = batch.len() < BATCH
                && batch.iter().all(|other| go_together(&other.change, &waiting.change));
            if fits { batch.push(waiting) } else { queue.waiting.push_back(waiting) }
        }
        drop(queue);
        let first = batch.remove(0);
        // If its request was dropped, this drops a `Running` again.
        let _gone = first.turn.send(Turn::Writes(Self(self.0.clone()), batch));
    }
}

/// Whether a change can be written together with others: that of one order by its id, as one
/// statement fits all of them.
pub(super) fn can_be_gathered(change: &Change) -> bool {
    let selection = &change.selection;
    plans_alike(selection)
        && !selection.deep
        && !selection.is_limited()
        && change.max_orders.is_none()
}

/// Whether one statement can write both: they differ in what is bound for each, and neither order
/// belongs to the family of the other, whose effect may depend on it.
fn go_together(one: &Change, other: &Change) -> bool {
    let form = |change: &Change| Selection {
        subject: Subject::Nothing,
        now: DateTime::UNIX_EPOCH,
        ..change.selection.clone()
    };
    one.action == other.action
        && one.sigkill_after == other.sigkill_after
        && one.audit.request_id != other.audit.request_id
        && root(one) != root(other)
        && form(one) == form(other)
}

/// The id of the order that is changed.
pub(super) fn id(change: &Change) -> &str {
    match &change.selection.subject {
        Subject::Orders(ids) => ids.first().map_or("", String::as_str),
        _ => "",
    }
}

/// The id of that order's eldest ancestor.
fn root(change: &Change) -> &str {
    id(change).split('|').next().unwrap_or_default()
}

impl PgStore {
    /// Changes an order, alone or together with others.
    pub(super) async fn change_gathered(&self, change: &Change) -> Result<Changed> {
        let lock = Lock::of_a_call();
        let sent = Arc::<OnceLock<DateTime<Utc>>>::default();
        let turn = match self.gatherer.enter(change, lock, &sent) {
            Ok(turn) => turn,
            Err(running) => return while_running(running, self.change_alone(change)).await,
        };
        let written = match turn.await {
            Ok(Turn::Writes(running, others)) if others.is_empty() => {
                return while_running(running, self.change_alone(change)).await;
            }
            Ok(Turn::Writes(running, others)) => {
                let work = self.write_together(change, lock, &sent, others);
                while_running(running, work).await
            }
            Ok(turn) => Some(turn),
            Err(_) => None,
        };
        match (written, sent.get()) {
            (Some(Turn::Written(changed)), _) => return Ok(changed),
            (None, Some(now)) => {
                // The statement has failed, or the request that sent it is gone.
                let mut audit = change.audit.clone();
                audit.created = *now;
                let lost = sqlx::Error::WorkerCrashed.into();
                match self.settle(lock, &audit, lost).await {
                    Ok(settled) => return Ok(settled.into()),
                    Err(Error::Unsettled) => return Err(Error::Unsettled),
                    // Nothing has changed, and nothing will any more.
                    Err(_) => {}
                }
            }
            _ => {}
        }
        self.change_alone(change).await
    }

    /// Writes a change and others, and tells the others. `None` if the outcome is unknown.
    async fn write_together(
        &self,
        change: &Change,
        lock: Lock,
        sent: &OnceLock<DateTime<Utc>>,
        others: Vec<Waiting>,
    ) -> Option<Turn> {
        let changes: Vec<(&Change, Lock)> = std::iter::once((change, lock))
            .chain(others.iter().map(|other| (&*other.change, other.lock)))
            .collect();
        let now = changes.iter().map(|(change, _)| change.selection.now).max();
        let now = now.unwrap_or(change.selection.now);
        // With none free, each waits for its own.
        let Ok(Ok(mut lease)) = timeout(PATIENCE, self.changes.get()).await else {
            return Some(skip(others));
        };
        for sent in others.iter().map(|other| &*other.sent).chain([sent]) {
            let _is_first = sent.set(now);
        }
        let process = lease.process();
        let work = async { together::apply(lease.connection()?, &changes, now).await };
        let written = self.changes.change(process, work).await;
        lease.end(written.is_ok()).await;
        match written {
            Ok(written) => {
                let mut turns = written.into_iter().map(|changed| match changed {
                    Some(changed) => Turn::Written(changed),
                    None => Turn::Skipped,
                });
                let own = turns.next();
                for (other, turn) in others.into_iter().zip(turns) {
                    let _gone = other.turn.send(turn);
                }
                own
            }
            Err(error) => tells_outcome(error).then(|| skip(others)),
        }
    }
}

/// Tells others that they were not written.
fn skip(others: Vec<Waiting>) -> Turn {
    for other in others {
        let _gone = other.turn.send(Turn::Skipped);
    }
    Turn::Skipped
}

/// Does work, and starts the next statement after it, or earlier if it takes long.
async fn while_running<T>(running: Running, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    match timeout(PATIENCE, &mut work).await {
        Ok(result) => result,
        Err(_) => {
            drop(running);
            work.await
        }
    }
}
