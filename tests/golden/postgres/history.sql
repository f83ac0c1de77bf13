SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.state,
    o.scheduled_for, o.modified, CAST(o.arguments AS text) AS arguments,
    CAST(o.position AS text) AS position, coalesce(o.started, o.created) AS started, coalesce(o.state_since, o.created) AS ended
FROM orders o
WHERE o.controller_id = $1
  AND o.state IN ('FINISHED', 'CANCELLED')
  AND o.parent_id IS NULL
ORDER BY coalesce(o.state_since, o.created) DESC, o.order_id
LIMIT $2;
