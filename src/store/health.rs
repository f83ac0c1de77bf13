//! Database health, for probes and metrics.

use async_trait::async_trait;
use sqlx::{Database, Pool};

use super::Result;

/// The metric that counts retried transactions.
pub const RETRIES: &str = "joc_orders_database_retries_total";

/// The name of the pool for everything but changes of orders.
pub const OTHERS: &str = "others";

/// The connections of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// The pool, named after what its connections do.
    pub name: &'static str,
    /// Busy connections.
    pub used: u32,
    /// Idle connections.
    pub idle: u32,
    /// The pool's maximum.
    pub max: u32,
}

/// How far a server's write-ahead log reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The cluster and the database: the same on a primary and its replicas.
    pub of: String,
    /// On a primary the next byte to be written, on a replica the next to be replayed.
    pub at: u64,
}

/// The state of a store.
#[async_trait]
pub trait Health {
    /// Fails unless the database responds and has exactly this program's migrations.
    async fn ready(&self) -> Result<()>;
    /// How far the write-ahead log reaches; `None` if replicas cannot follow such a database.
    async fn position(&self) -> Result<Option<Position>> {
        Ok(None)
    }
    /// How the connections are used.
    fn pools(&self) -> Vec<PoolUse>;
}

pub(super) fn pool_use<DB: Database>(name: &'static str, pool: &Pool<DB>) -> PoolUse {
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    let max = pool.options().get_max_connections();
    PoolUse { name, used: pool.size().saturating_sub(idle), idle, max }
}
