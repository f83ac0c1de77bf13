SELECT l.id, l.controller_id, l.account, l.request, l.category, l.comment,
    l.time_spent, l.ticket_link, l.outcome, l.request_id, l.client_address, l.created,
    l.undoes, CAST(l.parameters AS text) AS parameters,
    l.affected AS affected
FROM audit_logs l
WHERE (l.controller_id = $1 AND EXISTS (
    SELECT 1
    FROM audit_log_details d
    WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id
      AND ((d.folder >= $2 AND d.folder < $3 AND (d.folder >= $4 OR d.folder = $5)))
))
  AND l.created >= $6
  AND l.created < $7
  AND l.category = ANY ($8)
ORDER BY l.created DESC, l.id DESC
LIMIT $9;
