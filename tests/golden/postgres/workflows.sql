WITH versions AS MATERIALIZED (
    SELECT o.controller_id, o.workflow_path, o.version_id AS workflow_version_id,
        o.name, o.folder, o.created,
        row_number() OVER (
            PARTITION BY o.workflow_path ORDER BY o.created DESC, o.version_id DESC
        ) = 1 AS is_current
    FROM (SELECT w.*, w.path AS workflow_path FROM workflows w) o
    WHERE o.controller_id = $1
),
known AS MATERIALIZED (
    SELECT o.*
    FROM versions o
    WHERE (o.is_current OR EXISTS (
        SELECT 1 FROM orders l
        WHERE l.workflow_path = o.workflow_path
          AND l.workflow_version_id = o.workflow_version_id
          AND l.state NOT IN ('FINISHED', 'CANCELLED')
          AND l.controller_id = $2
    ))
      AND ((o.workflow_path >= $3 AND o.workflow_path < $4))
)
SELECT k.workflow_path AS path, k.workflow_version_id AS version_id, k.created,
    k.is_current
FROM known k
ORDER BY k.created DESC, path, version_id DESC;

WITH versions AS MATERIALIZED (
    SELECT o.controller_id, o.workflow_path, o.version_id AS workflow_version_id,
        o.name, o.folder, o.created,
        row_number() OVER (
            PARTITION BY o.workflow_path ORDER BY o.created DESC, o.version_id DESC
        ) = 1 AS is_current
    FROM (SELECT w.*, w.path AS workflow_path FROM workflows w) o
    WHERE o.controller_id = $1
),
known AS MATERIALIZED (
    SELECT o.*
    FROM versions o
    WHERE (o.is_current OR EXISTS (
        SELECT 1 FROM orders l
        WHERE l.workflow_path = o.workflow_path
          AND l.workflow_version_id = o.workflow_version_id
          AND l.state NOT IN ('FINISHED', 'CANCELLED')
          AND l.controller_id = $2
    ))
      AND ((o.workflow_path >= $3 AND o.workflow_path < $4))
)
SELECT k.workflow_path AS path, k.workflow_version_id AS version_id, NULL AS state,
    0 AS orders
FROM known k
UNION ALL
SELECT o.workflow_path, o.workflow_version_id, o.effective_state, count(*)
FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $5) AS effective_state FROM orders o) o
WHERE o.controller_id = $6
  AND o.state NOT IN ('FINISHED', 'CANCELLED')
  AND (o.workflow_path, o.workflow_version_id) IN
      (SELECT k.workflow_path, k.workflow_version_id FROM known k)
GROUP BY o.workflow_path, o.workflow_version_id, o.effective_state
UNION ALL
SELECT o.workflow_path, o.workflow_version_id, o.effective_state, count(*)
FROM (SELECT o.*, o.state AS effective_state FROM orders o) o
WHERE o.controller_id = $7
  AND o.state IN ('FINISHED', 'CANCELLED') AND NOT o.remove_when_terminated
  AND (o.workflow_path, o.workflow_version_id) IN
      (SELECT k.workflow_path, k.workflow_version_id FROM known k)
GROUP BY o.workflow_path, o.workflow_version_id, o.effective_state;
