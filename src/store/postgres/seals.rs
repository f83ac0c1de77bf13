//! Seals on PostgreSQL. Transactions may commit in another order than that of their ids, so what
//! is sealed goes only up to an id before which nothing can come any more.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::postgres::PgConnection;

use super::{PgStore, connection};
use crate::model::seal::{DetailRow, EntryRow, Seal, SealLine};
use crate::store::Result;
use crate::store::seals::strays::Stray;
use crate::store::seals::{
    self, Due, Ledger, PAGE, Range, Report, SealRow, Seals, Unsealed, Verified,
};

/// How long the sealer waits, in one go, for those who may still write what comes before.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks whether they have ended.
const LOOK: Duration = Duration::from_millis(20);

#[async_trait]
impl Seals for PgStore {
    async fn seal(&self, now: DateTime<Utc>) -> Result<u64> {
        let mut sealer = self.sealer.acquire().await?;
        let process = connection::process(&mut sealer).await?;
        // No lock: whoever held it could stop sealing.
        let sealing = async {
            match settled(&mut sealer).await? {
                Some(upto) => seals::seal(&mut PgLedger(&mut sealer), upto, now).await,
                None => Ok(0),
            }
        };
        self.changes.watch(process, sealing).await
    }

    async fn unsealed(&self) -> Result<Unsealed> {
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

    async fn verify(&self, due: Due, report: Report<'_>) -> Result<Vec<Verified>> {
        let mut connection = self.pool.acquire().await?;
        seals::verify(&mut PgLedger(&mut connection), due, report).await
    }

    async fn export_seals(&self, to: &mut (dyn FnMut(SealLine) -> bool + Send)) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        let mut lines = sqlx::query_as!(
            SealLine,
            r#"SELECT controller_id, number, first_id, last_id, entries, details, hash,
                   CASE WHEN created >= '0001-01-01Z' AND isfinite(created)
                       THEN to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                       ELSE created::text END AS "created!"
               FROM audit_seals ORDER BY controller_id, number"#,
        )
        .fetch(&mut *connection);
        while let Some(line) = lines.try_next().await?
            && to(line)
        {}
        Ok(())
    }

    async fn find_seal(&self, controller_id: &str, number: i64) -> Result<Option<SealLine>> {
        let line = sqlx::query_as!(
            SealLine,
            r#"SELECT controller_id, number, first_id, last_id, entries, details, hash,
                   CASE WHEN created >= '0001-01-01Z' AND isfinite(created)
                       THEN to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                       ELSE created::text END AS "created!"
               FROM audit_seals WHERE controller_id = $1 AND number = $2"#,
            controller_id,
            number,
        );
        Ok(line.fetch_optional(&self.pool).await?)
    }
}

/// An id up to which entries are either there or will never be, if there is any entry.
///
/// An id is drawn while its transaction holds a lock on the table, which it keeps until its end.
/// So once all who hold one now have gone, every id up to the highest that is seen is settled.
/// Others are not held up by this, and a transaction that writes elsewhere does not matter.
async fn settled(connection: &mut PgConnection) -> Result<Option<i64>> {
    // A forged id that nobody has drawn would leave no room for the seals to come.
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
    Ok(Some(upto))
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

struct PgLedger<'c>(&'c mut PgConnection);

