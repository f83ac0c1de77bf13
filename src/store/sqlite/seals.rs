//! Seals on SQLite. There is one writer at a time, so ids follow one another as they are
//! committed; rows are hashed on a connection that reads, and only the seal itself is written.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::writer::Writer;
use crate::model::seal::{DetailRow, EntryRow, Seal, SealLine};
use crate::model::window::iso;
use crate::store::Result;
use crate::store::seals::strays::Stray;
use crate::store::seals::{
    self, Due, Ledger, PAGE, Range, Report, SealRow, Seals, Unsealed, Verified,
};

#[async_trait]
impl Seals for SqliteStore {
    async fn seal(&self, now: DateTime<Utc>) -> Result<u64> {
        let mut connection = self.sealer()?.acquire().await?;
        let upto = sqlx::query_scalar!("SELECT max(id) AS \"id: i64\" FROM audit_logs")
            .fetch_one(&mut *connection);
        let Some(upto) = upto.await? else { return Ok(0) };
        let mut ledger = SqliteLedger { reader: &mut connection, writer: &self.writer };
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

    async fn verify(&self, due: Due, report: Report<'_>) -> Result<Vec<Verified>> {
        let mut connection = self.readers()?.acquire().await?;
        let mut ledger = SqliteLedger { reader: &mut connection, writer: &self.writer };
        seals::verify(&mut ledger, due, report).await
    }

    async fn export_seals(&self, to: &mut (dyn FnMut(SealLine) -> bool + Send)) -> Result<()> {
        let mut connection = self.readers()?.acquire().await?;
        let mut lines = sqlx::query_as!(
            SealLine,
            r#"SELECT controller_id, number, first_id, last_id, entries, details, hash,
                   created
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
                   created
               FROM audit_seals WHERE controller_id = ?1 AND number = ?2"#,
            controller_id,
            number,
        );
        Ok(line.fetch_optional(self.readers()?).await?)
    }
}

struct SqliteLedger<'c> {
    reader: &'c mut SqliteConnection,
    writer: &'c Writer,
}

