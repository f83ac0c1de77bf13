//! Seals on PostgreSQL. Transactions may commit in a different order than their ids, so entries are
//! sealed only up to an id below which none can appear any more.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use super::backend::PgStore;
use super::citus::Citus;
use super::connection;
use crate::model::seal::Seal;
use crate::store::Result;
use crate::store::seals::{self, LedgerBase, SealMaker, Stray, Unsealed};

/// How long the sealer waits at a time for transactions that may still write earlier entries.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it checks whether they have ended.
const LOOK: Duration = Duration::from_millis(20);

#[async_trait]
impl SealMaker for PgStore {
    async fn seal(&self, now: DateTime<Utc>) -> Result<u64> {
        let mut sealer = self.sealer.acquire().await?;
        let process = connection::process(&mut sealer).await?;
        // No lock: its holder could stop sealing.
        let sealing = async {
            match settled(&mut sealer, self.citus).await? {
                Some(upto) => seals::seal(&mut DbLedger::over(self, &mut sealer), upto, now).await,
                None => Ok(0),
            }
        };
        self.changes.watch(process, sealing).await
    }

    async fn unsealed(&self) -> Result<Unsealed> {
        if self.citus.is_routed {
            let (entries, lowest, highest, last_seal) =
                sqlx::query_as(SPREAD_SUMMARY).fetch_one(&self.pool).await?;
            return Ok(Unsealed { entries, lowest, highest, last_seal });
        }
        let unsealed = sqlx::query_as!(
            Unsealed,
            r#"WITH RECURSIVE c (id) AS (
                   SELECT '' COLLATE "C"
                   UNION ALL
                   SELECT (SELECT min(l.controller_id) FROM audit_logs l
                           WHERE l.controller_id > c.id)
                   FROM c WHERE c.id IS NOT NULL),
               -- Those beyond are forged, and are never sealed.
               drawn AS MATERIALIZED (
                   SELECT least((SELECT last_drawn_id()), 9007199254740991) AS id),
               chains AS (
                   SELECT c.id, coalesce(
                       (SELECT s.last_id FROM audit_seals s WHERE s.controller_id = c.id
                        ORDER BY s.number DESC LIMIT 1), 0) AS last_id,
                       (SELECT extract(epoch FROM s.created) FROM audit_seals s
                        WHERE s.controller_id = c.id AND isfinite(s.created)
                        ORDER BY s.number DESC LIMIT 1) AS last_seal
                   FROM c WHERE c.id IS NOT NULL)
               SELECT coalesce(sum((SELECT count(*) FROM (
                       SELECT 1 FROM audit_logs l
                       WHERE l.controller_id = k.id AND l.id > k.last_id
                           AND l.id <= (SELECT d.id FROM drawn d) LIMIT 100000) n)), 0)::bigint
                       AS "entries!",
                   min((SELECT min(l.id) FROM audit_logs l
                        WHERE l.controller_id = k.id AND l.id > k.last_id
                            AND l.id <= (SELECT d.id FROM drawn d))) AS lowest,
                   (SELECT max(l.id) FROM audit_logs l
                    WHERE l.id <= (SELECT d.id FROM drawn d)) AS highest,
                   max(k.last_seal)::bigint AS last_seal
               FROM chains k"#
        );
        Ok(unsealed.fetch_one(&self.pool).await?)
    }

    async fn make_partitions(&self) -> Result<u32> {
        let made = sqlx::query_scalar!(r#"SELECT make_audit_partitions() AS "made!""#);
        let mut sealer = self.sealer.acquire().await?;
        Ok(made.fetch_one(&mut *sealer).await?.unsigned_abs())
    }
}

