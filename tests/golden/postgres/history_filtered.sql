SELECT concat_ws(chr(31), coalesce(o.controller_id, ''), coalesce(o.order_id, ''),
    coalesce(o.workflow_path, ''), coalesce(o.workflow_version_id, ''),
    coalesce(CAST(o.scheduled_for AS text), ''), coalesce(CAST(o.modified AS text), ''),
    coalesce(CAST(o.arguments AS text), ''), coalesce(CAST(o.position AS text), ''),
    coalesce(CAST(o.history_id AS text), ''), o.state, coalesce(o.started, o.created), o.history_at) AS packed
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
