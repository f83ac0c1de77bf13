//! Orders that an import or a request adds. Each statement takes any number of them as rows of the
//! columns of [`Use::Given`].

use chrono::{DateTime, Utc};

use super::{Dialect, Sql};
use crate::store::import::IncomingOrder;
use crate::store::tables::{Use, list, of_orders};

/// The insert of imported orders; existing ones are left alone.
pub(in crate::store) fn insert<DB: Dialect>(orders: &[IncomingOrder]) -> Sql<DB> {
    let mut sql = Sql::new();
    push_insert(&mut sql, "");
    sql.push("\nSELECT ").push(values::<DB>()).push("\nFROM ");
    push_orders(&mut sql, orders);
    // Without WHERE, SQLite takes the ON for that of a join.
    sql.push("\nWHERE true\nON CONFLICT DO NOTHING");
    sql
}

/// The insert of orders that a request adds at an instant.
pub(in crate::store) fn add<DB: Dialect>(
    orders: &[IncomingOrder],
    created: DateTime<Utc>,
) -> Sql<DB> {
    let mut sql = Sql::new();
    push_insert(&mut sql, ", created, modified");
    sql.push("\nSELECT ").push(values::<DB>());
    sql.push(", ").created(created).push(", ").created(created);
    sql.push("\nFROM ");
    push_orders(&mut sql, orders);
    sql
}

/// The update of existing living orders by imported ones. A started order does not become fresh.
pub(in crate::store) fn replace<DB: Dialect>(orders: &[IncomingOrder]) -> Sql<DB> {
    let mut sql = Sql::new();
    let changed = of_orders(Use::Given).filter(|column| column.is_changeable());
    let assignments = list(changed, |column| format!("{0} = r.{0}", column.name));
    sql.push(format_args!(
        "UPDATE orders AS o\n\
         SET {assignments},\n    \
             kill_requested = NULL, sigkill_at = NULL,\n    \
             state_since = CASE WHEN o.state <> r.state OR o.suspended <> r.suspended\n        \
                 THEN {present} ELSE o.state_since END,\n    \
             modified = {present}\n\
         FROM ",
        present = DB::PRESENT,
    ));
    push_orders(&mut sql, orders);
    sql.push(
        "\nWHERE o.controller_id = r.controller_id AND o.order_id = r.order_id\n  \
           AND o.state NOT IN ('FINISHED', 'CANCELLED')\n  \
           AND (r.state <> 'FRESH' OR o.state = 'FRESH')",
    );
    sql
}

fn push_insert<DB: Dialect>(sql: &mut Sql<DB>, further: &str) {
    let columns = list(of_orders(Use::Given), |column| column.name.to_owned());
    let number = DB::HISTORY_ID.map_or("", |_| ", history_id");
    sql.push(format_args!("INSERT INTO orders ({columns}{number}{further})"));
}

fn values<DB: Dialect>() -> String {
    let values = list(of_orders(Use::Given), |column| format!("r.{}", column.name));
    DB::HISTORY_ID.map_or(values.clone(), |number| format!("{values}, {number}"))
}

fn push_orders<DB: Dialect>(sql: &mut Sql<DB>, orders: &[IncomingOrder]) {
    let columns: Vec<_> = of_orders(Use::Given).map(|column| (column.name, column.holds)).collect();
    let rows: Vec<_> = orders.iter().map(IncomingOrder::values).collect();
    sql.rows(&columns, rows.iter().map(|row| row.each_ref().map(Option::as_deref)));
}
