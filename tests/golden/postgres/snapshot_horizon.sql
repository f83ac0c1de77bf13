SELECT o.effective_state, count(*) AS orders
FROM (
    SELECT o.effective_state
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
    WHERE o.controller_id = $2
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND (o.effective_state <> 'SCHEDULED' OR o.scheduled_for < $3)
    UNION ALL
    SELECT o.effective_state
    FROM (SELECT o.*, o.state AS effective_state FROM orders o) o
    WHERE o.controller_id = $4
      AND o.state IN ('FINISHED', 'CANCELLED') AND NOT o.remove_when_terminated
) o
GROUP BY o.effective_state;
