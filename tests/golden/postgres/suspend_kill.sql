WITH base AS MATERIALIZED (
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
        o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.reason,
        o.remove_when_terminated, o.place, o.effective_state, NULL AS via_parent
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
    WHERE o.controller_id = $2
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((o.workflow_path >= $3 AND o.workflow_path < $4))
),
below AS MATERIALIZED (
    SELECT o.order_id, max(p.order_id) AS via_parent
    FROM base p CROSS JOIN orders o
    WHERE o.root_id = p.root_id AND o.parent_id IS NOT NULL
      AND o.order_id > p.order_id || '|' AND o.order_id < p.order_id || '}'
      AND o.order_id NOT IN (SELECT b.order_id FROM base b)
      AND o.controller_id = $5
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
    GROUP BY o.order_id
),
chosen AS MATERIALIZED (
    SELECT * FROM base
    UNION ALL
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
        o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.reason,
        o.remove_when_terminated, o.place, o.effective_state, l.via_parent
    FROM below l JOIN (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $6) AS effective_state FROM orders o) o ON o.order_id = l.order_id
    WHERE o.controller_id = $7
),
locked AS MATERIALIZED (
    SELECT l.order_id, l.same
    FROM (
        SELECT o.order_id, o.ctid = c.place AS same
        FROM chosen c JOIN orders o ON o.ctid = c.place
        WHERE o.controller_id = $8
        ORDER BY o.order_id
        FOR NO KEY UPDATE OF o
    ) l
),
affected AS MATERIALIZED (
    SELECT a.*,
        '{' || concat_ws(',',
            CASE WHEN a.suspended <> CASE a.effect WHEN 'SUSPENDED' THEN TRUE ELSE a.suspended END THEN '"suspended":' || CASE WHEN a.suspended THEN 'true' ELSE 'false' END END,
            CASE WHEN a.mark IS DISTINCT FROM CASE a.effect WHEN 'KILL' THEN 'SUSPENDING' WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'SUSPENDED' THEN NULL ELSE a.mark END THEN '"mark":' || coalesce('"' || a.mark || '"', 'null') END,
            CASE WHEN a.effect IN ('KILL') THEN '"kill_requested":' || coalesce('"' || to_char(a.kill_requested AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', 'null') END,
            CASE WHEN a.kill_requested IS NOT NULL AND a.effect IN ('SUSPENDED') THEN '"kill_requested":' || coalesce('"' || to_char(a.kill_requested AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', 'null') END,
            CASE WHEN a.effect IN ('KILL') THEN '"sigkill_at":' || coalesce('"' || to_char(a.sigkill_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', 'null') END,
            CASE WHEN a.sigkill_at IS NOT NULL AND a.effect IN ('SUSPENDED') THEN '"sigkill_at":' || coalesce('"' || to_char(a.sigkill_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', 'null') END) || '}' AS before
    FROM (
        SELECT c.*, CASE
            WHEN c.effective_state IN ('BLOCKED', 'FAILED', 'INPROGRESS', 'PENDING', 'PROMPTING', 'RUNNING', 'SCHEDULED', 'SUSPENDED', 'WAITING') AND c.mark = 'CANCELLING'
            THEN NULL
            WHEN c.effective_state IN ('RUNNING') AND c.kill_requested IS NULL
            THEN 'KILL'
            WHEN c.effective_state IN ('BLOCKED', 'FAILED', 'INPROGRESS', 'PENDING', 'PROMPTING', 'RUNNING', 'SCHEDULED', 'SUSPENDED', 'WAITING') AND c.mark = 'SUSPENDING'
            THEN NULL
            WHEN c.effective_state IN ('INPROGRESS', 'RUNNING')
            THEN 'SUSPENDING'
            WHEN c.effective_state IN ('SUSPENDED') AND c.mark = 'RESUMING'
            THEN 'SUSPENDED'
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
),
audit AS (
    INSERT INTO audit_logs (controller_id, account, request, parameters, category, comment,
        time_spent, ticket_link, request_id, client_address, created, undoes, outcome, affected)
    SELECT $9, $10, $11, CASE g.affected WHEN 0 THEN $12 ELSE $13 END::json,
        $14, $15, $16, $17, $18, $19, $20, $21,
        CASE g.affected WHEN 0 THEN 'NO_ORDERS' ELSE 'DONE' END, g.affected
    FROM gate g
    WHERE NOT g.stale AND g.affected <= $22
      AND pg_try_advisory_xact_lock_shared($23)
    RETURNING id
),
changed AS (
    UPDATE orders AS o
    SET state_since = CASE
            WHEN o.suspended <> CASE a.effect WHEN 'SUSPENDED' THEN TRUE ELSE o.suspended END
            THEN CASE WHEN o.created > $24 AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE $25 END
            ELSE o.state_since END,
        suspended = CASE a.effect WHEN 'SUSPENDED' THEN TRUE ELSE o.suspended END,
        mark = CASE a.effect WHEN 'KILL' THEN 'SUSPENDING' WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'SUSPENDED' THEN NULL ELSE o.mark END,
        kill_requested = CASE WHEN a.effect IN ('SUSPENDED') THEN NULL WHEN a.effect IN ('KILL') THEN $26 ELSE o.kill_requested END,
        sigkill_at = CASE WHEN a.effect IN ('SUSPENDED') THEN NULL WHEN a.effect IN ('KILL') THEN $27 ELSE o.sigkill_at END,
        modified = CASE WHEN o.created > $28 AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE $29 END
    FROM affected a, audit
    WHERE o.ctid = a.place AND o.controller_id = $30
),
details AS (
    INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
        workflow_version_id, folder, previous_state, new_state, mark, kill, via_parent, created,
        before)
    SELECT $31, audit.id, a.order_id, a.workflow_path,
        a.workflow_version_id, a.folder, a.effective_state,
        effective_state(a.state, CASE a.effect WHEN 'SUSPENDED' THEN TRUE ELSE a.suspended END, a.scheduled_for, $32),
        CASE a.effect WHEN 'KILL' THEN 'SUSPENDING' WHEN 'SUSPENDING' THEN 'SUSPENDING' ELSE NULL END, a.effect IN ('KILL'), a.via_parent, $33, a.before::json
    FROM affected a, audit
)
SELECT g.stale, g.affected, (SELECT id FROM audit) AS audit_log_id,
    (SELECT count(*) FROM (
        SELECT pg_notify('joc_orders_marks', $34)::text FROM audit
        WHERE EXISTS (SELECT 1 FROM affected a WHERE a.effect IN ('KILL', 'SUSPENDING'))
        OFFSET 0
    ) n) AS notified
FROM gate g;
