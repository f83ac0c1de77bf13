SELECT o.workflow_path, o.effective_state, count(*) AS orders
FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
WHERE o.controller_id = $2
  AND o.state NOT IN ('FINISHED', 'CANCELLED')
  AND ((o.workflow_path >= $3 AND o.workflow_path < $4))
GROUP BY o.workflow_path, o.effective_state;
