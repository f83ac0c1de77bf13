//! The statements of an executor on SQLite, as docs/executors.md has them.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection};

use super::backend::SqliteStore;
use crate::store::Result;
use crate::store::runs::Watch;

/// Takes due orders of some workflows.
pub(super) const TAKE: &str = "\
UPDATE orders
SET state = 'RUNNING', reason = NULL, started = coalesce(started, (SELECT now FROM main.clock)),
    state_since = (SELECT now FROM main.clock), modified = (SELECT now FROM main.clock)
WHERE controller_id = $1 AND order_id IN (
    SELECT order_id FROM orders
    WHERE controller_id = $1 AND state = 'FRESH' AND state NOT IN ('FINISHED', 'CANCELLED')
      AND NOT suspended AND mark IS NULL AND scheduled_for <= (SELECT now FROM main.clock)
      AND workflow_path IN (SELECT value FROM json_each($3))
    ORDER BY priority DESC, scheduled_for, order_id
    LIMIT $2)
RETURNING order_id, workflow_path, workflow_version_id, scheduled_for, position, arguments";

/// Reports the state of an order.
pub(super) const REPORT: &str = "\
UPDATE orders
SET state = CASE WHEN mark = 'CANCELLING' THEN 'CANCELLED' ELSE reported END,
    suspended = CASE WHEN mark = 'CANCELLING' OR reported = 'FINISHED' THEN FALSE
                     WHEN mark = 'SUSPENDING' THEN TRUE
                     WHEN mark = 'RESUMING' THEN FALSE
                     ELSE suspended END,
    reason = CASE WHEN reported = 'WAITING' AND coalesce(mark, '') <> 'CANCELLING' THEN why END,
    state_since = CASE WHEN state = reported AND mark IS NULL THEN state_since ELSE (SELECT now FROM main.clock) END,
    mark = NULL, kill_requested = NULL, sigkill_at = NULL,
    modified = (SELECT now FROM main.clock)
FROM (SELECT $3 AS reported, $4 AS why) AS report
WHERE controller_id = $1 AND order_id = $2
  AND state NOT IN ('FINISHED', 'CANCELLED')
RETURNING state, suspended";

/// Makes a started order `RUNNING` again.
pub(super) const NEXT: &str = "\
UPDATE orders
SET state = 'RUNNING', reason = NULL, started = coalesce(started, (SELECT now FROM main.clock)),
    state_since = CASE WHEN state = 'RUNNING' THEN state_since ELSE (SELECT now FROM main.clock) END,
    modified = (SELECT now FROM main.clock)
WHERE controller_id = $1 AND order_id = $2
  AND state NOT IN ('FRESH', 'FINISHED', 'CANCELLED') AND NOT suspended AND mark IS NULL
RETURNING order_id";

/// What marks ask for.
pub(super) const MARKS: &str = "\
SELECT order_id, state, mark, sigkill_at, reason, workflow_path,
       CASE WHEN state <> 'RUNNING' THEN 'SETTLE'
            WHEN sigkill_at <= (SELECT now FROM main.clock) THEN 'SIGKILL'
            ELSE 'SIGTERM' END AS action
FROM orders INDEXED BY orders_marked
WHERE controller_id = $1 AND mark IS NOT NULL
  AND CASE WHEN state = 'RUNNING' THEN kill_requested IS NOT NULL
           WHEN mark <> 'CANCELLING' THEN TRUE
           ELSE NOT EXISTS (
               SELECT 1 FROM orders c
               WHERE c.controller_id = $1
                 AND c.order_id > orders.order_id || '|' AND c.order_id < orders.order_id || '}'
                 AND c.state NOT IN ('FINISHED', 'CANCELLED')) END
ORDER BY order_id";

/// Orders that may continue.
pub(super) const CONTINUING: &str = "\
SELECT order_id, state, reason, position, arguments, priority, state_since, workflow_path
FROM orders INDEXED BY orders_living_state
WHERE controller_id = $1 AND state IN ('INPROGRESS', 'WAITING')
  AND state NOT IN ('FINISHED', 'CANCELLED') AND NOT suspended AND mark IS NULL
ORDER BY priority DESC, state_since, order_id";

/// Lets a parent continue whose children have all ended.
pub(super) const JOIN: &str = "\
UPDATE orders
SET state = 'INPROGRESS', reason = NULL, state_since = (SELECT now FROM main.clock), modified = (SELECT now FROM main.clock)
WHERE controller_id = $1 AND order_id = $2
  AND state = 'WAITING' AND NOT suspended AND mark IS NULL
  AND NOT EXISTS (
      SELECT 1 FROM orders c
      WHERE c.controller_id = $1
        AND c.order_id > orders.order_id || '|' AND c.order_id < orders.order_id || '}'
        AND c.state NOT IN ('FINISHED', 'CANCELLED'))
RETURNING order_id";

/// Ends parents that were cancelled while they had living children.
pub(super) const CANCELLED_PARENTS: &str = "\
UPDATE orders INDEXED BY orders_marked
SET state = 'CANCELLED', suspended = FALSE, mark = NULL, kill_requested = NULL, sigkill_at = NULL,
    reason = NULL, state_since = (SELECT now FROM main.clock), modified = (SELECT now FROM main.clock)
WHERE controller_id = $1 AND state = 'WAITING' AND mark = 'CANCELLING'
  AND NOT EXISTS (
      SELECT 1 FROM orders c
      WHERE c.controller_id = $1
        AND c.order_id > orders.order_id || '|' AND c.order_id < orders.order_id || '}'
        AND c.state NOT IN ('FINISHED', 'CANCELLED'))
RETURNING order_id";

/// The current instant. The connections of a store shadow `clock`.
pub(super) const NOW: &str = "(SELECT now FROM main.clock)";

/// The instant as many seconds from now as the last parameter says.
pub(super) const LEASE: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+' || $4 || ' seconds')";

/// Whether an order's id is in a list, which is JSON.
pub(super) const AMONG: &str = "IN (SELECT value FROM json_each($3))";

/// A transaction that writes is exclusive.
pub(super) const LOCKED: &str = "";
pub(super) const UNLESS_LOCKED: &str = "";

/// How often a file is polled.
const POLL: Duration = Duration::from_secs(1);

impl SqliteStore {
    /// Waits for changes of the file, on the connection of the sealer, which an agent does not need.
    pub(super) async fn watch(&self) -> Result<Box<dyn Watch>> {
        let mut connection = self.sealer()?.acquire().await?;
        let version = version(&mut connection).await?;
        Ok(Box::new(Poller { connection, version }))
    }
}

struct Poller {
    connection: PoolConnection<Sqlite>,
    version: i64,
}

#[async_trait]
impl Watch for Poller {
    async fn changed(&mut self, _controller_id: &str) -> Result<()> {
        loop {
            tokio::time::sleep(POLL).await;
            let version = version(&mut self.connection).await?;
            if std::mem::replace(&mut self.version, version) != version {
                return Ok(());
            }
        }
    }
}

/// A number that changes when another connection has committed.
async fn version(connection: &mut SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await?)
}
