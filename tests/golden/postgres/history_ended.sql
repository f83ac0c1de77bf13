SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.scheduled_for,
    o.modified, CAST(o.arguments AS text) AS arguments,
    CAST(o.position AS text) AS position, o.history_id, o.state AS effective_state, coalesce(o.started, o.created) AS started, o.history_at AS state_since
FROM orders o
WHERE o.controller_id = $1
  AND o.state IN ('FINISHED', 'CANCELLED')
  AND o.state <> 'FINISHED'
  AND o.parent_id IS NULL
ORDER BY o.history_at DESC, o.order_id
LIMIT $2;
