//! A change in several statements of one transaction. Each names one controller, so that Citus lets
//! the server do it that has the controller, and commits in one phase; it would broadcast the single
//! statement of [`super::orders`] and commit in two.

use sqlx::{PgConnection, Postgres};

use super::audit;
use super::judge::{judged, limit};
use super::lock::Lock;
use crate::model::audit::Outcome;
use crate::store::sql::Sql;
use crate::store::sql::change::{concerns, push_assignments, push_details};
use crate::store::sql::selection::{plans_alike, push_without_effect};
use crate::store::tables::ColumnType::Text;
use crate::store::{Change, Changed, Error, Result};

/// An affected order, or none, and what the gate says.
#[derive(sqlx::FromRow)]
struct Fate {
    stale: bool,
    affected: i64,
    order_id: Option<String>,
    effect: Option<String>,
    via_parent: Option<String>,
    before: Option<String>,
}

/// See [`super::orders::apply`]: `None` if an order changed before it was locked.
pub(super) async fn apply(
    connection: &mut PgConnection,
    change: &Change,
    lock: Lock,
) -> Result<Option<Changed>> {
    let Change { selection, action, max_orders, sigkill_after, audit } = change;
    let controller_id = selection.controller_id.as_str();
    let alike = plans_alike(selection);

    let is_shared: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock_shared($1)")
        .bind(lock.0)
        .fetch_one(&mut *connection)
        .await?;
    if !is_shared {
        let error = "the outcome of this request has been looked up already";
        return Err(Error::Unavailable(sqlx::Error::Protocol(error.into())));
    }

    let mut sql = judged(selection, action);
    sql.push(
        "\nSELECT g.stale, g.affected, a.order_id, a.effect, a.via_parent, a.before\n\
         FROM gate g LEFT JOIN affected a ON NOT g.stale AND g.affected <= ",
    );
    sql.integer(limit(*max_orders));
    let fates = sql.builder().build_query_as::<Fate>().persistent(alike);
    let fates = fates.fetch_all(&mut *connection).await?;
    let Some(first) = fates.first().filter(|first| !first.stale) else { return Ok(None) };
    let affected = first.affected.unsigned_abs();
    if first.affected > limit(*max_orders) {
        return Ok(Some(Changed::TooMany { affected }));
    }
    if affected == 0 {
        let mut sql = Sql::<Postgres>::of("SELECT ");
        push_without_effect(&mut sql, selection);
        let outcome: String = sql
            .builder()
            .build_query_scalar()
            .persistent(alike)
            .fetch_one(&mut *connection)
            .await?;
        let outcome = [Outcome::Outside, Outcome::NoOrders]
            .into_iter()
            .find(|known| known.as_str() == outcome)
            .unwrap_or(Outcome::NoOrders);
        audit::insert(connection, audit, outcome, 0).await?;
        return Ok(Some(Changed::NoOrders));
    }

    let audit_log_id = audit::insert(&mut *connection, audit, Outcome::Done, affected).await?;
    let columns = [("order_id", Text), ("effect", Text), ("via_parent", Text), ("before", Text)];
    let rows = fates.iter().map(|fate| {
        [&fate.order_id, &fate.effect, &fate.via_parent, &fate.before].map(Option::as_deref)
    });

    let mut sql = Sql::<Postgres>::new();
    let push_key = |sql: &mut Sql<Postgres>| {
        // A column, by which Citus sees that both tables' rows are on one server.
        sql.push("a.controller_id, ").integer(audit_log_id).push("::bigint");
    };
    push_details(&mut sql, action, controller_id, selection.now, push_key, |sql| {
        sql.nested(|sql| {
            sql.push("SELECT o.*, r.effect, r.via_parent, r.before\nFROM ").orders(selection.now);
            sql.push(" JOIN ").rows(&columns, rows).push(" ON r.order_id = o.order_id");
            sql.push("\nWHERE o.controller_id = ").key(controller_id);
        });
        sql.push(" a");
    });
    sql.builder().build().persistent(alike).execute(&mut *connection).await?;

    let mut sql = Sql::<Postgres>::of("UPDATE orders AS o\nSET ");
    push_assignments(&mut sql, action, selection.now, selection.now + *sigkill_after);
    let rows = fates.iter().map(|fate| [fate.order_id.as_deref(), fate.effect.as_deref()]);
    sql.push("\nFROM (SELECT * FROM ").rows(&[("order_id", Text), ("effect", Text)], rows);
    sql.push(") a\nWHERE o.order_id = a.order_id AND o.controller_id = ").key(controller_id);
    sql.builder().build().persistent(alike).execute(&mut *connection).await?;

    if fates.iter().filter_map(|fate| fate.effect.as_deref()).any(|e| concerns(action, e)) {
        sqlx::query("SELECT pg_notify('joc_orders_marks', $1)::text")
            .bind(controller_id)
            .execute(&mut *connection)
            .await?;
    }
    Ok(Some(Changed::Done { audit_log_id, affected }))
}

/// The error of a failed commit. The server that has the controller may have committed, whatever the
/// other one reports, unless the transaction conflicted with others.
pub(super) fn uncommitted(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|database| database.code());
    match code.as_deref() {
        Some("40001" | "40P01") => error.into(),
        _ => Error::Unavailable(sqlx::Error::Protocol(error.to_string())),
    }
}
