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

SELECT max(u.id) FROM audit_logs u
WHERE u.controller_id = (SELECT ?) AND u.undoes = ? AND u.outcome = 'DONE';

REPLACE INTO temp.clock (rowid, now) VALUES (5354829106217364581, ?);
DELETE FROM temp.affected;
INSERT INTO temp.affected
WITH chosen AS MATERIALIZED (
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
        o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.reason,
        o.remove_when_terminated, o.effective_state, NULL AS via_parent,
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
affected AS MATERIALIZED (
    SELECT a.*,
        '{' || concat_ws(',',
            CASE WHEN a.state <> CASE a.effect WHEN 'RESTORED' THEN 'FRESH' WHEN 'RESTORED_SUSPENDED' THEN 'FRESH' WHEN 'RESTORED_RESUMING' THEN 'FRESH' WHEN 'RESTORED_SUSPENDING' THEN 'FRESH' WHEN 'SUSPENDED' THEN 'FRESH' ELSE a.state END THEN '"state":' || '"' || a.state || '"' END,
            CASE WHEN a.suspended <> CASE a.effect WHEN 'RESTORED' THEN FALSE WHEN 'RESTORED_SUSPENDED' THEN TRUE WHEN 'RESTORED_RESUMING' THEN TRUE WHEN 'RESTORED_SUSPENDING' THEN FALSE WHEN 'SUSPENDED' THEN TRUE ELSE a.suspended END THEN '"suspended":' || CASE WHEN a.suspended THEN 'true' ELSE 'false' END END,
            CASE WHEN a.mark IS DISTINCT FROM CASE a.effect WHEN 'RESTORED_RESUMING' THEN 'RESUMING' WHEN 'RESTORED_SUSPENDING' THEN 'SUSPENDING' WHEN 'UNMARKED' THEN NULL WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'RESUMING' THEN 'RESUMING' ELSE a.mark END THEN '"mark":' || coalesce('"' || a.mark || '"', 'null') END,
            CASE WHEN a.reason IS NOT NULL AND a.effect IN ('RESTORED', 'RESTORED_SUSPENDED', 'RESTORED_RESUMING', 'RESTORED_SUSPENDING', 'SUSPENDED') THEN '"reason":' || coalesce('"' || a.reason || '"', 'null') END,
            CASE WHEN a.kill_requested IS NOT NULL AND a.effect IN ('UNMARKED') THEN '"kill_requested":' || coalesce('"' || a.kill_requested || '"', 'null') END,
            CASE WHEN a.sigkill_at IS NOT NULL AND a.effect IN ('UNMARKED') THEN '"sigkill_at":' || coalesce('"' || a.sigkill_at || '"', 'null') END) || '}' AS before
    FROM (
        SELECT c.*, CASE
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
    ) a
    WHERE a.effect IS NOT NULL
)
SELECT order_id, workflow_path, workflow_version_id, folder, effective_state,
    via_parent, effect, before
FROM affected;
UPDATE orders AS o
SET state_since = CASE
        WHEN o.state <> CASE a.effect WHEN 'RESTORED' THEN 'FRESH' WHEN 'RESTORED_SUSPENDED' THEN 'FRESH' WHEN 'RESTORED_RESUMING' THEN 'FRESH' WHEN 'RESTORED_SUSPENDING' THEN 'FRESH' WHEN 'SUSPENDED' THEN 'FRESH' ELSE o.state END
        OR o.suspended <> CASE a.effect WHEN 'RESTORED' THEN FALSE WHEN 'RESTORED_SUSPENDED' THEN TRUE WHEN 'RESTORED_RESUMING' THEN TRUE WHEN 'RESTORED_SUSPENDING' THEN FALSE WHEN 'SUSPENDED' THEN TRUE ELSE o.suspended END
        THEN CASE WHEN o.created > ? AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE ? END
        ELSE o.state_since END,
    state = CASE a.effect WHEN 'RESTORED' THEN 'FRESH' WHEN 'RESTORED_SUSPENDED' THEN 'FRESH' WHEN 'RESTORED_RESUMING' THEN 'FRESH' WHEN 'RESTORED_SUSPENDING' THEN 'FRESH' WHEN 'SUSPENDED' THEN 'FRESH' ELSE o.state END,
    suspended = CASE a.effect WHEN 'RESTORED' THEN FALSE WHEN 'RESTORED_SUSPENDED' THEN TRUE WHEN 'RESTORED_RESUMING' THEN TRUE WHEN 'RESTORED_SUSPENDING' THEN FALSE WHEN 'SUSPENDED' THEN TRUE ELSE o.suspended END,
    mark = CASE a.effect WHEN 'RESTORED_RESUMING' THEN 'RESUMING' WHEN 'RESTORED_SUSPENDING' THEN 'SUSPENDING' WHEN 'UNMARKED' THEN NULL WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'RESUMING' THEN 'RESUMING' ELSE o.mark END,
    reason = CASE a.effect WHEN 'RESTORED' THEN NULL WHEN 'RESTORED_SUSPENDED' THEN NULL WHEN 'RESTORED_RESUMING' THEN NULL WHEN 'RESTORED_SUSPENDING' THEN NULL WHEN 'SUSPENDED' THEN NULL ELSE o.reason END,
    kill_requested = CASE WHEN a.effect IN ('UNMARKED') THEN NULL ELSE o.kill_requested END,
    sigkill_at = CASE WHEN a.effect IN ('UNMARKED') THEN NULL ELSE o.sigkill_at END,
    modified = CASE WHEN o.created > ? AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE ? END
FROM temp.affected a
WHERE o.order_id = a.order_id AND o.controller_id = (SELECT ?);
INSERT INTO audit_logs (controller_id, account, request, parameters, category, comment,
    time_spent, ticket_link, request_id, client_address, created, undoes, outcome, affected)
SELECT ?, ?, ?, CASE g.affected WHEN 0 THEN ? ELSE ? END,
    ?, ?, ?, ?, ?, ?, ?, ?,
    CASE g.affected WHEN 0 THEN 'NO_ORDERS' ELSE 'DONE' END, g.affected
FROM (SELECT count(*) AS affected FROM temp.affected) g
RETURNING id, affected;
INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
    workflow_version_id, folder, previous_state, new_state, mark, kill, via_parent, created,
    before)
SELECT (SELECT ?), (SELECT max(id) FROM audit_logs), a.order_id, a.workflow_path,
    a.workflow_version_id, a.folder, a.effective_state,
    (SELECT o.effective_state FROM orders_effective o WHERE o.controller_id = (SELECT ?) AND o.order_id = a.order_id),
    CASE a.effect WHEN 'RESTORED_RESUMING' THEN 'RESUMING' WHEN 'RESTORED_SUSPENDING' THEN 'SUSPENDING' WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'RESUMING' THEN 'RESUMING' ELSE NULL END, FALSE, a.via_parent, ?, a.before
FROM affected a;

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
    WHERE d.order_id NOT IN (
        SELECT u.order_id FROM audit_log_details u
        WHERE u.controller_id = (SELECT ?) AND u.audit_log_id = ?
    )
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
