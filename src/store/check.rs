//! Whether orders and their audit trail agree, for both databases.

use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::database::HasStatementCache;
use sqlx::{Executor, FromRow, IntoArguments, Pool, QueryBuilder};

use super::Result;
use super::rows::{self, Gate};
use super::sql::Dialect;
use super::sql::check::RULES;
use crate::model::finding::Finding;

/// Checks of what the database holds.
pub trait Checks {
    /// What does not agree between orders and audit trail. With `strict`, also what an import or
    /// a script may have brought about.
    fn check(&self, strict: bool) -> BoxStream<'static, Result<Finding>>;
}

/// What a rule finds.
#[derive(FromRow)]
pub(super) struct Broken {
    controller_id: String,
    audit_log_id: Option<i64>,
    order_id: Option<String>,
    problem: String,
}

/// The findings of one rule after the other.
pub(super) fn check<DB>(
    strict: bool,
    gate: Gate,
    pool: Pool<DB>,
) -> BoxStream<'static, Result<Finding>>
where
    DB: Dialect + HasStatementCache,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    Broken: for<'r> FromRow<'r, DB::Row>,
{
    let rules = RULES.iter().filter(move |rule| strict || !rule.strict);
    let broken = stream::iter(rules).flat_map(move |rule| {
        rows::stream(gate.clone(), pool.clone(), QueryBuilder::new(rule.sql))
    });
    let finding = |Broken { controller_id, audit_log_id, order_id, problem }| Finding {
        controller_id,
        seal: None,
        audit_log_id,
        order_id,
        problem,
    };
    broken.map(move |row| row.map(finding)).boxed()
}
