//! Citus, which spreads the tables by controller over several servers. A statement that names one
//! controller is done by the server that has it; a transaction of such statements commits in one
//! phase.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;

use crate::store::Result;

/// How often to check whether transactions have ended.
const LOOK: Duration = Duration::from_millis(20);

/// How this database wants its statements.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Citus {
    /// Whether it has Citus.
    pub is_there: bool,
    /// Whether a change takes several statements, each for one server. So it is with Citus, and,
    /// for tests, where the setting `joc_orders.routed` is on.
    pub is_routed: bool,
}

impl Citus {
    /// Looks it up.
    pub(super) async fn of(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let (is_there, is_wanted): (bool, bool) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus'),
                 coalesce(current_setting('joc_orders.routed', true), '') = 'on'",
        )
        .persistent(false)
        .fetch_one(connection)
        .await?;
        Ok(Self { is_there, is_routed: is_there || is_wanted })
    }

    /// Waits until every transaction has ended that any server has now and that may write to the
    /// audit trail, prepared ones included. Without Citus there is nothing to wait for.
    ///
    /// # Returns
    ///
    /// Whether they have all ended by `until`, as far as every server says so.
    pub(super) async fn is_settled(
        self,
        connection: &mut PgConnection,
        until: Instant,
    ) -> Result<bool> {
        if !self.is_there {
            return Ok(true);
        }
        let Some(mut writers) = writers(connection).await? else { return Ok(false) };
        while !writers.is_empty() {
            if Instant::now() > until {
                tracing::warn!(transactions = ?writers, "transactions on other servers are in doubt");
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
            let Some(present) = self::writers(connection).await? else { return Ok(false) };
            writers.retain(|writer| present.contains(writer));
        }
        Ok(true)
    }
}

/// The transactions on all servers that may have written to a shard of `audit_logs`, or are
/// prepared; `None` if a server does not say.
async fn writers(connection: &mut PgConnection) -> Result<Option<Vec<String>>> {
    let answers: Vec<(i32, bool, String)> = sqlx::query_as(
        "SELECT nodeid, success, result FROM run_command_on_all_nodes($$
             SELECT coalesce(string_agg(DISTINCT w.id, ' '), '') FROM (
                 SELECT l.virtualtransaction AS id FROM pg_locks l
                 JOIN pg_class c ON c.oid = l.relation
                 WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
                     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND c.relname ~ '^audit_logs_[0-9]+$'
                 UNION
                 SELECT gid FROM pg_prepared_xacts
                 WHERE gid LIKE 'citus%' AND database = current_database()) w $$)",
    )
    .fetch_all(connection)
    .await?;
    let mut writers = Vec::new();
    for (node, success, result) in answers {
        if !success {
            tracing::warn!(node, error = result, "a server does not tell its transactions");
            return Ok(None);
        }
        writers.extend(result.split_whitespace().map(|id| format!("{node}:{id}")));
    }
    Ok(Some(writers))
}

/// Over how many servers the tables are distributed; `None`: not at all.
pub(super) async fn distribution(connection: &mut PgConnection) -> Result<Option<u32>> {
    if !Citus::of(connection).await?.is_there {
        return Ok(None);
    }
    let servers: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT p.groupid) FROM pg_dist_shard s JOIN pg_dist_placement p USING (shardid)
         WHERE s.logicalrelid = to_regclass('orders')",
    )
    .fetch_one(connection)
    .await?;
    Ok(u32::try_from(servers).ok().filter(|servers| *servers > 0))
}
