//! Migrations of tables that Citus has distributed: statement by statement.

use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::store::recorded::Step;

/// What a transaction needs that changes the schema of distributed tables, or writes to all of them:
/// one connection to each server. Without Citus, it changes nothing.
pub(super) const SEQUENTIAL: &str = "SET LOCAL citus.enable_unsafe_triggers = on;
     SET LOCAL citus.multi_shard_modify_mode = 'sequential'";

/// Runs a migration statement by statement, as Citus needs it for distributed tables.
pub(super) async fn one_by_one(
    connection: &mut PgConnection,
    table: &str,
    step: Step<'_>,
    wait: Duration,
) -> Result<(), MigrateError> {
    let (Step::Apply(migration) | Step::Revert(migration)) = step else {
        return step.run(connection, table).await;
    };
    let mut transaction = connection.begin().await?;
    let settings = format!("{SEQUENTIAL}; SET LOCAL lock_timeout = {}", wait.as_millis());
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut *transaction).await?;
    for statement in statements(migration.sql.as_str()) {
        let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await;
        done.map_err(|error| MigrateError::ExecuteMigration(error, migration.version))?;
    }
    if matches!(step, Step::Apply(_)) {
        Step::Record(migration).run(&mut *transaction, table).await?;
    } else {
        let forget = format!("DELETE FROM {table} WHERE version = $1");
        let forget = sqlx::query(AssertSqlSafe(forget)).bind(migration.version);
        forget.execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// The statements of a migration: each ends at a semicolon at the end of a line, outside of quotes
/// and dollars.
fn statements(sql: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut closes: Option<String> = None;
    for line in sql.lines() {
        if closes.is_none() && line.trim_start().starts_with("--") {
            continue;
        }
        let mut rest = line;
        loop {
            let next = match &closes {
                Some(mark) => rest.find(mark.as_str()).map(|at| (at, mark.clone())),
                None => opening(rest.split("--").next().unwrap_or_default()),
            };
            let Some((at, mark)) = next else { break };
            rest = &rest[at + mark.len()..];
            closes = if closes.is_some() { None } else { Some(mark) };
        }
        if let Some(statement) = statements.last_mut() {
            statement.push_str(line);
            statement.push('\n');
        }
        let code = rest.split("--").next().unwrap_or_default();
        if closes.is_none() && code.trim_end().ends_with(';') {
            statements.push(String::new());
        }
    }
    statements.retain(|statement| !statement.trim().is_empty());
    statements
}

/// Where the next quoted text begins, and what ends it.
fn opening(line: &str) -> Option<(usize, String)> {
    let quote = line.find('\'').map(|at| (at, "'".to_owned()));
    let dollar = line.find('$').and_then(|at| {
        let tag = line[at + 1..].split_once('$')?.0;
        let is_tag = tag.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
        is_tag.then(|| (at, format!("${tag}$")))
    });
    quote.into_iter().chain(dollar).min_by_key(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_split_where_its_statements_end() {
        let sql = "-- It's; a note\nCREATE TABLE a (\n    b text -- it's ; \n);\nINSERT INTO a VALUES (';\n;');\n\
                   DO $$ BEGIN\n    x;\nEND $$;\nCREATE FUNCTION f() AS $body$\n a '$$' ;\n$body$ LANGUAGE sql;\n";
        let split = statements(sql);
        let firsts: Vec<_> = split.iter().filter_map(|s| s.split_whitespace().next()).collect();
        assert_eq!(firsts, ["CREATE", "INSERT", "DO", "CREATE"], "{split:?}");
    }

    #[test]
    fn every_migration_is_split_into_whole_statements() {
        let migrator = sqlx::migrate!("migrations/postgres");
        for migration in migrator.iter() {
            let split = statements(migration.sql.as_str());
            let begins = [
                "CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE", "DO", "COMMENT", "REVOKE",
                "GRANT", "SELECT", "SET", "LOCK", "WITH", "TRUNCATE",
            ];
            for statement in &split {
                let first = statement.split_whitespace().next().unwrap_or_default();
                assert!(begins.contains(&first), "{}: {statement}", migration.version);
            }
        }
    }
}
