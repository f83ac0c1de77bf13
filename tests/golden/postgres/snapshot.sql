SELECT o.effective_state, count(*) AS orders
FROM (
    SELECT o.effective_state
    FROM (SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
    WHERE o.controller_id = $2
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((o.folder >= $3 AND o.folder < $4 AND (o.folder >= $5 OR o.folder = $6)))
    UNION ALL
    SELECT o.effective_state
    FROM (SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, $7) AS effective_state FROM orders o) o
    WHERE o.controller_id = $8
      AND o.state IN ('FINISHED', 'CANCELLED') AND NOT o.remove_when_terminated
      AND ((o.folder >= $9 AND o.folder < $10 AND (o.folder >= $11 OR o.folder = $12)))
) o
GROUP BY o.effective_state;
