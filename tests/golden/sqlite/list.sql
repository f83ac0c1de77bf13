UPDATE temp.clock SET now = ?;
SELECT o.order_id, o.workflow_path, o.workflow_version_id, o.state, o.mark, o.scheduled_for,
    o.kill_requested, o.priority, CAST(o.arguments AS text) AS arguments,
    CAST(o.position AS text) AS position, o.reason, o.effective_state,
    EXISTS (
        SELECT 1 FROM orders c
        WHERE c.root_id = o.root_id AND c.parent_id IS NOT NULL
          AND c.order_id > o.order_id || '|' AND c.order_id < o.order_id || '}'
          AND c.state NOT IN ('FINISHED', 'CANCELLED')
          AND c.controller_id = (SELECT ?)
    ) AS has_children
FROM orders_effective o
WHERE o.controller_id = (SELECT ?)
  AND o.state NOT IN ('FINISHED', 'CANCELLED')
  AND ((o.workflow_path >= ? AND o.workflow_path < ?))
ORDER BY o.order_id
LIMIT ?;
