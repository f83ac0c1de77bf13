//! The store over PostgreSQL, and its SQL dialect.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::postgres::{PgConnection, PgPool, Postgres};
use sqlx::{Connection, QueryBuilder};

use self::backend::{PgStore, connect, options};
use self::steps::MIGRATOR;
use crate::model::finding::Finding;
use crate::store::capture::{Capture, CaptureStatus, QUERY};
use crate::store::check::{self, Checks, RowCounts};
use crate::store::copy::is_copied;
use crate::store::migrating::{self, Goal, LockPatience};
use crate::store::migrations::{self};
use crate::store::rows::Sieve;
use crate::store::schema::{Differences, SchemaPart, proved};
use crate::store::sql::check::of_rows;
use crate::store::sql::{Dialect, Sql, search};
use crate::store::tables::{ColumnType, list};
use crate::store::{
    Access, Deadlines, Error, Health, Import, Loss, Migration, PoolUse, Position, Result, Store,
    health,
};

mod add;
mod audit;
mod backend;
#[path = "../both/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "the same source for each database")]
pub(super) mod both;
mod built;
mod capture;
mod checked;
mod citus;
mod connection;
mod copy;
mod distribute;
mod gather;
mod gatherer;
mod import;
mod judge;
mod lease;
mod lock;
mod one_by_one;
mod orders;
mod partitions;
mod routed;
mod runs;
mod schema;
mod sealing;
mod sessions;
mod settle;
mod steps;
mod together;
mod usable;

#[async_trait]
impl Checks for PgStore {
    async fn check_schema(&self, strict: bool) -> Result<Differences> {
        let stages = schema::stages()?;
        let expected = stages.last().map(|(_, parts)| &**parts).unwrap_or_default();
        both::capture::compared(&mut *self.pool.acquire().await?, expected, strict).await
    }

    async fn looked_at(&self) -> Result<RowCounts> {
        check::looked_at(&self.pool).await
    }

    fn check(&self, strict: bool) -> BoxStream<'static, Result<Finding>> {
        let (gate, pool) = (self.gate.clone(), self.pool.clone());
        let readable = async move {
            let mut queries = check::queries::<Postgres>(strict);
            if !may_read_hashes(&pool).await? {
                tracing::warn!("this role may not read password hashes: they were not checked");
                queries.retain(|sql| !sql.contains("password_hash"));
            }
            Ok::<_, Error>(check::find(queries, gate, pool))
        };
        let found = stream::once(readable).try_flatten().boxed();
        check::with_captured(found, strict, || self.rows_of(Sql::of(QUERY), Sieve::default()))
    }

    fn check_rows(&self) -> BoxStream<'static, Result<Finding>> {
        check::find(of_rows::<Postgres>(is_copied), self.gate.clone(), self.pool.clone())
    }
}

/// Whether this role may read the hashes of passwords, which an auditor may not.
async fn may_read_hashes(pool: &PgPool) -> Result<bool> {
    let sql = "SELECT has_column_privilege('accounts', 'password_hash', 'SELECT')";
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}

#[async_trait]
impl Health for PgStore {
    async fn ready(&self) -> Result<()> {
        let others =
            async { migrations::expect_all(&MIGRATOR, &mut *self.pool.acquire().await?).await };
        tokio::try_join!(self.changes.ready(), others)?;
        Ok(())
    }

    async fn position(&self) -> Result<Option<Position>> {
        Ok(Some(connection::position(&mut *self.positions.acquire().await?).await?))
    }

    fn pools(&self) -> Vec<PoolUse> {
        vec![self.changes.pool_use(), health::pool_use(health::OTHERS, &self.pool)]
    }
}

#[async_trait]
impl Store for PgStore {
    async fn begin_import(&self, replace: bool) -> Result<Box<dyn Import>> {
        self.start_import(replace).await
    }

    async fn close(&self) {
        self.sealer.close().await;
        self.positions.close().await;
        self.changes.close().await;
        self.pool.close().await;
    }
}

/// See [`super::open`].
pub(super) async fn open(
    url: &str,
    connections: u32,
    access: Access,
    deadlines: Option<Deadlines>,
) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(PgStore::open(url, connections, access, deadlines).await?))
}

/// See [`super::place`].
pub(super) fn place(url: &str) -> Result<String> {
    let options = options(url)?;
    let database = options.get_database().unwrap_or(options.get_username());
    Ok(match options.get_socket() {
        Some(socket) => {
            let port = options.get_port();
            format!("postgres:///{database} at {}/.s.PGSQL.{port}", socket.display())
        }
        None => format!("postgres://{}:{}/{database}", options.get_host(), options.get_port()),
    })
}

/// See [`super::migrate_patiently`].
pub(super) async fn migrate(url: &str, goal: Goal, patience: LockPatience) -> Result<()> {
    let mut connection = connect(url, Access::Create).await?;
    migrating::migrate(&MIGRATOR, &mut connection, goal, patience).await?;
    connection.close().await?;
    Ok(())
}

/// See [`super::losses`].
pub(super) async fn losses(url: &str, target: i64) -> Result<Vec<Loss>> {
    migrations::losses(&MIGRATOR, &mut connect(url, Access::Read).await?, target).await
}

/// See [`super::record_migrations`].
pub(super) async fn record_migrations(url: &str) -> Result<Vec<String>> {
    let mut connection = connect(url, Access::Write).await?;
    let actual = schema::parts(&mut connection).await?;
    let (version, problems) = proved(&schema::stages()?, &actual);
    if version > 0 {
        let goal = Goal::Recorded(version);
        migrating::migrate(&MIGRATOR, &mut connection, goal, LockPatience::default()).await?;
    }
    connection.close().await?;
    Ok(problems)
}

