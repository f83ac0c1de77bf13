//! Archives orders that have ended.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::administration::record;
use super::backend::{DbConnection, instant};
use super::copy::select;
use super::triggers::{begin_among, expect_owner, is_distributed, open, own};
use crate::model::audit::Category;
use crate::model::window::iso;
use crate::store::administrator::administrator;
use crate::store::archive::{KeptFile, NAMED, OrdersFile, PURPOSE};
use crate::store::export::{item, tables};
use crate::store::{Access, Error, Result};

/// What is archived, as it was when it was chosen.
const CHOSEN: &str = "CREATE TEMPORARY TABLE archived_orders AS
     SELECT controller_id, order_id, modified FROM orders WHERE FALSE";

/// Chooses families of which every member has ended before an instant, and none has a detail.
const CHOOSE: &str = "WITH kept AS MATERIALIZED (
         SELECT DISTINCT f.controller_id, f.root_id FROM orders f
         WHERE f.state NOT IN ('FINISHED', 'CANCELLED')
             OR coalesce(f.state_since, f.created) >= $1
             OR EXISTS (SELECT 1 FROM audit_log_details d
                        WHERE d.controller_id = f.controller_id AND d.order_id = f.order_id))
     INSERT INTO archived_orders (controller_id, order_id, modified)
     SELECT o.controller_id, o.order_id, o.modified FROM orders o
     WHERE o.state IN ('FINISHED', 'CANCELLED') AND coalesce(o.state_since, o.created) < $1
         AND NOT EXISTS (SELECT 1 FROM kept k
                         WHERE k.controller_id = o.controller_id AND k.root_id = o.root_id)";

const INDEX: &str =
    "CREATE UNIQUE INDEX archived_orders_key ON archived_orders (controller_id, order_id)";

/// CASE, since PostgreSQL would otherwise expect a single row and look up each order's details by
/// whatever index seems cheapest for one.
const IS_CHOSEN: &str = "EXISTS (
         SELECT 1 FROM archived_orders a WHERE a.controller_id = orders.controller_id
             AND a.order_id = orders.order_id
             AND CASE WHEN a.modified = orders.modified THEN TRUE ELSE FALSE END)";

/// As [`IS_CHOSEN`], for Citus, which joins no temporary table to a distributed one.
const IS_CHOSEN_APART: &str = "(controller_id, order_id, modified) IN (
         SELECT a.controller_id, a.order_id, a.modified FROM archived_orders a)";

/// What became known in the meantime keeps an order.
const IS_FREE: &str = "NOT EXISTS (
         SELECT 1 FROM audit_log_details d
         WHERE d.controller_id = orders.controller_id AND d.order_id = orders.order_id)
     AND NOT EXISTS (
         SELECT 1 FROM orders c
         WHERE c.controller_id = orders.controller_id AND c.root_id = orders.root_id
             AND c.parent_id IS NOT NULL AND c.state NOT IN ('FINISHED', 'CANCELLED'))";

/// See [`crate::store::archive_orders`].
pub(in crate::store) async fn archive(
    url: &str,
    before: DateTime<Utc>,
    file: &mut dyn OrdersFile,
) -> Result<Option<u64>> {
    let by = administrator();
    let mut connection = open(url, Access::Write).await?;
    expect_owner(&mut connection, &["orders"], PURPOSE).await?;
    sqlx::query(CHOSEN).execute(&mut connection).await?;
    sqlx::query(CHOOSE).bind(instant(before)).execute(&mut connection).await?;
    sqlx::query(INDEX).execute(&mut connection).await?;
    sqlx::query("ANALYZE archived_orders").execute(&mut connection).await?;
    let is_apart = is_distributed(&mut connection).await?;
    let is_chosen = if is_apart { IS_CHOSEN_APART } else { IS_CHOSEN };
    let Some(controllers) = write(&mut connection, is_chosen, file).await? else {
        return Ok(None);
    };
    let orders = controllers.values().sum();
    if orders == 0 {
        return Ok(Some(0));
    }
    let Some(KeptFile { name, sha256, bytes }) = file.keep() else { return Ok(None) };

    let mut transaction = begin_among(&mut connection).await?;
    sqlx::raw_sql(AssertSqlSafe(own())).execute(&mut *transaction).await?;
    let delete = format!("DELETE FROM orders WHERE {is_chosen} AND {IS_FREE}");
    let deleted = sqlx::query(AssertSqlSafe(delete)).execute(&mut *transaction).await?;
    if deleted.rows_affected() != orders {
        return Err(Error::Conflict(
            "orders have changed in the meantime; nothing was removed: try again".into(),
        ));
    }
    let named = |(id, orders): (&String, &u64)| json!({"controllerId": id, "orders": orders});
    let parameters = json!({
        "before": iso(&before),
        "file": name,
        "sha256": sha256,
        "bytes": bytes,
        "orders": orders,
        "controllers": controllers.iter().take(NAMED).map(named).collect::<Vec<_>>(),
    });
    record(&mut transaction, by, Category::Others, None, parameters).await?;
    // The file may be the only copy now.
    transaction.commit().await.map_err(|_| Error::Unsettled)?;
    Ok(Some(orders))
}

/// Writes what was chosen, and counts it by controller; `None` if the file stopped it.
async fn write(
    connection: &mut DbConnection,
    is_chosen: &str,
    file: &mut dyn OrdersFile,
) -> Result<Option<BTreeMap<String, u64>>> {
    let mut controllers = BTreeMap::new();
    let orders = tables().filter(|(table, _)| table.name == "orders");
    for (table, key) in orders {
        let sql = format!("{}\nWHERE {is_chosen}\nORDER BY {key}", select(table));
        let mut rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            let order = item(table, &row)?;
            if !file.write(&order) {
                return Ok(None);
            }
            *controllers.entry(order.controller_id).or_insert(0) += 1;
        }
    }
    Ok(Some(controllers))
}
