SELECT b.bucket, count(*) AS requests, CAST(sum(b.affected) AS bigint) AS orders
FROM (
    SELECT CASE WHEN l.created < $1 THEN CASE WHEN l.created < $2 THEN 0 ELSE 1 END ELSE CASE WHEN l.created < $3 THEN 2 ELSE 3 END END AS bucket,
        l.affected AS affected
    FROM audit_logs l
    WHERE (l.controller_id = $4)
      AND l.created >= $5
      AND l.created < $6
      AND l.outcome = 'DONE'
      AND l.request = $7
) b
GROUP BY b.bucket;
