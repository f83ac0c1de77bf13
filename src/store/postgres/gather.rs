//! Writes concurrent changes of single orders together: see [`Gatherer`](super::gatherer::Gatherer).

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use tokio::time::timeout;

use super::backend::PgStore;
use super::gatherer::{PATIENCE, Turn, Waiting, skip, while_running};
use super::lock::Lock;
use super::settle::tells_outcome;
use super::together;
use crate::store::{Change, Changed, Error, Result};

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
