UPDATE temp.clock SET now = ?;
SELECT o.state, count(*) AS orders
FROM orders o
WHERE o.controller_id = (SELECT ?)
  AND o.state IN ('FINISHED', 'CANCELLED')
  AND instr(o.order_id, '|') = 0
  AND coalesce(o.started, o.created) >= ?
  AND coalesce(o.started, o.created) < ?
GROUP BY o.state;
