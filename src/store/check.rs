//! Checks that orders and their audit trail agree, for both databases.

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::database::HasStatementCache;
use sqlx::{Executor, FromRow, IntoArguments, Pool};

use super::Result;
use super::capture::Captured;
use super::rows::{self, Gate, Sieve};
use super::schema::Differences;
use super::sql::check::{RULES, of_rows};
use super::sql::{Dialect, Sql};
use crate::model::finding::Finding;

/// Row counts, each with a noun.
pub type RowCounts = Vec<(u64, &'static str)>;

/// Checks of what the database holds.
#[async_trait]
pub trait Checks {
    /// How the schema differs from the migrations. With `strict`, also anything else that acts on
    /// its tables.
    async fn check_schema(&self, strict: bool) -> Result<Differences>;
    /// Counts the rows to check.
    async fn looked_at(&self) -> Result<RowCounts>;
    /// Where orders and audit trail disagree. With `strict`, also differences that an import or a
    /// script may have caused.
    fn check(&self, strict: bool) -> BoxStream<'static, Result<Finding>>;
    /// Invalid rows among those that a copy takes; [`Checks::check`] finds them too. No database
    /// with this schema accepts them.
    fn check_rows(&self) -> BoxStream<'static, Result<Finding>>;
}

/// What a rule finds.
#[derive(FromRow)]
pub(super) struct Broken {
    controller_id: String,
    audit_log_id: Option<i64>,
    order_id: Option<String>,
    problem: String,
}

/// How many orders, entries and seals there are.
pub(super) async fn looked_at<DB>(pool: &Pool<DB>) -> Result<RowCounts>
where
    DB: Dialect + HasStatementCache,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    (i64, i64, i64): for<'r> FromRow<'r, DB::Row>,
{
    let sql = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM audit_logs),
         (SELECT count(*) FROM audit_seals)";
    let (orders, entries, seals): (i64, i64, i64) = sqlx::query_as(sql).fetch_one(pool).await?;
    let counts = [(orders, "order"), (entries, "entry"), (seals, "seal")];
    Ok(counts.map(|(count, noun)| (count.unsigned_abs(), noun)).into())
}

/// The queries that find invalid rows, and rows that disagree.
pub(super) fn queries<DB: Dialect>(strict: bool) -> Vec<String> {
    let rules = RULES.iter().filter(|rule| strict || !rule.strict);
    of_rows::<DB>(|_| true).into_iter().chain(rules.map(|rule| rule.sql.to_owned())).collect()
}

/// Runs the queries one after the other and streams their findings.
pub(super) fn find<DB>(
    queries: Vec<String>,
    gate: Gate,
    pool: Pool<DB>,
) -> BoxStream<'static, Result<Finding>>
where
    DB: Dialect + HasStatementCache,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    Broken: for<'r> FromRow<'r, DB::Row>,
{
    let broken = stream::iter(queries).flat_map(move |sql| {
        rows::stream(gate.clone(), pool.clone(), Sql::of(sql), Sieve::default())
    });
    let finding = |Broken { controller_id, audit_log_id, order_id, problem }| Finding {
        controller_id: Some(controller_id),
        seal: None,
        audit_log_id,
        order_id,
        problem,
    };
    broken.map(move |row| row.map(finding)).boxed()
}

/// Findings, followed by the changes by plain SQL if the check is strict.
pub(super) fn with_captured(
    found: BoxStream<'static, Result<Finding>>,
    strict: bool,
    captured: impl FnOnce() -> BoxStream<'static, Result<Captured>>,
) -> BoxStream<'static, Result<Finding>> {
    if !strict {
        return found;
    }
    found.chain(captured().map(|row| row.map(Captured::finding))).boxed()
}
