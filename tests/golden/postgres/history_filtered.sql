SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.scheduled_for,
    o.modified, CAST(o.arguments AS text) AS arguments,
    CAST(o.position AS text) AS position, o.history_id, o.state AS effective_state, coalesce(o.started, o.created) AS started, o.history_at AS state_since
FROM orders o
WHERE o.controller_id = $1
  AND o.state IN ('FINISHED', 'CANCELLED')
  AND o.state <> 'CANCELLED'
  AND o.parent_id IS NULL
  AND coalesce(o.started, o.created) >= $2
  AND coalesce(o.started, o.created) < $3
  AND o.history_at >= $4
  AND (o.workflow_path IN (
    SELECT w.path FROM workflows w WHERE w.name = ANY ($5) AND w.controller_id = $6
)
    OR (o.workflow_path, o.order_id) IN (
    SELECT r.workflow, r.order_id FROM unnest($7, $8) r (workflow, order_id)
))
ORDER BY o.history_at DESC, o.order_id
LIMIT $9;
