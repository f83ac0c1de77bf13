//! A read replica: which reads it can serve, and how current its data are.
//!
//! The service samples how far the primary's write-ahead log reaches. Once the replica has replayed
//! as far, it has every change from before the sample. So its age needs no comparison of clocks, and
//! is right while the primary is idle.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use tokio::time::timeout;

use super::open::open_within;
use super::{Access, Deadlines, Error, Result, Store, place};

/// How often the replica is compared with the primary.
const LOOK: Duration = Duration::from_millis(250);
/// How long either may take to respond.
const ANSWER: Duration = Duration::from_secs(2);
/// How long opening it may take, which delays the start of the service.
const OPEN: Duration = Duration::from_secs(10);
/// How often to try to open a replica that could not be opened.
const REOPEN: Duration = Duration::from_secs(5);
/// How many samples wait for the replica; while there are as many, none is taken.
const SAMPLES: usize = 10_000;
/// How many accounts' last changes are remembered.
const ACCOUNTS: usize = 10_000;
/// The size of a page of the write-ahead log, and of the longest header of one.
const PAGE: u64 = 8192;
const HEADER: u64 = 40;

/// Whether a server that has replayed up to a position has everything before one of its primary.
fn includes(replayed: u64, primary: u64) -> bool {
    // After a full page, a primary tells where its next record begins, behind the page's header.
    let within = primary % PAGE;
    replayed >= if within <= HEADER { primary - within } else { primary }
}

/// A replica of the service's database.
pub struct Replica {
    url: String,
    connections: u32,
    deadlines: Deadlines,
    /// How old its data may be.
    limit: Duration,
    store: OnceLock<Arc<dyn Store>>,
    state: Mutex<State>,
    /// When accounts last changed something.
    changes: Cache<String, Instant>,
}

struct State {
    /// It has every change from before this instant; at first, when the service started.
    current_to: Instant,
    /// Whether it responded when it was last compared.
    responds: bool,
    /// Why it cannot be used; `None`: it can.
    problem: Option<String>,
    /// Instants and how far the primary's log reached then, the oldest first.
    samples: VecDeque<(Instant, u64)>,
}

impl Replica {
    /// A replica of `primary`. If it cannot be opened now, [`Replica::follow`] tries again.
    ///
    /// # Errors
    ///
    /// [`Error::Url`] or [`Error::Unusable`] if it can never be used.
    pub async fn open(
        url: &str,
        connections: u32,
        deadlines: Deadlines,
        limit: Duration,
        primary: &dyn Store,
    ) -> Result<Self> {
        if primary.position().await?.is_none() {
            let why = "only PostgreSQL has read replicas, and DATABASE_URL names another database";
            return Err(Error::Url(why.into()));
        }
        if place(url)?.starts_with("sqlite") {
            return Err(Error::Url("a read replica must be a PostgreSQL".into()));
        }
        let replica = Self {
            url: url.into(),
            connections,
            deadlines,
            limit,
            store: OnceLock::new(),
            state: Mutex::new(State {
                current_to: Instant::now(),
                responds: false,
                problem: Some("not compared with the primary yet".into()),
                samples: VecDeque::new(),
            }),
            changes: Cache::new(ACCOUNTS),
        };
        match replica.look(primary).await {
            Err(error) if error.is_unusable() => return Err(error),
            Err(error) => replica.failed(&error),
            Ok(()) => replica.state().responds = true,
        }
        Ok(replica)
    }

    /// Compares it with the primary, for ever.
    pub async fn follow(&self, primary: &dyn Store) {
        loop {
            let pause = if self.store.get().is_some() { LOOK } else { REOPEN };
            tokio::time::sleep(pause).await;
            let looked = self.look(primary).await;
            self.state().responds = looked.is_ok();
            if let Err(error) = looked {
                self.failed(&error);
            }
        }
    }

    /// Compares it with the primary once.
    async fn look(&self, primary: &dyn Store) -> Result<()> {
        let began = Instant::now();
        // Without the primary, the replica only grows older.
        let of_primary = timeout(ANSWER, primary.position()).await.ok().and_then(Result::ok);
        let of_primary = of_primary.flatten();
        if let Some(position) = &of_primary {
            let mut state = self.state();
            if state.samples.len() < SAMPLES {
                state.samples.push_back((began, position.at));
            }
        }
        let store = self.opened().await?;
        let replayed = timeout(ANSWER, store.position()).await.map_err(|_| late())??;
        let Some(replayed) = replayed else { return Err(late()) };
        if let Some(primary) = of_primary.filter(|primary| primary.of != replayed.of) {
            return Err(Error::Unusable(format!(
                "it is no replica of this database: its cluster and database are {}, and not {}",
                replayed.of, primary.of
            )));
        }
        let mut state = self.state();
        while let Some((at, _)) = state.samples.front().filter(|(_, at)| includes(replayed.at, *at))
        {
            state.current_to = *at;
            state.samples.pop_front();
        }
        if state.problem.take().is_some() {
            tracing::info!(lag = ?state.current_to.elapsed(), "the read replica can be used");
        }
        Ok(())
    }

    async fn opened(&self) -> Result<&Arc<dyn Store>> {
        if self.store.get().is_none() {
            let deadlines = Some(self.deadlines);
            let opening = open_within(&self.url, self.connections, Access::Read, deadlines);
            let opened = timeout(OPEN, opening).await;
            let _first = self.store.set(opened.map_err(|_| late())??);
        }
        self.store.get().ok_or(Error::Unavailable(sqlx::Error::PoolClosed))
    }

    /// The replica and the age of its data, if it can serve a read of an account: it must lag less
    /// than the limit, and have the account's own changes.
    pub fn serves(&self, account: &str) -> Option<(&dyn Store, Duration)> {
        let store = self.store.get()?;
        let state = self.state();
        if state.problem.is_some() {
            return None;
        }
        let (current_to, age) = (state.current_to, state.current_to.elapsed());
        let has_own = self.changes.get(account).is_none_or(|changed| changed < current_to);
        (age <= self.limit && has_own).then_some((&**store, age))
    }

    /// Remembers that an account has just changed something, or may have.
    pub fn changed(&self, account: &str) {
        self.changes.insert(account.into(), Instant::now());
    }

    /// Does not use it until it responds again.
    pub fn failed(&self, error: &Error) {
        let problem = error.to_string();
        let mut state = self.state();
        if state.problem.as_ref() != Some(&problem) {
            tracing::warn!(%error, "the read replica cannot be used; reading from the primary");
        }
        state.problem = Some(problem);
    }

    /// Waits until it does not respond. A read in progress would wait for far longer if its
    /// connection is lost silently.
    pub async fn lost(&self) -> Error {
        while self.state().responds {
            tokio::time::sleep(LOOK).await;
        }
        late()
    }

    /// The age of its data; while it cannot be used, since when.
    pub fn lag(&self) -> Duration {
        self.state().current_to.elapsed()
    }

    /// The replica, once it has been opened.
    pub fn store(&self) -> Option<&dyn Store> {
        self.store.get().map(|store| &**store)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a replica that does not respond in time.
fn late() -> Error {
    Error::Unavailable(sqlx::Error::PoolTimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_needs_no_header_of_an_empty_page() {
        let replayed = 3 * PAGE;
        assert!(
            [3 * PAGE - 1, 3 * PAGE, 3 * PAGE + 24, 3 * PAGE + 40].map(|at| includes(replayed, at))
                == [true; 4]
        );
        assert!(!includes(replayed, 3 * PAGE + 48));
        assert!(!includes(replayed, 4 * PAGE));
    }
}
