//! The sealer of `serve`: seals the audit trail every few seconds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::Clock;
use crate::store::Store;

/// How long the last seal may take once the service stops.
const LAST: Duration = Duration::from_secs(5);

/// A sealer in the background.
pub(super) struct Sealer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Sealer {
    /// Seals at once and then every so often.
    pub(super) fn start(store: Arc<dyn Store>, every: Duration) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let clock = Clock::system();
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = &mut stopped => break,
                    _ = ticks.tick() => seal(&*store, &clock).await,
                }
            }
            let _late = timeout(LAST, seal(&*store, &clock)).await;
        });
        Self { stop, task }
    }

    /// Seals a last time, and ends.
    pub(super) async fn stop(self) {
        let _gone = self.stop.send(());
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the sealer broke off");
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
