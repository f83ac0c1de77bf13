//! Orders on PostgreSQL. One statement selects, locks, changes and audits; where the tables are
//! spread over servers, see [`routed`].

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, Postgres};

use super::backend::{PgStore, retrying};
use super::both::once;
use super::both::preview::push_query;
use super::both::undo::undone_by;
use super::gatherer::can_be_gathered;
use super::judge::{judged, limit};
use super::lock::Lock;
use super::routed;
use crate::model::action::Action;
use crate::model::audit::AuditEntry;
use crate::model::selection::Selection;
use crate::store::sql::Sql;
use crate::store::sql::change::{push_assignments, push_details, push_entry, push_notified};
use crate::store::sql::selection::plans_alike;
use crate::store::{Change, Changed, Error, Orders, Preview, Result};

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
        if !self.citus.is_routed && can_be_gathered(change) {
            return self.change_gathered(change).await;
        }
        self.change_alone(change).await
    }

    async fn preview(&self, selection: &Selection, action: &Action, limit: u32) -> Result<Preview> {
        self.show_preview(selection, action, limit).await
    }

    async fn plan(&self, selection: &Selection, action: &Action) -> Result<Vec<String>> {
        let mut sql = push_query(Sql::of("EXPLAIN "), selection, action, 0);
        Ok(sql.builder().build_query_scalar().fetch_all(&self.pool).await?)
    }
}

impl PgStore {
    /// Changes the orders by statements of their own.
    pub(super) async fn change_alone(&self, change: &Change) -> Result<Changed> {
        let lock = Lock::of_a_call();
        retrying(|| async {
            let mut lease = self.changes.get().await?;
            let process = lease.process();
            // A single statement commits by itself; several do nothing before COMMIT is sent.
            let is_routed = self.citus.is_routed;
            let is_single =
                !is_routed && change.audit.key.is_none() && change.audit.undoes.is_none();
            let may_commit = AtomicBool::new(is_single);
            let work = apply_once(lease.connection()?, change, lock, is_routed, &may_commit);
            let applied = self.changes.change(process, work).await;
            lease.end(applied.is_ok()).await;
            match applied {
                Ok(changed) => Ok(changed),
                Err(error) if !may_commit.load(Ordering::Relaxed) => Err(error),
                Err(error) => Ok(self.settle(lock, &change.audit, error).await?.into()),
            }
        })
        .await
    }
}

#[derive(sqlx::FromRow)]
struct Verdict {
    stale: bool,
    affected: i64,
    audit_log_id: Option<i64>,
}

/// Selects, changes and audits in one transaction. Where that takes several statements, `may_commit`
/// is false, and becomes true before the commit.
async fn apply_once(
    connection: &mut PgConnection,
    change: &Change,
    lock: Lock,
    is_routed: bool,
    may_commit: &AtomicBool,
) -> Result<Changed> {
    let is_single = may_commit.load(Ordering::Relaxed);
    // The common case is a single statement, which is a transaction of its own.
    if is_single && let Some(changed) = apply(connection, change, lock).await? {
        return Ok(changed);
    }
    let mut transaction = connection.begin().await?;
    if let Some(changed) = once::claim(&mut transaction, &change.audit).await? {
        transaction.rollback().await?;
        return Ok(changed);
    }
    if let Some(by) = expect_first_undo(&mut transaction, &change.audit).await? {
        transaction.rollback().await?;
        return Ok(Changed::Undone { by });
    }
    for _ in 0..LOOKS {
        let applied = match is_routed {
            true => routed::apply(&mut transaction, change, lock).await?,
            false => apply(&mut transaction, change, lock).await?,
        };
        let Some(changed) = applied else { continue };
        once::keep(&mut transaction, &change.audit, &changed).await?;
        may_commit.store(true, Ordering::Relaxed);
        let committed = transaction.commit().await;
        return match committed {
            Ok(()) => Ok(changed),
            Err(error) if is_routed => Err(routed::uncommitted(error)),
            Err(error) => Err(error.into()),
        };
    }
    Err(Error::Unavailable(sqlx::Error::Protocol("the selected orders keep changing".into())))
}

/// Waits for others that undo the same entry, and returns the entry that has undone it.
async fn expect_first_undo(
    connection: &mut PgConnection,
    audit: &AuditEntry,
) -> Result<Option<i64>> {
    let Some(id) = audit.undoes else { return Ok(None) };
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('undo ' || $1, $2))")
        .bind(&audit.controller_id)
        .bind(id)
        .execute(&mut *connection)
        .await?;
    undone_by(connection, audit).await
}

/// Selects, locks, changes and audits in one statement; `None`: it did nothing, since a chosen
/// order changed between the statement's snapshot and the lock.
///
/// Orders are judged by the snapshot, and only if each is unchanged once it is locked. So the
/// statement has the effect that it would have without concurrent changes.
async fn apply(
    connection: &mut PgConnection,
    change: &Change,
    lock: Lock,
) -> Result<Option<Changed>> {
    let Change { selection, action, max_orders, sigkill_after, audit } = change;
    let controller_id = selection.controller_id.as_str();

    let mut sql = judged(selection, action);
    sql.with_change("audit", |sql| {
        push_entry(sql, audit, selection);
        sql.push("\nFROM gate g\nWHERE NOT g.stale AND g.affected <= ").integer(limit(*max_orders));
        sql.push("\n  AND pg_try_advisory_xact_lock_shared(").integer(lock.0).push(")");
        sql.push("\nRETURNING id");
    });
    // Whatever joins `audit` happens only if the gate is open.
    sql.with_change("changed", |sql| {
        sql.push("UPDATE orders AS o\nSET ");
        push_assignments(sql, action, selection.now, selection.now + *sigkill_after);
        sql.push("\nFROM affected a, audit\nWHERE o.ctid = a.place AND o.controller_id = ");
        sql.key(controller_id);
    });
    sql.with_change("details", |sql| {
        let push_key = |sql: &mut Sql<Postgres>| {
            sql.key(controller_id).push(", audit.id");
        };
        push_details(sql, action, controller_id, selection.now, push_key, |sql| {
            sql.push("affected a, audit");
        });
    });
    sql.push("\nSELECT g.stale, g.affected, (SELECT id FROM audit) AS audit_log_id,\n    ");
    push_notified(&mut sql, action, controller_id, " FROM audit", "affected a");
    sql.push("\nFROM gate g");

    let query = sql.builder().build_query_as().persistent(plans_alike(selection));
    let verdict: Verdict = query.fetch_one(connection).await?;
    let affected = verdict.affected.unsigned_abs();
    Ok(match verdict.audit_log_id {
        _ if verdict.stale => None,
        None => Some(Changed::TooMany { affected }),
        Some(_) if affected == 0 => Some(Changed::NoOrders),
        Some(audit_log_id) => Some(Changed::Done { audit_log_id, affected }),
    })
}
