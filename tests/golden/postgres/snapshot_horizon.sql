SELECT o.effective_state, count(*) AS orders
FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
WHERE o.controller_id = $2
  AND (o.state NOT IN ('FINISHED', 'CANCELLED') OR NOT o.remove_when_terminated)
  AND (o.effective_state <> 'SCHEDULED' OR o.scheduled_for < $3)
GROUP BY o.effective_state;
