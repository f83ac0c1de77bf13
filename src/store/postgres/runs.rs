//! The statements of an executor on PostgreSQL, as docs/executors.md has them.

use async_trait::async_trait;
use sqlx::postgres::PgListener;

use super::backend::PgStore;
use crate::store::Result;
use crate::store::runs::Watch;

/// Where the service notifies executors of marks.
const CHANNEL: &str = "joc_orders_marks";

/// Takes due orders of some workflows.
pub(super) const TAKE: &str = "\
WITH due AS (
    SELECT controller_id, order_id FROM orders
    WHERE controller_id = $1 AND state = 'FRESH' AND state NOT IN ('FINISHED', 'CANCELLED')
      AND NOT suspended AND mark IS NULL AND scheduled_for <= now()
      AND workflow_path IN (SELECT jsonb_array_elements_text($3::jsonb))
    ORDER BY priority DESC, scheduled_for, order_id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE orders o
SET state = 'RUNNING', reason = NULL, started = coalesce(o.started, clock.now),
    state_since = statement_timestamp(), modified = statement_timestamp()
FROM due, (SELECT statement_timestamp() AS now) AS clock
WHERE o.controller_id = due.controller_id AND o.order_id = due.order_id
RETURNING o.order_id, o.workflow_path, o.workflow_version_id, o.scheduled_for, o.position,
          o.arguments";

/// Reports the state of an order.
pub(super) const REPORT: &str = "\
UPDATE orders
SET state = CASE WHEN mark = 'CANCELLING' THEN 'CANCELLED' ELSE reported END,
    suspended = CASE WHEN mark = 'CANCELLING' OR reported = 'FINISHED' THEN FALSE
                     WHEN mark = 'SUSPENDING' THEN TRUE
                     WHEN mark = 'RESUMING' THEN FALSE
                     ELSE suspended END,
    reason = CASE WHEN reported = 'WAITING' AND coalesce(mark, '') <> 'CANCELLING' THEN why END,
    state_since = CASE WHEN state = reported AND mark IS NULL THEN state_since ELSE now END,
    mark = NULL, kill_requested = NULL, sigkill_at = NULL,
    modified = statement_timestamp()
FROM (SELECT $3 AS reported, $4 AS why, statement_timestamp() AS now) AS report
WHERE controller_id = $1 AND order_id = $2
  AND state NOT IN ('FINISHED', 'CANCELLED')
RETURNING state, suspended";

/// Makes a started order `RUNNING` again.
pub(super) const NEXT: &str = "\
UPDATE orders
SET state = 'RUNNING', reason = NULL, started = coalesce(started, clock.now),
    state_since = CASE WHEN state = 'RUNNING' THEN state_since ELSE clock.now END,
    modified = statement_timestamp()
FROM (SELECT statement_timestamp() AS now) AS clock
WHERE controller_id = $1 AND order_id = $2
  AND state NOT IN ('FRESH', 'FINISHED', 'CANCELLED') AND NOT suspended AND mark IS NULL
RETURNING order_id";

/// What marks ask for.
pub(super) const MARKS: &str = "\
SELECT order_id, state, mark, sigkill_at, reason, workflow_path,
       CASE WHEN state <> 'RUNNING' THEN 'SETTLE'
            WHEN sigkill_at <= now() THEN 'SIGKILL'
            ELSE 'SIGTERM' END AS action
FROM orders
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
FROM orders
WHERE controller_id = $1 AND state IN ('INPROGRESS', 'WAITING')
  AND state NOT IN ('FINISHED', 'CANCELLED') AND NOT suspended AND mark IS NULL
ORDER BY priority DESC, state_since, order_id";

/// Lets a parent continue whose children have all ended.
pub(super) const JOIN: &str = "\
UPDATE orders
SET state = 'INPROGRESS', reason = NULL, state_since = statement_timestamp(), modified = statement_timestamp()
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
UPDATE orders
SET state = 'CANCELLED', suspended = FALSE, mark = NULL, kill_requested = NULL, sigkill_at = NULL,
    reason = NULL, state_since = statement_timestamp(), modified = statement_timestamp()
WHERE controller_id = $1 AND state = 'WAITING' AND mark = 'CANCELLING'
  AND NOT EXISTS (
      SELECT 1 FROM orders c
      WHERE c.controller_id = $1
        AND c.order_id > orders.order_id || '|' AND c.order_id < orders.order_id || '}'
        AND c.state NOT IN ('FINISHED', 'CANCELLED'))
RETURNING order_id";

/// The current instant.
pub(super) const NOW: &str = "statement_timestamp()";

/// The instant as many seconds from now as the last parameter says.
pub(super) const LEASE: &str = "statement_timestamp() + make_interval(secs => $4::bigint)";

/// Whether an order's id is in a list, which is JSON.
pub(super) const AMONG: &str = "IN (SELECT jsonb_array_elements_text($3::jsonb))";

/// Locks the rows of a query; skips those that others have locked.
pub(super) const LOCKED: &str = " FOR UPDATE";
pub(super) const UNLESS_LOCKED: &str = " FOR UPDATE SKIP LOCKED";

impl PgStore {
    /// Waits for changes of marks, on the connection of the sealer, which an agent does not need.
    pub(super) async fn watch(&self) -> Result<Box<dyn Watch>> {
        let mut listener = PgListener::connect_with(&self.sealer).await?;
        listener.listen(CHANNEL).await?;
        Ok(Box::new(Listener(listener)))
    }
}

struct Listener(PgListener);

#[async_trait]
impl Watch for Listener {
    async fn changed(&mut self, controller_id: &str) -> Result<()> {
        // A lost connection returns nothing, and notifications were missed.
        while let Some(notification) = self.0.try_recv().await? {
            if notification.payload() == controller_id {
                break;
            }
        }
        Ok(())
    }
}
