UPDATE temp.clock SET now = ?;
SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.scheduled_for,
    o.modified, CAST(o.arguments AS text) AS arguments,
    CAST(o.position AS text) AS position, o.history_id, o.state AS effective_state, coalesce(o.started, o.created) AS started, o.history_at AS state_since
FROM orders o
WHERE o.controller_id = (SELECT ?)
  AND o.state IN ('FINISHED', 'CANCELLED')
  AND o.state <> 'CANCELLED'
  AND o.parent_id IS NULL
  AND coalesce(o.started, o.created) >= ?
  AND coalesce(o.started, o.created) < ?
  AND o.history_at >= ?
  AND (o.workflow_path IN (
    SELECT w.path FROM workflows w WHERE w.name IN (SELECT value FROM json_each(?)) AND w.controller_id = (SELECT ?)
)
    OR (o.workflow_path, o.order_id) IN (
    SELECT r.workflow, r.order_id FROM (SELECT value ->> 0 AS workflow, value ->> 1 AS order_id FROM json_each(?)) r
))
ORDER BY o.history_at DESC, o.order_id
LIMIT ?;
