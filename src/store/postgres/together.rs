//! Changes of single orders in one statement, each with an audit entry of its own. What
//! [`super::gatherer`] has gathered differs in the orders' ids and the entries only.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres};

use super::gatherer::id;
use super::judge::push_locked;
use super::lock::Lock;
use crate::model::action::Action;
use crate::model::audit::Outcome;
use crate::model::selection::{Selection, Subject};
use crate::store::sql::Sql;
use crate::store::sql::change::{
    INSERT_ENTRY, push_affected, push_assignments, push_details, push_notified,
};
use crate::store::sql::selection::push_chosen;
use crate::store::tables::ColumnType::{self, Integer, Text};
use crate::store::{Change, Changed, Result};

/// What an entry and its order bring along.
const REQUEST: [(&str, ColumnType); 11] = [
    ("order_id", Text),
    ("lock", Integer),
    ("account", Text),
    ("request", Text),
    ("nothing_done", Text),
    ("done", Text),
    ("comment", Text),
    ("time_spent", Integer),
    ("ticket_link", Text),
    ("request_id", Text),
    ("client_address", Text),
];

#[derive(sqlx::FromRow)]
struct Verdict {
    order_id: String,
    affected: bool,
    audit_log_id: Option<i64>,
}

/// Selects, locks, changes and audits. The results are in the order of the changes; `None`: nothing
/// was done for this one, since somebody else has locked or changed its order.
pub(super) async fn apply(
    connection: &mut PgConnection,
    changes: &[(&Change, Lock)],
    now: DateTime<Utc>,
) -> Result<Vec<Option<Changed>>> {
    let Some((first, _)) = changes.first() else { return Ok(Vec::new()) };
    let ids = changes.iter().map(|(change, _)| id(change).to_owned()).collect();
    let selection = Selection { subject: Subject::Orders(ids), now, ..first.selection.clone() };
    let mut sql = statement(changes, first, &selection);
    let verdicts: Vec<Verdict> =
        sql.builder().build_query_as().persistent(true).fetch_all(connection).await?;
    let outcome = |change: &Change| {
        let verdict = verdicts.iter().find(|verdict| verdict.order_id == id(change))?;
        let audit_log_id = verdict.audit_log_id?;
        Some(match verdict.affected {
            true => Changed::Done { audit_log_id, affected: 1 },
            false => Changed::NoOrders,
        })
    };
    Ok(changes.iter().map(|(change, _)| outcome(change)).collect())
}

fn statement(changes: &[(&Change, Lock)], first: &Change, selection: &Selection) -> Sql<Postgres> {
    let (action, controller_id, now) =
        (&first.action, selection.controller_id.as_str(), selection.now);
    let mut sql = Sql::<Postgres>::new();
    push_chosen(&mut sql, selection, action);
    // To wait for one order would hold up the others.
    sql.with("locked", |sql| push_locked(sql, controller_id, " SKIP LOCKED"));
    push_affected(&mut sql, selection, action);
    sql.with("requests", |sql| push_requests(sql, changes));
    sql.with_change("audit", |sql| {
        sql.push(INSERT_ENTRY);
        sql.key(controller_id).push(
            ", r.account, r.request,\n    \
             CASE WHEN r.affected THEN r.done ELSE r.nothing_done END::json,\n    ",
        );
        sql.text(first.audit.category.as_str());
        sql.push(", r.comment, r.time_spent, r.ticket_link, r.request_id, r.client_address, ");
        sql.instant(now).push(format_args!(
            ", NULL,\n    CASE WHEN r.affected THEN '{}' ELSE '{}' END, r.affected::integer\n\
             FROM requests r\n\
             WHERE NOT r.stale AND pg_try_advisory_xact_lock_shared(r.lock)\n\
             RETURNING id, request_id",
            Outcome::Done.as_str(),
            Outcome::NoOrders.as_str(),
        ));
    });
    sql.with("entries", |sql| {
        sql.push(
            "SELECT r.order_id, u.id\nFROM requests r JOIN audit u ON u.request_id = r.request_id",
        );
    });
    sql.with_change("changed", |sql| {
        sql.push("UPDATE orders AS o\nSET ");
        push_assignments(sql, action, now, now + first.sigkill_after);
        sql.push("\nFROM affected a JOIN entries e ON e.order_id = a.order_id");
        sql.push("\nWHERE o.ctid = a.place AND o.controller_id = ").key(controller_id);
    });
    sql.with_change("details", |sql| {
        let push_key = |sql: &mut Sql<Postgres>| {
            sql.key(controller_id).push(", e.id");
        };
        push_details(sql, action, controller_id, now, push_key, |sql| {
            sql.push("affected a JOIN entries e ON e.order_id = a.order_id");
        });
    });
    push_verdicts(&mut sql, action, controller_id);
    sql
}

/// Adds the requests, and what becomes of each.
fn push_requests(sql: &mut Sql<Postgres>, changes: &[(&Change, Lock)]) {
    let bound: Vec<_> = changes
        .iter()
        .map(|(change, lock)| {
            let audit = &change.audit;
            (
                lock.0.to_string(),
                audit.parameters.kept(Outcome::NoOrders),
                audit.parameters.kept(Outcome::Done),
                audit.time_spent.map(|minutes| minutes.to_string()),
            )
        })
        .collect();
    let rows = changes.iter().zip(&bound).map(|((change, _), (lock, nothing, done, minutes))| {
        let audit = &change.audit;
        [
            Some(id(change)),
            Some(&**lock),
            Some(&*audit.account),
            Some(&*audit.request),
            Some(&**nothing),
            Some(&**done),
            audit.comment.as_deref(),
            minutes.as_deref(),
            audit.ticket_link.as_deref(),
            Some(&*audit.request_id),
            audit.client_address.as_deref(),
        ]
    });
    sql.push(
        "SELECT r.*, a.order_id IS NOT NULL AS affected,\n    \
             c.order_id IS NOT NULL AND l.same IS NOT TRUE AS stale\n\
         FROM ",
    );
    sql.rows(&REQUEST, rows).push(
        "\nLEFT JOIN chosen c ON c.order_id = r.order_id\n\
         LEFT JOIN locked l ON l.order_id = r.order_id\n\
         LEFT JOIN affected a ON a.order_id = r.order_id",
    );
}

/// Adds the query of the outcomes, which notifies executors.
fn push_verdicts(sql: &mut Sql<Postgres>, action: &Action, controller_id: &str) {
    sql.push("\nSELECT r.order_id, r.affected, e.id AS audit_log_id,\n    ");
    let written = "affected a JOIN entries e ON e.order_id = a.order_id";
    push_notified(sql, action, controller_id, "", written);
    sql.push("\nFROM requests r LEFT JOIN entries e ON e.order_id = r.order_id");
}
