SELECT r.asked, o.workflow_path AS path, o.version_id, o.created
FROM (SELECT value ->> 0 AS asked FROM json_each(?)) r
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.workflow_path = r.asked
WHERE o.controller_id = (SELECT ?)
UNION ALL
SELECT r.asked, o.workflow_path AS path, o.version_id, o.created
FROM (SELECT value ->> 0 AS asked FROM json_each(?)) r
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.name = r.asked
WHERE o.controller_id = (SELECT ?)
ORDER BY created DESC, version_id DESC;

REPLACE INTO temp.clock (rowid, now) VALUES (5354829106217364581, ?);

UPDATE controllers SET last_order_number = max(last_order_number, ?2 - 1) + ?3
WHERE controller_id = ?1 RETURNING last_order_number;

INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, state, suspended, mark,
    scheduled_for, priority, arguments, position, reason, history_id, created, modified)
SELECT r.controller_id, r.order_id, r.workflow_path, r.workflow_version_id, r.state,
    r.suspended, r.mark, r.scheduled_for, r.priority, r.arguments, r.position, r.reason, (SELECT max(
    coalesce((SELECT max(history_id) FROM orders), 0),
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'orders'), 0)
)) + row_number() OVER (), ?, ?
FROM (SELECT value ->> 0 AS controller_id, value ->> 1 AS order_id, value ->> 2 AS workflow_path,
    value ->> 3 AS workflow_version_id, value ->> 4 AS state, value ->> 5 AS suspended,
    value ->> 6 AS mark, value ->> 7 AS scheduled_for, value ->> 8 AS priority,
    value ->> 9 AS arguments, value ->> 10 AS position, value ->> 11 AS reason FROM json_each(?)) r;

INSERT INTO audit_logs (controller_id, account, request, parameters, category, comment,
    time_spent, ticket_link, outcome, affected, request_id, client_address, created)
VALUES (?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?)
RETURNING id;

INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
    workflow_version_id, folder, previous_state, new_state, created)
SELECT o.controller_id, ?3, o.order_id, o.workflow_path, o.workflow_version_id,
    o.folder, ?4, o.effective_state, ?5
FROM json_each(?2) n CROSS JOIN orders_effective o
WHERE o.controller_id = ?1 AND o.order_id = n.value;
