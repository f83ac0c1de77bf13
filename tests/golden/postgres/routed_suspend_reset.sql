SELECT pg_try_advisory_xact_lock_shared($1);

WITH chosen AS MATERIALIZED (
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
        o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.reason,
        o.remove_when_terminated, o.place, o.effective_state, NULL AS via_parent
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
held AS MATERIALIZED (
    SELECT DISTINCT p.order_id
    FROM chosen p CROSS JOIN orders o
    WHERE p.effective_state IN ('PROMPTING', 'WAITING')
      AND o.root_id = p.root_id AND o.parent_id IS NOT NULL
      AND o.order_id > p.order_id || '|' AND o.order_id < p.order_id || '}'
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.controller_id = $6
),
affected AS MATERIALIZED (
    SELECT a.*,
        '{' || concat_ws(',',
            CASE WHEN a.state <> CASE a.effect WHEN 'RESET' THEN 'INPROGRESS' ELSE a.state END THEN '"state":' || '"' || a.state || '"' END,
            CASE WHEN a.suspended <> CASE a.effect WHEN 'SUSPENDED' THEN TRUE WHEN 'RESET' THEN TRUE ELSE a.suspended END THEN '"suspended":' || CASE WHEN a.suspended THEN 'true' ELSE 'false' END END,
            CASE WHEN a.mark IS DISTINCT FROM CASE a.effect WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'SUSPENDED' THEN NULL WHEN 'RESET' THEN NULL ELSE a.mark END THEN '"mark":' || coalesce('"' || a.mark || '"', 'null') END,
            CASE WHEN a.reason IS NOT NULL AND a.effect IN ('RESET') THEN '"reason":' || coalesce('"' || a.reason || '"', 'null') END,
            CASE WHEN a.kill_requested IS NOT NULL AND a.effect IN ('SUSPENDED', 'RESET') THEN '"kill_requested":' || coalesce('"' || to_char(a.kill_requested AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', 'null') END,
            CASE WHEN a.sigkill_at IS NOT NULL AND a.effect IN ('SUSPENDED', 'RESET') THEN '"sigkill_at":' || coalesce('"' || to_char(a.sigkill_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', 'null') END) || '}' AS before
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
),
gate AS MATERIALIZED (
    SELECT (SELECT count(*) FROM affected) AS affected,
        (SELECT count(*) FROM chosen) <> (SELECT count(*) FROM locked WHERE same) AS stale
)
SELECT g.stale, g.affected, a.order_id, a.effect, a.via_parent, a.before
FROM gate g LEFT JOIN affected a ON NOT g.stale AND g.affected <= $7;

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
    effective_state(CASE a.effect WHEN 'RESET' THEN 'INPROGRESS' ELSE a.state END, CASE a.effect WHEN 'SUSPENDED' THEN TRUE WHEN 'RESET' THEN TRUE ELSE a.suspended END, a.scheduled_for, $2),
    CASE a.effect WHEN 'SUSPENDING' THEN 'SUSPENDING' ELSE NULL END, FALSE, a.via_parent, $3, a.before::json
FROM (
    SELECT o.*, r.effect, r.via_parent, r.before
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $4) AS effective_state FROM orders o) o JOIN unnest($5, $6, $7, $8) r (order_id, effect, via_parent, before) ON r.order_id = o.order_id
    WHERE o.controller_id = $9
) a;

UPDATE orders AS o
SET state_since = CASE
        WHEN o.state <> CASE a.effect WHEN 'RESET' THEN 'INPROGRESS' ELSE o.state END
        OR o.suspended <> CASE a.effect WHEN 'SUSPENDED' THEN TRUE WHEN 'RESET' THEN TRUE ELSE o.suspended END
        THEN CASE WHEN o.created > $1 AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE $2 END
        ELSE o.state_since END,
    state = CASE a.effect WHEN 'RESET' THEN 'INPROGRESS' ELSE o.state END,
    suspended = CASE a.effect WHEN 'SUSPENDED' THEN TRUE WHEN 'RESET' THEN TRUE ELSE o.suspended END,
    mark = CASE a.effect WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'SUSPENDED' THEN NULL WHEN 'RESET' THEN NULL ELSE o.mark END,
    reason = CASE a.effect WHEN 'RESET' THEN NULL ELSE o.reason END,
    kill_requested = CASE WHEN a.effect IN ('SUSPENDED', 'RESET') THEN NULL ELSE o.kill_requested END,
    sigkill_at = CASE WHEN a.effect IN ('SUSPENDED', 'RESET') THEN NULL ELSE o.sigkill_at END,
    modified = CASE WHEN o.created > $3 AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE $4 END
FROM (SELECT * FROM unnest($5, $6) r (order_id, effect)) a
WHERE o.order_id = a.order_id AND o.controller_id = $7;

SELECT pg_notify('joc_orders_marks', $1)::text;
