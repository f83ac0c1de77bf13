WITH chosen AS MATERIALIZED (
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
        o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.reason,
        o.remove_when_terminated, o.place, o.effective_state, NULL AS via_parent
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
    WHERE o.controller_id = $2
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND FALSE
),
locked AS MATERIALIZED (
    SELECT l.order_id, l.same
    FROM (
        SELECT o.order_id, o.ctid = c.place AS same
        FROM chosen c JOIN orders o ON o.ctid = c.place
        WHERE o.controller_id = $3
        ORDER BY o.order_id
        FOR NO KEY UPDATE OF o
    ) l
),
held AS MATERIALIZED (
    SELECT DISTINCT p.order_id
    FROM chosen p CROSS JOIN orders o
    WHERE p.effective_state IN ('WAITING')
      AND o.root_id = p.root_id AND o.parent_id IS NOT NULL
      AND o.order_id > p.order_id || '|' AND o.order_id < p.order_id || '}'
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.order_id NOT IN (
        SELECT c.order_id
        FROM chosen c
        WHERE CASE
            WHEN c.effective_state IN ('BLOCKED', 'FAILED', 'INPROGRESS', 'PENDING', 'PROMPTING', 'RUNNING', 'SCHEDULED', 'SUSPENDED', 'WAITING') AND c.mark = 'CANCELLING'
            THEN NULL
            WHEN c.effective_state IN ('INPROGRESS', 'RUNNING')
            THEN NULL
            WHEN c.effective_state IN ('BLOCKED', 'FAILED', 'INPROGRESS', 'PENDING', 'PROMPTING', 'RUNNING', 'SCHEDULED', 'SUSPENDED', 'WAITING')
            THEN 'CANCELLED'
        END IS NOT NULL
    )
      AND o.controller_id = $4
),
affected AS MATERIALIZED (
    SELECT a.*,
        '{' || concat_ws(',',
            CASE WHEN a.state <> CASE a.effect WHEN 'CANCELLED' THEN 'CANCELLED' ELSE a.state END THEN '"state":' || '"' || a.state || '"' END,
            CASE WHEN a.suspended <> CASE a.effect WHEN 'CANCELLED' THEN FALSE ELSE a.suspended END THEN '"suspended":' || CASE WHEN a.suspended THEN 'true' ELSE 'false' END END,
            CASE WHEN a.mark IS DISTINCT FROM CASE a.effect WHEN 'CANCELLING' THEN 'CANCELLING' WHEN 'CANCELLED' THEN NULL ELSE a.mark END THEN '"mark":' || coalesce('"' || a.mark || '"', 'null') END,
            CASE WHEN a.reason IS NOT NULL AND a.effect IN ('CANCELLED') THEN '"reason":' || coalesce('"' || a.reason || '"', 'null') END,
            CASE WHEN a.kill_requested IS NOT NULL AND a.effect IN ('CANCELLED') THEN '"kill_requested":' || coalesce('"' || to_char(a.kill_requested AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', 'null') END,
            CASE WHEN a.sigkill_at IS NOT NULL AND a.effect IN ('CANCELLED') THEN '"sigkill_at":' || coalesce('"' || to_char(a.sigkill_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', 'null') END) || '}' AS before
    FROM (
        SELECT c.*, CASE
            WHEN c.effective_state IN ('BLOCKED', 'FAILED', 'INPROGRESS', 'PENDING', 'PROMPTING', 'RUNNING', 'SCHEDULED', 'SUSPENDED', 'WAITING') AND c.mark = 'CANCELLING'
            THEN NULL
            WHEN c.effective_state IN ('INPROGRESS', 'RUNNING')
            THEN 'CANCELLING'
            WHEN c.effective_state IN ('WAITING') AND c.order_id IN (SELECT h.order_id FROM held h)
            THEN 'CANCELLING'
            WHEN c.effective_state IN ('BLOCKED', 'FAILED', 'INPROGRESS', 'PENDING', 'PROMPTING', 'RUNNING', 'SCHEDULED', 'SUSPENDED', 'WAITING')
            THEN 'CANCELLED'
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
    SELECT $5, $6, $7, CASE g.affected WHEN 0 THEN $8 ELSE $9 END::json,
        $10, $11, $12, $13, $14, $15, $16, $17,
        CASE g.affected WHEN 0 THEN 'NO_ORDERS' ELSE 'DONE' END, g.affected
    FROM gate g
    WHERE NOT g.stale AND g.affected <= $18
      AND pg_try_advisory_xact_lock_shared($19)
    RETURNING id
),
changed AS (
    UPDATE orders AS o
    SET state_since = CASE
            WHEN o.state <> CASE a.effect WHEN 'CANCELLED' THEN 'CANCELLED' ELSE o.state END
            OR o.suspended <> CASE a.effect WHEN 'CANCELLED' THEN FALSE ELSE o.suspended END
            THEN CASE WHEN o.created > $20 AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE $21 END
            ELSE o.state_since END,
        state = CASE a.effect WHEN 'CANCELLED' THEN 'CANCELLED' ELSE o.state END,
        suspended = CASE a.effect WHEN 'CANCELLED' THEN FALSE ELSE o.suspended END,
        mark = CASE a.effect WHEN 'CANCELLING' THEN 'CANCELLING' WHEN 'CANCELLED' THEN NULL ELSE o.mark END,
        reason = CASE a.effect WHEN 'CANCELLED' THEN NULL ELSE o.reason END,
        kill_requested = CASE WHEN a.effect IN ('CANCELLED') THEN NULL ELSE o.kill_requested END,
        sigkill_at = CASE WHEN a.effect IN ('CANCELLED') THEN NULL ELSE o.sigkill_at END,
        modified = CASE WHEN o.created > $22 AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE $23 END
    FROM affected a, audit
    WHERE o.ctid = a.place AND o.controller_id = $24
),
details AS (
    INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
        workflow_version_id, folder, previous_state, new_state, mark, kill, via_parent, created,
        before)
    SELECT $25, audit.id, a.order_id, a.workflow_path,
        a.workflow_version_id, a.folder, a.effective_state,
        effective_state(CASE a.effect WHEN 'CANCELLED' THEN 'CANCELLED' ELSE a.state END, CASE a.effect WHEN 'CANCELLED' THEN FALSE ELSE a.suspended END, a.scheduled_for, $26),
        CASE a.effect WHEN 'CANCELLING' THEN 'CANCELLING' ELSE NULL END, FALSE, a.via_parent, $27, a.before::json
    FROM affected a, audit
)
SELECT g.stale, g.affected, (SELECT id FROM audit) AS audit_log_id,
    (SELECT count(*) FROM (
        SELECT pg_notify('joc_orders_marks', $28)::text FROM audit
        WHERE EXISTS (SELECT 1 FROM affected a WHERE a.effect IN ('CANCELLING'))
        OFFSET 0
    ) n) AS notified
FROM gate g;
