-- Fewer indexes to write for each change, and one instant by which histories sort.

-- The paths in a folder and below it are one range, which the indexes over workflows serve.
DROP INDEX orders_living_folder;
DROP INDEX orders_terminal_folder;
-- A detail is written when its entry is.
DROP INDEX audit_log_details_created;

-- A fresh order has no place in histories. So a suspend of one changes no indexed column, and its new row stays on
-- its page if there is room (HOT). Adding the column writes the table anew, with that room.
DROP INDEX orders_terminal_since;
ALTER TABLE orders SET (fillfactor = 90);
ALTER TABLE orders ADD COLUMN history_at timestamptz(3)
    GENERATED ALWAYS AS (CASE WHEN state <> 'FRESH' THEN coalesce(state_since, created) END) STORED;
CREATE INDEX orders_terminal_since ON orders (controller_id, history_at)
    WHERE state IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_started_since ON orders (controller_id, history_at)
    WHERE state IN ('RUNNING', 'INPROGRESS', 'WAITING', 'PROMPTING', 'FAILED');

-- What counts need, so that they read no rows.
DROP INDEX orders_terminal_workflow;
CREATE INDEX orders_terminal_workflow
    ON orders (controller_id, workflow_path, workflow_version_id, state, remove_when_terminated, parent_id)
    WHERE state IN ('FINISHED', 'CANCELLED');
-- Lists are in the order of ids, and most orders are terminal.
CREATE INDEX orders_living_id ON orders (controller_id, order_id)
    WHERE state NOT IN ('FINISHED', 'CANCELLED');

-- As in migration 13, except that its statement is planned once, in place of one made for each change. The tables of
-- a shard have other names, which its foreign key tells.
CREATE OR REPLACE FUNCTION expect_own_entry() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_shard boolean := TG_TABLE_NAME !~ '^audit_log_details(_p[0-9]+|_default)?$';
    entries regclass;
    mine bigint := pg_current_xact_id()::text::bigint;
    added_to record;
    entry record;
    written bigint;
BEGIN
    FOR added_to IN
        SELECT controller_id, audit_log_id, count(*) AS details FROM added GROUP BY 1, 2
    LOOP
        IF is_shard THEN
            -- There may be further foreign keys that are not from here. Each partition of the entries has one, too.
            entries := (SELECT coalesce(pg_partition_root(confrelid), confrelid) FROM pg_constraint c
                        WHERE conrelid = TG_RELID AND contype = 'f' AND (
                            SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
                            WHERE attrelid = TG_RELID AND attnum = ANY (c.conkey)
                        ) = ARRAY['audit_log_id', 'controller_id']
                        ORDER BY c.oid LIMIT 1);
            EXECUTE format('SELECT outcome, affected, xmin::text::bigint AS xmin FROM %s
                            WHERE controller_id = $1 AND id = $2', entries)
                INTO entry USING added_to.controller_id, added_to.audit_log_id;
        ELSE
            SELECT l.outcome, l.affected, l.xmin::text::bigint AS xmin INTO entry FROM audit_logs l
            WHERE l.controller_id = added_to.controller_id AND l.id = added_to.audit_log_id;
        END IF;
        -- xmin lacks the upper half of its number.
        written := mine - mine % 4294967296 + entry.xmin;
        IF written < mine - 2147483648 THEN
            written := written + 4294967296;
        END IF;
        IF entry.xmin IS NULL OR entry.outcome <> 'DONE' OR added_to.details > entry.affected
            OR written < mine
            OR written < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                AND pg_xact_status(written::text::xid8) IS DISTINCT FROM 'in progress'
        THEN
            RAISE EXCEPTION 'audit_log_details come with their entry, which is DONE'
                USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION expect_own_entry() SET search_path = pg_catalog, %s, pg_temp',
        (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'audit_logs'::regclass));
END $$;

-- A view's columns are those that its table had when it was made.
DROP VIEW orders_effective;
CREATE VIEW orders_effective AS
SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, now()) AS effective_state
FROM orders o;

-- Comments from docs/schema.md, written by UPDATE_COMMENTS=1.
COMMENT ON COLUMN orders.history_at IS 'Generated: since when the order has its state, by which histories sort. Null while state is FRESH';
COMMENT ON VIEW orders_effective IS 'All columns of orders, and effective_state: the state that the API shows and filters by, at the current instant.';
COMMENT ON COLUMN orders_effective.arguments IS 'Default {}. An object, the input of the order''s jobs: {"customer": "ACME"}';
COMMENT ON COLUMN orders_effective.controller_id IS 'With the two workflow columns: references workflows';
COMMENT ON COLUMN orders_effective.created IS 'Default: now';
COMMENT ON COLUMN orders_effective.effective_state IS 'The state of the order at the current instant';
COMMENT ON COLUMN orders_effective.folder IS 'Generated: the folder of workflow_path';
COMMENT ON COLUMN orders_effective.history_at IS 'Generated: since when the order has its state, by which histories sort. Null while state is FRESH';
COMMENT ON COLUMN orders_effective.history_id IS 'The historyId of the API: unique among all controllers, permanent, and never reused, not even after a DELETE. The database assigns it: leave it out of an INSERT';
COMMENT ON COLUMN orders_effective.kill_requested IS 'When SIGTERM was requested';
COMMENT ON COLUMN orders_effective.mark IS 'CANCELLING, SUSPENDING or RESUMING: what the executor is asked to do';
COMMENT ON COLUMN orders_effective.modified IS 'Default: now. No trigger maintains it: each statement that changes an order sets it';
COMMENT ON COLUMN orders_effective.order_id IS '1 to 255 characters, no control characters. A child order is its parent''s id, | and a branch name; no part is empty';
COMMENT ON COLUMN orders_effective.parent_id IS 'Generated: the id up to its last |. Null if the order is not a child';
COMMENT ON COLUMN orders_effective.position IS 'An array: where in its workflow the order is, or will continue, [2, "then", 0]. Null: unknown';
COMMENT ON COLUMN orders_effective.priority IS 'Default 0, 32 bits. Of the orders that are due, the highest goes first. JOC''s own five: 20000, 10000, 0, -10000, -20000';
COMMENT ON COLUMN orders_effective.reason IS 'Why it waits, in JOC''s words: WAITING_FOR_LOCK, FORKED. Null: the order does not wait, or the reason is unknown';
COMMENT ON COLUMN orders_effective.remove_when_terminated IS 'Default false. Hides the order from the API once it is terminal; the row stays';
COMMENT ON COLUMN orders_effective.root_id IS 'Generated: the id up to its first |, or all of it: the topmost ancestor';
COMMENT ON COLUMN orders_effective.scheduled_for IS 'When it is due, within the years 1 to 9999. Null: never';
COMMENT ON COLUMN orders_effective.sigkill_at IS 'When SIGKILL is to follow';
COMMENT ON COLUMN orders_effective.started IS 'When it was first taken. Null: not yet, or unknown';
COMMENT ON COLUMN orders_effective.state IS 'Default FRESH. One of the eight states below';
COMMENT ON COLUMN orders_effective.state_since IS 'Since when state and suspended have their values. Null: since created. No trigger maintains it';
COMMENT ON COLUMN orders_effective.suspended IS 'Default false';
COMMENT ON COLUMN orders_effective.workflow_path IS 'The path of its workflow';
COMMENT ON COLUMN orders_effective.workflow_version_id IS 'The version of its workflow';