/// An id up to which no new entry can appear; `None` if there is no entry.
///
/// A transaction draws an id while it holds a lock on the table, which it keeps until it ends. So once
/// all current holders have ended, every id up to the highest visible one is settled. This blocks no
/// one, and transactions that write elsewhere do not matter.
async fn settled(connection: &mut PgConnection, citus: Citus) -> Result<Option<i64>> {
    // A forged id that was never drawn would leave no room for later seals.
    let upto = sqlx::query_scalar!(
        "SELECT max(id) FROM audit_logs
         WHERE id <= least((SELECT last_drawn_id()), 9007199254740991)"
    )
    .fetch_one(&mut *connection);
    let Some(upto) = upto.await? else { return Ok(None) };
    let began = Instant::now();
    let mut writers = writers(connection).await?;
    while !writers.is_empty() {
        if began.elapsed() > PATIENCE {
            tracing::warn!(
                transactions = ?writers,
                "the audit trail is not sealed: transactions that write to it have not ended"
            );
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
        let present = self::writers(connection).await?;
        writers.retain(|writer| present.contains(writer));
    }
    // One that is over here may still be in doubt on the server that has its rows.
    Ok(citus.is_settled(connection, began + PATIENCE).await?.then_some(upto))
}

/// The transactions that may have written to `audit_logs`.
async fn writers(connection: &mut PgConnection) -> Result<Vec<String>> {
    let writers = sqlx::query_scalar!(
        r#"SELECT DISTINCT virtualtransaction AS "writer!" FROM pg_locks
           WHERE locktype = 'relation' AND relation = 'audit_logs'::regclass
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND mode = 'RowExclusiveLock' AND granted"#
    );
    Ok(writers.fetch_all(connection).await?)
}

// Citus refuses the recursive statements, which skip from controller to controller in an index.
// These read every entry, but on all servers at once.

/// The controllers with entries after their last seal.
const SPREAD_UNSEALED: &str = "SELECT l.controller_id
     FROM (SELECT controller_id, max(id) AS last_id FROM audit_logs GROUP BY controller_id) l
     LEFT JOIN (SELECT controller_id, max(last_id) AS last_id FROM audit_seals
                GROUP BY controller_id) s ON s.controller_id = l.controller_id
     WHERE l.last_id > coalesce(s.last_id, 0) ORDER BY l.controller_id";

/// The controllers with entries, details or seals.
const SPREAD_CHAINS: &str = "SELECT controller_id FROM audit_logs
     UNION SELECT controller_id FROM audit_seals
     UNION SELECT controller_id FROM audit_log_details ORDER BY controller_id";

/// What is not sealed.
const SPREAD_SUMMARY: &str = "SELECT coalesce(sum(c.entries), 0)::bigint AS entries,
         min(c.lowest) AS lowest, max(c.highest) AS highest,
         max(extract(epoch FROM c.last_seal))::bigint AS last_seal
     FROM (
         SELECT l.controller_id, max(l.id) AS highest, max(s.created) AS last_seal,
             count(*) FILTER (WHERE l.id > coalesce(s.last_id, 0)) AS entries,
             min(l.id) FILTER (WHERE l.id > coalesce(s.last_id, 0)) AS lowest
         FROM audit_logs l
         LEFT JOIN (SELECT controller_id, max(last_id) AS last_id,
                        max(created) FILTER (WHERE isfinite(created)) AS created
                    FROM audit_seals GROUP BY controller_id) s
             ON s.controller_id = l.controller_id
         WHERE l.id <= least((SELECT last_drawn_id()), 9007199254740991)
         GROUP BY l.controller_id) c";

/// The ledger, on one connection.
pub(super) struct DbLedger<'c> {
    pub(super) connection: &'c mut PgConnection,
    /// Whether Citus may have spread the tables; `None`: look it up.
    is_spread: Option<bool>,
}

impl<'c> DbLedger<'c> {
    pub(super) fn over(store: &PgStore, connection: &'c mut PgConnection) -> Self {
        Self { connection, is_spread: Some(store.citus.is_routed) }
    }

    pub(super) fn reading(connection: &'c mut PgConnection) -> Self {
        Self { connection, is_spread: None }
    }
}

impl DbLedger<'_> {
    async fn spread(&mut self, sql: &'static str) -> Result<Option<Vec<String>>> {
        let is_spread = match self.is_spread {
            Some(known) => known,
            None => Citus::of(self.connection).await?.is_routed,
        };
        if !is_spread {
            return Ok(None);
        }
        Ok(Some(sqlx::query_scalar(sql).fetch_all(&mut *self.connection).await?))
    }
}

#[async_trait]
impl LedgerBase for DbLedger<'_> {
    async fn add(&mut self, seal: Seal) -> Result<bool> {
        let added = sqlx::query!(
            // The trigger ignores a number that is taken.
            "INSERT INTO audit_seals (controller_id, number, first_id, last_id, entries, details,
                 previous_hash, hash, created, digests)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::timestamptz, $10)
             ON CONFLICT DO NOTHING",
            seal.line.controller_id,
            seal.line.number,
            seal.line.first_id,
            seal.line.last_id,
            seal.line.entries,
            seal.line.details,
            seal.previous_hash,
            seal.line.hash,
            seal.line.created,
            seal.digests,
        );
        Ok(added.execute(&mut *self.connection).await?.rows_affected() > 0)
    }

    async fn spread_unsealed(&mut self) -> Result<Option<Vec<String>>> {
        self.spread(SPREAD_UNSEALED).await
    }

    async fn spread_chains(&mut self) -> Result<Option<Vec<String>>> {
        self.spread(SPREAD_CHAINS).await
    }

    async fn drawn(&mut self) -> Result<Option<i64>> {
        let drawn = sqlx::query_scalar!("SELECT last_drawn_id()");
        Ok(drawn.fetch_one(&mut *self.connection).await?)
    }

    async fn strays(&mut self) -> Result<Vec<Stray>> {
        // An id is drawn before its row is visible.
        let strays = sqlx::query_as!(
            Stray,
            "SELECT controller_id, id FROM audit_logs
             WHERE id <= 0 OR id > least((SELECT last_drawn_id()), 9007199254740991)
                 OR controller_id = ''
             ORDER BY id, controller_id"
        );
        Ok(strays.fetch_all(&mut *self.connection).await?)
    }

    async fn newest(&mut self, after: i64) -> Result<Option<DateTime<Utc>>> {
        let newest = sqlx::query_scalar!(
            "SELECT max(created) FROM audit_logs
             WHERE id > $1 AND created >= '0001-01-01T00:00:00Z'
                 AND created < '10000-01-01T00:00:00Z'",
            after
        );
        Ok(newest.fetch_one(&mut *self.connection).await?)
    }
}
