SELECT l.request, l.outcome, EXISTS (
    SELECT 1 FROM audit_log_details o
    WHERE o.controller_id = (SELECT ?) AND o.audit_log_id = ?
) AS is_seen,
    (
    SELECT max(u.id) FROM audit_logs u
    WHERE u.controller_id = (SELECT ?) AND u.undoes = ? AND u.outcome = 'DONE'
) AS undone_by
FROM audit_logs l
WHERE l.controller_id = (SELECT ?) AND l.id = ?;

UPDATE temp.clock SET now = ?;
WITH chosen AS MATERIALIZED (
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.mark,
        o.kill_requested, o.reason, o.effective_state, NULL AS via_parent,
        CASE
            WHEN o.order_id IS NULL THEN 'GONE'
            WHEN d.before IS NULL THEN 'UNRECORDED'
            WHEN d.kill THEN 'KILLED'
            WHEN d.mark IS NULL AND d.before ->> 'state' <> 'FRESH' THEN 'STARTED'
            WHEN o.modified <> d.created OR o.created > d.created THEN 'CHANGED'
            WHEN d.mark IS NULL AND o.state = 'CANCELLED' THEN CASE
                WHEN o.parent_id IS NOT NULL AND EXISTS (
        SELECT 1 FROM orders p
        WHERE p.controller_id = (SELECT ?) AND p.order_id = o.parent_id AND p.state NOT IN ('FRESH', 'WAITING')
          AND NOT EXISTS (
            SELECT 1 FROM audit_log_details e
            WHERE e.controller_id = (SELECT ?) AND e.audit_log_id = ? AND e.order_id = p.order_id
              AND p.state = 'CANCELLED' AND e.before ->> 'state' = 'FRESH'
        )
    ) THEN 'PARENT_CONTINUED'
                WHEN CAST(d.before ->> 'suspended' AS boolean) IS TRUE
                    AND coalesce(d.before ->> 'mark', '') <> 'RESUMING' THEN 'FRESH_SUSPENDED'
                WHEN o.scheduled_for <= ? THEN 'OVERDUE'
                WHEN d.before ->> 'mark' = 'RESUMING' THEN 'FRESH_RESUMING'
                WHEN d.before ->> 'mark' = 'SUSPENDING' THEN 'FRESH_SUSPENDING'
                ELSE 'FRESH' END
            WHEN d.mark = o.mark THEN CASE coalesce(d.before ->> 'mark', '')
                WHEN 'SUSPENDING' THEN 'MARKED_SUSPENDING'
                WHEN 'RESUMING' THEN 'MARKED_RESUMING'
                ELSE CASE WHEN o.kill_requested IS NULL THEN 'MARKED' ELSE 'CHANGED' END END
            ELSE 'CHANGED' END AS fate
    FROM audit_log_details d CROSS JOIN orders_effective o
    WHERE d.controller_id = (SELECT ?)
      AND d.audit_log_id = ?
      AND o.order_id = d.order_id
      AND o.controller_id = (SELECT ?)
      AND TRUE
),
judged AS MATERIALIZED (
    SELECT c.order_id, c.workflow_path, c.workflow_version_id, c.effective_state,
        c.via_parent, CASE
        WHEN TRUE AND c.fate = 'FRESH'
        THEN 'RESTORED'
        WHEN TRUE AND c.fate = 'FRESH_SUSPENDED'
        THEN 'RESTORED_SUSPENDED'
        WHEN TRUE AND c.fate = 'FRESH_RESUMING'
        THEN 'RESTORED_RESUMING'
        WHEN TRUE AND c.fate = 'FRESH_SUSPENDING'
        THEN 'RESTORED_SUSPENDING'
        WHEN TRUE AND c.fate = 'OVERDUE'
        THEN 'SUSPENDED'
        WHEN TRUE AND c.fate = 'MARKED'
        THEN 'UNMARKED'
        WHEN TRUE AND c.fate = 'MARKED_SUSPENDING'
        THEN 'SUSPENDING'
        WHEN TRUE AND c.fate = 'MARKED_RESUMING'
        THEN 'RESUMING'
    END AS effect
    FROM chosen c
)
SELECT concat_ws(char(31), '', '', '', effective_state, effect, count(*), 0) AS packed
FROM judged
WHERE effect IS NOT NULL
GROUP BY effective_state, effect
UNION ALL
SELECT string_agg(f.packed, char(30))
FROM (
    SELECT concat_ws(char(31), order_id, workflow_path, workflow_version_id, effective_state, effect, 1, 0) AS packed
    FROM judged
    WHERE effect IS NOT NULL
    ORDER BY order_id
    LIMIT 1000
) f
HAVING count(*) > 0;

