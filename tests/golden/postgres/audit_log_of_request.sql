SELECT l.id, l.controller_id, l.account, l.request, l.category, l.comment,
    l.time_spent, l.ticket_link, l.outcome, l.request_id, l.client_address, l.created,
    l.undoes, CAST(l.parameters AS text) AS parameters,
    l.affected AS affected
FROM audit_logs l
WHERE (l.controller_id = $1)
  AND l.request LIKE $2
  AND l.request_id = $3
ORDER BY l.created DESC, l.id DESC
LIMIT $4;
