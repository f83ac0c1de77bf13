SELECT concat_ws(chr(31), coalesce(o.controller_id, ''), coalesce(o.order_id, ''),
    coalesce(o.workflow_path, ''), coalesce(o.workflow_version_id, ''),
    coalesce(CAST(o.scheduled_for AS text), ''), coalesce(CAST(o.modified AS text), ''),
    coalesce(CAST(o.arguments AS text), ''), coalesce(CAST(o.position AS text), ''),
    coalesce(CAST(o.history_id AS text), ''), o.state, coalesce(o.started, o.created), o.history_at) AS packed
FROM orders o
WHERE o.controller_id = $1
  AND o.state IN ('FINISHED', 'CANCELLED')
  AND o.state <> 'FINISHED'
  AND o.parent_id IS NULL
ORDER BY o.history_at DESC, o.order_id
LIMIT $2;
