//! The sealer of `serve`: seals the audit trail every few seconds, makes its partitions ahead, removes
//! old idempotency keys, and checks that sealing, here or on another replica, keeps up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::Clock;
use crate::http::sealing::{INTERVALS, Sealing};
use crate::store::Store;

/// Timeout of the last seal during shutdown.
const LAST: Duration = Duration::from_secs(5);

/// Timeout of asking the database for unsealed entries.
const ANSWER: Duration = Duration::from_secs(30);

/// How long keys stay after they could be removed, at least: to look costs a statement for each
/// controller.
const KEYS: Duration = Duration::from_secs(60);

/// A sealer in the background.
pub(super) struct Sealer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    /// Separate, since sealing may hang.
    watch: JoinHandle<()>,
}

impl Sealer {
    /// Seals at once and then periodically.
    pub(super) fn start(store: Arc<dyn Store>, every: Duration, sealing: Arc<Sealing>) -> Self {
        let watch = tokio::spawn(watch(store.clone(), every, sealing));
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let clock = Clock::system();
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut has_room = true;
            let mut forgot = None;
            loop {
                let turn = async {
                    ticks.tick().await;
                    seal(&*store, &clock).await;
                    make_partitions(&*store, &mut has_room).await;
                    if forgot.is_none_or(|at: Instant| at.elapsed() >= KEYS) {
                        forget_keys(&*store).await;
                        forgot = Some(Instant::now());
                    }
                };
                // A turn may hang: others may have locked the tables.
                tokio::select! {
                    _ = &mut stopped => break,
                    () = turn => {}
                }
            }
            let _late = timeout(LAST, seal(&*store, &clock)).await;
        });
        Self { stop, task, watch }
    }

    /// Seals a last time, and ends.
    pub(super) async fn stop(self) {
        self.watch.abort();
        let _gone = self.stop.send(());
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the sealer failed");
        }
    }
}

#[tracing::instrument(name = "sealer", skip_all)]
async fn seal(store: &dyn Store, clock: &Clock) {
    match store.seal(clock.now()).await {
        Ok(0) => {}
        Ok(seals) => tracing::debug!(seals, "sealed the audit trail"),
        Err(error) => tracing::warn!(%error, "the audit trail was not sealed"),
    }
}

/// Makes partitions ahead; logs the first of several failures. Entries without a partition of their own
/// go to the default one, so nobody waits for this.
#[tracing::instrument(name = "sealer", skip_all)]
async fn make_partitions(store: &dyn Store, has_room: &mut bool) {
    match store.make_partitions().await {
        Ok(made) => {
            if made > 0 {
                tracing::info!(made, "made partitions of the audit trail");
            }
            *has_room = true;
        }
        Err(error) => {
            if std::mem::take(has_room) {
                tracing::warn!(%error, "no partitions of the audit trail were made ahead");
            }
        }
    }
}

/// Removes the keys that have lived long enough.
#[tracing::instrument(name = "sealer", skip_all)]
async fn forget_keys(store: &dyn Store) {
    match store.forget_keys().await {
        Ok(0) => {}
        Ok(keys) => tracing::debug!(keys, "removed old idempotency keys"),
        Err(error) => tracing::warn!(%error, "old idempotency keys were not removed"),
    }
}

/// Checks periodically that entries are sealed in time.
#[tracing::instrument(name = "sealer", skip_all)]
async fn watch(store: Arc<dyn Store>, every: Duration, sealing: Arc<Sealing>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_overdue = false;
    loop {
        ticks.tick().await;
        let error = match timeout(ANSWER, store.unsealed()).await {
            Ok(Ok(unsealed)) => {
                sealing.update(every, unsealed, Instant::now());
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            // For example, a connection was lost silently.
            Err(_) => Some("the database does not respond".to_owned()),
        };
        if let Some(error) = error {
            tracing::warn!(error, "cannot check how far the audit trail is sealed");
        }
        let progress = sealing.progress(Instant::now());
        if progress.overdue && !was_overdue {
            tracing::error!(
                unsealed_entries = progress.entries,
                waiting_seconds = progress.waiting.as_secs(),
                "the audit trail has not been sealed for {INTERVALS} intervals: until it is, a \
                 change of these entries would go unnoticed"
            );
        } else if was_overdue && !progress.overdue {
            tracing::info!("the audit trail is being sealed again");
        }
        was_overdue = progress.overdue;
    }
}
