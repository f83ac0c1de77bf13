//! Imports into SQLite.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::SqliteConnection;

use crate::model::window::iso;
use crate::store::Result;
use crate::store::import::NamedVersion;

/// Adds the versions of workflows that items name, and their controllers.
pub(super) async fn add_versions(
    connection: &mut SqliteConnection,
    versions: &[NamedVersion<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    let workflows: Vec<_> = versions
        .iter()
        .map(|v| json!([v.controller_id, v.path, v.version_id, v.date.as_ref().map(iso)]))
        .collect();
    let (workflows, now) = (super::json(&workflows), iso(&now));
    sqlx::query!(
        "INSERT INTO controllers (controller_id)
             SELECT DISTINCT value ->> 0 FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING",
        workflows,
    )
    .execute(&mut *connection)
    .await?;
    // A version without a date is a millisecond newer than the one before it.
    sqlx::query!(
        "INSERT INTO workflows (controller_id, path, version_id, created)
             SELECT n.value ->> 0, n.value ->> 1, n.value ->> 2,
                 coalesce(n.value ->> 3, strftime('%Y-%m-%dT%H:%M:%fZ',
                     max(?2,
                         coalesce((SELECT max(w.created) FROM workflows w
                                   WHERE w.controller_id = n.value ->> 0
                                       AND w.path = n.value ->> 1), '')),
                     (row_number() OVER (PARTITION BY n.value ->> 0, n.value ->> 1
                                         ORDER BY n.key) / 1000.0) || ' seconds'),
                     '9999-12-31T23:59:59.999Z')
             FROM json_each(?1) n
             WHERE NOT EXISTS (SELECT 1 FROM workflows w WHERE w.controller_id = n.value ->> 0
                               AND w.path = n.value ->> 1 AND w.version_id = n.value ->> 2)",
        workflows,
        now,
    )
    .execute(&mut *connection)
    .await?;
    if versions.iter().any(|version| version.date.is_some()) {
        sqlx::query!(
            "UPDATE workflows AS w SET created = n.value ->> 3 FROM json_each(?1) n
                 WHERE w.controller_id = n.value ->> 0 AND w.path = n.value ->> 1
                     AND w.version_id = n.value ->> 2 AND w.created <> n.value ->> 3",
            workflows,
        )
        .execute(&mut *connection)
        .await?;
    }
    // The orders come next; their instants are none of a request.
    super::change_at(DateTime::UNIX_EPOCH).build().execute(connection).await?;
    Ok(())
}
