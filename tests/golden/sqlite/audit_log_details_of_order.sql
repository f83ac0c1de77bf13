SELECT d.order_id, d.workflow_path, d.workflow_version_id, d.previous_state,
    d.new_state, d.mark, d.kill, d.via_parent, CAST(d.before AS text) AS before
FROM audit_log_details d
WHERE d.audit_log_id = ?
  AND d.controller_id IN (SELECT l.controller_id FROM audit_logs l WHERE l.id = ?)
  AND d.order_id = (SELECT ?)
  AND (d.controller_id = ?)
ORDER BY d.order_id;
