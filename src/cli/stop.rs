//! How a service that runs is told to stop, and what is left to do then.

use std::time::Duration;

#[cfg(unix)]
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Mutex,
};

use crate::store::Store;

/// How long connections to the database may take to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Hears SIGTERM and Ctrl-C from its making on.
#[derive(Debug)]
pub struct Stop {
    #[cfg(unix)]
    signals: Mutex<[Signal; 2]>,
}

impl Stop {
    /// Begins to listen; from now on the signals end nothing by themselves.
    #[cfg(unix)]
    pub fn listen() -> std::io::Result<Self> {
        let signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        Ok(Self { signals: Mutex::new(signals) })
    }

    /// Begins to listen.
    #[cfg(not(unix))]
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for one of them.
    pub async fn asked(&self) {
        #[cfg(unix)]
        {
            let [terminate, interrupt] = &mut *self.signals.lock().await;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Ends the connections to the database. What one of them still does is done as a whole or not
/// at all without us, too.
pub async fn close(store: &dyn Store) {
    if tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await.is_err() {
        tracing::warn!("connections to the database are broken off");
    }
}

/// Ends the connections to the database if they end soon. What they do is undone without us, too:
/// nobody has to wait for locks of others.
pub async fn abandon(store: &dyn Store) {
    let _gone = tokio::time::timeout(Duration::from_millis(500), store.close()).await;
}
