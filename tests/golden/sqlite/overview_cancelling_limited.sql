UPDATE temp.clock SET now = ?;
WITH marked AS MATERIALIZED (
    SELECT o.order_id, o.workflow_path, o.workflow_version_id, o.effective_state,
        o.kill_requested IS NOT NULL AS kill, o.modified, (
        SELECT max(2 * d.audit_log_id + CASE d.mark WHEN 'CANCELLING' THEN 1 ELSE 0 END)
        FROM audit_log_details d
        WHERE d.order_id = o.order_id
          AND (d.before -> 'mark' IS NOT NULL OR d.before IS NULL AND d.mark = 'CANCELLING')
          AND d.controller_id = (SELECT ?)
    ) AS changed
    FROM orders_effective o
    WHERE o.controller_id = (SELECT ?)
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((((o.workflow_path >= ? AND o.workflow_path < ?))))
      AND ((o.workflow_path >= ? AND o.workflow_path < ?))
      AND o.mark = 'CANCELLING'
)
SELECT '' AS order_id, '' AS workflow_path, '' AS workflow_version_id,
    NULL AS effective_state, FALSE AS kill, NULL AS since, NULL AS audit_log_id,
    NULL AS account, count(*) AS orders
FROM marked
UNION ALL
SELECT f.* FROM (
    SELECT m.order_id, m.workflow_path, m.workflow_version_id, m.effective_state, m.kill,
        coalesce(l.created, m.modified) AS since, l.id, l.account, 1
    FROM marked m
    LEFT JOIN audit_logs l
        ON l.id = m.changed / 2 AND m.changed % 2 = 1 AND l.controller_id = (SELECT ?)
    ORDER BY since, m.order_id
    LIMIT 1000
) f;
