WITH chosen AS MATERIALIZED (
    SELECT o.order_id, o.root_id, o.workflow_path, o.workflow_version_id, o.mark,
        o.kill_requested, o.reason, o.effective_state, NULL AS via_parent
    FROM (SELECT o.*, o.ctid AS place, effective_state(o.state, o.suspended, o.scheduled_for, $1) AS effective_state FROM orders o) o
    WHERE o.controller_id = $2
      AND o.state NOT IN ('FINISHED', 'CANCELLED')
      AND ((o.workflow_path >= $3 AND o.workflow_path < $4 AND substr(o.workflow_path, CAST($5 AS integer)) NOT LIKE '%/%'))
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
      AND o.controller_id = $6
),
judged AS MATERIALIZED (
    SELECT c.order_id, c.workflow_path, c.workflow_version_id, c.effective_state,
        c.via_parent, CASE
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
)
SELECT concat_ws(chr(31), '', '', '', effective_state, effect, count(*), 0) AS packed
FROM judged
WHERE effect IS NOT NULL
GROUP BY effective_state, effect
UNION ALL
SELECT string_agg(f.packed, chr(30))
FROM (
    SELECT concat_ws(chr(31), order_id, workflow_path, workflow_version_id, effective_state, effect, 1, 0) AS packed
    FROM judged
    WHERE effect IS NOT NULL
    ORDER BY order_id
    LIMIT 1000
) f
HAVING count(*) > 0;
