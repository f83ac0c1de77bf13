//! Whether the database could serve.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::http::error::ApiError;
use crate::store::{self, Store};

/// How long a check is remembered, so that probes are no load.
const REMEMBERED: Duration = Duration::from_secs(1);
/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a failed write is remembered: only another write shows that it would succeed again.
const REFUSED: Duration = Duration::from_secs(10);

const READ_ONLY: &str = "it is read-only";

/// The last check of the database, and the last failed write.
#[derive(Debug, Default)]
pub struct Readiness {
    last: Mutex<Option<(Instant, Result<(), String>)>>,
    /// When the last write failed, and why.
    refused: std::sync::Mutex<Option<(Instant, &'static str)>>,
}

impl Readiness {
    /// Records a failed write.
    pub fn hear(&self, error: &ApiError) {
        let why = match error {
            ApiError::NoRoom(_) => "it has no room left",
            ApiError::ReadOnly(_) => READ_ONLY,
            _ => return,
        };
        *self.refused() = Some((Instant::now(), why));
    }

    fn refused(&self) -> MutexGuard<'_, Option<(Instant, &'static str)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the database, unless it was asked a moment ago.
    pub async fn check(&self, store: &dyn Store) -> Result<(), String> {
        let refused = *self.refused();
        if let Some((at, why)) = refused
            && at.elapsed() < REFUSED
        {
            return Err(why.into());
        }
        let mut last = self.last.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < REMEMBERED
        {
            return result.clone();
        }
        let result = match tokio::time::timeout(PATIENCE, store.ready()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(
                error @ (store::Error::Newer(_) | store::Error::Older(_) | store::Error::Lost(_)),
            )) => Err(error.to_string()),
            Ok(Err(store::Error::ReadOnly(_))) => Err(READ_ONLY.into()),
            // Clients must not see the database's address or user.
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database is not ready");
                Err("it cannot be reached".into())
            }
            Err(_) => Err("it does not respond".into()),
        };
        *last = Some((Instant::now(), result.clone()));
        result
    }
}
