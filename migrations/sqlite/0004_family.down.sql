DROP TRIGGER orders_terminal_is_final;
CREATE TRIGGER orders_terminal_is_final
BEFORE UPDATE OF state, suspended, mark, scheduled_for, kill_requested, sigkill_at,
    controller_id, order_id, workflow_path, workflow_version_id ON orders
WHEN OLD.state IN ('FINISHED', 'CANCELLED')
BEGIN SELECT RAISE(ABORT, 'a terminal order is never changed'); END;
DROP INDEX audit_logs_recent;
ALTER TABLE controllers DROP COLUMN last_order_number;
DROP INDEX orders_terminal_workflow;
DROP INDEX orders_terminal_folder;
DROP INDEX orders_terminal_started;
DROP INDEX orders_terminal_since;
ALTER TABLE orders DROP COLUMN remove_when_terminated;
ALTER TABLE orders DROP COLUMN state_since;
ALTER TABLE orders DROP COLUMN started;
ALTER TABLE orders DROP COLUMN reason;
ALTER TABLE orders DROP COLUMN position;
ALTER TABLE orders DROP COLUMN arguments;
ALTER TABLE orders DROP COLUMN priority;
