//! The parts of a schema on PostgreSQL, and those expected: the list `schema.json`, which
//! `tests/it/schema.rs` compares with what the migrations make.

use serde::Deserialize;
use sqlx::postgres::PgConnection;

use super::steps::MIGRATOR;
use crate::store::schema::SchemaPart;
use crate::store::{Error, Result};

/// A part, and the migrations after which the schema has it so.
#[derive(Deserialize)]
struct Expected {
    since: i64,
    before: Option<i64>,
    #[serde(flatten)]
    part: SchemaPart,
}

/// The parts of the schema.
pub(super) async fn parts(connection: &mut PgConnection) -> Result<Vec<SchemaPart>> {
    Ok(sqlx::query_as(include_str!("schema.sql")).fetch_all(connection).await?)
}

/// The schema after each migration, with its number.
pub(super) fn stages() -> Result<Vec<(i64, Vec<SchemaPart>)>> {
    let expected: Vec<Expected> = serde_json::from_str(include_str!("schema.json"))
        .map_err(|error| Error::Data(format!("schema.json: {error}")))?;
    let up = MIGRATOR.iter().filter(|migration| migration.migration_type.is_up_migration());
    let stage = |version: i64| {
        let is_there =
            |e: &&Expected| e.since <= version && e.before.is_none_or(|before| version < before);
        expected.iter().filter(is_there).map(|e| e.part.clone()).collect()
    };
    Ok(up.map(|migration| (migration.version, stage(migration.version))).collect())
}
