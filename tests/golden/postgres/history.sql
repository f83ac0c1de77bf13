SELECT * FROM (
    SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.scheduled_for,
        o.modified, CAST(o.arguments AS text) AS arguments,
        CAST(o.position AS text) AS position, o.history_id, o.state AS effective_state, coalesce(o.started, o.created) AS started, o.history_at AS state_since
    FROM orders o
    WHERE o.controller_id = $1
      AND o.state IN ('FINISHED', 'CANCELLED')
      AND o.parent_id IS NULL
    ORDER BY o.history_at DESC, o.order_id
    LIMIT $2
) h
UNION ALL
SELECT * FROM (
    SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.scheduled_for,
        o.modified, CAST(o.arguments AS text) AS arguments,
        CAST(o.position AS text) AS position, o.history_id, o.effective_state, coalesce(o.started, o.created) AS started, o.history_at AS state_since
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $3) AS effective_state FROM orders o) o
    WHERE o.controller_id = $4
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.state IN ('RUNNING', 'INPROGRESS', 'WAITING', 'PROMPTING', 'FAILED')
      AND o.parent_id IS NULL
    ORDER BY o.history_at DESC, o.order_id
    LIMIT $5
) h
ORDER BY state_since DESC, order_id, controller_id
LIMIT $6;
