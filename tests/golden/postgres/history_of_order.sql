SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.scheduled_for,
    o.modified, CAST(o.arguments AS text) AS arguments,
    CAST(o.position AS text) AS position, o.history_id, o.effective_state, coalesce(o.started, o.created) AS started, coalesce(o.state_since, o.created) AS state_since
FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
WHERE o.controller_id = $2
  AND o.order_id = $3
ORDER BY coalesce(o.state_since, o.created) DESC, o.order_id
LIMIT $4;

SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.scheduled_for,
    o.modified, CAST(o.arguments AS text) AS arguments,
    CAST(o.position AS text) AS position, o.history_id, o.effective_state, coalesce(o.started, o.created) AS started, coalesce(o.state_since, o.created) AS state_since
FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
WHERE o.controller_id = $2
  AND o.order_id > $3 AND o.order_id < $4
  AND o.state <> 'FRESH'
ORDER BY coalesce(o.state_since, o.created) DESC, o.order_id
LIMIT $5;

SELECT l.id AS audit_log_id, l.created, l.account, l.request, l.comment,
    l.ticket_link, d.previous_state, d.new_state, d.mark, d.kill
FROM audit_log_details d
JOIN audit_logs l ON l.controller_id = d.controller_id AND l.id = d.audit_log_id
WHERE d.controller_id = $1
  AND l.controller_id = $2
  AND d.order_id = $3
ORDER BY l.id DESC;
