DROP TRIGGER orders_terminal_is_final ON orders;
CREATE TRIGGER orders_terminal_is_final
    BEFORE UPDATE OF state, suspended, mark, scheduled_for, kill_requested, sigkill_at,
        controller_id, order_id, workflow_path, workflow_version_id,
        priority, arguments, position, reason, started, state_since ON orders
    FOR EACH ROW WHEN (OLD.state IN ('FINISHED', 'CANCELLED'))
    EXECUTE FUNCTION refuse_change('a terminal order is never changed');
DROP INDEX audit_logs_undoes;
ALTER TABLE audit_logs DROP COLUMN undoes;
ALTER TABLE audit_log_details DROP COLUMN before;
