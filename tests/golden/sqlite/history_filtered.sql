UPDATE temp.clock SET now = ?;
SELECT concat_ws(char(31), coalesce(o.controller_id, ''), coalesce(o.order_id, ''),
    coalesce(o.workflow_path, ''), coalesce(o.workflow_version_id, ''),
    coalesce(CAST(o.scheduled_for AS text), ''), coalesce(CAST(o.modified AS text), ''),
    coalesce(CAST(o.arguments AS text), ''), coalesce(CAST(o.position AS text), ''),
    coalesce(CAST(o.history_id AS text), ''), o.state, coalesce(o.started, o.created), o.history_at) AS packed
FROM orders o
WHERE o.controller_id = (SELECT ?)
  AND o.state IN ('FINISHED', 'CANCELLED')
  AND o.state <> 'CANCELLED'
  AND instr(o.order_id, '|') = 0
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
