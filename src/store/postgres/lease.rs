//! Connections for changes. sqlx's pool tests each connection that is returned, which costs a round
//! trip for each change; this one tests only connections that have been idle for a while or whose
//! work has failed.

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

/// The maximum age of a connection, as in sqlx's pool.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// How often to check that the server is still working on a change.
const LOOK: Duration = Duration::from_secs(5);
/// How long a change may take after the server should have canceled it.
const GRACE: Duration = Duration::from_secs(5);
/// How long a probe waits for a connection while all are in use.
const PROBE: Duration = Duration::from_secs(1);

/// The connections for changes.
pub(super) struct Leases {
    pool: managed::Pool<Manager>,
    shares: Shares,
    deadline: Option<Duration>,
    /// When a connection was last leased.
    given: Mutex<Instant>,
}

/// Opens connections through a pool of sqlx, which retries while the server starts. They never return
/// to that pool, so each is new and its socket is served by the thread that opened it.
struct Manager {
    opener: PgPool,
    doubt: Doubt,
    writes: bool,
}

/// A connection and the id of its server process.
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
            return Err(RecycleError::message("too old"));
        }
        let connection = &mut served.connection;
        if self.doubt.clears(connection, metrics.last_used(), self.writes).await {
            Ok(())
        } else {
            Err(RecycleError::message("not usable any more"))
        }
    }
}

impl Debug for Leases {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leases").field(&self.pool.status()).finish()
    }
}

impl Leases {
    /// A pool of at most `connections` connections, which `opener` opens.
    ///
    /// # Errors
    ///
    /// Invalid settings of the pool.
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
            // The most recently used connection is surely alive, and this thread probably serves
            // its socket.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| sqlx::Error::Configuration(error.into()))?;
        let deadline = deadlines.map(|deadlines| deadlines.change);
        let shares = Shares::of(max_size.saturating_sub(1), ACQUIRE_TIMEOUT);
        Ok(Self { pool, shares, deadline, given: Mutex::new(Instant::now()) })
    }

    /// Waits for a free connection. One account can use all but one.
    ///
    /// # Errors
    ///
    /// No connection is free in time, or none can be opened.
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

    /// Fails unless a change can get a connection that can write. It does not fail while all are in
    /// use and leased again within the time that a change waits for one: load must not take a
    /// replica out of service.
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

    /// Runs a change on a leased connection, which the server cancels if it takes too long.
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

    /// Runs work on the connection of a server process. Notices if the connection is lost silently:
    /// every few seconds it asks on another connection whether the server is still working.
    ///
    /// # Errors
    ///
    /// Those of the work; [`sqlx::Error::Io`] if the server no longer works for the connection or
    /// cannot be reached. The connection must not be used then.
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

    /// The error for a lost connection. Makes all idle ones suspect.
    fn lost(&self) -> Error {
        self.pool.manager().doubt.raise();
        sqlx::Error::Io(io::Error::new(ErrorKind::TimedOut, "the server has not responded")).into()
    }

    /// The use of the pool.
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

    /// Closes the idle connections and leases no more.
    pub(super) async fn close(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        for served in idle {
            let _gone = timeout(TRUSTED, served.connection.close()).await;
        }
        self.pool.manager().opener.close().await;
    }
}

/// A leased connection. If its work does not finish, it is not reused, since the server may still be
/// working on it.
pub(super) struct Lease {
    object: Option<Object<Manager>>,
    _share: Share,
}

impl Lease {
    /// Returns the connection after the work, unless it was lost or is read-only: then the server
    /// has probably stopped or become a standby, so all idle connections are suspect.
    pub(super) async fn end(mut self, succeeded: bool) {
        let Some(object) = self.object.as_mut() else { return };
        // The test also ends an open transaction.
        if succeeded || connection::ask(&mut object.connection).await == Some(false) {
            self.object = None;
        } else if let Some(pool) = Object::pool(object) {
            pool.manager().doubt.raise();
        }
    }

    /// The connection.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let served = self.object.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        Ok(&mut served.connection)
    }

    /// The id of the server process.
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
