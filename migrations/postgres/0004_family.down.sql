DROP TRIGGER orders_terminal_is_final ON orders;
CREATE TRIGGER orders_terminal_is_final
    BEFORE UPDATE OF state, suspended, mark, scheduled_for, kill_requested, sigkill_at,
        controller_id, order_id, workflow_path, workflow_version_id ON orders
    FOR EACH ROW WHEN (OLD.state IN ('FINISHED', 'CANCELLED'))
    EXECUTE FUNCTION refuse_change('a terminal order is never changed');
DROP INDEX audit_logs_id;
DROP INDEX audit_logs_recent;
ALTER TABLE controllers DROP COLUMN last_order_number;
DROP VIEW orders_effective;
DROP INDEX orders_terminal_workflow;
DROP INDEX orders_terminal_folder;
DROP INDEX orders_terminal_started;
DROP INDEX orders_terminal_since;
ALTER TABLE orders
    DROP COLUMN remove_when_terminated,
    DROP COLUMN state_since,
    DROP COLUMN started,
    DROP COLUMN reason,
    DROP COLUMN position,
    DROP COLUMN arguments,
    DROP COLUMN priority;
CREATE VIEW orders_effective AS
SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, now()) AS effective_state
FROM orders o;
