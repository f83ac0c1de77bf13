//! Runs of orders. The statements about orders are those of docs/executors.md, which each database
//! has in its own dialect.

use async_trait::async_trait;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row};

use super::backend::{Backend, DbConnection};
use super::executing::{
    AMONG, CANCELLED_PARENTS, CONTINUING, JOIN, LEASE, LOCKED, MARKS, NEXT, NOW, REPORT, TAKE,
    UNLESS_LOCKED,
};
use crate::store::runs::{
    Continuing, LeaseHolder, Marked, Outcome, Reported, Run, Runs, Taken, Watch,
};
use crate::store::{Error, Result, StoredInstant};

/// How many expired leases are looked at together.
const EXPIRED: i64 = 100;

/// Why a run ended whose agent is gone.
const LEASE_EXPIRED: &str = "LEASE_EXPIRED";

/// What a job needs of its order, and the number of its next run.
const DETAILS: &str = "SELECT o.workflow_path, o.workflow_version_id, o.scheduled_for,
         CAST(o.arguments AS TEXT) AS arguments,
         (SELECT coalesce(max(r.run), 0) + 1 FROM order_runs r
          WHERE r.controller_id = o.controller_id AND r.order_id = o.order_id) AS run
     FROM orders o WHERE o.controller_id = $1 AND o.order_id = $2";

#[async_trait]
impl Runs for Backend {
    async fn workflow_paths(
        &self,
        controller_id: &str,
        workflows: &[String],
    ) -> Result<Vec<String>> {
        let among = AMONG.replace("$3", "$2");
        let sql = format!(
            "SELECT path FROM workflows WHERE controller_id = $1 AND path {among}
             UNION SELECT path FROM workflows WHERE controller_id = $1 AND name {among}"
        );
        let paths = sqlx::query_scalar(AssertSqlSafe(sql));
        let paths = paths.bind(controller_id).bind(json!(workflows).to_string());
        Ok(paths.fetch_all(self.readers()?).await?)
    }

    async fn take_due(
        &self,
        holder: &LeaseHolder,
        paths: &[String],
        limit: u32,
    ) -> Result<Vec<Taken>> {
        let mut transaction = self.begin().await?;
        let due = sqlx::query(TAKE)
            .bind(&holder.controller_id)
            .bind(i64::from(limit))
            .bind(json!(paths).to_string())
            .fetch_all(&mut *transaction)
            .await?;
        let mut taken = Vec::new();
        for row in due {
            let order_id: String = row.try_get("order_id")?;
            let Some(order) = start(&mut transaction, holder, &order_id).await? else {
                let problem = format!("the order {order_id} has not started, and has a run");
                return Err(Error::Data(problem));
            };
            taken.push(order);
        }
        transaction.commit().await?;
        Ok(taken)
    }

    async fn continuing(&self, controller_id: &str) -> Result<Vec<Continuing>> {
        let rows = sqlx::query(CONTINUING).bind(controller_id).fetch_all(self.readers()?).await?;
        let read = |row: &_| {
            Ok(Continuing {
                order_id: Row::try_get(row, "order_id")?,
                workflow_path: Row::try_get(row, "workflow_path")?,
                state: Row::try_get(row, "state")?,
                reason: Row::try_get(row, "reason")?,
            })
        };
        rows.iter().map(read).collect()
    }

    async fn run_again(&self, holder: &LeaseHolder, order_id: &str) -> Result<Option<Taken>> {
        let mut transaction = self.begin().await?;
        let may = sqlx::query(NEXT).bind(&holder.controller_id).bind(order_id);
        if may.fetch_optional(&mut *transaction).await?.is_none() {
            return Ok(None);
        }
        let taken = start(&mut transaction, holder, order_id).await?;
        if taken.is_some() {
            transaction.commit().await?;
        }
        Ok(taken)
    }

