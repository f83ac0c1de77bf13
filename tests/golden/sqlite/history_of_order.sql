UPDATE temp.clock SET now = ?; SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.state, o.scheduled_for, coalesce(o.started, o.created) AS started, coalesce(o.state_since, o.created) AS ended, o.modified, CAST(o.arguments AS text) AS arguments, CAST(o.position AS text) AS position FROM orders o WHERE o.controller_id = (SELECT ?) AND o.state IN ('FINISHED', 'CANCELLED') AND o.order_id = ? ORDER BY coalesce(o.state_since, o.created) DESC, o.order_id LIMIT ?;

UPDATE temp.clock SET now = ?; SELECT o.controller_id, o.order_id, o.workflow_path, o.workflow_version_id, o.state, o.scheduled_for, coalesce(o.started, o.created) AS started, coalesce(o.state_since, o.created) AS ended, o.modified, CAST(o.arguments AS text) AS arguments, CAST(o.position AS text) AS position FROM orders o WHERE o.controller_id = (SELECT ?) AND o.state IN ('FINISHED', 'CANCELLED') AND o.order_id > ? AND o.order_id < ? ORDER BY coalesce(o.state_since, o.created) DESC, o.order_id LIMIT ?;

PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA temp_store = FILE; PRAGMA journal_size_limit = 33554432;;

SELECT sql FROM main.sqlite_schema WHERE name = 'orders_effective';

CREATE TEMP TABLE clock (now TEXT); INSERT INTO temp.clock VALUES (NULL); CREATE TEMP VIEW orders_effective AS
SELECT o.*,
    CASE
        WHEN state IN ('FINISHED', 'CANCELLED') THEN state
        WHEN suspended THEN 'SUSPENDED'
        WHEN state <> 'FRESH' THEN state
        WHEN scheduled_for IS NULL THEN 'PENDING'
        WHEN scheduled_for >= (SELECT now FROM clock) THEN 'SCHEDULED'
        ELSE 'BLOCKED'
    END AS effective_state
FROM orders o;
         CREATE TEMP TABLE affected (order_id TEXT PRIMARY KEY, workflow_path TEXT,
             workflow_version_id TEXT, folder TEXT, effective_state TEXT, via_parent TEXT,
             effect TEXT) WITHOUT ROWID;
         INSERT INTO temp.affected (order_id) VALUES ('');
         ANALYZE temp.affected;
         DELETE FROM temp.affected;;

SELECT l.id AS audit_log_id, l.created, l.account, l.request, l.comment, l.ticket_link, d.previous_state, d.new_state, d.mark, d.kill FROM audit_log_details d JOIN audit_logs l ON l.controller_id = d.controller_id AND l.id = d.audit_log_id WHERE d.controller_id = (SELECT ?) AND d.order_id = (SELECT ?) ORDER BY l.id DESC;
