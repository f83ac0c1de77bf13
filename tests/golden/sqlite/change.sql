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
        o.remove_when_terminated, o.priority, o.effective_state, NULL AS via_parent
    FROM orders_effective o
    WHERE o.controller_id = (SELECT ?)
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((o.workflow_path >= ? AND o.workflow_path < ?))
),
affected AS MATERIALIZED (
    SELECT a.*,
        '{' || concat_ws(',',
            CASE WHEN a.priority <> 1 THEN '"priority":' || CAST(a.priority AS text) END) || '}' AS before
    FROM (
        SELECT c.*, CASE
            WHEN c.effective_state IN ('BLOCKED', 'FAILED', 'INPROGRESS', 'PENDING', 'PROMPTING', 'RUNNING', 'SCHEDULED', 'SUSPENDED', 'WAITING')
            THEN 'CHANGED'
        END AS effect
        FROM chosen c
    ) a
    WHERE a.effect IS NOT NULL
)
SELECT order_id, workflow_path, workflow_version_id, folder, effective_state,
    via_parent, effect, before
FROM affected;
UPDATE orders AS o
SET priority = ?,
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
    NULL, FALSE, a.via_parent, ?, a.before
FROM affected a;
COMMIT;
