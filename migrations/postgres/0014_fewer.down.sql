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
CREATE OR REPLACE FUNCTION expect_own_entry() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- There may be further foreign keys that are not from here. Each partition of the entries has one, too.
    entries regclass := (SELECT coalesce(pg_partition_root(confrelid), confrelid) FROM pg_constraint c
                         WHERE conrelid = TG_RELID AND contype = 'f' AND (
                             SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
                             WHERE attrelid = TG_RELID AND attnum = ANY (c.conkey)
                         ) = ARRAY['audit_log_id', 'controller_id']
                         ORDER BY c.oid LIMIT 1);
    mine bigint := pg_current_xact_id()::text::bigint;
    added_to record;
    entry record;
    written bigint;
BEGIN
    FOR added_to IN
        SELECT controller_id, audit_log_id, count(*) AS details FROM added GROUP BY 1, 2
    LOOP
        EXECUTE format('SELECT outcome, affected, xmin::text::bigint AS xmin FROM %s
                        WHERE controller_id = $1 AND id = $2', entries)
            INTO entry USING added_to.controller_id, added_to.audit_log_id;
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
