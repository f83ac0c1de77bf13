UPDATE temp.clock SET now = ?;
SELECT concat_ws(char(31), coalesce(o.controller_id, ''), coalesce(o.order_id, ''),
    coalesce(o.workflow_path, ''), coalesce(o.workflow_version_id, ''),
    coalesce(CAST(o.scheduled_for AS text), ''), coalesce(CAST(o.modified AS text), ''),
    coalesce(CAST(o.arguments AS text), ''), coalesce(CAST(o.position AS text), ''),
    coalesce(CAST(o.history_id AS text), ''), o.effective_state, coalesce(o.started, o.created), coalesce(o.state_since, o.created)) AS packed
FROM orders_effective o
WHERE o.controller_id = (SELECT ?)
  AND o.order_id = ?
ORDER BY coalesce(o.state_since, o.created) DESC, o.order_id
LIMIT ?;

UPDATE temp.clock SET now = ?;
SELECT concat_ws(char(31), coalesce(o.controller_id, ''), coalesce(o.order_id, ''),
    coalesce(o.workflow_path, ''), coalesce(o.workflow_version_id, ''),
    coalesce(CAST(o.scheduled_for AS text), ''), coalesce(CAST(o.modified AS text), ''),
    coalesce(CAST(o.arguments AS text), ''), coalesce(CAST(o.position AS text), ''),
    coalesce(CAST(o.history_id AS text), ''), o.effective_state, coalesce(o.started, o.created), coalesce(o.state_since, o.created)) AS packed
FROM orders_effective o
WHERE o.controller_id = (SELECT ?)
  AND o.order_id > ? AND o.order_id < ?
  AND o.state <> 'FRESH'
ORDER BY coalesce(o.state_since, o.created) DESC, o.order_id
LIMIT ?;

SELECT l.id AS audit_log_id, l.created, l.account, l.request, l.comment,
    l.ticket_link, d.previous_state, d.new_state, d.mark, d.kill
FROM audit_log_details d
JOIN audit_logs l ON l.controller_id = d.controller_id AND l.id = d.audit_log_id
WHERE d.controller_id = (SELECT ?)
  AND l.controller_id = (SELECT ?)
  AND d.order_id = (SELECT ?)
ORDER BY l.id DESC;

SELECT run, agent, started, ended, exit_status, signal, failure FROM order_runs
WHERE controller_id = $1 AND order_id = $2 ORDER BY run;
