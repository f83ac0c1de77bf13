SELECT b.bucket, count(*) AS requests, CAST(sum(b.affected) AS bigint) AS orders
FROM (
    SELECT CASE WHEN l.created < $1 THEN CASE WHEN l.created < $2 THEN 0 ELSE 1 END ELSE CASE WHEN l.created < $3 THEN 2 ELSE 3 END END AS bucket,
        CASE WHEN l.controller_id = $4 THEN (SELECT count(*) FROM audit_log_details d WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id AND ((d.folder >= $5 AND d.folder < $6 AND (d.folder >= $7 OR d.folder = $8)))) END AS affected
    FROM audit_logs l
    WHERE (l.controller_id = $9 AND EXISTS (
        SELECT 1
        FROM audit_log_details d
        WHERE d.controller_id = l.controller_id AND d.audit_log_id = l.id
          AND ((d.folder >= $10 AND d.folder < $11 AND (d.folder >= $12 OR d.folder = $13)))
    ))
      AND l.created >= $14
      AND l.created < $15
      AND l.outcome = 'DONE'
      AND l.request = $16
) b
GROUP BY b.bucket;
