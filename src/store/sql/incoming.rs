//! Orders that an import or a request adds. Each statement takes any number of them as rows of the
//! columns of [`Use::Given`]; those of an import also have those of [`Use::Lived`] and `earliest`,
//! when the order was created at the latest, and `now`, the present: Citus takes it only as a value.

use chrono::{DateTime, Utc};

use super::{Dialect, Sql};
use crate::store::import::IncomingOrder;
use crate::store::tables::{ColumnType, TableColumn, Use, list, of_orders};

/// The present, but not before the order `o` was created.
const PRESENT: &str = "CASE WHEN o.created > r.now THEN o.created ELSE r.now END";

/// The insert of imported orders; existing ones are left alone.
/// Each gives a row.
pub(in crate::store) fn insert<DB: Dialect>(
    orders: &[IncomingOrder],
    now: DateTime<Utc>,
) -> Sql<DB> {
    let mut sql = Sql::new();
    push_insert(&mut sql, imported(), ", modified");
    let values = list(imported(), |column| match column.name {
        "created" => "coalesce(r.earliest, r.now)".into(),
        "remove_when_terminated" => format!("coalesce(r.{}, FALSE)", column.name),
        name => format!("r.{name}"),
    });
    sql.push("\nSELECT ").push(numbered::<DB>(values));
    sql.push(", CASE WHEN r.earliest > r.now THEN r.earliest ELSE r.now END\nFROM ");
    push_imported(&mut sql, orders, now);
    // Without WHERE, SQLite takes the ON for that of a join.
    sql.push("\nWHERE true\nON CONFLICT DO NOTHING\nRETURNING 1");
    sql
}

/// The insert of orders that a request adds at an instant.
pub(in crate::store) fn add<DB: Dialect>(
    orders: &[IncomingOrder],
    created: DateTime<Utc>,
) -> Sql<DB> {
    let mut sql = Sql::new();
    push_insert(&mut sql, of_orders(Use::Given), ", created, modified");
    let values = list(of_orders(Use::Given), |column| format!("r.{}", column.name));
    sql.push("\nSELECT ").push(numbered::<DB>(values));
    sql.push(", ").created(created).push(", ").created(created);
    sql.push("\nFROM ");
    push_orders(&mut sql, orders);
    sql
}

/// The update of existing living orders that differ from imported ones.
pub(in crate::store) fn replace<DB: Dialect>(
    orders: &[IncomingOrder],
    now: DateTime<Utc>,
) -> Sql<DB> {
    let mut sql = Sql::new();
    let assignments =
        list(changeable(), |column| format!("{} = {}", column.name, replaced(column)));
    sql.push(format_args!(
        "UPDATE orders AS o\nSET {assignments},\n    modified = {PRESENT}\nFROM "
    ));
    push_imported(&mut sql, orders, now);
    push_replaceable(&mut sql);
    sql.push("\n  AND (").push(differs()).push(")");
    sql
}

/// The number of existing living orders that do not differ from imported ones.
pub(in crate::store) fn unchanged<DB: Dialect>(
    orders: &[IncomingOrder],
    now: DateTime<Utc>,
) -> Sql<DB> {
    let mut sql = Sql::new();
    sql.push("SELECT count(*)\nFROM ");
    push_imported(&mut sql, orders, now);
    sql.push("\nCROSS JOIN orders AS o");
    push_replaceable(&mut sql);
    sql.push("\n  AND NOT (").push(differs()).push(")");
    sql
}

/// The existing orders that imported ones replace. A started order does not become fresh.
fn push_replaceable<DB: Dialect>(sql: &mut Sql<DB>) {
    sql.push(
        "\nWHERE o.controller_id = r.controller_id AND o.order_id = r.order_id\n  \
           AND o.state NOT IN ('FINISHED', 'CANCELLED')\n  \
           AND (r.state <> 'FRESH' OR o.state = 'FRESH')",
    );
}

/// Whether replacing the order would change a value.
fn differs() -> String {
    let columns: Vec<_> = changeable()
        .map(|column| {
            let (old, new) = (format!("o.{}", column.name), replaced(column));
            match column.holds {
                // As text: numbers such as 1.0 and 1.00 differ.
                ColumnType::Json => {
                    format!("CAST({old} AS text) IS DISTINCT FROM CAST({new} AS text)")
                }
                _ => format!("{old} IS DISTINCT FROM {new}"),
            }
        })
        .collect();
    columns.join("\n    OR ")
}

/// What a replaced order has in a column.
fn replaced(column: &TableColumn) -> String {
    let name = column.name;
    match name {
        "created" => "CASE WHEN r.created IS NOT NULL THEN r.created\n        \
                      WHEN r.earliest < o.created THEN r.earliest ELSE o.created END"
            .into(),
        "started" => "CASE WHEN r.created IS NULL AND r.started IS NULL\n        \
                      THEN o.started ELSE r.started END"
            .into(),
        "state_since" => format!(
            "CASE WHEN r.created IS NOT NULL OR r.state_since IS NOT NULL THEN r.state_since\n        \
             WHEN o.state <> r.state OR o.suspended <> r.suspended THEN {PRESENT} ELSE o.state_since END",
        ),
        "remove_when_terminated" => format!("coalesce(r.{name}, o.{name})"),
        name => format!("r.{name}"),
    }
}

fn imported() -> impl Iterator<Item = &'static TableColumn> {
    of_orders(Use::Given).chain(of_orders(Use::Lived))
}

fn changeable() -> impl Iterator<Item = &'static TableColumn> {
    imported().filter(|column| column.is_changeable())
}

fn push_insert<DB: Dialect>(
    sql: &mut Sql<DB>,
    columns: impl Iterator<Item = &'static TableColumn>,
    further: &str,
) {
    let columns = list(columns, |column| column.name.to_owned());
    let number = DB::HISTORY_ID.map_or("", |_| ", history_id");
    sql.push(format_args!("INSERT INTO orders ({columns}{number}{further})"));
}

/// Values, followed by the history id if the database does not draw it.
fn numbered<DB: Dialect>(values: String) -> String {
    DB::HISTORY_ID.map_or(values.clone(), |number| format!("{values}, {number}"))
}

fn push_orders<DB: Dialect>(sql: &mut Sql<DB>, orders: &[IncomingOrder]) {
    let columns: Vec<_> = of_orders(Use::Given).map(|column| (column.name, column.holds)).collect();
    let rows: Vec<_> = orders.iter().map(IncomingOrder::values).collect();
    sql.rows(&columns, rows.iter().map(|row| row.each_ref().map(Option::as_deref)));
}

fn push_imported<DB: Dialect>(sql: &mut Sql<DB>, orders: &[IncomingOrder], now: DateTime<Utc>) {
    sql.push("(SELECT r.*, ").instant(now).push(" AS now FROM ");
    let mut columns: Vec<_> = imported().map(|column| (column.name, column.holds)).collect();
    columns.push(("earliest", ColumnType::Instant));
    let rows: Vec<_> =
        orders.iter().map(|order| (order.values(), order.lived(), order.earliest())).collect();
    sql.rows(
        &columns,
        rows.iter().map(|(given, lived, earliest)| {
            let mut row = [None; 19];
            let cells = given.iter().chain(lived).chain([earliest]);
            row.iter_mut().zip(cells).for_each(|(place, cell)| *place = cell.as_deref());
            row
        }),
    );
    sql.push(") r");
}
