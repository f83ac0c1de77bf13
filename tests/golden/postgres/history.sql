SELECT * FROM (
    SELECT concat_ws(chr(31), coalesce(o.controller_id, ''), coalesce(o.order_id, ''),
        coalesce(o.workflow_path, ''), coalesce(o.workflow_version_id, ''),
        coalesce(CAST(o.scheduled_for AS text), ''), coalesce(CAST(o.modified AS text), ''),
        coalesce(CAST(o.arguments AS text), ''), coalesce(CAST(o.position AS text), ''),
        coalesce(CAST(o.history_id AS text), ''), o.state, coalesce(o.started, o.created), o.history_at) AS packed, o.history_at AS state_since, o.order_id, o.controller_id
    FROM orders o
    WHERE o.controller_id = $1
      AND o.state IN ('FINISHED', 'CANCELLED')
      AND o.parent_id IS NULL
    ORDER BY o.history_at DESC, o.order_id
    LIMIT $2
) h
UNION ALL
SELECT * FROM (
    SELECT concat_ws(chr(31), coalesce(o.controller_id, ''), coalesce(o.order_id, ''),
        coalesce(o.workflow_path, ''), coalesce(o.workflow_version_id, ''),
        coalesce(CAST(o.scheduled_for AS text), ''), coalesce(CAST(o.modified AS text), ''),
        coalesce(CAST(o.arguments AS text), ''), coalesce(CAST(o.position AS text), ''),
        coalesce(CAST(o.history_id AS text), ''), o.effective_state, coalesce(o.started, o.created), o.history_at) AS packed, o.history_at AS state_since, o.order_id, o.controller_id
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