#[async_trait]
impl Ledger for PgLedger<'_> {
    async fn unsealed(&mut self) -> Result<Vec<String>> {
        let controllers = sqlx::query_scalar!(
            r#"WITH RECURSIVE c (id) AS (
                   SELECT '' COLLATE "C"
                   UNION ALL
                   SELECT (SELECT min(l.controller_id) FROM audit_logs l
                           WHERE l.controller_id > c.id)
                   FROM c WHERE c.id IS NOT NULL)
               SELECT c.id AS "id!" FROM c
               WHERE (SELECT max(l.id) FROM audit_logs l WHERE l.controller_id = c.id) > coalesce(
                   (SELECT s.last_id FROM audit_seals s WHERE s.controller_id = c.id
                    ORDER BY s.number DESC LIMIT 1), 0)"#
        );
        Ok(controllers.fetch_all(&mut *self.0).await?)
    }

    async fn chains(&mut self) -> Result<Vec<String>> {
        let controllers = sqlx::query_scalar!(
            r#"WITH RECURSIVE c (id) AS (
                   SELECT '' COLLATE "C"
                   UNION ALL
                   SELECT (SELECT min(n.id) FROM (
                       SELECT min(l.controller_id) AS id FROM audit_logs l
                       WHERE l.controller_id > c.id
                       UNION ALL
                       SELECT min(s.controller_id) FROM audit_seals s
                       WHERE s.controller_id > c.id
                       UNION ALL
                       SELECT min(d.controller_id) FROM audit_log_details d
                       WHERE d.controller_id > c.id) n)
                   FROM c WHERE c.id IS NOT NULL)
               SELECT c.id AS "id!" FROM c
               WHERE c.id > '' OR c.id = '' AND (
                   EXISTS (SELECT 1 FROM audit_logs l WHERE l.controller_id = c.id)
                   OR EXISTS (SELECT 1 FROM audit_seals s WHERE s.controller_id = c.id)
                   OR EXISTS (SELECT 1 FROM audit_log_details d WHERE d.controller_id = c.id))"#
        );
        Ok(controllers.fetch_all(&mut *self.0).await?)
    }

    async fn last(&mut self, controller_id: &str) -> Result<Option<SealLine>> {
        let line = sqlx::query_as!(
            SealLine,
            r#"SELECT controller_id, number, first_id, last_id, entries, details, hash,
                   CASE WHEN created >= '0001-01-01Z' AND isfinite(created)
                       THEN to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                       ELSE created::text END AS "created!"
               FROM audit_seals WHERE controller_id = $1 ORDER BY number DESC LIMIT 1"#,
            controller_id,
        );
        Ok(line.fetch_optional(&mut *self.0).await?)
    }

    fn page<'a>(
        &'a mut self,
        controller_id: &'a str,
        after: i64,
    ) -> BoxStream<'a, sqlx::Result<SealRow>> {
        sqlx::query_as!(
            SealRow,
            r#"SELECT controller_id, number, first_id, last_id, entries, details, previous_hash,
                   hash, CASE WHEN created >= '0001-01-01Z' AND isfinite(created)
                       THEN to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                       ELSE created::text END AS "created!", digests
               FROM audit_seals WHERE controller_id = $1 AND number > $2
               ORDER BY number LIMIT $3"#,
            controller_id,
            after,
            PAGE,
        )
        .fetch(&mut *self.0)
    }

    async fn count(&mut self, controller_id: &str, after: i64) -> Result<i64> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM audit_logs WHERE controller_id = $1 AND id > $2"#,
            controller_id,
            after,
        );
        Ok(count.fetch_one(&mut *self.0).await?)
    }

    fn entries<'a>(
        &'a mut self,
        range: Range<'a>,
        limit: i64,
    ) -> BoxStream<'a, sqlx::Result<EntryRow>> {
        sqlx::query_as!(
            EntryRow,
            r#"SELECT controller_id, id, account, request, parameters::text AS "parameters!", category,
                   comment, time_spent, ticket_link, outcome, affected, request_id,
                   client_address, CASE WHEN created >= '0001-01-01Z' AND isfinite(created)
                       THEN to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                       ELSE created::text END AS "created!"
               FROM audit_logs WHERE controller_id = $1 AND id > $2 AND id <= $3
               ORDER BY id LIMIT $4"#,
            range.controller_id,
            range.after,
            range.upto,
            limit,
        )
        .fetch(&mut *self.0)
    }

    fn details<'a>(&'a mut self, range: Range<'a>) -> BoxStream<'a, sqlx::Result<DetailRow>> {
        sqlx::query_as!(
            DetailRow,
            r#"SELECT controller_id, audit_log_id, order_id, workflow_path, workflow_version_id,
                   folder, previous_state, new_state, mark, kill, via_parent,
                   CASE WHEN created >= '0001-01-01Z' AND isfinite(created)
                       THEN to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                       ELSE created::text END AS "created!"
               FROM audit_log_details
               WHERE controller_id = $1 AND audit_log_id > $2 AND audit_log_id <= $3
               ORDER BY audit_log_id, order_id"#,
            range.controller_id,
            range.after,
            range.upto,
        )
        .fetch(&mut *self.0)
    }

    async fn add(&mut self, seal: Seal) -> Result<bool> {
        let added = sqlx::query!(
            // A trigger lets a number that is taken come here.
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
        Ok(added.execute(&mut *self.0).await?.rows_affected() > 0)
    }

    async fn drawn(&mut self) -> Result<Option<i64>> {
        let drawn = sqlx::query_scalar!("SELECT last_drawn_id()");
        Ok(drawn.fetch_one(&mut *self.0).await?)
    }

    async fn strays(&mut self) -> Result<Vec<Stray>> {
        // An id is drawn before its row can be seen.
        let strays = sqlx::query_as!(
            Stray,
            "SELECT controller_id, id FROM audit_logs
             WHERE id <= 0 OR id > least((SELECT last_drawn_id()), 9007199254740991)
                 OR controller_id = ''
             ORDER BY id, controller_id"
        );
        Ok(strays.fetch_all(&mut *self.0).await?)
    }

    async fn newest(&mut self, after: i64) -> Result<Option<DateTime<Utc>>> {
        let newest = sqlx::query_scalar!(
            "SELECT max(created) FROM audit_logs
             WHERE id > $1 AND created >= '0001-01-01T00:00:00Z'
                 AND created < '10000-01-01T00:00:00Z'",
            after
        );
        Ok(newest.fetch_one(&mut *self.0).await?)
    }

    async fn overdue(
        &mut self,
        controller_id: &str,
        after: i64,
        due: DateTime<Utc>,
    ) -> Result<(i64, Option<i64>)> {
        let overdue = sqlx::query!(
            r#"SELECT count(*) AS "entries!", min(id) AS first FROM audit_logs
               WHERE controller_id = $1 AND id > $2 AND created < $3"#,
            controller_id,
            after,
            due,
        );
        let overdue = overdue.fetch_one(&mut *self.0).await?;
        Ok((overdue.entries, overdue.first))
    }

    async fn orphans(&mut self, controller_id: &str, after: i64) -> Result<Vec<(i64, i64)>> {
        let orphans = sqlx::query!(
            r#"SELECT d.audit_log_id, count(*) AS "details!" FROM audit_log_details d
               WHERE d.controller_id = $1 AND (d.audit_log_id > $2 OR d.audit_log_id <= 0)
                   AND NOT EXISTS (SELECT 1 FROM audit_logs l
                                   WHERE l.controller_id = d.controller_id AND l.id = d.audit_log_id)
               GROUP BY d.audit_log_id ORDER BY d.audit_log_id"#,
            controller_id,
            after,
        );
        let orphans = orphans.fetch_all(&mut *self.0).await?;
        Ok(orphans.into_iter().map(|orphan| (orphan.audit_log_id, orphan.details)).collect())
    }
}
