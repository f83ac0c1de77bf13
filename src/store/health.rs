//! How the database is doing: for probes and metrics.

use async_trait::async_trait;
use sqlx::{Database, Pool};

use super::Result;

/// The metric that counts transactions tried again.
pub const RETRIES: &str = "joc_orders_database_retries_total";

/// How many of its connections a pool uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// Which pool: `all`, or what its connections do.
    pub name: &'static str,
    /// Connections that work.
    pub used: u32,
    /// Connections that wait for work.
    pub idle: u32,
    /// How many it may have.
    pub max: u32,
}

/// What a store tells of itself.
#[async_trait]
pub trait Health {
    /// Fails unless the database answers and has exactly this program's migrations.
    async fn ready(&self) -> Result<()>;
    /// How the connections are used.
    fn pools(&self) -> Vec<PoolUse>;
}

pub(super) fn pool_use<DB: Database>(name: &'static str, pool: &Pool<DB>) -> PoolUse {
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    let max = pool.options().get_max_connections();
    PoolUse { name, used: pool.size().saturating_sub(idle), idle, max }
}
