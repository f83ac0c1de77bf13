//! The partitions of the audit trail, by range of the entry's id: migration 13.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, FromRow};

use crate::store::archive::Stretch;
use crate::store::{Error, Result};

/// The partitions of entries and of details with no id after one.
const ENDED: &str = "SELECT e.oid::regclass::text, d.oid::regclass::text
     FROM pg_inherits i JOIN pg_class e ON e.oid = i.inhrelid
     JOIN (pg_inherits j JOIN pg_class d ON d.oid = j.inhrelid)
         ON pg_get_expr(d.relpartbound, d.oid) = pg_get_expr(e.relpartbound, e.oid)
     WHERE i.inhparent = 'audit_logs'::regclass AND j.inhparent = 'audit_log_details'::regclass
         AND substring(pg_get_expr(e.relpartbound, e.oid) FROM ' TO \\(''?(\\d+)')::bigint <= $1 + 1
     ORDER BY e.oid";

/// The rows of a controller in a partition.
#[derive(Debug, FromRow)]
struct Rows {
    controller_id: String,
    count: i64,
    first: i64,
    last: i64,
}

/// Drops the partitions of which every row is archived, and returns how much of each stretch is left to
/// delete. Nobody else writes to the trail.
pub(super) async fn drop_archived(
    connection: &mut PgConnection,
    stretches: &[Stretch],
) -> Result<Vec<Stretch>> {
    // As the trigger of migration 13 does for inserts: the foreign key is checked for each deleted row.
    sqlx::raw_sql(
        "SELECT set_config('plan_cache_mode', 'force_generic_plan', true)
         WHERE NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')",
    )
    .execute(&mut *connection)
    .await?;
    let last_id = stretches.iter().map(|stretch| stretch.last_id).max().unwrap_or_default();
    let ended: Vec<(String, String)> =
        sqlx::query_as(ENDED).bind(last_id).fetch_all(&mut *connection).await?;
    let (mut left, mut drops) = (stretches.to_vec(), String::new());
    for (entries, details) in ended {
        let details_of = rows(connection, &details, "audit_log_id").await?;
        let entries_of = rows(connection, &entries, "id").await?;
        if !details_of.iter().chain(&entries_of).all(|rows| are_archived(rows, stretches)) {
            continue;
        }
        for Stretch { controller_id, counts, .. } in &mut left {
            for (rows, count) in
                [(&details_of, &mut counts.details), (&entries_of, &mut counts.entries)]
            {
                let found = rows.iter().find(|rows| rows.controller_id == *controller_id);
                // More than was archived is an error, as it is when rows are deleted.
                let found = found.map_or(0, |rows| rows.count.unsigned_abs());
                *count = count.checked_sub(found).unwrap_or(u64::MAX);
            }
        }
        for (table, part) in [("audit_log_details", details), ("audit_logs", entries)] {
            drops += &format!("ALTER TABLE {table} DETACH PARTITION {part}; DROP TABLE {part};");
        }
    }
    if !drops.is_empty() {
        // Readers, too, must be gone. Whoever reads and then writes waits for this transaction already.
        let locked =
            sqlx::raw_sql("LOCK TABLE audit_logs, audit_log_details IN ACCESS EXCLUSIVE MODE")
                .execute(&mut *connection)
                .await;
        locked.map_err(blocked)?;
        sqlx::raw_sql(AssertSqlSafe(drops)).execute(connection).await?;
    }
    Ok(left)
}

async fn rows(connection: &mut PgConnection, part: &str, id: &str) -> Result<Vec<Rows>> {
    let sql = format!(
        "SELECT controller_id, count(*) AS count, min({id}) AS first, max({id}) AS last
         FROM {part} GROUP BY controller_id"
    );
    Ok(sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?)
}

fn are_archived(rows: &Rows, stretches: &[Stretch]) -> bool {
    let stretch = stretches.iter().find(|stretch| stretch.controller_id == rows.controller_id);
    stretch.is_some_and(|stretch| stretch.after < rows.first && rows.last <= stretch.last_id)
}

fn blocked(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(database)
            if matches!(database.code().as_deref(), Some("55P03" | "40P01")) =>
        {
            Error::Blocked(
                "other sessions read the audit trail; nothing has changed: try again".into(),
            )
        }
        error => error.into(),
    }
}

/// Makes the partitions for the entries of a copy, given as JSON arrays with the id at this place.
pub(super) async fn make_room(
    connection: &mut PgConnection,
    rows: &str,
    place: usize,
) -> Result<()> {
    let sql = format!(
        "SELECT make_audit_partition(n) FROM (
             SELECT DISTINCT (value ->> {place})::bigint / 1000000 AS n
             FROM json_array_elements($1::text::json)
             WHERE (value ->> {place})::bigint BETWEEN 1 AND 4503599627370496 ORDER BY n) r"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(rows).execute(connection).await?;
    Ok(())
}
