SELECT l.request, l.outcome, EXISTS (
    SELECT 1 FROM audit_log_details o
    WHERE o.controller_id = $1 AND o.audit_log_id = $2
) AS is_seen,
    (
    SELECT max(u.id) FROM audit_logs u
    WHERE u.controller_id = $3 AND u.undoes = $4 AND u.outcome = 'DONE'
) AS undone_by
FROM audit_logs l
WHERE l.controller_id = $5 AND l.id = $6;

SELECT pg_advisory_xact_lock(hashtextextended('undo ' || $1, $2));

SELECT max(u.id) FROM audit_logs u
WHERE u.controller_id = $1 AND u.undoes = $2 AND u.outcome = 'DONE';

SELECT pg_try_advisory_xact_lock_shared($1);

WITH chosen AS MATERIALIZED (
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
        o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.reason,
        o.remove_when_terminated, o.place, o.effective_state, NULL AS via_parent,
        CASE
            WHEN o.order_id IS NULL THEN 'GONE'
            WHEN d.before IS NULL THEN 'UNRECORDED'
            WHEN d.kill THEN 'KILLED'
            WHEN d.mark IS NULL AND d.before ->> 'state' <> 'FRESH' THEN 'STARTED'
            WHEN o.modified <> d.created OR o.created > d.created THEN 'CHANGED'
            WHEN d.mark IS NULL AND o.state = 'CANCELLED' THEN CASE
                WHEN o.parent_id IS NOT NULL AND EXISTS (
        SELECT 1 FROM orders p
        WHERE p.controller_id = $1 AND p.order_id = o.parent_id AND p.state NOT IN ('FRESH', 'WAITING')
          AND NOT EXISTS (
            SELECT 1 FROM audit_log_details e
            WHERE e.controller_id = $2 AND e.audit_log_id = $3 AND e.order_id = p.order_id
              AND p.state = 'CANCELLED' AND e.before ->> 'state' = 'FRESH'
        )
    ) THEN 'PARENT_CONTINUED'
                WHEN CAST(d.before ->> 'suspended' AS boolean) IS TRUE
                    AND coalesce(d.before ->> 'mark', '') <> 'RESUMING' THEN 'FRESH_SUSPENDED'
                WHEN o.scheduled_for <= $4 THEN 'OVERDUE'
                WHEN d.before ->> 'mark' = 'RESUMING' THEN 'FRESH_RESUMING'
                WHEN d.before ->> 'mark' = 'SUSPENDING' THEN 'FRESH_SUSPENDING'
                ELSE 'FRESH' END
            WHEN d.mark = o.mark THEN CASE coalesce(d.before ->> 'mark', '')
                WHEN 'SUSPENDING' THEN 'MARKED_SUSPENDING'
                WHEN 'RESUMING' THEN 'MARKED_RESUMING'
                ELSE CASE WHEN o.kill_requested IS NULL THEN 'MARKED' ELSE 'CHANGED' END END
            ELSE 'CHANGED' END AS fate
    FROM audit_log_details d CROSS JOIN (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $5) AS effective_state FROM orders o) o
    WHERE d.controller_id = $6
      AND d.audit_log_id = $7
      AND o.order_id = d.order_id
      AND o.controller_id = $8
      AND TRUE
),
locked AS MATERIALIZED (
    SELECT l.order_id, l.same
    FROM (
        SELECT o.order_id, o.ctid = c.place AS same
        FROM chosen c JOIN orders o ON o.ctid = c.place
        WHERE o.controller_id = $9
        ORDER BY o.order_id
        FOR NO KEY UPDATE OF o
    ) l
),
affected AS MATERIALIZED (
    SELECT a.*,
        '{' || concat_ws(',',
            CASE WHEN a.state <> CASE a.effect WHEN 'RESTORED' THEN 'FRESH' WHEN 'RESTORED_SUSPENDED' THEN 'FRESH' WHEN 'RESTORED_RESUMING' THEN 'FRESH' WHEN 'RESTORED_SUSPENDING' THEN 'FRESH' WHEN 'SUSPENDED' THEN 'FRESH' ELSE a.state END THEN '"state":' || '"' || a.state || '"' END,
            CASE WHEN a.suspended <> CASE a.effect WHEN 'RESTORED' THEN FALSE WHEN 'RESTORED_SUSPENDED' THEN TRUE WHEN 'RESTORED_RESUMING' THEN TRUE WHEN 'RESTORED_SUSPENDING' THEN FALSE WHEN 'SUSPENDED' THEN TRUE ELSE a.suspended END THEN '"suspended":' || CASE WHEN a.suspended THEN 'true' ELSE 'false' END END,
            CASE WHEN a.mark IS DISTINCT FROM CASE a.effect WHEN 'RESTORED_RESUMING' THEN 'RESUMING' WHEN 'RESTORED_SUSPENDING' THEN 'SUSPENDING' WHEN 'UNMARKED' THEN NULL WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'RESUMING' THEN 'RESUMING' ELSE a.mark END THEN '"mark":' || coalesce('"' || a.mark || '"', 'null') END,
            CASE WHEN a.reason IS NOT NULL AND a.effect IN ('RESTORED', 'RESTORED_SUSPENDED', 'RESTORED_RESUMING', 'RESTORED_SUSPENDING', 'SUSPENDED') THEN '"reason":' || coalesce('"' || a.reason || '"', 'null') END,
            CASE WHEN a.kill_requested IS NOT NULL AND a.effect IN ('UNMARKED') THEN '"kill_requested":' || coalesce('"' || to_char(a.kill_requested AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', 'null') END,
            CASE WHEN a.sigkill_at IS NOT NULL AND a.effect IN ('UNMARKED') THEN '"sigkill_at":' || coalesce('"' || to_char(a.sigkill_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', 'null') END) || '}' AS before
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
),
gate AS MATERIALIZED (
    SELECT (SELECT count(*) FROM affected) AS affected,
        (SELECT count(*) FROM chosen) <> (SELECT count(*) FROM locked WHERE same) AS stale
)
SELECT g.stale, g.affected, a.order_id, a.effect, a.via_parent, a.before
FROM gate g LEFT JOIN affected a ON NOT g.stale AND g.affected <= $10;

INSERT INTO audit_logs (controller_id, account, request, parameters, category, comment,
    time_spent, ticket_link, outcome, affected, request_id, client_address, created, undoes)
VALUES ($1, $2, $3, $4::json, $5, $6,
    $7, $8, $9, $10, $11, $12, $13, $14)
RETURNING id;

INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
    workflow_version_id, folder, previous_state, new_state, mark, kill, via_parent, created,
    before)
SELECT a.controller_id, $1::bigint, a.order_id, a.workflow_path,
    a.workflow_version_id, a.folder, a.effective_state,
    effective_state(CASE a.effect WHEN 'RESTORED' THEN 'FRESH' WHEN 'RESTORED_SUSPENDED' THEN 'FRESH' WHEN 'RESTORED_RESUMING' THEN 'FRESH' WHEN 'RESTORED_SUSPENDING' THEN 'FRESH' WHEN 'SUSPENDED' THEN 'FRESH' ELSE a.state END, CASE a.effect WHEN 'RESTORED' THEN FALSE WHEN 'RESTORED_SUSPENDED' THEN TRUE WHEN 'RESTORED_RESUMING' THEN TRUE WHEN 'RESTORED_SUSPENDING' THEN FALSE WHEN 'SUSPENDED' THEN TRUE ELSE a.suspended END, a.scheduled_for, $2),
    CASE a.effect WHEN 'RESTORED_RESUMING' THEN 'RESUMING' WHEN 'RESTORED_SUSPENDING' THEN 'SUSPENDING' WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'RESUMING' THEN 'RESUMING' ELSE NULL END, FALSE, a.via_parent, $3, a.before::json
FROM (
    SELECT o.*, r.effect, r.via_parent, r.before
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $4) AS effective_state FROM orders o) o JOIN unnest($5, $6, $7, $8) r (order_id, effect, via_parent, before) ON r.order_id = o.order_id
    WHERE o.controller_id = $9
) a;

UPDATE orders AS o
SET state_since = CASE
        WHEN o.state <> CASE a.effect WHEN 'RESTORED' THEN 'FRESH' WHEN 'RESTORED_SUSPENDED' THEN 'FRESH' WHEN 'RESTORED_RESUMING' THEN 'FRESH' WHEN 'RESTORED_SUSPENDING' THEN 'FRESH' WHEN 'SUSPENDED' THEN 'FRESH' ELSE o.state END
        OR o.suspended <> CASE a.effect WHEN 'RESTORED' THEN FALSE WHEN 'RESTORED_SUSPENDED' THEN TRUE WHEN 'RESTORED_RESUMING' THEN TRUE WHEN 'RESTORED_SUSPENDING' THEN FALSE WHEN 'SUSPENDED' THEN TRUE ELSE o.suspended END
        THEN CASE WHEN o.created > $1 AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE $2 END
        ELSE o.state_since END,
    state = CASE a.effect WHEN 'RESTORED' THEN 'FRESH' WHEN 'RESTORED_SUSPENDED' THEN 'FRESH' WHEN 'RESTORED_RESUMING' THEN 'FRESH' WHEN 'RESTORED_SUSPENDING' THEN 'FRESH' WHEN 'SUSPENDED' THEN 'FRESH' ELSE o.state END,
    suspended = CASE a.effect WHEN 'RESTORED' THEN FALSE WHEN 'RESTORED_SUSPENDED' THEN TRUE WHEN 'RESTORED_RESUMING' THEN TRUE WHEN 'RESTORED_SUSPENDING' THEN FALSE WHEN 'SUSPENDED' THEN TRUE ELSE o.suspended END,
    mark = CASE a.effect WHEN 'RESTORED_RESUMING' THEN 'RESUMING' WHEN 'RESTORED_SUSPENDING' THEN 'SUSPENDING' WHEN 'UNMARKED' THEN NULL WHEN 'SUSPENDING' THEN 'SUSPENDING' WHEN 'RESUMING' THEN 'RESUMING' ELSE o.mark END,
    reason = CASE a.effect WHEN 'RESTORED' THEN NULL WHEN 'RESTORED_SUSPENDED' THEN NULL WHEN 'RESTORED_RESUMING' THEN NULL WHEN 'RESTORED_SUSPENDING' THEN NULL WHEN 'SUSPENDED' THEN NULL ELSE o.reason END,
    kill_requested = CASE WHEN a.effect IN ('UNMARKED') THEN NULL ELSE o.kill_requested END,
    sigkill_at = CASE WHEN a.effect IN ('UNMARKED') THEN NULL ELSE o.sigkill_at END,
    modified = CASE WHEN o.created > $3 AND o.created <= '9999-12-31T23:59:59.999Z' THEN o.created ELSE $4 END
FROM (SELECT * FROM unnest($5, $6) r (order_id, effect)) a
WHERE o.order_id = a.order_id AND o.controller_id = $7;

SELECT pg_notify('joc_orders_marks', $1)::text;

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
        WHERE p.controller_id = $1 AND p.order_id = o.parent_id AND p.state NOT IN ('FRESH', 'WAITING')
          AND NOT EXISTS (
            SELECT 1 FROM audit_log_details e
            WHERE e.controller_id = $2 AND e.audit_log_id = $3 AND e.order_id = p.order_id
              AND p.state = 'CANCELLED' AND e.before ->> 'state' = 'FRESH'
        )
    ) THEN 'PARENT_CONTINUED'
                WHEN CAST(d.before ->> 'suspended' AS boolean) IS TRUE
                    AND coalesce(d.before ->> 'mark', '') <> 'RESUMING' THEN 'FRESH_SUSPENDED'
                WHEN o.scheduled_for <= $4 THEN 'OVERDUE'
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
        WHERE o.controller_id = $5 AND o.audit_log_id = $6
    ) d LEFT JOIN (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $7) AS effective_state FROM orders o) o ON o.order_id = d.order_id AND o.controller_id = $8
    WHERE d.order_id NOT IN (
        SELECT u.order_id FROM audit_log_details u
        WHERE u.controller_id = $9 AND u.audit_log_id = $10
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
