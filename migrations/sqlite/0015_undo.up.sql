-- What a change found before it, and which entry it undoes.

ALTER TABLE audit_log_details ADD COLUMN before TEXT
    CONSTRAINT audit_log_details_before_is_an_object
    CHECK (before IS NULL OR (json_valid(before) AND json_type(before) = 'object'));
ALTER TABLE audit_logs ADD COLUMN undoes INTEGER
    CONSTRAINT audit_logs_undoes_one_before CHECK (undoes < id);
CREATE INDEX audit_logs_undoes ON audit_logs (controller_id, undoes) WHERE undoes IS NOT NULL;

-- A cancel can be undone: only of an order that never started, and nothing else of it changes.
DROP TRIGGER orders_terminal_is_final;
CREATE TRIGGER orders_terminal_is_final
BEFORE UPDATE OF state, suspended, mark, scheduled_for, kill_requested, sigkill_at,
    controller_id, order_id, workflow_path, workflow_version_id,
    priority, arguments, position, reason, started, state_since ON orders
WHEN OLD.state IN ('FINISHED', 'CANCELLED') AND NOT (
    OLD.state = 'CANCELLED' AND NEW.state = 'FRESH' AND OLD.started IS NULL
    AND (NEW.controller_id, NEW.order_id, NEW.workflow_path, NEW.workflow_version_id, NEW.scheduled_for,
         NEW.priority, NEW.arguments, NEW.position)
        IS (OLD.controller_id, OLD.order_id, OLD.workflow_path, OLD.workflow_version_id, OLD.scheduled_for,
            OLD.priority, OLD.arguments, OLD.position))
BEGIN SELECT RAISE(ABORT, 'a terminal order is never changed'); END;
