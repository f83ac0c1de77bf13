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

use super::lock::Lock;
use crate::model::selection::{Selection, Subject};
use crate::store::sql::selection::plans_alike;
use crate::store::{Change, Changed};

/// How many statements run at a time before requests wait.
const AT_ONCE: usize = 2;
/// The maximum number of changes in a statement.
const BATCH: usize = 32;
/// How long a statement counts as running: one may wait for a lock that concerns no others.
pub(super) const PATIENCE: Duration = Duration::from_millis(20);

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
pub(super) struct Waiting {
    pub change: Arc<Change>,
    pub lock: Lock,
    /// The instant with which it was sent to the database, once it was.
    pub sent: Arc<OnceLock<DateTime<Utc>>>,
    pub turn: oneshot::Sender<Turn>,
}

/// What a change that has waited is told.
#[derive(Debug)]
pub(super) enum Turn {
    /// To write these together with itself.
    Writes(Running, Vec<Waiting>),
    /// It has been written.
    Written(Changed),
    /// It was not written; it is written alone.
    Skipped,
}

/// A statement that runs. Dropping it starts the next one.
#[derive(Debug)]
pub(super) struct Running(Gatherer);

impl Gatherer {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a change wait, unless it can run now.
    pub(super) fn enter(
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
                && are_alike(&batch[0].change, &waiting.change)
                && batch.iter().all(|other| are_apart(&other.change, &waiting.change));
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
        && change.audit.key.is_none()
}

/// Whether one statement fits both: they differ in what is bound for each.
fn are_alike(one: &Change, other: &Change) -> bool {
    let form = |change: &Change| Selection {
        subject: Subject::Nothing,
        now: DateTime::UNIX_EPOCH,
        ..change.selection.clone()
    };
    one.action == other.action
        && one.sigkill_after == other.sigkill_after
        && form(one) == form(other)
}

/// Whether one statement can tell both apart, and neither order belongs to the family of the other,
/// whose effect may depend on it.
fn are_apart(one: &Change, other: &Change) -> bool {
    one.audit.request_id != other.audit.request_id && root(one) != root(other)
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

/// Tells others that they were not written.
pub(super) fn skip(others: Vec<Waiting>) -> Turn {
    for other in others {
        let _gone = other.turn.send(Turn::Skipped);
    }
    Turn::Skipped
}

/// Does work, and starts the next statement after it, or earlier if it takes long.
pub(super) async fn while_running<T>(running: Running, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    match timeout(PATIENCE, &mut work).await {
        Ok(result) => result,
        Err(_) => {
            drop(running);
            work.await
        }
    }
}
