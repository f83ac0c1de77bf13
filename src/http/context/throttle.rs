//! Limits on failed logins, denied requests, concurrent logins and waiting logins.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::config::Settings;
use crate::http::transport::limits;

/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(60);
/// The maximum number of denied requests per account within the window; each is audited.
const MAX_DENIED: usize = 60;
/// How many accounts and addresses are tracked.
const CAPACITY: usize = 100_000;
/// The maximum number of waiting logins.
const WAITING: usize = 64;
/// The maximum number of waiting logins per address, so that one cannot keep all others out.
const WAITING_BY_ADDRESS: usize = WAITING / 2;

/// Failed logins of the last minute by account and by address, and the logins in progress.
///
/// A login holds the locks of its account and its address. Otherwise concurrent logins could exceed
/// the limit, or one be refused because of another that may still succeed.
pub struct Throttle {
    by_account: Cache<String, Arc<Mutex<Failures>>>,
    by_address: Cache<Option<IpAddr>, Arc<AddressLogins>>,
    max_by_account: usize,
    max_by_address: usize,
    /// Each needs a core and argon2's 19 MiB.
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// The logins from an address.
struct AddressLogins {
    failures: Arc<Mutex<Failures>>,
    waiting: Arc<Semaphore>,
}

/// The instants of failures, oldest first. (governor cannot check without counting, cannot reset
/// after a success, and allows twice the limit in the first minute.)
#[derive(Debug, Default)]
struct Failures(VecDeque<Instant>);

/// Why a login is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleError {
    /// Too many have failed; retry after this time.
    TooManyFailed(Duration),
    /// Too many are waiting.
    Busy,
}

/// Requests denied in the last minute, by account: each leaves an entry in the audit trail.
pub struct Denials(Cache<String, Arc<std::sync::Mutex<Failures>>>);

/// The turn of a login; drop it when the login ends.
pub struct Turn {
    by_account: Option<OwnedMutexGuard<Failures>>,
    by_address: OwnedMutexGuard<Failures>,
    _runs: OwnedSemaphorePermit,
}

/// The value of a key, which is new at first.
fn known<K: Hash + Eq + Clone, V: Clone>(
    cache: &Cache<K, V>,
    key: &K,
    new: impl FnOnce() -> V,
) -> V {
    let Ok(value) = cache.get_or_insert_with(key, || Ok::<_, Infallible>(new()));
    value
}

impl Throttle {
    pub fn new(settings: &Settings) -> Self {
        let max = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            by_account: Cache::new(CAPACITY),
            by_address: Cache::new(CAPACITY),
            max_by_account: max(settings.failed_logins_by_account),
            max_by_address: max(settings.failed_logins_by_address),
            running: Arc::new(Semaphore::new(limits::workers())),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }

