SELECT b.bucket, count(*) AS requests, CAST(sum(b.affected) AS bigint) AS orders
FROM (
    SELECT CASE WHEN l.created < ? THEN CASE WHEN l.created < ? THEN 0 ELSE 1 END ELSE CASE WHEN l.created < ? THEN 2 ELSE 3 END END AS bucket,
        CASE WHEN l.controller_id = ? THEN (SELECT count(*) FROM audit_log_details d WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id AND ((d.folder >= ? AND d.folder < ? AND (d.folder >= ? OR d.folder = ?)))) END AS affected
    FROM audit_logs l
    WHERE (l.controller_id = ? AND EXISTS (
        SELECT 1
        FROM audit_log_details d
        WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id
          AND ((d.folder >= ? AND d.folder < ? AND (d.folder >= ? OR d.folder = ?)))
    ))
      AND l.created >= ?
      AND l.created < ?
      AND l.outcome = 'DONE'
      AND l.request = ?
) b
GROUP BY b.bucket;
