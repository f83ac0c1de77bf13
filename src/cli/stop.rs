//! What signals tell a service that runs, and what is left to do when it stops.

use std::io;
use std::time::Duration;

#[cfg(unix)]
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Mutex,
};

use crate::store::Store;

/// How long connections to the database may take to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Hears signals from its making on.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    signals: Mutex<Vec<Signal>>,
    #[cfg(not(unix))]
    ctrl_c: bool,
}

impl Signals {
    /// Those that ask a service to stop: SIGTERM and Ctrl-C.
    pub fn stop() -> io::Result<Self> {
        #[cfg(unix)]
        return Self::of(&[SignalKind::terminate(), SignalKind::interrupt()]);
        #[cfg(not(unix))]
        Ok(Self { ctrl_c: true })
    }

    /// Those that end what runs in a terminal: these, and that the terminal is closed.
    pub fn stop_or_hangup() -> io::Result<Self> {
        #[cfg(unix)]
        return Self::of(&[SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]);
        #[cfg(not(unix))]
        Self::stop()
    }

    /// SIGHUP, which asks a service to read its files again.
    pub fn reload() -> io::Result<Self> {
        #[cfg(unix)]
        return Self::of(&[SignalKind::hangup()]);
        #[cfg(not(unix))]
        Ok(Self { ctrl_c: false })
    }

    /// Begins to listen; from now on these signals end nothing by themselves.
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
