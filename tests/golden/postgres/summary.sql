SELECT o.state, count(*) AS orders
FROM orders o
WHERE o.controller_id = $1
  AND o.state IN ('FINISHED', 'CANCELLED')
  AND o.parent_id IS NULL
  AND coalesce(o.started, o.created) >= $2
  AND coalesce(o.started, o.created) < $3
GROUP BY o.state;
