//! The seals and the rows that they cover.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

use super::archive;
use super::backend::{Backend, instant};
use super::checked::{query, query_as, query_scalar};
use super::sealing::DbLedger;
use crate::model::archive::Cut;
use crate::model::seal::{DetailRow, EntryRow, SealLine};
use crate::store::Result;
use crate::store::seals::{
    self, Due, FindingSink, Ledger, LedgerBase, PAGE, Range, SealRow, Seals, Verified,
};

#[async_trait]
impl Seals for Backend {
    async fn verify(&self, due: Due, report: FindingSink<'_>) -> Result<Vec<Verified>> {
        let mut connection = self.readers()?.acquire().await?;
        let mut ledger = DbLedger::over(self, &mut connection);
        seals::verify(&mut ledger, due, report).await
    }

    async fn export_seals(&self, to: &mut (dyn FnMut(SealLine) -> bool + Send)) -> Result<()> {
        let mut connection = self.readers()?.acquire().await?;
        let mut lines = query_as!(
            SealLine,
            "SELECT controller_id, number, first_id, last_id, entries, details, hash," CREATED
            "FROM audit_seals ORDER BY controller_id, number",
        )
        .fetch(&mut *connection);
        while let Some(line) = lines.try_next().await?
            && to(line)
        {}
        Ok(())
    }

    async fn cuts(&self) -> Result<Vec<Cut>> {
        archive::cuts(&mut *self.readers()?.acquire().await?).await
    }

    async fn find_seal(&self, controller_id: &str, number: i64) -> Result<Option<SealLine>> {
        let line = query_as!(
            SealLine,
            "SELECT controller_id, number, first_id, last_id, entries, details, hash," CREATED
            "FROM audit_seals WHERE controller_id = $1 AND number = $2",
            controller_id,
            number,
        );
        Ok(line.fetch_optional(self.readers()?).await?)
    }
}

#[async_trait]
impl Ledger for DbLedger<'_> {
    async fn unsealed(&mut self) -> Result<Vec<String>> {
        if let Some(controllers) = self.spread_unsealed().await? {
            return Ok(controllers);
        }
        let controllers = query_scalar!(
            "WITH RECURSIVE c (id) AS (
                   SELECT " EMPTY_TEXT r#"
                   UNION ALL
                   SELECT (SELECT min(l.controller_id) FROM audit_logs l
                           WHERE l.controller_id > c.id)
                   FROM c WHERE c.id IS NOT NULL)
               SELECT c.id AS "id!: String" FROM c
               WHERE (SELECT max(l.id) FROM audit_logs l WHERE l.controller_id = c.id) > coalesce(
                   (SELECT s.last_id FROM audit_seals s WHERE s.controller_id = c.id
                    ORDER BY s.number DESC LIMIT 1), 0)"#
        );
        Ok(controllers.fetch_all(&mut *self.connection).await?)
    }

    async fn chains(&mut self) -> Result<Vec<String>> {
        if let Some(controllers) = self.spread_chains().await? {
            return Ok(controllers);
        }
        let controllers = query_scalar!(
            "WITH RECURSIVE c (id) AS (
                   SELECT " EMPTY_TEXT r#"
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
        Ok(controllers.fetch_all(&mut *self.connection).await?)
    }

    async fn last(&mut self, controller_id: &str) -> Result<Option<SealLine>> {
        let line = query_as!(
            SealLine,
            "SELECT controller_id, number, first_id, last_id, entries, details, hash," CREATED
            "FROM audit_seals WHERE controller_id = $1 ORDER BY number DESC LIMIT 1",
            controller_id,
        );
        Ok(line.fetch_optional(&mut *self.connection).await?)
    }

    fn page<'a>(
        &'a mut self,
        controller_id: &'a str,
        after: i64,
    ) -> BoxStream<'a, sqlx::Result<SealRow>> {
        query_as!(
            SealRow,
            "SELECT controller_id, number, first_id, last_id, entries, details, previous_hash,
                   hash, digests," CREATED
            "FROM audit_seals WHERE controller_id = $1 AND number > $2
               ORDER BY number LIMIT $3",
            controller_id,
            after,
            PAGE,
        )
        .fetch(&mut *self.connection)
    }

    async fn count(&mut self, controller_id: &str, after: i64) -> Result<i64> {
        let count = query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM audit_logs WHERE controller_id = $1 AND id > $2"#,
            controller_id,
            after,
        );
        Ok(count.fetch_one(&mut *self.connection).await?)
    }

    fn entries<'a>(
        &'a mut self,
        range: Range<'a>,
        limit: i64,
    ) -> BoxStream<'a, sqlx::Result<EntryRow>> {
        query_as!(
            EntryRow,
            "SELECT controller_id, id, account, request, category, comment, time_spent,
                   ticket_link, outcome, affected, request_id, client_address, undoes," PARAMETERS "," CREATED
            "FROM audit_logs WHERE controller_id = $1 AND id > $2 AND id <= $3
               ORDER BY id LIMIT $4",
            range.controller_id,
            range.after,
            range.upto,
            limit,
        )
        .fetch(&mut *self.connection)
    }

    fn details<'a>(&'a mut self, range: Range<'a>) -> BoxStream<'a, sqlx::Result<DetailRow>> {
        query_as!(
            DetailRow,
            r#"SELECT controller_id, audit_log_id, order_id, workflow_path, workflow_version_id,
                   folder, previous_state, new_state, mark, kill AS "kill: bool", via_parent,"# BEFORE "," CREATED
            "FROM audit_log_details
               WHERE controller_id = $1 AND audit_log_id > $2 AND audit_log_id <= $3
               ORDER BY audit_log_id, order_id",
            range.controller_id,
            range.after,
            range.upto,
        )
        .fetch(&mut *self.connection)
    }

    async fn overdue(
        &mut self,
        controller_id: &str,
        after: i64,
        due: DateTime<Utc>,
    ) -> Result<(i64, Option<i64>)> {
        let overdue = query!(
            r#"SELECT count(*) AS "entries!: i64", min(id) AS "first: i64" FROM audit_logs
               WHERE controller_id = $1 AND id > $2 AND created < $3"#,
            controller_id,
            after,
            instant(due),
        );
        let overdue = overdue.fetch_one(&mut *self.connection).await?;
        Ok((overdue.entries, overdue.first))
    }

    async fn cuts(&mut self) -> Result<Vec<Cut>> {
        archive::cuts(self.connection).await
    }

    async fn returned(&mut self, cut: &Cut) -> Result<[i64; 3]> {
        archive::returned(self.connection, cut).await
    }

    async fn orphans(&mut self, controller_id: &str, after: i64) -> Result<Vec<(i64, i64)>> {
        let orphans = query!(
            r#"SELECT d.audit_log_id, count(*) AS "details!: i64" FROM audit_log_details d
               WHERE d.controller_id = $1 AND (d.audit_log_id > $2 OR d.audit_log_id <= 0)
                   AND NOT EXISTS (SELECT 1 FROM audit_logs l
                                   WHERE l.controller_id = d.controller_id AND l.id = d.audit_log_id)
               GROUP BY d.audit_log_id ORDER BY d.audit_log_id"#,
            controller_id,
            after,
        );
        let orphans = orphans.fetch_all(&mut *self.connection).await?;
        Ok(orphans.into_iter().map(|orphan| (orphan.audit_log_id, orphan.details)).collect())
    }
}
