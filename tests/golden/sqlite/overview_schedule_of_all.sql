UPDATE temp.clock SET now = ?;
SELECT b.bucket, count(*) AS orders
FROM (
    SELECT CASE WHEN o.scheduled_for < ? THEN CASE WHEN o.scheduled_for < ? THEN 0 ELSE 1 END ELSE CASE WHEN o.scheduled_for < ? THEN 2 ELSE 3 END END AS bucket
    FROM orders_effective o
    WHERE o.controller_id = (SELECT ?)
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.effective_state IN ('BLOCKED', 'SCHEDULED')
      AND o.scheduled_for >= ?
      AND o.scheduled_for < ?
    UNION ALL
    SELECT -1
    FROM orders_effective o
    WHERE o.controller_id = (SELECT ?)
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.effective_state IN ('BLOCKED')
      AND o.scheduled_for < ?
    UNION ALL
    SELECT -2
    FROM orders_effective o
    WHERE o.controller_id = (SELECT ?)
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.effective_state IN ('PENDING')
      AND o.scheduled_for IS NULL
) b
GROUP BY b.bucket;
