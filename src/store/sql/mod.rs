//! Statements built from a request's selection, as common table expressions that both databases
//! understand. Changes, previews and lists share them.
//!
//! The expressions, in their order:
//! - `cycles`, if ids stand for whole cycles: the ranges of their ids;
//! - `base`, if it goes deep: the orders that the request's own fields select;
//! - `chosen`: those and, if it goes deep, their living descendants, each with the nearest
//!   selected ancestor in `via_parent`;
//! - what [`change`] adds for an action.
//!
//! One expression is looked up in another by IN, which both databases hash whatever size they
//! guess, and never by a join, which a wrong guess makes quadratic. CROSS JOIN makes SQLite keep
//! the order of the tables.
//!
//! Values are never formatted into the text; only words of the model's enums are.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

pub(super) use self::statement::Sql;
use super::tables::ColumnType;

pub(super) mod audit;
mod before;
pub(super) mod capture;
pub(super) mod change;
pub(super) mod check;
mod effect;
mod fate;
mod folders;
pub(super) mod incoming;
pub(super) mod list;
pub(super) mod overview;
pub(super) mod search;
pub(super) mod selection;
mod statement;
pub(super) mod undo;
pub(super) mod workflows;

/// What differs between the two databases in these statements.
pub(super) trait Dialect: sqlx::Database {
    /// Whether a statement that is kept is planned anew for values that matter to its plan.
    const PLANS_ANEW: bool;
    /// Makes the connection's current work end soon after a signal, if closing the connection does
    /// not.
    fn end_once(
        connection: &mut Self::Connection,
        is_abandoned: Arc<AtomicBool>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// The beginning of a text whose statements see the effective states of an instant.
    fn begin(at: DateTime<Utc>) -> QueryBuilder<Self>;
    /// Adds a table expression `o`: the orders with their effective state at an instant.
    fn push_orders(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>);
    /// The column of that expression, if there is one, by which a change finds an order's row again
    /// without an index.
    const PLACE: Option<&str>;
    /// Adds a bound text.
    fn push_text(sql: &mut QueryBuilder<Self>, text: &str);
    /// Adds a bound text on which the best plan does not depend: a controller's or an order's id.
    /// (SQLite looks at other values and plans anew for each.)
    fn push_key(sql: &mut QueryBuilder<Self>, text: &str);
    /// Adds a bound instant.
    fn push_instant(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>);
    /// Adds the condition, after a column, that it is among bound texts: one parameter, however
    /// many.
    fn push_among(sql: &mut QueryBuilder<Self>, texts: Vec<&str>);
    /// The condition that a column, which may be null, holds something that is no instant of the
    /// years 1 to 9999.
    fn is_no_instant(column: &str) -> String;
    /// Adds a table expression `r` of bound rows, whose values are text from which the columns'
    /// types are cast: one parameter or one per column, however many rows.
    fn push_rows<const N: usize>(
        sql: &mut QueryBuilder<Self>,
        columns: &[(&str, ColumnType)],
        rows: Vec<[Option<&str>; N]>,
    );
    /// Adds a bound text or NULL.
    fn push_optional(sql: &mut QueryBuilder<Self>, text: Option<&str>);
    /// Adds a bound number or NULL.
    fn push_integer(sql: &mut QueryBuilder<Self>, number: impl Into<Option<i64>>);
    /// Adds an operator and its bound pattern: `*` stands for any text, `?` for one character,
    /// and upper and lower case differ.
    fn push_like(sql: &mut QueryBuilder<Self>, pattern: &str);
    /// Adds a member of the JSON object `column`, by its bound name, as text.
    fn push_json_member(sql: &mut QueryBuilder<Self>, column: &str, name: &str);
    /// Adds a bound JSON text as a value of a column.
    fn push_json(sql: &mut QueryBuilder<Self>, json: &str);
    /// Adds `column`, a JSON object, merged with a bound one, whose members replace those of the
    /// same name.
    fn push_merged(sql: &mut QueryBuilder<Self>, column: &str, json: &str);
    /// What turns a text into a value of a column that keeps JSON verbatim.
    const AS_JSON: &str;
    /// An instant as text, as the API writes it.
    fn iso(column: &str) -> String;
    /// The history ids of the rows that an insert adds, if the database does not draw them as well.
    const HISTORY_ID: Option<&str>;
    /// The condition that the order `o` is no child. (SQLite takes no generated column from an index.)
    const IS_HEAD: &str;
    /// The present.
    const NOW: &str;
    /// What a list without a limit ends with. Without LIMIT, PostgreSQL packs rows before it sorts
    /// them; since they are then short, it sorts instead of reading an index, and the first comes late.
    const NO_LIMIT: &str;
    /// Before a column in ORDER BY or a condition: the rows are to be found by another index.
    /// (SQLite does not know how few they are.)
    const SORTED: &str;
    /// The function that makes a character from its number.
    const CHARACTER: &str;
    /// Adds the bound instant at which an order is created.
    fn push_created(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>);
    /// Adds the effective state that the order of `affected a` has after a change, given
    /// expressions for its new stored state and flag.
    fn push_new_state(
        sql: &mut QueryBuilder<Self>,
        controller_id: &str,
        at: DateTime<Utc>,
        state: &str,
        suspended: &str,
    );
}

/// Living orders; must match the condition of the partial indexes verbatim.
const LIVING: &str = "o.state NOT IN ('FINISHED', 'CANCELLED')";

/// Terminal orders; must match the condition of the partial indexes verbatim.
const TERMINAL: &str = "o.state IN ('FINISHED', 'CANCELLED')";

/// Since when an order has its state.
const STATE_SINCE: &str = "coalesce(o.state_since, o.created)";

/// The same for an order that is not fresh, as the indexes have it.
const HISTORY_AT: &str = "o.history_at";

/// That the order `o` is a descendant of `p`: '}' follows '|', so descendants are one range of ids.
/// The root narrows the search through an index over living children, which are few.
const DESCENDS: &str = "o.root_id = p.root_id AND o.parent_id IS NOT NULL\n  \
                        AND o.order_id > p.order_id || '|' AND o.order_id < p.order_id || '}'";

/// Words, as a list in SQL.
fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ")
}
