//! What one account can have of the database at a time: all of it but a part that is kept for
//! logins, probes and other accounts.

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

/// Runs a call, which may come to be known as one of an account.
pub fn of_a_call<F: Future>(call: F) -> impl Future<Output = F::Output> {
    ACCOUNT.scope(RefCell::default(), call)
}

/// Counts the rest of the running request towards this account.
pub fn is_for(account: &str) {
    // Outside of a call nobody is known, as in what the command line does.
    let _ = ACCOUNT.try_with(|known| *known.borrow_mut() = Some(account.into()));
}

/// The account that the running call is for, if it is one of an account.
pub(super) fn account() -> Option<Arc<str>> {
    ACCOUNT.try_with(|known| known.borrow().clone()).ok().flatten()
}

/// How much at a time one account can have of something, and who has how much.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    most: usize,
    patience: Duration,
    free: Arc<Mutex<HashMap<Arc<str>, Arc<Semaphore>>>>,
}

/// What an account has, until this is dropped; nothing if it was taken for no account.
pub(super) type Share = Option<OwnedSemaphorePermit>;

impl Shares {
    /// At most so many for an account, which waits for them as for a connection.
    pub(super) fn of(most: usize, patience: Duration) -> Self {
        Self { most: most.max(1), patience, free: Arc::default() }
    }

    /// Waits until an account has less than it can have.
    ///
    /// # Errors
    ///
    /// It takes too long.
    pub(super) async fn take(&self, account: Option<Arc<str>>) -> Result<Share> {
        let Some(account) = account else { return Ok(None) };
        let free = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            free.entry(account).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone()
        };
        acquire(free, self.patience).await.map(Some)
    }
}

/// Waits for a permit as for a connection.
pub(super) async fn acquire(
    free: Arc<Semaphore>,
    patience: Duration,
) -> Result<OwnedSemaphorePermit> {
    match tokio::time::timeout(patience, free.acquire_owned()).await {
        Ok(permit) => permit.map_err(|_| sqlx::Error::PoolClosed.into()),
        Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
    }
}
