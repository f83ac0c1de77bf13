SELECT b.bucket, count(*) AS orders
FROM (
    SELECT CASE WHEN o.scheduled_for < $1 THEN CASE WHEN o.scheduled_for < $2 THEN 0 ELSE 1 END ELSE CASE WHEN o.scheduled_for < $3 THEN 2 ELSE 3 END END AS bucket
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $4) AS effective_state FROM orders o) o
    WHERE o.controller_id = $5
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.effective_state IN ('BLOCKED', 'SCHEDULED')
      AND o.scheduled_for >= $6
      AND o.scheduled_for < $7
    UNION ALL
    SELECT -1
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $8) AS effective_state FROM orders o) o
    WHERE o.controller_id = $9
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.effective_state IN ('BLOCKED')
      AND o.scheduled_for < $10
    UNION ALL
    SELECT -2
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $11) AS effective_state FROM orders o) o
    WHERE o.controller_id = $12
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.effective_state IN ('PENDING')
      AND o.scheduled_for IS NULL
) b
GROUP BY b.bucket;
