SELECT l.id, l.controller_id, l.account, l.request, l.category, l.comment,
    l.time_spent, l.ticket_link, l.outcome, l.request_id, l.client_address, l.created,
    l.undoes, CAST(l.parameters AS text) AS parameters,
    l.affected AS affected
FROM audit_logs l
WHERE (l.controller_id = ? AND EXISTS (
    SELECT 1
    FROM audit_log_details d
    WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id
      AND (d.order_id = ? OR d.workflow_path = ? OR substr(d.workflow_path, length(d.folder) + CASE WHEN d.folder = '/' THEN 1 ELSE 2 END) = ?)
))
ORDER BY l.created DESC, l.id DESC
LIMIT ?;
