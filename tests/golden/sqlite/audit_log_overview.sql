SELECT b.bucket, count(*) AS requests, CAST(sum(b.affected) AS bigint) AS orders
FROM (
    SELECT CASE WHEN l.created < ? THEN CASE WHEN l.created < ? THEN 0 ELSE 1 END ELSE CASE WHEN l.created < ? THEN 2 ELSE 3 END END AS bucket,
        l.affected AS affected
    FROM audit_logs l
    WHERE (l.controller_id = ?)
      AND l.created >= ?
      AND l.created < ?
      AND l.outcome = 'DONE'
      AND l.request = ?
) b
GROUP BY b.bucket;
