DROP INDEX orders_living_id;
DROP INDEX orders_terminal_workflow;
CREATE INDEX orders_terminal_workflow ON orders (controller_id, workflow_path, workflow_version_id)
    WHERE state IN ('FINISHED', 'CANCELLED');
DROP VIEW orders_effective;
DROP INDEX orders_terminal_since;
DROP INDEX orders_started_since;
ALTER TABLE orders DROP COLUMN history_at;
ALTER TABLE orders RESET (fillfactor);
CREATE VIEW orders_effective AS
SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, now()) AS effective_state
FROM orders o;
CREATE INDEX orders_terminal_since ON orders (controller_id, coalesce(state_since, created))
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_living_folder ON orders (controller_id, folder)
    WHERE state NOT IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_terminal_folder ON orders (controller_id, folder)
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX audit_log_details_created ON audit_log_details (controller_id, created);
