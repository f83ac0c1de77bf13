//! Orders on PostgreSQL. One statement selects, locks, changes and audits.

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, Postgres, QueryBuilder};

use super::settle::{Lock, Settled};
use super::{PgStore, retrying};
use crate::model::action::Action;
use crate::model::audit::Outcome;
use crate::model::selection::Selection;
use crate::store::sql::change::{
    concerns_runner, push_affected, push_assignments, push_details, push_preview,
};
use crate::store::sql::{Dialect, plans_alike, push_chosen};
use crate::store::{Change, Changed, Error, Orders, Preview, Result, preview, rows};

/// How often a transaction looks again at orders that changed while it waited for them. Each
/// time it keeps its locks, so that only orders that came to be selected since can differ.
const LOOKS: u32 = 100;

#[async_trait]
impl Orders for PgStore {
    async fn knows_controller(&self, controller_id: &str) -> Result<bool> {
        let known = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM controllers WHERE controller_id = $1) AS "known!""#,
            controller_id
        );
        Ok(known.fetch_one(&self.pool).await?)
    }

    async fn change_orders(&self, change: &Change) -> Result<Changed> {
        let lock = Lock::of_a_call();
        retrying(|| async {
            let mut lease = self.changes.get().await?;
            let process = lease.process();
            let work = apply_once(lease.connection()?, change, lock);
            let applied = self.changes.change(process, work).await;
            lease.end(applied.is_ok()).await;
            match applied {
                Ok(changed) => Ok(changed),
                Err(error) => Ok(match self.settle(lock, &change.audit, error).await? {
                    Settled { affected: 0, .. } => Changed::NoOrders,
                    Settled { audit_log_id, affected } => {
                        Changed::Done { audit_log_id, affected: affected.unsigned_abs() }
                    }
                }),
            }
        })
        .await
    }

    async fn preview(&self, selection: &Selection, action: &Action, limit: u32) -> Result<Preview> {
        let mut sql = QueryBuilder::<Postgres>::new("WITH ");
        push_chosen(&mut sql, selection);
        push_affected(&mut sql, selection, action);
        push_preview(&mut sql, limit);
        let is_kept = plans_alike(selection);
        preview(action, rows::all(&self.gate, &self.pool, sql, is_kept).await?)
    }

    async fn plan(&self, selection: &Selection, action: &Action) -> Result<Vec<String>> {
        let mut sql = QueryBuilder::<Postgres>::new("EXPLAIN WITH ");
        push_chosen(&mut sql, selection);
        push_affected(&mut sql, selection, action);
        push_preview(&mut sql, 0);
        Ok(sql.build_query_scalar().fetch_all(&self.pool).await?)
    }
}

#[derive(sqlx::FromRow)]
struct Verdict {
    stale: bool,
    affected: i64,
    audit_log_id: Option<i64>,
}

/// Selects, changes and audits in one transaction.
async fn apply_once(connection: &mut PgConnection, change: &Change, lock: Lock) -> Result<Changed> {
    // The common case is a single statement, which is a transaction of its own.
    if let Some(changed) = apply(connection, change, lock).await? {
        return Ok(changed);
    }
    let mut transaction = connection.begin().await?;
    for _ in 0..LOOKS {
        if let Some(changed) = apply(&mut transaction, change, lock).await? {
            transaction.commit().await?;
            return Ok(changed);
        }
    }
    Err(Error::Unavailable(sqlx::Error::Protocol("the selected orders keep changing".into())))
}

