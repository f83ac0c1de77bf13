-- What the calls beside cancel need to know of an order.

ALTER TABLE orders
    ADD COLUMN priority integer NOT NULL DEFAULT 0,
    ADD COLUMN arguments jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT orders_arguments_are_an_object CHECK (jsonb_typeof(arguments) = 'object'),
    ADD COLUMN position jsonb
        CONSTRAINT orders_position_is_an_array CHECK (jsonb_typeof(position) = 'array'),
    -- Why it waits, in JOC's words: WAITING_FOR_LOCK.
    ADD COLUMN reason text COLLATE "C"
        CONSTRAINT orders_reason_is_a_word CHECK (reason ~ '^[A-Z][A-Z_]{0,99}$'),
    ADD COLUMN started timestamptz(3) CHECK (isfinite(started)),
    -- Since when it has its state; null: since it was created.
    ADD COLUMN state_since timestamptz(3) CHECK (isfinite(state_since)),
    -- Out of sight as soon as it is terminal.
    ADD COLUMN remove_when_terminated boolean NOT NULL DEFAULT false;
UPDATE orders SET state_since = modified WHERE modified > created;

-- Terminal orders keep these too; only what hides them may still change.
DROP TRIGGER orders_terminal_is_final ON orders;
CREATE TRIGGER orders_terminal_is_final
    BEFORE UPDATE OF state, suspended, mark, scheduled_for, kill_requested, sigkill_at,
        controller_id, order_id, workflow_path, workflow_version_id,
        priority, arguments, position, reason, started, state_since ON orders
    FOR EACH ROW WHEN (OLD.state IN ('FINISHED', 'CANCELLED'))
    EXECUTE FUNCTION refuse_change('a terminal order is never changed');

CREATE INDEX orders_terminal_since ON orders (controller_id, coalesce(state_since, created))
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_terminal_started ON orders (controller_id, coalesce(started, created))
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_terminal_folder ON orders (controller_id, folder)
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_terminal_workflow ON orders (controller_id, workflow_path, workflow_version_id)
    WHERE state IN ('FINISHED', 'CANCELLED');

-- A view's columns are those that its table had when it was made.
DROP VIEW orders_effective;
CREATE VIEW orders_effective AS
SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, now()) AS effective_state
FROM orders o;

-- From which the ids of added orders are made: unique on every replica.
ALTER TABLE controllers ADD COLUMN last_order_number bigint NOT NULL DEFAULT 0;

-- The audit log over all controllers, and an entry by its id alone.
CREATE INDEX audit_logs_recent ON audit_logs (created);
CREATE INDEX audit_logs_id ON audit_logs (id);
