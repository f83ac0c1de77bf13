//! Signals, and closing the database on shutdown.

use std::io;
use std::time::Duration;

#[cfg(unix)]
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Mutex,
};

use crate::store::Store;

/// Timeout of closing the database connections.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Receives signals from its creation on.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    signals: Mutex<Vec<Signal>>,
    #[cfg(not(unix))]
    ctrl_c: bool,
}

impl Signals {
    /// SIGTERM and Ctrl-C.
    pub fn stop() -> io::Result<Self> {
        #[cfg(unix)]
        return Self::of(&[SignalKind::terminate(), SignalKind::interrupt()]);
        #[cfg(not(unix))]
        Ok(Self { ctrl_c: true })
    }

    /// SIGTERM, Ctrl-C and SIGHUP, which a closed terminal sends.
    pub fn stop_or_hangup() -> io::Result<Self> {
        #[cfg(unix)]
        return Self::of(&[SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]);
        #[cfg(not(unix))]
        Self::stop()
    }

    /// SIGHUP, which asks a service to reload its files.
    pub fn reload() -> io::Result<Self> {
        #[cfg(unix)]
        return Self::of(&[SignalKind::hangup()]);
        #[cfg(not(unix))]
        Ok(Self { ctrl_c: false })
    }

    /// Starts to receive them, which disables their default action.
    #[cfg(unix)]
    fn of(kinds: &[SignalKind]) -> io::Result<Self> {
        let signals = kinds.iter().map(|kind| signal(*kind)).collect::<Result<_, _>>()?;
        Ok(Self { signals: Mutex::new(signals) })
    }

    /// Waits for one of them.
    pub async fn next(&self) {
        #[cfg(unix)]
        {
            let mut signals = self.signals.lock().await;
            let received = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
            futures_util::future::select_all(received).await;
        }
        #[cfg(not(unix))]
        if self.ctrl_c {
            let _ = tokio::signal::ctrl_c().await;
        } else {
            std::future::pending().await
        }
    }
}

/// Closes the database connections. A transaction in progress completes or rolls back without us.
pub async fn close(store: &dyn Store) {
    if tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await.is_err() {
        tracing::warn!("connections to the database were aborted");
    }
}

/// Closes the database connections if that is quick: the database rolls back without us, too.
pub async fn abandon(store: &dyn Store) {
    let _gone = tokio::time::timeout(Duration::from_millis(500), store.close()).await;
}
