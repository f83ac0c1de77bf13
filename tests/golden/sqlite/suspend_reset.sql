SELECT count(*) FROM (
    SELECT 1
    FROM orders o
    WHERE o.controller_id = (SELECT ?)
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((o.workflow_path >= ? AND o.workflow_path < ?))
    LIMIT 5000
);

BEGIN IMMEDIATE;
REPLACE INTO temp.clock (rowid, now) VALUES (5354829106217364581, ?);
DELETE FROM temp.affected;
INSERT INTO temp.affected
WITH chosen AS MATERIALIZED (
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
        o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.reason,
        o.remove_when_terminated, o.effective_state, NULL AS via_parent
    FROM orders_effective o
    WHERE o.controller_id = (SELECT ?)
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((o.workflow_path >= ? AND o.workflow_path < ?))
),
held AS MATERIALIZED (
    SELECT DISTINCT p.order_id
    FROM chosen p CROSS JOIN orders o
    WHERE p.effective_state IN ('PROMPTING', 'WAITING')
      AND o.root_id = p.root_id AND o.parent_id IS NOT NULL
      AND o.order_id > p.order_id || '|' AND o.order_id < p.order_id || '}'
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.controller_id = (SELECT ?)
),
affected AS MATERIALIZED (
    SELECT a.*,
        '{' || concat_ws(',',
            CASE WHEN a.state <> CASE a.effect WHEN 'RESET' THEN 'INPROGRESS' ELSE a.state END THEN '"state":' || '"' || a.state || '"' END,
            CASE WHEN a.suspended <> CASE a.effect WHEN 'SUSPENDED' THEN TRUE WHEN 'RESET' THEN TRUE ELSE a.suspended END THEN '"suspended":' || CASE WHEN a.suspended THEN 'true' ELSE 'false' END END,
            CASE WHEN a.mark IS DISTINCT FROM CASE a.effect WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'SUSPENDED' THEN NULL WHEN 'RESET' THEN NULL ELSE a.mark END THEN '"mark":' || coalesce('"' || a.mark || '"', 'null') END,
            CASE WHEN a.reason IS NOT NULL AND a.effect IN ('RESET') THEN '"reason":' || coalesce('"' || a.reason || '"', 'null') END,
            CASE WHEN a.kill_requested IS NOT NULL AND a.effect IN ('SUSPENDED', 'RESET') THEN '"kill_requested":' || coalesce('"' || a.kill_requested || '"', 'null') END,
            CASE WHEN a.sigkill_at IS NOT NULL AND a.effect IN ('SUSPENDED', 'RESET') THEN '"sigkill_at":' || coalesce('"' || a.sigkill_at || '"', 'null') END) || '}' AS before
    FROM (
        SELECT c.*, CASE
            WHEN c.effective_state IN ('BLOCKED', 'FAILED', 'INPROGRESS', 'PENDING', 'PROMPTING', 'RUNNING', 'SCHEDULED', 'SUSPENDED', 'WAITING') AND c.mark = 'CANCELLING'
            THEN NULL
            WHEN c.effective_state IN ('BLOCKED', 'FAILED', 'INPROGRESS', 'PENDING', 'PROMPTING', 'RUNNING', 'SCHEDULED', 'SUSPENDED', 'WAITING') AND c.mark = 'SUSPENDING'
            THEN NULL
            WHEN c.effective_state IN ('INPROGRESS', 'RUNNING')
            THEN 'SUSPENDING'
            WHEN c.effective_state IN ('SUSPENDED') AND c.mark = 'RESUMING'
            THEN 'SUSPENDED'
            WHEN c.effective_state IN ('PROMPTING', 'WAITING') AND c.order_id IN (SELECT h.order_id FROM held h)
            THEN 'SUSPENDED'
            WHEN c.effective_state IN ('PROMPTING', 'WAITING')
            THEN 'RESET'
            WHEN c.effective_state IN ('BLOCKED', 'PENDING', 'PROMPTING', 'SCHEDULED', 'WAITING')
            THEN 'SUSPENDED'
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
        WHEN o.state <> CASE a.effect WHEN 'RESET' THEN 'INPROGRESS' ELSE o.state END
        OR o.suspended <> CASE a.effect WHEN 'SUSPENDED' THEN TRUE WHEN 'RESET' THEN TRUE ELSE o.suspended END
        THEN CASE WHEN o.created > ? AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE ? END
        ELSE o.state_since END,
    state = CASE a.effect WHEN 'RESET' THEN 'INPROGRESS' ELSE o.state END,
    suspended = CASE a.effect WHEN 'SUSPENDED' THEN TRUE WHEN 'RESET' THEN TRUE ELSE o.suspended END,
    mark = CASE a.effect WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'SUSPENDED' THEN NULL WHEN 'RESET' THEN NULL ELSE o.mark END,
    reason = CASE a.effect WHEN 'RESET' THEN NULL ELSE o.reason END,
    kill_requested = CASE WHEN a.effect IN ('SUSPENDED', 'RESET') THEN NULL ELSE o.kill_requested END,
    sigkill_at = CASE WHEN a.effect IN ('SUSPENDED', 'RESET') THEN NULL ELSE o.sigkill_at END,
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
    CASE a.effect WHEN 'SUSPENDING' THEN 'SUSPENDING' ELSE NULL END, FALSE, a.via_parent, ?, a.before
FROM affected a;
COMMIT;
