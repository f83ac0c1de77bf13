-- What the audit trail takes. NOT VALID: the rules hold for new rows alone, so that nothing is
-- read here, and an old row that breaks one stays evidence. `joc-orders check` names such rows.

ALTER TABLE audit_logs
    ADD CONSTRAINT audit_logs_id_is_drawn CHECK (id BETWEEN 1 AND 9007199254740991) NOT VALID,
    ADD CONSTRAINT audit_logs_controller CHECK (
        char_length(controller_id) BETWEEN 1 AND 100
        AND controller_id !~ '[/\\<>?!&:;()"|*^[:cntrl:]]') NOT VALID,
    ADD CONSTRAINT audit_logs_who_and_what CHECK (
        account <> '' AND request <> '' AND request_id <> '') NOT VALID,
    ADD CONSTRAINT audit_logs_parameters_are_an_object CHECK (
        json_typeof(parameters) = 'object') NOT VALID,
    ADD CONSTRAINT audit_logs_done_affects CHECK (outcome <> 'DONE' OR affected > 0) NOT VALID,
    ADD CONSTRAINT audit_logs_years CHECK (
        created >= '0001-01-01T00:00:00Z' AND created < '10000-01-01T00:00:00Z') NOT VALID;

ALTER TABLE audit_log_details
    ADD CONSTRAINT audit_log_details_order CHECK (
        char_length(order_id) BETWEEN 1 AND 255 AND workflow_path <> ''
        AND workflow_version_id <> '' AND folder <> '') NOT VALID,
    -- An order that a call adds was in the state NONE.
    ADD CONSTRAINT audit_log_details_states CHECK (
        previous_state IN ('NONE', 'PENDING', 'SCHEDULED', 'BLOCKED', 'SUSPENDED', 'INPROGRESS',
            'RUNNING', 'WAITING', 'PROMPTING', 'FAILED', 'FINISHED', 'CANCELLED')
        AND new_state IN ('PENDING', 'SCHEDULED', 'BLOCKED', 'SUSPENDED', 'INPROGRESS',
            'RUNNING', 'WAITING', 'PROMPTING', 'FAILED', 'FINISHED', 'CANCELLED')) NOT VALID,
    ADD CONSTRAINT audit_log_details_mark CHECK (
        mark IN ('CANCELLING', 'SUSPENDING', 'RESUMING')) NOT VALID,
    ADD CONSTRAINT audit_log_details_kill_has_mark CHECK (
        NOT kill OR coalesce(mark, '') IN ('CANCELLING', 'SUSPENDING')) NOT VALID,
    ADD CONSTRAINT audit_log_details_years CHECK (
        created >= '0001-01-01T00:00:00Z' AND created < '10000-01-01T00:00:00Z') NOT VALID;

ALTER TABLE audit_seals
    ADD CONSTRAINT audit_seals_ids CHECK (
        first_id > 0 AND last_id <= 9007199254740991) NOT VALID,
    ADD CONSTRAINT audit_seals_years CHECK (
        created >= '0001-01-01T00:00:00Z' AND created < '10000-01-01T00:00:00Z') NOT VALID;

-- OVERRIDING SYSTEM VALUE lets whoever may insert choose an id; only the one that this session
-- has just drawn is taken. As the owner, since others may not look at the sequence. Where the
-- table has none, such as a shard, somebody else drew the id.
CREATE FUNCTION expect_drawn_id() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    drawn_from regclass :=
        pg_get_serial_sequence(format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME), 'id')::regclass;
BEGIN
    IF drawn_from IS NOT NULL AND (NEW.id > coalesce(pg_sequence_last_value(drawn_from), 0)
                                   OR NEW.id IS DISTINCT FROM currval(drawn_from)) THEN
        RAISE EXCEPTION 'an id of audit_logs is drawn, not chosen'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_logs_drawn BEFORE INSERT ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION expect_drawn_id();

-- The highest id that has been drawn, for verifiers that may only read; null if it is not known.
CREATE FUNCTION last_drawn_id() RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    drawn_from regclass := pg_get_serial_sequence('audit_logs', 'id')::regclass;
BEGIN
    RETURN CASE WHEN drawn_from IS NOT NULL
        THEN coalesce(pg_sequence_last_value(drawn_from), 0) END;
END $$;
-- Whatever the caller's path is, and however many of its own tables have that name.
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION last_drawn_id() SET search_path = pg_catalog, %s, pg_temp',
        (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'audit_logs'::regclass));
END $$;

-- Details come with their entry, in one transaction. Its row is visible, so if its transaction
-- has not ended, it is this one, or a savepoint of it.
CREATE FUNCTION expect_own_entry() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- There may be further foreign keys that are not from here.
    entries regclass := (SELECT confrelid FROM pg_constraint c
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
CREATE TRIGGER audit_log_details_own_entry AFTER INSERT ON audit_log_details
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION expect_own_entry();

CREATE FUNCTION expect_next_seal() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last record;
    covers integer;
    is_there boolean;
BEGIN
    EXECUTE format('SELECT number, last_id, hash FROM %s WHERE controller_id = $1
                    ORDER BY number DESC LIMIT 1', TG_RELID::regclass)
        INTO last USING NEW.controller_id;
    -- One that ended after all entries would leave none to the next.
    EXECUTE format('SELECT count(*) FROM %I.audit_logs
                    WHERE controller_id = $1 AND id IN ($2, $3)', TG_TABLE_SCHEMA)
        INTO covers USING NEW.controller_id, NEW.first_id, NEW.last_id;
    IF NEW.number = coalesce(last.number, 0) + 1 AND NEW.first_id > coalesce(last.last_id, 0)
        AND NEW.previous_hash = coalesce(last.hash, repeat('0', 64))
        AND covers = 1 + (NEW.first_id <> NEW.last_id)::integer THEN
        RETURN NEW;
    END IF;
    -- A number that is taken is the primary key's matter: another sealer was faster.
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s WHERE controller_id = $1 AND number = $2)',
                   TG_RELID::regclass)
        INTO is_there USING NEW.controller_id, NEW.number;
    IF is_there THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the seal does not follow the last one' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_seals_next BEFORE INSERT ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION expect_next_seal();
