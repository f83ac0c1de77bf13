-- What the calls beside cancel need to know of an order.

ALTER TABLE orders ADD COLUMN priority INTEGER NOT NULL DEFAULT 0
    CONSTRAINT orders_priority_is_32_bits CHECK (priority BETWEEN -2147483648 AND 2147483647);
ALTER TABLE orders ADD COLUMN arguments TEXT NOT NULL DEFAULT '{}'
    CONSTRAINT orders_arguments_are_an_object
    CHECK (json_valid(arguments) AND json_type(arguments) = 'object');
ALTER TABLE orders ADD COLUMN position TEXT
    CONSTRAINT orders_position_is_an_array
    CHECK (position IS NULL OR (json_valid(position) AND json_type(position) = 'array'));
-- Why it waits, in JOC's words: WAITING_FOR_LOCK.
ALTER TABLE orders ADD COLUMN reason TEXT
    CONSTRAINT orders_reason_is_a_word
    CHECK (reason GLOB '[A-Z]*' AND reason NOT GLOB '*[^A-Z_]*' AND length(reason) <= 100
           AND instr(reason, char(0)) = 0);
ALTER TABLE orders ADD COLUMN started TEXT
    CHECK (started IS strftime('%Y-%m-%dT%H:%M:%fZ', started) AND started >= '0001' AND started NOT GLOB '*T24*');
-- Since when it has its state; null: since it was created.
ALTER TABLE orders ADD COLUMN state_since TEXT
    CHECK (state_since IS strftime('%Y-%m-%dT%H:%M:%fZ', state_since) AND state_since >= '0001' AND state_since NOT GLOB '*T24*');
-- Out of sight as soon as it is terminal.
ALTER TABLE orders ADD COLUMN remove_when_terminated INTEGER NOT NULL DEFAULT 0
    CHECK (remove_when_terminated IN (0, 1));
UPDATE orders SET state_since = modified WHERE modified > created;

-- Terminal orders keep these too; only what hides them may still change.
DROP TRIGGER orders_terminal_is_final;
CREATE TRIGGER orders_terminal_is_final
BEFORE UPDATE OF state, suspended, mark, scheduled_for, kill_requested, sigkill_at,
    controller_id, order_id, workflow_path, workflow_version_id,
    priority, arguments, position, reason, started, state_since ON orders
WHEN OLD.state IN ('FINISHED', 'CANCELLED')
BEGIN SELECT RAISE(ABORT, 'a terminal order is never changed'); END;

CREATE INDEX orders_terminal_since ON orders (controller_id, coalesce(state_since, created))
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_terminal_started ON orders (controller_id, coalesce(started, created))
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_terminal_folder ON orders (controller_id, folder)
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_terminal_workflow ON orders (controller_id, workflow_path, workflow_version_id)
    WHERE state IN ('FINISHED', 'CANCELLED');

-- From which the ids of added orders are made: unique on every replica.
ALTER TABLE controllers ADD COLUMN last_order_number INTEGER NOT NULL DEFAULT 0;

-- The audit log over all controllers.
CREATE INDEX audit_logs_recent ON audit_logs (created);
