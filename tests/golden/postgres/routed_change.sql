SELECT pg_try_advisory_xact_lock_shared($1);

WITH chosen AS MATERIALIZED (
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
        o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.reason,
        o.remove_when_terminated, o.priority, o.place, o.effective_state, NULL AS via_parent
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
    WHERE o.controller_id = $2
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((o.workflow_path >= $3 AND o.workflow_path < $4))
),
locked AS MATERIALIZED (
    SELECT l.order_id, l.same
    FROM (
        SELECT o.order_id, o.ctid = c.place AS same
        FROM chosen c JOIN orders o ON o.ctid = c.place
        WHERE o.controller_id = $5
        ORDER BY o.order_id
        FOR NO KEY UPDATE OF o
    ) l
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
),
gate AS MATERIALIZED (
    SELECT (SELECT count(*) FROM affected) AS affected,
        (SELECT count(*) FROM chosen) <> (SELECT count(*) FROM locked WHERE same) AS stale
)
SELECT g.stale, g.affected, a.order_id, a.effect, a.via_parent, a.before
FROM gate g LEFT JOIN affected a ON NOT g.stale AND g.affected <= $6;

INSERT INTO audit_logs (controller_id, account, request, parameters, category, comment,
    time_spent, ticket_link, outcome, affected, request_id, client_address, created)
VALUES ($1, $2, $3, $4::json, $5, $6,
    $7, $8, $9, $10, $11, $12, $13)
RETURNING id;

INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
    workflow_version_id, folder, previous_state, new_state, mark, kill, via_parent, created,
    before)
SELECT a.controller_id, $1::bigint, a.order_id, a.workflow_path,
    a.workflow_version_id, a.folder, a.effective_state,
    effective_state(a.state, a.suspended, a.scheduled_for, $2),
    NULL, FALSE, a.via_parent, $3, a.before::json
FROM (
    SELECT o.*, r.effect, r.via_parent, r.before
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $4) AS effective_state FROM orders o) o JOIN unnest($5, $6, $7, $8) r (order_id, effect, via_parent, before) ON r.order_id = o.order_id
    WHERE o.controller_id = $9
) a;

UPDATE orders AS o
SET priority = $1,
    modified = CASE WHEN o.created > $2 AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE $3 END
FROM (SELECT * FROM unnest($4, $5) r (order_id, effect)) a
WHERE o.order_id = a.order_id AND o.controller_id = $6;
