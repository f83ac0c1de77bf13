UPDATE temp.clock SET now = ?;
SELECT concat_ws(char(31), coalesce(o.order_id, ''), coalesce(o.workflow_path, ''),
    coalesce(o.workflow_version_id, ''), coalesce(o.state, ''), coalesce(o.mark, ''),
    coalesce(CAST(o.scheduled_for AS text), ''),
    coalesce(CAST(o.kill_requested AS text), ''), coalesce(CAST(o.priority AS text), ''),
    coalesce(CAST(o.arguments AS text), ''), coalesce(CAST(o.position AS text), ''),
    coalesce(o.reason, ''), o.effective_state,
    EXISTS (
        SELECT 1 FROM orders c
        WHERE c.root_id = o.root_id AND c.parent_id IS NOT NULL
          AND c.order_id > o.order_id || '|' AND c.order_id < o.order_id || '}'
          AND c.state NOT IN ('FINISHED', 'CANCELLED')
          AND c.controller_id = (SELECT ?)
    )) AS packed
FROM orders_effective o
WHERE o.controller_id = (SELECT ?)
  AND o.state NOT IN ('FINISHED', 'CANCELLED')
  AND ((o.workflow_path >= ? AND o.workflow_path < ?))
ORDER BY +o.order_id
LIMIT ?;
