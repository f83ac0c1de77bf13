UPDATE temp.clock SET now = ?;
SELECT * FROM (
    SELECT concat_ws(char(31), coalesce(o.controller_id, ''), coalesce(o.order_id, ''),
        coalesce(o.workflow_path, ''), coalesce(o.workflow_version_id, ''),
        coalesce(CAST(o.scheduled_for AS text), ''), coalesce(CAST(o.modified AS text), ''),
        coalesce(CAST(o.arguments AS text), ''), coalesce(CAST(o.position AS text), ''),
        coalesce(CAST(o.history_id AS text), ''), o.state, coalesce(o.started, o.created), o.history_at) AS packed, o.history_at AS state_since, o.order_id, o.controller_id
    FROM orders o
    WHERE o.controller_id = (SELECT ?)
      AND o.state IN ('FINISHED', 'CANCELLED')
      AND instr(o.order_id, '|') = 0
    ORDER BY o.history_at DESC, o.order_id
    LIMIT ?
) h
UNION ALL
SELECT * FROM (
    SELECT concat_ws(char(31), coalesce(o.controller_id, ''), coalesce(o.order_id, ''),
        coalesce(o.workflow_path, ''), coalesce(o.workflow_version_id, ''),
        coalesce(CAST(o.scheduled_for AS text), ''), coalesce(CAST(o.modified AS text), ''),
        coalesce(CAST(o.arguments AS text), ''), coalesce(CAST(o.position AS text), ''),
        coalesce(CAST(o.history_id AS text), ''), o.effective_state, coalesce(o.started, o.created), o.history_at) AS packed, o.history_at AS state_since, o.order_id, o.controller_id
    FROM orders_effective o
    WHERE o.controller_id = (SELECT ?)
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.state IN ('RUNNING', 'INPROGRESS', 'WAITING', 'PROMPTING', 'FAILED')
      AND instr(o.order_id, '|') = 0
    ORDER BY o.history_at DESC, o.order_id
    LIMIT ?
) h
ORDER BY state_since DESC, order_id, controller_id
LIMIT ?;
