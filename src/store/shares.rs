//! Limits how much of the database one account can use at a time, so that some is left for logins,
//! probes and other accounts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Result;

tokio::task_local! {
    static ACCOUNT: RefCell<Option<Arc<str>>>;
}

/// Runs a request, whose account [`is_for`] may set.
pub fn of_a_call<F: Future>(request: F) -> impl Future<Output = F::Output> {
    ACCOUNT.scope(RefCell::default(), request)
}

/// Counts the rest of the current request toward this account.
pub fn is_for(account: &str) {
    // The command line runs outside of requests.
    let _ = ACCOUNT.try_with(|known| *known.borrow_mut() = Some(account.into()));
}

/// The account of the current request, if known.
pub(super) fn account() -> Option<Arc<str>> {
    ACCOUNT.try_with(|known| known.borrow().clone()).ok().flatten()
}

/// A limit per account on the concurrent use of something.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    most: usize,
    patience: Duration,
    free: Arc<Mutex<HashMap<Arc<str>, Arc<Semaphore>>>>,
}

/// Part of an account's limit, held until dropped; `None` without an account.
pub(super) type Share = Option<OwnedSemaphorePermit>;

impl Shares {
    /// A limit of `most` per account, for which an account waits as long as for a connection.
    pub(super) fn of(most: usize, patience: Duration) -> Self {
        Self { most: most.max(1), patience, free: Arc::default() }
    }

    /// Waits until the account is below its limit.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error::PoolTimedOut`].
    pub(super) async fn take(&self, account: Option<Arc<str>>) -> Result<Share> {
        let Some(account) = account else { return Ok(None) };
        let free = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            free.entry(account).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone()
        };
        acquire(free, self.patience).await.map(Some)
    }
}

/// Waits for a permit.
pub(super) async fn acquire(
    free: Arc<Semaphore>,
    patience: Duration,
) -> Result<OwnedSemaphorePermit> {
    match tokio::time::timeout(patience, free.acquire_owned()).await {
        Ok(permit) => permit.map_err(|_| sqlx::Error::PoolClosed.into()),
        Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
    }
}
