//! Imports into PostgreSQL.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::store::Result;
use crate::store::import::NamedVersion;

/// Adds the versions of workflows that items name, and their controllers.
pub(super) async fn add_versions(
    connection: &mut PgConnection,
    workflows: &[NamedVersion<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    let controllers: Vec<_> = workflows.iter().map(|v| v.controller_id.to_owned()).collect();
    let paths: Vec<_> = workflows.iter().map(|v| v.path.to_owned()).collect();
    let versions: Vec<_> = workflows.iter().map(|v| v.version_id.to_owned()).collect();
    let dates: Vec<_> = workflows.iter().map(|v| v.date).collect();
    sqlx::query!(
        "INSERT INTO controllers (controller_id) SELECT DISTINCT unnest($1::text[])
             ON CONFLICT DO NOTHING",
        &controllers,
    )
    .execute(&mut *connection)
    .await?;
    // A version without a date is a millisecond newer than the one before it. Citus takes neither
    // a correlated subquery here nor now() in coalesce.
    sqlx::query!(
        "INSERT INTO workflows (controller_id, path, version_id, created)
             SELECT n.controller_id, n.path, n.version_id, coalesce(n.date,
                 least('9999-12-31T23:59:59.999Z', greatest($5, k.newest)
                 + row_number() OVER (PARTITION BY n.controller_id, n.path ORDER BY n.place)
                     * interval '1 millisecond'))
             FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
                 WITH ORDINALITY n (controller_id, path, version_id, date, place)
             LEFT JOIN (SELECT w.controller_id, w.path, max(w.created) AS newest FROM workflows w
                        WHERE w.controller_id = ANY ($1) AND w.path = ANY ($2)
                        GROUP BY w.controller_id, w.path) k
                 ON k.controller_id = n.controller_id AND k.path = n.path
             LEFT JOIN (SELECT DISTINCT w.controller_id, w.path, w.version_id FROM workflows w
                        WHERE w.controller_id = ANY ($1) AND w.path = ANY ($2)
                            AND w.version_id = ANY ($3)) h
                 ON h.controller_id = n.controller_id AND h.path = n.path
                     AND h.version_id = n.version_id
             WHERE h.version_id IS NULL
             ON CONFLICT DO NOTHING",
        &controllers,
        &paths,
        &versions,
        &dates as &[Option<DateTime<Utc>>],
        now,
    )
    .execute(&mut *connection)
    .await?;
    if dates.iter().any(Option::is_some) {
        sqlx::query!(
            "UPDATE workflows w SET created = n.date
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
                     n (controller_id, path, version_id, date)
                 WHERE w.controller_id = n.controller_id AND w.path = n.path
                     AND w.version_id = n.version_id AND w.created <> n.date",
            &controllers,
            &paths,
            &versions,
            &dates as &[Option<DateTime<Utc>>],
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
