-- What a change found before it, and which entry it undoes.

ALTER TABLE audit_log_details ADD COLUMN before json
    CONSTRAINT audit_log_details_before_is_an_object CHECK (json_typeof(before) = 'object');
ALTER TABLE audit_logs ADD COLUMN undoes bigint
    CONSTRAINT audit_logs_undoes_one_before CHECK (undoes < id);
CREATE INDEX audit_logs_undoes ON audit_logs (controller_id, undoes) WHERE undoes IS NOT NULL;
-- As make_audit_partition names them.
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT c.oid::regclass AS its, t.relname || '_undoes' AS name
        FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class t ON t.oid = i.indrelid
        WHERE h.inhparent = 'audit_logs_undoes'::regclass
    LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', made.its, made.name);
    END LOOP;
END $$;

-- A cancel can be undone: only of an order that never started, and nothing else of it changes.
DROP TRIGGER orders_terminal_is_final ON orders;
CREATE TRIGGER orders_terminal_is_final
    BEFORE UPDATE OF state, suspended, mark, scheduled_for, kill_requested, sigkill_at,
        controller_id, order_id, workflow_path, workflow_version_id,
        priority, arguments, position, reason, started, state_since ON orders
    FOR EACH ROW WHEN (OLD.state IN ('FINISHED', 'CANCELLED') AND NOT (
        OLD.state = 'CANCELLED' AND NEW.state = 'FRESH' AND OLD.started IS NULL
        AND (NEW.controller_id, NEW.order_id, NEW.workflow_path, NEW.workflow_version_id, NEW.scheduled_for,
             NEW.priority, NEW.arguments, NEW.position)
            IS NOT DISTINCT FROM
            (OLD.controller_id, OLD.order_id, OLD.workflow_path, OLD.workflow_version_id, OLD.scheduled_for,
             OLD.priority, OLD.arguments, OLD.position)))
    EXECUTE FUNCTION refuse_change('a terminal order is never changed');

-- Comments from docs/schema.md, written by UPDATE_COMMENTS=1.
COMMENT ON COLUMN audit_log_details.before IS 'An object of the columns of orders that the request changed, with their old values. Null in rows older than migration 15, and if the request added the order';
COMMENT ON COLUMN audit_logs.undoes IS 'The entry that this one undid, id';
