UPDATE temp.clock SET now = ?;
SELECT o.effective_state, count(*) AS orders
FROM (
    SELECT o.effective_state
    FROM orders_effective o
    WHERE o.controller_id = (SELECT ?)
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND (o.effective_state <> 'SCHEDULED' OR o.scheduled_for < ?)
    UNION ALL
    SELECT o.effective_state
    FROM (SELECT o.*, o.state AS effective_state FROM orders o) o
    WHERE o.controller_id = (SELECT ?)
      AND o.state IN ('FINISHED', 'CANCELLED') AND NOT o.remove_when_terminated
) o
GROUP BY o.effective_state;
