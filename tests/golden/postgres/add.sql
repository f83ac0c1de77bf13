SELECT r.asked, o.workflow_path AS path, o.version_id, o.created
FROM unnest($1) r (asked)
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.workflow_path = r.asked
WHERE o.controller_id = $2
UNION ALL
SELECT r.asked, o.workflow_path AS path, o.version_id, o.created
FROM unnest($3) r (asked)
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.name = r.asked
WHERE o.controller_id = $4
ORDER BY created DESC, version_id DESC;

SELECT pg_advisory_xact_lock_shared($1) AS "shared!: ()";

UPDATE controllers
SET last_order_number = greatest(last_order_number, $2::bigint - 1) + $3::bigint
WHERE controller_id = $1 RETURNING last_order_number;

INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, state, suspended, mark,
    scheduled_for, priority, arguments, position, reason, created, modified)
SELECT r.controller_id, r.order_id, r.workflow_path, r.workflow_version_id, r.state,
    r.suspended, r.mark, r.scheduled_for, r.priority, r.arguments, r.position, r.reason, least($1, now()), least($2, now())
FROM unnest($3, $4, $5, $6, $7, $8::text[]::boolean[], $9, $10::text[]::timestamptz[], $11::text[]::bigint[], $12::text[]::jsonb[], $13::text[]::jsonb[], $14) r (controller_id, order_id, workflow_path, workflow_version_id, state, suspended, mark,
    scheduled_for, priority, arguments, position, reason);

INSERT INTO audit_logs (controller_id, account, request, parameters, category, comment,
    time_spent, ticket_link, outcome, affected, request_id, client_address, created)
VALUES ($1, $2, $3, $4::json, $5, $6,
    $7, $8, $9, $10, $11, $12, $13)
RETURNING id;

INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
    workflow_version_id, folder, previous_state, new_state, created)
SELECT o.controller_id, $3, o.order_id, o.workflow_path, o.workflow_version_id,
    o.folder, $4, effective_state(o.state, o.suspended, o.scheduled_for, $5), $5
FROM orders o WHERE o.controller_id = $1 AND o.order_id = ANY ($2);