    async fn report(
        &self,
        holder: &LeaseHolder,
        order_id: &str,
        run: i64,
        state: &str,
        outcome: &Outcome,
    ) -> Result<Reported> {
        let mut transaction = self.begin().await?;
        let sql = format!(
            "UPDATE order_runs
             SET ended = {NOW}, lease_until = NULL, exit_status = $4, signal = $5, failure = $6
             WHERE controller_id = $1 AND order_id = $2 AND run = $3 AND ended IS NULL AND agent = $7"
        );
        let ended = sqlx::query(AssertSqlSafe(sql))
            .bind(&holder.controller_id)
            .bind(order_id)
            .bind(run)
            .bind(outcome.exit_status)
            .bind(outcome.signal)
            .bind(outcome.failure)
            .bind(&holder.agent)
            .execute(&mut *transaction)
            .await?;
        if ended.rows_affected() == 0 {
            return Ok(Reported::Lost);
        }
        let now = report(&mut transaction, &holder.controller_id, order_id, state, None).await?;
        transaction.commit().await?;
        Ok(now.map_or(Reported::Late, Reported::State))
    }

    async fn marks(&self, controller_id: &str) -> Result<Vec<Marked>> {
        let rows = sqlx::query(MARKS).bind(controller_id).fetch_all(self.readers()?).await?;
        let read = |row: &_| {
            let sigkill_at: Option<StoredInstant> = Row::try_get(row, "sigkill_at")?;
            Ok(Marked {
                order_id: Row::try_get(row, "order_id")?,
                workflow_path: Row::try_get(row, "workflow_path")?,
                mark: Row::try_get(row, "mark")?,
                sigkill_at: sigkill_at.map(|at| at.0),
                action: Row::try_get(row, "action")?,
            })
        };
        rows.iter().map(read).collect()
    }

    async fn settle(&self, controller_id: &str, order_id: &str) -> Result<Option<String>> {
        let mut transaction = self.begin().await?;
        let sql = format!(
            "SELECT state, reason FROM orders
             WHERE controller_id = $1 AND order_id = $2 AND mark IS NOT NULL
                 AND state <> 'RUNNING'{LOCKED}"
        );
        let marked: Option<(String, Option<String>)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(controller_id)
            .bind(order_id)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some((state, reason)) = marked else { return Ok(None) };
        let now =
            report(&mut transaction, controller_id, order_id, &state, reason.as_deref()).await?;
        transaction.commit().await?;
        Ok(now)
    }

    async fn join(&self, controller_id: &str, order_id: &str) -> Result<bool> {
        let join = sqlx::query(JOIN).bind(controller_id).bind(order_id);
        Ok(self.write(join).await? > 0)
    }

    async fn end_cancelled_parents(&self, controller_id: &str) -> Result<Vec<String>> {
        let mut transaction = self.begin().await?;
        let ended = sqlx::query_scalar(CANCELLED_PARENTS)
            .bind(controller_id)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(ended)
    }

    async fn renew(
        &self,
        holder: &LeaseHolder,
        order_ids: &[String],
    ) -> Result<Vec<(String, i64)>> {
        let mut transaction = self.begin().await?;
        let sql = format!(
            "UPDATE order_runs SET lease_until = {LEASE}
             WHERE controller_id = $1 AND agent = $2 AND ended IS NULL AND lease_until > {NOW}
                 AND order_id {AMONG}
             RETURNING order_id, run"
        );
        let held = sqlx::query_as(AssertSqlSafe(sql))
            .bind(&holder.controller_id)
            .bind(&holder.agent)
            .bind(json!(order_ids).to_string())
            .bind(i64::from(holder.lease))
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(held)
    }

