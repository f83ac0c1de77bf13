//! Connections for changes. The pool of sqlx asks each connection that comes back whether it is
//! alive, which is a round trip more for each change; these are asked only if they have been idle
//! for a while, or if what they were used for has failed.

use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, Error};
use tokio::time::timeout;

use super::{ACQUIRE_TIMEOUT, TRUSTED};
use crate::store::PoolUse;

/// How old a connection becomes, like those of sqlx's pool.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// The connections for changes.
pub(super) struct Leases(managed::Pool<Manager>);

/// Opens connections by a pool of sqlx, which tries again where the server is about to come back.
/// None of them goes back there, so that each is new, and its socket served by the thread that
/// opened it.
struct Manager(PgPool);

impl managed::Manager for Manager {
    type Type = PgConnection;
    type Error = Error;

    async fn create(&self) -> Result<PgConnection, Error> {
        Ok(self.0.acquire().await?.detach())
    }

    async fn recycle(
        &self,
        connection: &mut PgConnection,
        metrics: &Metrics,
    ) -> RecycleResult<Error> {
        if metrics.age() > MAX_AGE {
            return Err(RecycleError::message("it is too old"));
        }
        if metrics.last_used() > TRUSTED {
            connection.ping().await?;
        }
        Ok(())
    }
}

impl Debug for Leases {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leases").field(&self.0.status()).finish()
    }
}

impl Leases {
    /// At most so many connections, each of which the pool opens anew.
    ///
    /// # Errors
    ///
    /// Settings that do not fit together.
    pub(super) fn of(connections: u32, opener: PgPool) -> Result<Self, Error> {
        let pool = managed::Pool::builder(Manager(opener))
            .max_size(connections.try_into().unwrap_or(usize::MAX))
            // The one that was used last: it is sure to be alive, and its socket is likely served
            // by this very thread.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(ACQUIRE_TIMEOUT))
            .recycle_timeout(Some(ACQUIRE_TIMEOUT))
            .build()
            .map_err(|error| Error::Configuration(error.into()))?;
        Ok(Self(pool))
    }

    /// A connection, once one is free.
    ///
    /// # Errors
    ///
    /// None is free in time, or none can be opened.
    pub(super) async fn get(&self) -> Result<Lease, Error> {
        match self.0.get().await {
            Ok(object) => Ok(Lease(Some(object))),
            Err(PoolError::Backend(error)) => Err(error),
            Err(PoolError::Timeout(_)) => Err(Error::PoolTimedOut),
            Err(_) => Err(Error::PoolClosed),
        }
    }

    /// How the connections are used.
    pub(super) fn pool_use(&self) -> PoolUse {
        let status = self.0.status();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        PoolUse {
            name: "changes",
            used: count(status.size.saturating_sub(status.available)),
            idle: count(status.available),
            max: count(status.max_size),
        }
    }

    /// Closes the connections that nobody uses; nobody gets one any more.
    pub(super) async fn close(&self) {
        let idle = self.0.retain(|_, _| false).removed;
        self.0.close();
        for connection in idle {
            let _gone = connection.close().await;
        }
        self.0.manager().0.close().await;
    }
}

/// A connection for some work. Unless the work comes to its end, it is not used again: nobody
/// knows what the server still does on it.
pub(super) struct Lease(Option<Object<Manager>>);

impl Lease {
    /// Gives the connection back after the work, unless it was lost with it.
    pub(super) async fn end(mut self, succeeded: bool) {
        let Some(connection) = self.0.as_mut() else { return };
        // That also ends a transaction that was left open.
        if succeeded || matches!(timeout(TRUSTED, connection.ping()).await, Ok(Ok(()))) {
            self.0 = None;
        }
    }

    /// The connection.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, Error> {
        self.0.as_deref_mut().ok_or(Error::PoolClosed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}
