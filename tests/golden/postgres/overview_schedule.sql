SELECT b.bucket, count(*) AS orders
FROM (
    SELECT CASE WHEN o.scheduled_for < $1 THEN CASE WHEN o.scheduled_for < $2 THEN 0 ELSE 1 END ELSE CASE WHEN o.scheduled_for < $3 THEN 2 ELSE 3 END END AS bucket
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $4) AS effective_state FROM orders o) o
    WHERE o.controller_id = $5
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((o.workflow_path >= $6 AND o.workflow_path < $7))
      AND o.effective_state IN ('BLOCKED', 'SCHEDULED')
      AND o.scheduled_for >= $8
      AND o.scheduled_for < $9
    UNION ALL
    SELECT -1
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $10) AS effective_state FROM orders o) o
    WHERE o.controller_id = $11
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((o.workflow_path >= $12 AND o.workflow_path < $13))
      AND o.effective_state IN ('BLOCKED')
      AND o.scheduled_for < $14
    UNION ALL
    SELECT -2
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $15) AS effective_state FROM orders o) o
    WHERE o.controller_id = $16
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((o.workflow_path >= $17 AND o.workflow_path < $18))
      AND o.effective_state IN ('PENDING')
      AND o.scheduled_for IS NULL
) b
GROUP BY b.bucket;
