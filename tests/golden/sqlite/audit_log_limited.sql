SELECT l.id, l.controller_id, l.account, l.request, l.category, l.comment,
    l.time_spent, l.ticket_link, l.outcome, l.request_id, l.client_address, l.created,
    l.undoes, CASE WHEN l.controller_id = ? THEN NULL END AS parameters,
    CASE WHEN l.controller_id = ? THEN (SELECT count(*) FROM audit_log_details d WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id AND ((d.folder >= ? AND d.folder < ? AND (d.folder >= ? OR d.folder = ?)))) END AS affected
FROM audit_logs l
WHERE (l.controller_id = ? AND EXISTS (
    SELECT 1
    FROM audit_log_details d
    WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id
      AND ((d.folder >= ? AND d.folder < ? AND (d.folder >= ? OR d.folder = ?)))
))
ORDER BY l.created DESC, l.id DESC
LIMIT ?;
