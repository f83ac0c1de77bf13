UPDATE temp.clock SET now = ?;
SELECT o.workflow_path, o.effective_state, count(*) AS orders
FROM orders_effective o
WHERE o.controller_id = (SELECT ?)
  AND o.state NOT IN ('FINISHED', 'CANCELLED')
  AND ((o.workflow_path >= ? AND o.workflow_path < ?))
GROUP BY o.workflow_path, o.effective_state;
