-- Migration 4 on PostgreSQL, in steps that hold no lock for long. docs/operations.md says when to use it.
-- Run it with psql, outside a transaction, as the owner of the tables:
--
--     psql --set ON_ERROR_STOP=1 --file=migration-4-in-steps.sql postgres://joc@db.example.com/joc
--     joc-orders migrate --record
--
-- A step that gets no lock fails and changes nothing: resume with it later. An index that failed is left
-- invalid: remove it first with DROP INDEX CONCURRENTLY.

SET lock_timeout = '3s';

-- These take an instant, since they read no rows.
ALTER TABLE orders
    ADD COLUMN priority integer NOT NULL DEFAULT 0,
    ADD COLUMN arguments jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN position jsonb,
    ADD COLUMN reason text COLLATE "C",
    ADD COLUMN started timestamptz(3),
    ADD COLUMN state_since timestamptz(3),
    ADD COLUMN remove_when_terminated boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT orders_arguments_are_an_object CHECK (jsonb_typeof(arguments) = 'object') NOT VALID,
    ADD CONSTRAINT orders_position_is_an_array CHECK (jsonb_typeof(position) = 'array') NOT VALID,
    ADD CONSTRAINT orders_reason_is_a_word CHECK (reason ~ '^[A-Z][A-Z_]{0,99}$') NOT VALID,
    ADD CONSTRAINT orders_started_check CHECK (isfinite(started)) NOT VALID,
    ADD CONSTRAINT orders_state_since_check CHECK (isfinite(state_since)) NOT VALID;
ALTER TABLE controllers ADD COLUMN last_order_number bigint NOT NULL DEFAULT 0;

-- These block no readers or writers.
ALTER TABLE orders
    VALIDATE CONSTRAINT orders_arguments_are_an_object,
    VALIDATE CONSTRAINT orders_position_is_an_array,
    VALIDATE CONSTRAINT orders_reason_is_a_word,
    VALIDATE CONSTRAINT orders_started_check,
    VALIDATE CONSTRAINT orders_state_since_check;

-- 10,000 orders per transaction. The last step updates those that are locked now.
DO $$
DECLARE
    updated bigint;
BEGIN
    LOOP
        UPDATE orders SET state_since = modified WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM orders WHERE modified > created AND state_since IS NULL
            LIMIT 10000 FOR UPDATE SKIP LOCKED));
        GET DIAGNOSTICS updated = ROW_COUNT;
        COMMIT;
        EXIT WHEN updated = 0;
    END LOOP;
END $$;

-- An open transaction delays these; they block nobody else.
SET lock_timeout = 0;
CREATE INDEX CONCURRENTLY orders_terminal_since ON orders (controller_id, coalesce(state_since, created))
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX CONCURRENTLY orders_terminal_started ON orders (controller_id, coalesce(started, created))
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX CONCURRENTLY orders_terminal_folder ON orders (controller_id, folder)
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX CONCURRENTLY orders_terminal_workflow
    ON orders (controller_id, workflow_path, workflow_version_id)
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX CONCURRENTLY audit_logs_recent ON audit_logs (created);
CREATE INDEX CONCURRENTLY audit_logs_id ON audit_logs (id);
SET lock_timeout = '3s';

-- Reads every order once to catch up with what has changed since, then replaces the trigger and the view.
BEGIN;
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;
UPDATE orders SET state_since = modified
    WHERE modified > created AND state_since IS DISTINCT FROM modified;
DROP TRIGGER orders_terminal_is_final ON orders;
CREATE TRIGGER orders_terminal_is_final
    BEFORE UPDATE OF state, suspended, mark, scheduled_for, kill_requested, sigkill_at,
        controller_id, order_id, workflow_path, workflow_version_id,
        priority, arguments, position, reason, started, state_since ON orders
    FOR EACH ROW WHEN (OLD.state IN ('FINISHED', 'CANCELLED'))
    EXECUTE FUNCTION refuse_change('a terminal order is never changed');
DROP VIEW orders_effective;
CREATE VIEW orders_effective AS
SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, now()) AS effective_state
FROM orders o;
COMMIT;
