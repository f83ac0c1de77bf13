SELECT l.id, l.controller_id, l.account, l.request, l.category, l.comment,
    l.time_spent, l.ticket_link, l.outcome, l.request_id, l.client_address, l.created,
    l.undoes, CASE WHEN l.controller_id = $1 THEN NULL END AS parameters,
    CASE WHEN l.controller_id = $2 THEN (SELECT count(*) FROM audit_log_details d WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id AND ((d.folder >= $3 AND d.folder < $4 AND (d.folder >= $5 OR d.folder = $6)))) END AS affected
FROM audit_logs l
WHERE (l.controller_id = $7 AND EXISTS (
    SELECT 1
    FROM audit_log_details d
    WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id
      AND ((d.folder >= $8 AND d.folder < $9 AND (d.folder >= $10 OR d.folder = $11)))
))
ORDER BY l.created DESC, l.id DESC
LIMIT $12;