/// Selects, locks, changes and audits in one statement; `None`: it did nothing, since a chosen
/// order changed between the statement's snapshot and the lock.
///
/// Orders are judged as the snapshot shows them, and only if each of them is still so once it
/// is locked: then the statement has the effect it would have alone.
async fn apply(
    connection: &mut PgConnection,
    change: &Change,
    lock: Lock,
) -> Result<Option<Changed>> {
    let Change { selection, action, max_orders, sigkill_after, audit } = change;
    let controller_id = selection.controller_id.as_str();
    let max_orders = max_orders.map(|max| i64::try_from(max).unwrap_or(i64::MAX));

    let mut sql = QueryBuilder::<Postgres>::new("WITH ");
    push_chosen(&mut sql, selection);
    sql.push(
        ", locked AS MATERIALIZED (SELECT (o.workflow_path, o.workflow_version_id, o.state, \
         o.suspended, o.mark, o.kill_requested, o.scheduled_for, o.reason, \
         o.remove_when_terminated) IS NOT DISTINCT FROM \
         (c.workflow_path, c.workflow_version_id, c.state, c.suspended, c.mark, \
         c.kill_requested, c.scheduled_for, c.reason, c.remove_when_terminated) AS same \
         FROM chosen c JOIN orders o ON o.order_id = c.order_id WHERE o.controller_id = ",
    );
    Postgres::push_key(&mut sql, controller_id);
    // In the order of the key, so that two calls that want the same orders do not deadlock.
    sql.push(" ORDER BY o.order_id FOR NO KEY UPDATE OF o)");
    push_affected(&mut sql, selection, action);
    sql.push(
        ", gate AS MATERIALIZED (SELECT (SELECT count(*) FROM affected) AS affected, \
         (SELECT count(*) FROM chosen) <> (SELECT count(*) FROM locked WHERE same) AS stale), \
         audit AS (INSERT INTO audit_logs (controller_id, account, request, parameters, \
         category, comment, time_spent, ticket_link, outcome, affected, request_id, \
         client_address, created) SELECT ",
    );
    sql.push_bind(audit.controller_id.as_str()).push(", ");
    sql.push_bind(audit.account.as_str()).push(", ");
    sql.push_bind(audit.request.as_str()).push(", ");
    sql.push("CASE g.affected WHEN 0 THEN ").push_bind(audit.parameters.kept(Outcome::NoOrders));
    sql.push(" ELSE ").push_bind(audit.parameters.kept(Outcome::Done)).push(" END::json, ");
    sql.push_bind(audit.category.as_str()).push(", ");
    sql.push_bind(audit.comment.as_deref()).push(", ");
    sql.push_bind(audit.time_spent).push(", ");
    sql.push_bind(audit.ticket_link.as_deref());
    sql.push(", CASE g.affected WHEN 0 THEN 'NO_ORDERS' ELSE 'DONE' END, g.affected, ");
    sql.push_bind(audit.request_id.as_str()).push(", ");
    sql.push_bind(audit.client_address.as_deref()).push(", ");
    sql.push_bind(audit.created).push(" FROM gate g WHERE NOT g.stale AND g.affected <= ");
    sql.push_bind(max_orders.unwrap_or(i64::MAX));
    sql.push(" AND pg_try_advisory_xact_lock_shared(").push_bind(lock.0).push(")");
    // Whatever joins `audit` happens only if the gate is open.
    sql.push(" RETURNING id), changed AS (UPDATE orders AS o SET ");
    push_assignments(&mut sql, action, selection.now, selection.now + *sigkill_after);
    sql.push(" FROM affected a, audit WHERE o.order_id = a.order_id AND o.controller_id = ");
    Postgres::push_key(&mut sql, controller_id);
    sql.push("), details AS (");
    push_details(
        &mut sql,
        action,
        controller_id,
        selection.now,
        |sql| {
            sql.push("audit.id");
        },
        ", audit",
    );
    sql.push(
        ") SELECT g.stale, g.affected, (SELECT id FROM audit) AS audit_log_id, \
         (SELECT count(*) FROM (SELECT pg_notify('joc_orders_marks', ",
    );
    Postgres::push_key(&mut sql, controller_id);
    sql.push(format_args!(
        ") FROM audit WHERE EXISTS (SELECT 1 FROM affected a WHERE {}) OFFSET 0) n) \
         AS notified FROM gate g",
        concerns_runner(action)
    ));

    let query = sql.build_query_as().persistent(plans_alike(selection));
    let verdict: Verdict = query.fetch_one(connection).await?;
    let affected = verdict.affected.unsigned_abs();
    Ok(match verdict.audit_log_id {
        _ if verdict.stale => None,
        None => Some(Changed::TooMany { affected }),
        Some(_) if affected == 0 => Some(Changed::NoOrders),
        Some(audit_log_id) => Some(Changed::Done { audit_log_id, affected }),
    })
}