#[async_trait]
impl Ledger for SqliteLedger<'_> {
    async fn unsealed(&mut self) -> Result<Vec<String>> {
        let controllers = sqlx::query_scalar!(
            r#"WITH RECURSIVE c (id) AS (
                   SELECT ''
                   UNION ALL
                   SELECT (SELECT min(l.controller_id) FROM audit_logs l
                           WHERE l.controller_id > c.id)
                   FROM c WHERE c.id IS NOT NULL)
               SELECT c.id AS "id!: String" FROM c
               WHERE (SELECT max(l.id) FROM audit_logs l WHERE l.controller_id = c.id) > coalesce(
                   (SELECT s.last_id FROM audit_seals s WHERE s.controller_id = c.id
                    ORDER BY s.number DESC LIMIT 1), 0)"#
        );
        Ok(controllers.fetch_all(&mut *self.reader).await?)
    }

    async fn chains(&mut self) -> Result<Vec<String>> {
        let controllers = sqlx::query_scalar!(
            r#"WITH RECURSIVE c (id) AS (
                   SELECT ''
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
               SELECT c.id AS "id!: String" FROM c
               WHERE c.id > '' OR c.id = '' AND (
                   EXISTS (SELECT 1 FROM audit_logs l WHERE l.controller_id = c.id)
                   OR EXISTS (SELECT 1 FROM audit_seals s WHERE s.controller_id = c.id)
                   OR EXISTS (SELECT 1 FROM audit_log_details d WHERE d.controller_id = c.id))"#
        );
        Ok(controllers.fetch_all(&mut *self.reader).await?)
    }

    async fn last(&mut self, controller_id: &str) -> Result<Option<SealLine>> {
        let line = sqlx::query_as!(
            SealLine,
            r#"SELECT controller_id, number, first_id, last_id, entries, details, hash,
                   created
               FROM audit_seals WHERE controller_id = ?1 ORDER BY number DESC LIMIT 1"#,
            controller_id,
        );
        Ok(line.fetch_optional(&mut *self.reader).await?)
    }

    fn page<'a>(
        &'a mut self,
        controller_id: &'a str,
        after: i64,
    ) -> BoxStream<'a, sqlx::Result<SealRow>> {
        sqlx::query_as!(
            SealRow,
            r#"SELECT controller_id, number, first_id, last_id, entries, details, previous_hash,
                   hash, created, digests
               FROM audit_seals WHERE controller_id = ?1 AND number > ?2
               ORDER BY number LIMIT ?3"#,
            controller_id,
            after,
            PAGE,
        )
        .fetch(&mut *self.reader)
    }

    async fn count(&mut self, controller_id: &str, after: i64) -> Result<i64> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM audit_logs WHERE controller_id = ?1 AND id > ?2"#,
            controller_id,
            after,
        );
        Ok(count.fetch_one(&mut *self.reader).await?)
    }

    fn entries<'a>(
        &'a mut self,
        range: Range<'a>,
        limit: i64,
    ) -> BoxStream<'a, sqlx::Result<EntryRow>> {
        sqlx::query_as!(
            EntryRow,
            r#"SELECT controller_id, id, account, request, parameters AS "parameters!", category,
                   comment, time_spent, ticket_link, outcome, affected, request_id,
                   client_address, created
               FROM audit_logs WHERE controller_id = ?1 AND id > ?2 AND id <= ?3
               ORDER BY id LIMIT ?4"#,
            range.controller_id,
            range.after,
            range.upto,
            limit,
        )
        .fetch(&mut *self.reader)
    }

    fn details<'a>(&'a mut self, range: Range<'a>) -> BoxStream<'a, sqlx::Result<DetailRow>> {
        sqlx::query_as!(
            DetailRow,
            r#"SELECT controller_id, audit_log_id, order_id, workflow_path, workflow_version_id,
                   folder, previous_state, new_state, mark, kill AS "kill: bool", via_parent,
                   created
               FROM audit_log_details
               WHERE controller_id = ?1 AND audit_log_id > ?2 AND audit_log_id <= ?3
               ORDER BY audit_log_id, order_id"#,
            range.controller_id,
            range.after,
            range.upto,
        )
        .fetch(&mut *self.reader)
    }

    async fn add(&mut self, seal: Seal) -> Result<bool> {
        self.writer.run(move |connection| Box::pin(insert(connection, seal))).await
    }

    async fn drawn(&mut self) -> Result<Option<i64>> {
        // It follows the highest id that there is, whoever chose that.
        Ok(None)
    }

    async fn strays(&mut self) -> Result<Vec<Stray>> {
        let strays = sqlx::query_as!(
            Stray,
            // Those that follow one that is too high were drawn.
            "SELECT controller_id, id FROM audit_logs l
             WHERE id <= 0 OR controller_id = '' OR id > 9007199254740991
                 AND NOT EXISTS (SELECT 1 FROM audit_logs b
                                 WHERE b.id = l.id - 1 AND b.id > 9007199254740991)
             ORDER BY id, controller_id"
        );
        Ok(strays.fetch_all(&mut *self.reader).await?)
    }

    async fn newest(&mut self, after: i64) -> Result<Option<DateTime<Utc>>> {
        let newest = sqlx::query_scalar!(
            r#"SELECT max(created) AS "created: String" FROM audit_logs WHERE id > ?1"#,
            after
        );
        let newest = newest.fetch_one(&mut *self.reader).await?;
        // What is no instant is for `check` to name.
        Ok(newest.and_then(|newest| newest.parse().ok()))
    }

    async fn overdue(
        &mut self,
        controller_id: &str,
        after: i64,
        due: DateTime<Utc>,
    ) -> Result<(i64, Option<i64>)> {
        let due = iso(&due);
        let overdue = sqlx::query!(
            r#"SELECT count(*) AS "entries!: i64", min(id) AS "first: i64" FROM audit_logs
               WHERE controller_id = ?1 AND id > ?2 AND created < ?3"#,
            controller_id,
            after,
            due,
        );
        let overdue = overdue.fetch_one(&mut *self.reader).await?;
        Ok((overdue.entries, overdue.first))
    }

    async fn orphans(&mut self, controller_id: &str, after: i64) -> Result<Vec<(i64, i64)>> {
        let orphans = sqlx::query!(
            r#"SELECT d.audit_log_id, count(*) AS "details!: i64" FROM audit_log_details d
               WHERE d.controller_id = ?1 AND (d.audit_log_id > ?2 OR d.audit_log_id <= 0)
                   AND NOT EXISTS (SELECT 1 FROM audit_logs l
                                   WHERE l.controller_id = d.controller_id AND l.id = d.audit_log_id)
               GROUP BY d.audit_log_id ORDER BY d.audit_log_id"#,
            controller_id,
            after,
        );
        let orphans = orphans.fetch_all(&mut *self.reader).await?;
        Ok(orphans.into_iter().map(|orphan| (orphan.audit_log_id, orphan.details)).collect())
    }
}

async fn insert(connection: &mut SqliteConnection, seal: Seal) -> Result<bool> {
    let Seal { line, previous_hash, digests } = seal;
    // ON CONFLICT would come too late: a trigger refuses the row before.
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
