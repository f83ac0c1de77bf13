-- One table each again. The largest partition becomes the table, and takes the rows of the others.

DROP FUNCTION make_audit_partitions;

DO $$
DECLARE
    place CONSTANT text := (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'audit_logs'::regclass);
    drawn record;
    parent text;
    old regclass;
    kept regclass;
    part record;
    later text := '';
    views text;
    keys text := '';
BEGIN
    SELECT string_agg(DISTINCT format(E'CREATE OR REPLACE VIEW %s%s AS %s\n', v.oid::regclass,
        ' WITH (' || array_to_string(v.reloptions, ', ') || ')', pg_get_viewdef(v.oid)), '')
    INTO views
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass AND v.relkind = 'v'
        AND d.refobjid IN ('audit_logs'::regclass, 'audit_log_details'::regclass);
    EXECUTE format('SELECT last_value, is_called FROM %s', pg_get_serial_sequence('audit_logs', 'id')) INTO drawn;
    FOR part IN
        SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
        WHERE conrelid = 'audit_log_details'::regclass AND contype = 'f' AND conparentid = 0
    LOOP
        keys := keys || format('ALTER TABLE %s.audit_log_details ADD CONSTRAINT %I %s;', place, part.name,
            part.definition);
        EXECUTE format('ALTER TABLE audit_log_details DROP CONSTRAINT %I', part.name);
    END LOOP;

    FOREACH parent IN ARRAY ARRAY['audit_log_details', 'audit_logs'] LOOP
        old := parent::regclass;
        kept := (SELECT c.oid FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
                 WHERE h.inhparent = old ORDER BY pg_relation_size(c.oid) DESC, c.relname LIMIT 1);

        -- What the partition has from the whole, or has otherwise.
        SELECT later || coalesce(string_agg(pg_get_triggerdef(oid) || ';', ''), '')
        INTO later FROM pg_trigger WHERE tgrelid = old AND NOT tgisinternal AND tgtype & 1 = 1;
        SELECT later || coalesce(string_agg(format('ALTER INDEX %s.%I RENAME TO %I;', place, i.relname, w.relname), ''), '')
        INTO later
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_inherits h ON h.inhrelid = i.oid
        JOIN pg_class w ON w.oid = h.inhparent
        WHERE x.indrelid = kept;
        SELECT later || coalesce(string_agg(format('ALTER TABLE %s.%I DROP CONSTRAINT %I, ADD CONSTRAINT %3$I %s;',
            place, parent, w.conname, pg_get_constraintdef(w.oid)), ''), '')
        INTO later
        FROM pg_constraint w JOIN pg_constraint p ON p.conrelid = kept AND p.conname = w.conname
        WHERE w.conrelid = old AND w.contype = 'c' AND pg_get_constraintdef(w.oid) <> pg_get_constraintdef(p.oid);
        SELECT later || coalesce(string_agg(format('GRANT %s ON %s.%I TO %s%s;', g.privilege_type || g.of_column,
            place, parent, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
            CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), ''), '')
        INTO later
        FROM (
            SELECT c.relowner, '' AS of_column, (aclexplode(c.relacl)).* FROM pg_class c WHERE c.oid = old
            UNION ALL
            SELECT c.relowner, format(' (%I)', a.attname), (aclexplode(a.attacl)).*
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.oid = old
        ) g WHERE g.grantee <> g.relowner;
        SELECT later || coalesce(string_agg(format('COMMENT ON %s IS %L;',
            CASE d.objsubid WHEN 0 THEN format('TABLE %s.%I', place, parent)
            ELSE format('COLUMN %s.%I.%I', place, parent, a.attname) END, d.description), ''), '')
        INTO later
        FROM pg_description d LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
        WHERE d.classoid = 'pg_class'::regclass AND d.objoid = old;

        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', old, kept);
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', kept);
        EXECUTE format('INSERT INTO %s SELECT * FROM %s', kept, old);
        EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', kept);
        EXECUTE format('ALTER TABLE %s RENAME TO %I', old, parent || '_whole');
        EXECUTE format('ALTER TABLE %s RENAME TO %I', kept, parent);
    END LOOP;
    EXECUTE views;
    EXECUTE format('DROP TABLE %s.audit_log_details_whole, %1$s.audit_logs_whole', place);
    EXECUTE later;

    EXECUTE format('ALTER TABLE %s.audit_logs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY', place);
    PERFORM setval(pg_get_serial_sequence('audit_logs', 'id'), drawn.last_value, drawn.is_called);
    EXECUTE keys;
END $$;

DROP FUNCTION make_audit_partition;

CREATE OR REPLACE FUNCTION expect_drawn_id() RETURNS trigger
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

CREATE OR REPLACE FUNCTION expect_own_entry() RETURNS trigger
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
