UPDATE temp.clock SET now = ?;
SELECT o.effective_state, count(*) AS orders
FROM orders_effective o
WHERE o.controller_id = (SELECT ?)
  AND (o.state NOT IN ('FINISHED', 'CANCELLED') OR NOT o.remove_when_terminated)
  AND (o.effective_state <> 'SCHEDULED' OR o.scheduled_for < ?)
GROUP BY o.effective_state;
