SELECT pg_try_advisory_xact_lock_shared($1);

WITH chosen AS MATERIALIZED (
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
        o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.reason,
        o.remove_when_terminated, o.place, o.effective_state, NULL AS via_parent
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
    WHERE o.controller_id = $2
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND o.workflow_path IN (
        SELECT w.path FROM workflows w
        WHERE w.folder IN (
            WITH r AS MATERIALIZED (SELECT r.folder, r.low, r.high FROM unnest($3, $4, $5) r (folder, low, high)),
            f AS MATERIALIZED (SELECT DISTINCT w.folder FROM workflows w WHERE w.controller_id = $6)
            SELECT r.folder FROM r
            UNION ALL
            SELECT m.folder
            FROM (
                SELECT s.folder, s.is_folder, max(s.high) OVER (ORDER BY s.folder) AS high
                FROM (
                    SELECT f.folder, f.folder AS high, TRUE AS is_folder FROM f
                    UNION ALL
                    SELECT r.low, r.high, FALSE FROM r WHERE r.low IS NOT NULL
                ) s
            ) m
            WHERE m.is_folder AND m.folder < m.high
        )
          AND w.controller_id = $7
    )
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
      AND o.controller_id = $9
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
)
SELECT g.stale, g.affected, a.order_id, a.effect, a.via_parent, a.before
FROM gate g LEFT JOIN affected a ON NOT g.stale AND g.affected <= $10;

SELECT 'NO_ORDERS';

INSERT INTO audit_logs (controller_id, account, request, parameters, category, comment,
    time_spent, ticket_link, outcome, affected, request_id, client_address, created)
VALUES ($1, $2, $3, $4::json, $5, $6,
    $7, $8, $9, $10, $11, $12, $13)
RETURNING id;
