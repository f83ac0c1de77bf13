-- The audit trail in partitions by range of the entry's id, so that archiving drops whole ones. No row is written
-- anew: the two tables become the first partitions of new ones, which get everything else that they had.

-- As in migration 7, except that the sequence and the foreign key are those of the partitioned table.
CREATE OR REPLACE FUNCTION expect_drawn_id() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    drawn_from regclass := pg_get_serial_sequence(
        coalesce(pg_partition_root(TG_RELID), TG_RELID)::regclass::text, 'id')::regclass;
BEGIN
    IF drawn_from IS NOT NULL AND (NEW.id > coalesce(pg_sequence_last_value(drawn_from), 0)
                                   OR NEW.id IS DISTINCT FROM currval(drawn_from)) THEN
        RAISE EXCEPTION 'an id of audit_logs is drawn, not chosen'
            USING ERRCODE = 'restrict_violation';
    END IF;
    -- Until the transaction ends. Otherwise PostgreSQL plans the check of the foreign key anew for each detail: it
    -- takes the plan for all partitions for more expensive than it is. A shard of Citus has no sequence, and
    -- Citus needs the plan for the given controller.
    IF drawn_from IS NOT NULL THEN
        PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);
    END IF;
    RETURN NEW;
END $$;

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

-- Makes the partitions of a million ids, as number 3 those from 3000000 on; as null the default ones. False if they
-- are there, or if the range has entries, which are in the default partition then and stay there.
CREATE FUNCTION make_audit_partition(number bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    place text := (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'audit_logs'::regclass);
    suffix text := coalesce('_p' || number, '_default');
    bounds text := CASE WHEN number IS NULL THEN 'DEFAULT'
        ELSE format('FOR VALUES FROM (%s) TO (%s)', number * 1000000, (number + 1) * 1000000) END;
    parent text;
    part text;
    made record;
BEGIN
    IF to_regclass('audit_logs' || suffix) IS NOT NULL OR EXISTS (
        SELECT 1 FROM audit_logs WHERE id >= number * 1000000 AND id < (number + 1) * 1000000)
    THEN
        RETURN false;
    END IF;
    -- In the order in which requests lock them.
    LOCK TABLE audit_logs, audit_log_details IN SHARE ROW EXCLUSIVE MODE;
    IF to_regclass('audit_logs' || suffix) IS NOT NULL THEN
        RETURN false;
    END IF;
    FOREACH parent IN ARRAY ARRAY['audit_logs', 'audit_log_details'] LOOP
        part := format('%s.%I', place, parent || suffix);
        -- PARTITION OF would lock out readers, too.
        EXECUTE format('CREATE TABLE %s (LIKE %I INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY
            EXCLUDING COMMENTS)', part, parent);
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %s
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change(%L)',
            parent || '_append_only', part, parent || ' is append-only');
        IF parent = 'audit_log_details' THEN
            EXECUTE format('CREATE TRIGGER audit_log_details_own_entry AFTER INSERT ON %s
                REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION expect_own_entry()', part);
        END IF;
        -- With its triggers, which Citus would not pass on later.
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %s %s', parent, part, bounds);
        -- Named after those of the whole table.
        FOR made IN
            SELECT c.oid::regclass AS its, n.name
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_inherits h ON h.inhrelid = c.oid
            JOIN pg_class w ON w.oid = h.inhparent
            CROSS JOIN LATERAL (SELECT parent || suffix || substr(w.relname, length(parent) + 1) AS name) n
            WHERE i.indrelid = part::regclass AND starts_with(w.relname, parent || '_') AND c.relname <> n.name
        LOOP
            EXECUTE format('ALTER INDEX %s RENAME TO %I', made.its, made.name);
        END LOOP;
    END LOOP;
    RETURN true;
END $$;

-- For the service: makes the partition of the next id and the two after it, as far as they are missing, and says how
-- many it has made.
CREATE FUNCTION make_audit_partitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '1s' AS $$
DECLARE
    this bigint := (coalesce(last_drawn_id(), (SELECT max(id) FROM audit_logs), 0) + 1) / 1000000;
    made integer := 0;
BEGIN
    FOR number IN this .. this + 2 LOOP
        made := made + make_audit_partition(number)::integer;
    END LOOP;
    RETURN made;
END $$;
REVOKE EXECUTE ON FUNCTION make_audit_partition, make_audit_partitions FROM PUBLIC;

DO $$
DECLARE
    entries CONSTANT regclass := 'audit_logs';
    details CONSTANT regclass := 'audit_log_details';
    place CONSTANT text := (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = entries);
    owner CONSTANT text := (SELECT relowner::regrole FROM pg_class WHERE oid = entries);
    drawn record;
    upto bigint;
    -- Somebody chose a higher id than was drawn, before migration 7. Such rows can only be in a default partition.
    is_forged boolean;
    stranger record;
    suffix text;
    bounds text;
    old regclass;
    parent text;
    was text;
    -- What the new tables get before and after they have partitions.
    first text;
    views text;
    keys text := '';
    triggers text := '';
BEGIN
    FOR stranger IN
        SELECT format('the materialized view %s', v.oid::regclass) AS named
        FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid IN (entries, details) AND v.relkind = 'm'
        UNION ALL
        SELECT format('the foreign key %I of %s', conname, conrelid::regclass) FROM pg_constraint
        WHERE contype = 'f' AND confrelid IN (entries, details) AND conrelid <> details
    LOOP
        RAISE EXCEPTION '% is not from the migrations and would keep to the old table: drop it, and create it again '
            'after migration 13', stranger.named;
    END LOOP;

    -- Views keep to the table, whatever it is called. Created again, they find the new one.
    SELECT string_agg(DISTINCT format(E'CREATE OR REPLACE VIEW %s%s AS %s\n', v.oid::regclass,
        ' WITH (' || array_to_string(v.reloptions, ', ') || ')', pg_get_viewdef(v.oid)), '')
    INTO views
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid IN (entries, details) AND v.relkind = 'v';

    EXECUTE format('SELECT last_value, is_called FROM %s', pg_get_serial_sequence('audit_logs', 'id')) INTO drawn;
    upto := ((drawn.last_value + 1) / 1000000 + 1) * 1000000;
    is_forged := coalesce((SELECT max(id) FROM audit_logs), 0) >= upto
        OR coalesce((SELECT max(audit_log_id) FROM audit_log_details), 0) >= upto;
    suffix := '_p' || upto / 1000000 - 1;
    bounds := format('FOR VALUES FROM (MINVALUE) TO (%s)', upto);
    IF is_forged THEN
        suffix := '_default';
        bounds := 'DEFAULT';
    END IF;
    ALTER TABLE audit_logs ALTER COLUMN id DROP IDENTITY;

    -- Details first, whose foreign key needs the keys of the entries.
    FOREACH old IN ARRAY ARRAY[details, entries] LOOP
        SELECT relname INTO parent FROM pg_class WHERE oid = old;
        was := format('%s.%I', place, parent || suffix);

        SELECT coalesce(string_agg(format('ALTER TABLE %s.%I ADD CONSTRAINT %I %s;', place, parent, conname,
            pg_get_constraintdef(oid)), '' ORDER BY contype, conname), '')
        INTO first FROM pg_constraint WHERE conrelid = old AND contype IN ('c', 'p', 'u');
        SELECT first || coalesce(string_agg(pg_get_indexdef(i.indexrelid) || ';', '' ORDER BY i.indexrelid), '')
        INTO first FROM pg_index i
        WHERE i.indrelid = old AND i.indisvalid
            AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = old);
        FOR stranger IN
            SELECT c.oid::regclass AS its, CASE WHEN starts_with(c.relname, parent || '_')
                THEN parent || suffix || substr(c.relname, length(parent) + 1) ELSE c.relname || suffix END AS name
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = old
        LOOP
            EXECUTE format('ALTER INDEX %s RENAME TO %I', stranger.its, stranger.name);
        END LOOP;

        FOR stranger IN
            SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
            WHERE conrelid = old AND contype = 'f'
        LOOP
            keys := keys || format('ALTER TABLE %s.%I ADD CONSTRAINT %I %s;', place, parent, stranger.name,
                stranger.definition);
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', old, stranger.name);
        END LOOP;

        -- A trigger for each statement stays on the old table besides, since the new one's does not act there.
        FOR stranger IN
            SELECT tgname AS name, pg_get_triggerdef(oid) AS definition, tgtype & 1 = 1 AS is_for_rows
            FROM pg_trigger WHERE tgrelid = old AND NOT tgisinternal
        LOOP
            triggers := triggers || stranger.definition || ';';
            IF stranger.is_for_rows THEN
                EXECUTE format('DROP TRIGGER %I ON %s', stranger.name, old);
            END IF;
        END LOOP;

        SELECT first || coalesce(string_agg(format('GRANT %s ON %s.%I TO %s%s; REVOKE ALL ON %s FROM %4$s;',
            g.privilege_type || g.of_column, place, parent,
            CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
            CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, was), ''), '')
        INTO first
        FROM (
            SELECT c.relowner, '' AS of_column, (aclexplode(c.relacl)).* FROM pg_class c WHERE c.oid = old
            UNION ALL
            SELECT c.relowner, format(' (%I)', a.attname), (aclexplode(a.attacl)).*
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.oid = old
        ) g WHERE g.grantee <> g.relowner;

        EXECUTE format('ALTER TABLE %s RENAME TO %I', old, parent || suffix);
        EXECUTE format('CREATE TABLE %s.%I (LIKE %s INCLUDING ALL EXCLUDING INDEXES EXCLUDING CONSTRAINTS)
            PARTITION BY RANGE (%s)', place, parent, was,
            CASE old WHEN entries THEN 'id' ELSE 'audit_log_id' END);
        EXECUTE format('ALTER TABLE %s.%I OWNER TO %s', place, parent, owner);
        EXECUTE format('COMMENT ON TABLE %s.%I IS %L', place, parent, obj_description(old, 'pg_class'));
        EXECUTE format('COMMENT ON TABLE %s IS NULL', was);
        EXECUTE first;
        -- A definition that was printed and read again may be another to PostgreSQL: `BETWEEN` is.
        FOR stranger IN
            SELECT p.conname AS name, pg_get_constraintdef(p.oid) AS definition
            FROM pg_constraint p JOIN pg_constraint w ON w.conname = p.conname
            WHERE p.conrelid = old AND w.conrelid = format('%s.%I', place, parent)::regclass AND p.contype = 'c'
                AND pg_get_constraintdef(p.oid) <> pg_get_constraintdef(w.oid)
        LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s', was, stranger.name,
                stranger.definition);
        END LOOP;
        EXECUTE format('ALTER TABLE %s.%I ATTACH PARTITION %s %s', place, parent, was, bounds);
    END LOOP;

    EXECUTE format('ALTER TABLE %s.audit_logs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY', place);
    PERFORM setval(pg_get_serial_sequence('audit_logs', 'id'), drawn.last_value, drawn.is_called);
    EXECUTE keys;
    EXECUTE triggers;
    EXECUTE views;

    -- Whatever the caller's path is, and however many of its own tables have that name.
    EXECUTE format('ALTER FUNCTION make_audit_partition SET search_path = pg_catalog, %s, pg_temp', place);
    EXECUTE format('ALTER FUNCTION make_audit_partitions SET search_path = pg_catalog, %s, pg_temp', place);
    EXECUTE format('ALTER FUNCTION make_audit_partition OWNER TO %s', owner);
    EXECUTE format('ALTER FUNCTION make_audit_partitions OWNER TO %s', owner);
    -- Whoever adds entries is the service.
    SELECT coalesce(string_agg(format('GRANT EXECUTE ON FUNCTION make_audit_partitions TO %s;', g.grantee::regrole), ''), '')
    INTO first
    FROM pg_class c, aclexplode(c.relacl) g
    WHERE c.oid = format('%s.audit_logs', place)::regclass AND g.privilege_type = 'INSERT' AND g.grantee <> 0
        AND g.grantee <> c.relowner;
    EXECUTE first;
    PERFORM make_audit_partition(NULL);
    PERFORM make_audit_partitions();
END $$;