    /// Refuses a login early if it is already clear that too many have failed.
    pub fn check(
        &self,
        account: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<(), ThrottleError> {
        let now = Instant::now();
        let wait = |failures: &Mutex<Failures>, max| failures.try_lock().ok()?.wait(max, now);
        let of_address = self
            .by_address
            .get(&address.map(network))
            .and_then(|known| wait(&known.failures, self.max_by_address));
        let of_account = account
            .and_then(|account| self.by_account.get(account))
            .and_then(|failures| wait(&failures, self.max_by_account));
        of_address.max(of_account).map_or(Ok(()), |wait| Err(ThrottleError::TooManyFailed(wait)))
    }

    /// Waits for a login's turn. One without an account counts only for its address.
    pub async fn turn(
        &self,
        account: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Turn, ThrottleError> {
        let logins = known(&self.by_address, &address.map(network), || {
            let waiting = Arc::new(Semaphore::new(WAITING_BY_ADDRESS));
            Arc::new(AddressLogins { failures: Arc::default(), waiting })
        });
        let place = |places: &Arc<Semaphore>| {
            places.clone().try_acquire_owned().map_err(|_| ThrottleError::Busy)
        };
        let _places = (place(&logins.waiting)?, place(&self.waiting)?);
        let mut by_address = logins.failures.clone().lock_owned().await;
        let mut by_account = match account {
            Some(account) => {
                let failures = known(&self.by_account, &account.into(), Arc::default);
                Some(failures.lock_owned().await)
            }
            None => None,
        };
        let now = Instant::now();
        let of_address = by_address.wait(self.max_by_address, now);
        let of_account = by_account.as_mut().and_then(|known| known.wait(self.max_by_account, now));
        if let Some(wait) = of_address.max(of_account) {
            return Err(ThrottleError::TooManyFailed(wait));
        }
        let runs = self.running.clone().acquire_owned().await.map_err(|_| ThrottleError::Busy)?;
        Ok(Turn { by_account, by_address, _runs: runs })
    }
}

impl Denials {
    pub fn new() -> Self {
        Self(Cache::new(CAPACITY))
    }

    /// Counts a denied request. A request over the limit is not counted; the error says how long to
    /// wait.
    pub fn count(&self, account: &str) -> Result<(), Duration> {
        let denied = known(&self.0, &account.into(), Arc::default);
        let mut denied = denied.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(wait) = denied.wait(MAX_DENIED, now) {
            return Err(wait);
        }
        denied.0.push_back(now);
        Ok(())
    }
}

impl Turn {
    /// Records a successful login: earlier failures of the account were typos.
    pub fn succeeded(mut self) {
        if let Some(failures) = self.by_account.as_deref_mut() {
            failures.0.clear();
        }
    }

    /// The login failed.
    pub fn failed(&mut self) {
        let now = Instant::now();
        if let Some(failures) = self.by_account.as_deref_mut() {
            failures.0.push_back(now);
        }
        self.by_address.0.push_back(now);
    }
}

impl Failures {
    /// How long to wait if at most `max` may fail within the window; `None`: not at all.
    fn wait(&mut self, max: usize, now: Instant) -> Option<Duration> {
        let counts = |at: &Instant| now.saturating_duration_since(*at) < WINDOW;
        while self.0.front().is_some_and(|at| !counts(at)) {
            self.0.pop_front();
        }
        let too_many = self.0.len().checked_sub(max)?;
        // The next one is allowed once this one expires.
        let last = self.0.get(too_many).copied().unwrap_or(now);
        Some(WINDOW - now.saturating_duration_since(last))
    }
}

/// The network that counts as one client: an IPv6 client usually owns the whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides_and_the_wait_is_true() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut failures = Failures::default();
        for at in [0, 10, 50] {
            assert_eq!(failures.wait(3, start + at * second), None);
            failures.0.push_back(start + at * second);
        }
        for (at, wait) in [(50, Some(10)), (59, Some(1)), (60, None)] {
            let wait: Option<Duration> = wait.map(|wait| wait * second);
            assert_eq!(failures.wait(3, start + at * second), wait, "{at}");
        }
        // An expired failure makes room for a new one.
        failures.0.push_back(start + 61 * second);
        assert_eq!(failures.wait(3, start + 61 * second), Some(9 * second));
        assert_eq!(failures.wait(3, start + 70 * second), None);
        // With a lower limit, more have to expire.
        let mut failures = Failures([0, 10, 50].map(|at| start + at * second).into());
        assert_eq!(failures.wait(1, start + 55 * second), Some(55 * second));
        assert_eq!(Failures::default().wait(0, start), Some(WINDOW));
    }

    #[test]
    fn denials_count_by_account() {
        let denials = Denials::new();
        for _ in 0..MAX_DENIED {
            assert_eq!(denials.count("a"), Ok(()));
        }
        let wait = denials.count("a").unwrap_err();
        assert!(Duration::ZERO < wait && wait <= WINDOW, "{wait:?}");
        assert_eq!(denials.count("b"), Ok(()));
    }

    #[test]
    fn addresses_of_ipv6_count_by_their_64() {
        let network = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2::"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8:1:3::1"), network("2001:db8:1:2::1"));
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
    }
}
