SELECT o.order_id, o.workflow_path, o.workflow_version_id, o.state, o.mark, o.scheduled_for,
    o.kill_requested, o.priority, CAST(o.arguments AS text) AS arguments,
    CAST(o.position AS text) AS position, o.reason, o.effective_state,
    EXISTS (
        SELECT 1 FROM orders c
        WHERE c.root_id = o.root_id AND c.parent_id IS NOT NULL
          AND c.order_id > o.order_id || '|' AND c.order_id < o.order_id || '}'
          AND c.state NOT IN ('FINISHED', 'CANCELLED')
          AND c.controller_id = $1
    ) AS has_children
FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $2) AS effective_state FROM orders o) o
WHERE o.controller_id = $3
  AND (o.state NOT IN ('FINISHED', 'CANCELLED') OR NOT o.remove_when_terminated)
  AND o.order_id = $4
ORDER BY o.order_id
LIMIT $5;
