UPDATE temp.clock SET now = ?;
SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.scheduled_for,
    o.modified, CAST(o.arguments AS text) AS arguments,
    CAST(o.position AS text) AS position, o.history_id, o.effective_state, coalesce(o.started, o.created) AS started, coalesce(o.state_since, o.created) AS state_since
FROM orders_effective o
WHERE o.controller_id = (SELECT ?)
  AND o.order_id = ?
ORDER BY coalesce(o.state_since, o.created) DESC, o.order_id
LIMIT ?;

UPDATE temp.clock SET now = ?;
SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.scheduled_for,
    o.modified, CAST(o.arguments AS text) AS arguments,
    CAST(o.position AS text) AS position, o.history_id, o.effective_state, coalesce(o.started, o.created) AS started, coalesce(o.state_since, o.created) AS state_since
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
