//! Connections for changes. The pool of sqlx asks each connection that comes back whether it is
//! alive, which is a round trip more for each change; these are asked only if they have been idle
//! for a while, or if what they were used for has failed.

use std::fmt::{self, Debug, Formatter};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPool};
use tokio::time::timeout;

use super::connection::{self, ACQUIRE_TIMEOUT, Doubt, TRUSTED};
use crate::store::shares::{self, Share, Shares};
use crate::store::{Access, Deadlines, Error, PoolUse, Result};

/// How old a connection becomes, like those of sqlx's pool.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// How often it is looked whether the server still works on a change.
const LOOK: Duration = Duration::from_secs(5);
/// How long a change may take beyond the time after which the server ends it.
const GRACE: Duration = Duration::from_secs(5);
/// How long a probe waits for a connection while others use them all.
const PROBE: Duration = Duration::from_secs(1);

/// The connections for changes.
pub(super) struct Leases {
    pool: managed::Pool<Manager>,
    shares: Shares,
    deadline: Option<Duration>,
    /// When one was last given out.
    given: Mutex<Instant>,
}

/// Opens connections by a pool of sqlx, which tries again where the server is about to come back.
/// None of them goes back there, so that each is new, and its socket served by the thread that
/// opened it.
struct Manager {
    opener: PgPool,
    doubt: Doubt,
    writes: bool,
}

/// A connection, and the number of the process that serves it.
struct Served {
    connection: PgConnection,
    process: i32,
}

impl managed::Manager for Manager {
    type Type = Served;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Served, sqlx::Error> {
        let mut connection = self.opener.acquire().await?.detach();
        let process = connection::process(&mut connection).await?;
        Ok(Served { connection, process })
    }

    async fn recycle(&self, served: &mut Served, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > MAX_AGE {
            return Err(RecycleError::message("it is too old"));
        }
        let connection = &mut served.connection;
        if self.doubt.clears(connection, metrics.last_used(), self.writes).await {
            Ok(())
        } else {
            Err(RecycleError::message("it cannot be used any more"))
        }
    }
}

impl Debug for Leases {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leases").field(&self.pool.status()).finish()
    }
}

impl Leases {
    /// At most so many connections, each of which the pool opens anew.
    ///
    /// # Errors
    ///
    /// Settings that do not fit together.
    pub(super) fn of(
        connections: u32,
        opener: PgPool,
        access: Access,
        deadlines: Option<Deadlines>,
        doubt: Doubt,
    ) -> Result<Self, sqlx::Error> {
        let writes = access != Access::Read;
        let max_size = connections.try_into().unwrap_or(usize::MAX);
        let pool = managed::Pool::builder(Manager { opener, doubt, writes })
            .max_size(max_size)
            // The one that was used last: it is sure to be alive, and its socket is likely served
            // by this very thread.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| sqlx::Error::Configuration(error.into()))?;
        let deadline = deadlines.map(|deadlines| deadlines.change);
        let shares = Shares::of(max_size.saturating_sub(1), ACQUIRE_TIMEOUT);
        Ok(Self { pool, shares, deadline, given: Mutex::new(Instant::now()) })
    }

    /// A connection, once one is free. One account can have all of them but one.
    ///
    /// # Errors
    ///
    /// None is free in time, or none can be opened.
    pub(super) async fn get(&self) -> Result<Lease> {
        let share = self.shares.take(shares::account()).await?;
        match timeout(ACQUIRE_TIMEOUT, self.pool.get()).await {
            Ok(Ok(object)) => {
                *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                Ok(Lease { object: Some(object), _share: share })
            }
            Ok(Err(PoolError::Backend(error))) => Err(error.into()),
            Err(_) | Ok(Err(PoolError::Timeout(_))) => Err(sqlx::Error::PoolTimedOut.into()),
            Ok(Err(_)) => Err(sqlx::Error::PoolClosed.into()),
        }
    }

    /// Fails unless changes get a connection that lets them write. That all are in use is no
    /// failure for as long as they are given out again within the time that a change waits for one:
    /// load is no reason to take a replica away.
    pub(super) async fn ready(&self) -> Result<()> {
        let status = self.pool.status();
        let all_used = status.available == 0 && status.size == status.max_size;
        let mut lease = if all_used {
            match timeout(PROBE, self.get()).await {
                Ok(lease) => lease?,
                Err(_) => {
                    let given = *self.given.lock().unwrap_or_else(PoisonError::into_inner);
                    return match given.elapsed() {
                        elapsed if elapsed < ACQUIRE_TIMEOUT => Ok(()),
                        _ => Err(sqlx::Error::PoolTimedOut.into()),
                    };
                }
            }
        } else {
            self.get().await?
        };
        match connection::ask(lease.connection()?).await {
            Some(false) => {
                lease.end(true).await;
                Ok(())
            }
            Some(true) => {
                Err(Error::ReadOnly(sqlx::Error::Protocol("transaction_read_only is on".into())))
            }
            None => Err(self.lost()),
        }
    }

    /// Does a change on the connection of a lease, which the server ends if it takes too long.
    ///
    /// # Errors
    ///
    /// As [`Leases::watch`].
    pub(super) async fn change<T>(
        &self,
        process: i32,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let work = self.watch(process, work);
        match self.deadline {
            None => work.await,
            Some(deadline) => match timeout(deadline + GRACE, work).await {
                Ok(result) => result,
                Err(_) => Err(self.lost()),
            },
        }
    }

    /// Does work on a connection that is served by this process. It ends also if the connection is
    /// lost silently: every few seconds another connection shows whether the server still
    /// works for it.
    ///
    /// # Errors
    ///
    /// Those of the work; a lost connection if the server no longer works for it or cannot be
    /// reached. Then the connection must not be used any more.
    pub(super) async fn watch<T>(
        &self,
        process: i32,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut work = pin!(work);
        let options = self.pool.manager().opener.connect_options();
        loop {
            if let Ok(result) = timeout(LOOK, &mut work).await {
                return result;
            }
            tokio::select! {
                result = &mut work => return result,
                works = connection::works(&options, process) => {
                    if !works {
                        return Err(self.lost());
                    }
                }
            }
        }
    }

    /// Connections that were lost together are not tried one by one.
    fn lost(&self) -> Error {
        self.pool.manager().doubt.raise();
        sqlx::Error::Io(io::Error::new(ErrorKind::TimedOut, "the server has not answered")).into()
    }

    /// How the connections are used.
    pub(super) fn pool_use(&self) -> PoolUse {
        let status = self.pool.status();
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
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        for served in idle {
            let _gone = timeout(TRUSTED, served.connection.close()).await;
        }
        self.pool.manager().opener.close().await;
    }
}

/// A connection for some work. Unless the work comes to its end, it is not used again: nobody
/// knows what the server still does on it.
pub(super) struct Lease {
    object: Option<Object<Manager>>,
    _share: Share,
}

impl Lease {
    /// Gives the connection back after the work, unless it was lost with it or only reads.
    pub(super) async fn end(mut self, succeeded: bool) {
        let Some(served) = self.object.as_mut() else { return };
        // That also ends a transaction that was left open.
        if succeeded || connection::ask(&mut served.connection).await == Some(false) {
            self.object = None;
        }
    }

    /// The connection.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let served = self.object.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        Ok(&mut served.connection)
    }

    /// The number of the process that serves it.
    pub(super) fn process(&self) -> i32 {
        self.object.as_ref().map_or(0, |served| served.process)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}
