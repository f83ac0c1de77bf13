//! Orders that an import or a request adds. Each statement takes any number of them as one JSON
//! text, an array of objects with the columns of [`Use::Given`].

use chrono::{DateTime, Utc};

use super::{Dialect, Sql};
use crate::store::tables::{TableColumn, Use, list, of_orders};

/// The insert of imported orders; existing ones are left alone.
pub(in crate::store) fn insert<DB: Dialect>(orders: &str) -> Sql<DB> {
    let mut sql = Sql::new();
    push_insert(&mut sql, "");
    sql.push("\nSELECT ").push(values::<DB>()).push("\nFROM ").records(orders, &given());
    // Without WHERE, SQLite takes the ON for that of a join.
    sql.push("\nWHERE true\nON CONFLICT DO NOTHING");
    sql
}

/// The insert of orders that a request adds at an instant.
pub(in crate::store) fn add<DB: Dialect>(orders: &str, created: DateTime<Utc>) -> Sql<DB> {
    let mut sql = Sql::new();
    push_insert(&mut sql, ", created, modified");
    sql.push("\nSELECT ").push(values::<DB>());
    sql.push(", ").created(created).push(", ").created(created);
    sql.push("\nFROM ").records(orders, &given());
    sql
}

/// The update of existing living orders by imported ones. A started order does not become fresh.
pub(in crate::store) fn replace<DB: Dialect>(orders: &str) -> Sql<DB> {
    let mut sql = Sql::new();
    let assignments = list(given().into_iter().filter(|column| column.is_changeable()), |column| {
        format!("{} = {}", column.name, DB::given(column))
    });
    sql.push(format_args!(
        "UPDATE orders AS o\n\
         SET {assignments},\n    \
             kill_requested = NULL, sigkill_at = NULL,\n    \
             state_since = CASE WHEN o.state <> n.state OR o.suspended <> n.suspended\n        \
                 THEN {present} ELSE o.state_since END,\n    \
             modified = {present}\n\
         FROM ",
        present = DB::PRESENT,
    ));
    sql.records(orders, &given()).push(
        "\nWHERE o.controller_id = n.controller_id AND o.order_id = n.order_id\n  \
           AND o.state NOT IN ('FINISHED', 'CANCELLED')\n  \
           AND (n.state <> 'FRESH' OR o.state = 'FRESH')",
    );
    sql
}

fn given() -> Vec<&'static TableColumn> {
    of_orders(Use::Given).collect()
}

fn push_insert<DB: Dialect>(sql: &mut Sql<DB>, further: &str) {
    let columns = list(given(), |column| column.name.to_owned());
    sql.push(format_args!("INSERT INTO orders ({columns}{further})"));
}

fn values<DB: Dialect>() -> String {
    list(given(), DB::given)
}
