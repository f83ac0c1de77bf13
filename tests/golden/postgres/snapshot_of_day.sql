SELECT o.effective_state, count(*) AS orders
FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
WHERE o.controller_id = $2
  AND (o.state NOT IN ('FINISHED', 'CANCELLED') OR NOT o.remove_when_terminated)
  AND o.scheduled_for >= $3
  AND o.scheduled_for < $4
GROUP BY o.effective_state;