UPDATE temp.clock SET now = ?;
WITH judged AS MATERIALIZED (
    SELECT d.order_id, d.workflow_path, d.workflow_version_id, o.effective_state,
        CASE
            WHEN o.order_id IS NULL THEN 'GONE'
            WHEN d.before IS NULL THEN 'UNRECORDED'
            WHEN d.kill THEN 'KILLED'
            WHEN d.mark IS NULL AND d.before ->> 'state' <> 'FRESH' THEN 'STARTED'
            WHEN o.modified <> d.created OR o.created > d.created THEN 'CHANGED'
            WHEN d.mark IS NULL AND o.state = 'CANCELLED' THEN CASE
                WHEN o.parent_id IS NOT NULL AND EXISTS (
        SELECT 1 FROM orders p
        WHERE p.controller_id = (SELECT ?) AND p.order_id = o.parent_id AND p.state NOT IN ('FRESH', 'WAITING')
          AND NOT EXISTS (
            SELECT 1 FROM audit_log_details e
            WHERE e.controller_id = (SELECT ?) AND e.audit_log_id = ? AND e.order_id = p.order_id
              AND p.state = 'CANCELLED' AND e.before ->> 'state' = 'FRESH'
        )
    ) THEN 'PARENT_CONTINUED'
                WHEN CAST(d.before ->> 'suspended' AS boolean) IS TRUE
                    AND coalesce(d.before ->> 'mark', '') <> 'RESUMING' THEN 'FRESH_SUSPENDED'
                WHEN o.scheduled_for <= ? THEN 'OVERDUE'
                WHEN d.before ->> 'mark' = 'RESUMING' THEN 'FRESH_RESUMING'
                WHEN d.before ->> 'mark' = 'SUSPENDING' THEN 'FRESH_SUSPENDING'
                ELSE 'FRESH' END
            WHEN d.mark = o.mark THEN CASE coalesce(d.before ->> 'mark', '')
                WHEN 'SUSPENDING' THEN 'MARKED_SUSPENDING'
                WHEN 'RESUMING' THEN 'MARKED_RESUMING'
                ELSE CASE WHEN o.kill_requested IS NULL THEN 'MARKED' ELSE 'CHANGED' END END
            ELSE 'CHANGED' END AS fate
    FROM (
        SELECT o.* FROM audit_log_details o
        WHERE o.controller_id = (SELECT ?) AND o.audit_log_id = ?
    ) d LEFT JOIN orders_effective o ON o.order_id = d.order_id AND o.controller_id = (SELECT ?)
)
SELECT '' AS order_id, '' AS workflow_path, '' AS workflow_version_id,
    NULL AS effective_state, fate, count(*) AS orders
FROM judged
WHERE fate IN ('STARTED', 'KILLED', 'CHANGED', 'PARENT_CONTINUED', 'GONE', 'UNRECORDED')
GROUP BY fate
UNION ALL
SELECT f.* FROM (
    SELECT order_id, workflow_path, workflow_version_id, effective_state, fate, 1
    FROM judged
    WHERE fate IN ('STARTED', 'KILLED', 'CHANGED', 'PARENT_CONTINUED', 'GONE', 'UNRECORDED')
    ORDER BY order_id
    LIMIT 1000
) f;