    async fn expired(&self, controller_id: &str) -> Result<Vec<(String, i64, String)>> {
        let sql = format!(
            "SELECT r.order_id, r.run, o.workflow_path FROM order_runs r
             JOIN orders o ON o.controller_id = r.controller_id AND o.order_id = r.order_id
             WHERE r.controller_id = $1 AND r.ended IS NULL AND r.lease_until <= {NOW}
             ORDER BY r.lease_until LIMIT $2"
        );
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(controller_id)
            .bind(EXPIRED)
            .fetch_all(self.readers()?)
            .await?)
    }

    async fn take_over(
        &self,
        controller_id: &str,
        order_id: &str,
        run: i64,
        state: &str,
    ) -> Result<Reported> {
        let mut transaction = self.begin().await?;
        let sql = format!(
            "SELECT run FROM order_runs
             WHERE controller_id = $1 AND order_id = $2 AND run = $3 AND ended IS NULL
                 AND lease_until <= {NOW}{UNLESS_LOCKED}"
        );
        let expired: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(controller_id)
            .bind(order_id)
            .bind(run)
            .fetch_optional(&mut *transaction)
            .await?;
        if expired.is_none() {
            return Ok(Reported::Lost);
        }
        let sql = format!(
            "UPDATE order_runs SET ended = {NOW}, lease_until = NULL, failure = $4
             WHERE controller_id = $1 AND order_id = $2 AND run = $3"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(controller_id)
            .bind(order_id)
            .bind(run)
            .bind(LEASE_EXPIRED)
            .execute(&mut *transaction)
            .await?;
        let now = report(&mut transaction, controller_id, order_id, state, None).await?;
        transaction.commit().await?;
        Ok(now.map_or(Reported::Late, Reported::State))
    }

    async fn runs(&self, controller_id: &str, order_id: &str) -> Result<Vec<Run>> {
        let sql = "SELECT run, agent, started, ended, exit_status, signal, failure FROM order_runs
                   WHERE controller_id = $1 AND order_id = $2 ORDER BY run";
        let rows = sqlx::query(sql).bind(controller_id).bind(order_id);
        let rows = rows.fetch_all(self.readers()?).await?;
        let read = |row: &_| {
            let started: StoredInstant = Row::try_get(row, "started")?;
            let ended: Option<StoredInstant> = Row::try_get(row, "ended")?;
            Ok(Run {
                run: Row::try_get(row, "run")?,
                agent: Row::try_get(row, "agent")?,
                started: started.0,
                ended: ended.map(|at| at.0),
                exit_status: Row::try_get(row, "exit_status")?,
                signal: Row::try_get(row, "signal")?,
                failure: Row::try_get(row, "failure")?,
            })
        };
        rows.iter().map(read).collect()
    }

    async fn watch_marks(&self) -> Result<Box<dyn Watch>> {
        self.watch().await
    }
}

/// Writes the run of an order that is `RUNNING` now; `None` if it is being run already.
async fn start(
    connection: &mut DbConnection,
    holder: &LeaseHolder,
    order_id: &str,
) -> Result<Option<Taken>> {
    let row = sqlx::query(DETAILS).bind(&holder.controller_id).bind(order_id);
    let row = row.fetch_one(&mut *connection).await?;
    let scheduled_for: Option<StoredInstant> = row.try_get("scheduled_for")?;
    let taken = Taken {
        order_id: order_id.to_owned(),
        run: row.try_get("run")?,
        workflow_path: row.try_get("workflow_path")?,
        workflow_version_id: row.try_get("workflow_version_id")?,
        scheduled_for: scheduled_for.map(|at| at.0),
        arguments: row.try_get("arguments")?,
    };
    let sql = format!(
        "INSERT INTO order_runs (controller_id, order_id, run, agent, started, lease_until)
         VALUES ($1, $2, $3, $5, {NOW}, {LEASE})
         ON CONFLICT DO NOTHING"
    );
    let started = sqlx::query(AssertSqlSafe(sql))
        .bind(&holder.controller_id)
        .bind(order_id)
        .bind(taken.run)
        .bind(i64::from(holder.lease))
        .bind(&holder.agent)
        .execute(connection)
        .await?;
    Ok((started.rows_affected() == 1).then_some(taken))
}

/// Reports the state of an order, and returns the one that it has now.
async fn report(
    connection: &mut DbConnection,
    controller_id: &str,
    order_id: &str,
    state: &str,
    why: Option<&str>,
) -> Result<Option<String>> {
    let row = sqlx::query(REPORT)
        .bind(controller_id)
        .bind(order_id)
        .bind(state)
        .bind(why)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.try_get("state")).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/executors.md has the statements with literals.
    #[test]
    fn the_page_for_executors_has_the_same_statements() {
        let page = include_str!("../../../docs/executors.md");
        let page = page
            .replace("'prod'", "$1")
            .replace("'#2026-11-23#P0000000498-invoices'", "$2")
            .replace("LIMIT 10", "LIMIT $2")
            .replace("IN ('/sos/billing/eod')", AMONG)
            .replace("'INPROGRESS' AS reported, NULL AS why", "$3 AS reported, $4 AS why")
            .replace("FROM clock", "FROM main.clock");
        for statement in [TAKE, REPORT, NEXT, MARKS, CONTINUING, JOIN, CANCELLED_PARENTS] {
            assert!(page.contains(&format!("\n{statement};\n")), "{statement}");
        }
    }
}
