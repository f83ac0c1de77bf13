//! Seals on SQLite. There is one writer at a time, so ids are committed in order. Rows are hashed on a
//! connection that reads; only the seal itself is written.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnection;

use super::backend::SqliteStore;
use super::writer::Writer;
use crate::model::seal::Seal;
use crate::store::Result;
use crate::store::seals::{self, LedgerBase, SealMaker, Stray, Unsealed};

#[async_trait]
impl SealMaker for SqliteStore {
    async fn seal(&self, now: DateTime<Utc>) -> Result<u64> {
        let mut connection = self.sealer()?.acquire().await?;
        let upto = sqlx::query_scalar!("SELECT max(id) AS \"id: i64\" FROM audit_logs")
            .fetch_one(&mut *connection);
        let Some(upto) = upto.await? else { return Ok(0) };
        let mut ledger = DbLedger::over(self, &mut connection);
        seals::seal(&mut ledger, upto, now).await
    }

    async fn unsealed(&self) -> Result<Unsealed> {
        let unsealed = sqlx::query_as!(
            Unsealed,
            r#"WITH RECURSIVE c (id) AS (
                   SELECT ''
                   UNION ALL
                   SELECT (SELECT min(l.controller_id) FROM audit_logs l
                           WHERE l.controller_id > c.id)
                   FROM c WHERE c.id IS NOT NULL),
               chains AS (
                   SELECT c.id, coalesce(
                       (SELECT s.last_id FROM audit_seals s WHERE s.controller_id = c.id
                        ORDER BY s.number DESC LIMIT 1), 0) AS last_id,
                       (SELECT unixepoch(s.created) FROM audit_seals s WHERE s.controller_id = c.id
                        ORDER BY s.number DESC LIMIT 1) AS last_seal
                   FROM c WHERE c.id IS NOT NULL)
               SELECT coalesce(sum((SELECT count(*) FROM (
                       SELECT 1 FROM audit_logs l
                       WHERE l.controller_id = k.id AND l.id > k.last_id LIMIT 100000))), 0)
                       AS "entries!: i64",
                   min((SELECT min(l.id) FROM audit_logs l
                        WHERE l.controller_id = k.id AND l.id > k.last_id)) AS "lowest: i64",
                   (SELECT max(l.id) FROM audit_logs l) AS "highest: i64",
                   max(k.last_seal) AS "last_seal: i64"
               FROM chains k"#
        );
        Ok(unsealed.fetch_one(self.readers()?).await?)
    }
}

/// The ledger, read on one connection and written by the writer.
pub(super) struct DbLedger<'c> {
    pub(super) connection: &'c mut SqliteConnection,
    /// Nothing is written without one.
    writer: Option<&'c Writer>,
}

impl<'c> DbLedger<'c> {
    pub(super) fn over(store: &'c SqliteStore, connection: &'c mut SqliteConnection) -> Self {
        Self { connection, writer: Some(&store.writer) }
    }

    pub(super) fn reading(connection: &'c mut SqliteConnection) -> Self {
        Self { connection, writer: None }
    }
}

#[async_trait]
impl LedgerBase for DbLedger<'_> {
    async fn add(&mut self, seal: Seal) -> Result<bool> {
        let Some(writer) = self.writer else { return Ok(false) };
        writer.run(move |connection| Box::pin(insert(connection, seal))).await
    }

    async fn drawn(&mut self) -> Result<Option<i64>> {
        // The next id follows the highest one, even a forged one.
        Ok(None)
    }

    async fn strays(&mut self) -> Result<Vec<Stray>> {
        let strays = sqlx::query_as!(
            Stray,
            // The database did draw the ids that follow one that is too high.
            "SELECT controller_id, id FROM audit_logs l
             WHERE id <= 0 OR controller_id = '' OR id > 9007199254740991
                 AND NOT EXISTS (SELECT 1 FROM audit_logs b
                                 WHERE b.id = l.id - 1 AND b.id > 9007199254740991)
             ORDER BY id, controller_id"
        );
        Ok(strays.fetch_all(&mut *self.connection).await?)
    }

    async fn newest(&mut self, after: i64) -> Result<Option<DateTime<Utc>>> {
        let newest = sqlx::query_scalar!(
            r#"SELECT max(created) AS "created: String" FROM audit_logs WHERE id > ?1"#,
            after
        );
        let newest = newest.fetch_one(&mut *self.connection).await?;
        // `check` reports invalid instants.
        Ok(newest.and_then(|newest| newest.parse().ok()))
    }
}

async fn insert(connection: &mut SqliteConnection, seal: Seal) -> Result<bool> {
    let Seal { line, previous_hash, digests } = seal;
    // ON CONFLICT would come too late: a trigger rejects the row first.
    let added = sqlx::query!(
        "INSERT INTO audit_seals (controller_id, number, first_id, last_id, entries, details,
             previous_hash, hash, created, digests)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
         WHERE NOT EXISTS (SELECT 1 FROM audit_seals WHERE controller_id = ?1 AND number = ?2)",
        line.controller_id,
        line.number,
        line.first_id,
        line.last_id,
        line.entries,
        line.details,
        previous_hash,
        line.hash,
        line.created,
        digests,
    );
    Ok(added.execute(connection).await?.rows_affected() > 0)
}