/// See [`super::schema`].
pub(super) async fn schema(url: &str) -> Result<Vec<SchemaPart>> {
    schema::parts(&mut connect(url, Access::Read).await?).await
}

/// See [`super::migrations`].
pub(super) async fn migrations(url: &str) -> Result<Vec<Migration>> {
    migrations::list(&MIGRATOR, &mut connect(url, Access::Read).await?).await
}

/// See [`super::distribute`].
pub(super) async fn distribute(url: &str, patience: LockPatience) -> Result<bool> {
    let capture = capture_status(url).await?.capture;
    distribute::distribute(url, capture, patience).await
}

/// See [`super::distribution`].
pub(super) async fn distribution(url: &str) -> Result<Option<u32>> {
    citus::distribution(&mut connect(url, Access::Read).await?).await
}

/// See [`super::capture_status`].
pub(super) async fn capture_status(url: &str) -> Result<CaptureStatus> {
    both::capture::status(&mut capture::open(url, Access::Read).await?).await
}

/// See [`super::set_capture`].
pub(super) async fn set_capture(url: &str, capture: Capture) -> Result<bool> {
    both::capture::set(url, capture).await
}

/// See [`super::prune_changes`].
pub(super) async fn prune_changes(url: &str, before: DateTime<Utc>) -> Result<u64> {
    both::capture::prune(url, before).await
}

impl Dialect for Postgres {
    // Not reliably: after a few executions it may use one plan for all values.
    const PLANS_ANEW: bool = false;
    const PLACE: Option<&str> = Some("place");

    async fn end_once(_: &mut PgConnection, _: Arc<AtomicBool>) -> sqlx::Result<()> {
        // The server notices that its client is gone.
        Ok(())
    }

    fn begin(_at: DateTime<Utc>) -> QueryBuilder<Self> {
        QueryBuilder::new("")
    }

    fn push_orders(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>) {
        sql.push(
            "(SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, ",
        );
        Self::push_instant(sql, at);
        sql.push(") AS effective_state FROM orders o) o");
    }

    fn push_text(sql: &mut QueryBuilder<Self>, text: &str) {
        sql.push_bind(text);
    }

    fn push_key(sql: &mut QueryBuilder<Self>, text: &str) {
        Self::push_text(sql, text);
    }

    fn push_instant(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>) {
        sql.push_bind(at);
    }

    fn push_among(sql: &mut QueryBuilder<Self>, texts: Vec<&str>) {
        // The planner knows the length of an array but not of unnest.
        sql.push(" = ANY (").push_bind(texts).push(")");
    }

    fn is_no_instant(column: &str) -> String {
        format!("({column} < '0001-01-01T00:00:00Z' OR {column} >= '10000-01-01T00:00:00Z')")
    }

    fn push_rows<const N: usize>(
        sql: &mut QueryBuilder<Self>,
        columns: &[(&str, ColumnType)],
        rows: Vec<[Option<&str>; N]>,
    ) {
        for (i, (_, holds)) in columns.iter().enumerate() {
            sql.push(if i == 0 { "unnest(" } else { ", " });
            sql.push_bind(rows.iter().map(|row| row[i]).collect::<Vec<_>>());
            sql.push(match holds {
                ColumnType::Text | ColumnType::JsonText => "",
                ColumnType::Integer => "::text[]::bigint[]",
                ColumnType::Flag => "::text[]::boolean[]",
                ColumnType::Instant => "::text[]::timestamptz[]",
                ColumnType::Json => "::text[]::jsonb[]",
                ColumnType::Bytes => "::text[]::bytea[]",
            });
        }
        sql.push(") r (").push(list(columns, |(name, _)| (*name).to_owned())).push(")");
    }

    fn push_optional(sql: &mut QueryBuilder<Self>, text: Option<&str>) {
        sql.push_bind(text);
    }

    fn push_integer(sql: &mut QueryBuilder<Self>, number: impl Into<Option<i64>>) {
        sql.push_bind(number.into());
    }

    fn push_like(sql: &mut QueryBuilder<Self>, pattern: &str) {
        sql.push(" LIKE ").push_bind(search::like(pattern));
    }

    fn push_json_member(sql: &mut QueryBuilder<Self>, column: &str, name: &str) {
        sql.push(format_args!("({column} -> ")).push_bind(name.to_owned()).push("::text)::text");
    }

    fn push_json(sql: &mut QueryBuilder<Self>, json: &str) {
        sql.push_bind(json).push("::jsonb");
    }

    fn push_merged(sql: &mut QueryBuilder<Self>, column: &str, json: &str) {
        sql.push(column).push(" || ");
        Self::push_json(sql, json);
    }

    const AS_JSON: &str = "::json";

    fn iso(column: &str) -> String {
        format!(r#"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"#)
    }

    const HISTORY_ID: Option<&str> = None;

    const SORTED: &str = "";
    const IS_HEAD: &str = "o.parent_id IS NULL";
    const NOW: &str = "now()";

    const NO_LIMIT: &str = "\nLIMIT ALL";

    const CHARACTER: &str = "chr";

    fn push_created(sql: &mut QueryBuilder<Self>, at: DateTime<Utc>) {
        // Executors use the database's clock: for it, no order may be created in the future.
        sql.push("least(").push_bind(at).push(", now())");
    }

    fn push_new_state(
        sql: &mut QueryBuilder<Self>,
        _controller_id: &str,
        at: DateTime<Utc>,
        state: &str,
        suspended: &str,
    ) {
        sql.push(format_args!("effective_state({state}, {suspended}, a.scheduled_for, "));
        Self::push_instant(sql, at);
        sql.push(")");
    }
}
