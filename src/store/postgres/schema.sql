-- The parts of the schema that the search path shows: src/store/schema.rs. What differs between
-- releases of PostgreSQL is left out: NOT NULL as constraints, the qualifiers in a view. Partitions have what their
-- table has, and triggers of their own.
WITH tables AS (
    SELECT c.oid, c.relname::text AS name, c.relpersistence, c.relrowsecurity
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_table_is_visible(c.oid) AND c.relname <> '_sqlx_migrations'
        AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
)
SELECT kind, "of", name, regexp_replace(definition, '\s+', ' ', 'g') AS definition FROM (
SELECT 'table' AS kind, t.name AS "of", t.name,
    CASE t.relpersistence WHEN 'p' THEN 'logged' ELSE 'not logged' END
    || CASE WHEN t.relrowsecurity THEN ', row level security' ELSE '' END
    || coalesce(', partitioned by ' || pg_get_partkeydef(t.oid), '') AS definition
FROM tables t
UNION ALL
SELECT 'column', t.name, a.attname::text, format_type(a.atttypid, a.atttypmod)
    || coalesce(' COLLATE ' || l.collname, '')
    || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
    || CASE a.attidentity WHEN 'a' THEN ' IDENTITY ALWAYS' WHEN 'd' THEN ' IDENTITY' ELSE '' END
    || coalesce(CASE a.attgenerated WHEN '' THEN ' DEFAULT ' ELSE ' GENERATED ' END
                || pg_get_expr(d.adbin, d.adrelid, true), '')
FROM tables t
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.collname <> 'default'
UNION ALL
SELECT 'constraint', t.name, c.conname::text, pg_get_constraintdef(c.oid, true)
    || CASE WHEN EXISTS (SELECT 1 FROM pg_trigger g
                         WHERE g.tgconstraint = c.oid AND g.tgenabled NOT IN ('O', 'A'))
       THEN ', disabled' ELSE '' END
FROM tables t JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype IN ('c', 'f', 'p', 'u', 'x')
    AND c.conparentid = 0
UNION ALL
SELECT 'index', t.name, i.relname::text, replace(pg_get_indexdef(i.oid, 0, true), ' ON ONLY ', ' ON ')
    || CASE WHEN x.indisvalid THEN '' ELSE ', not valid' END
FROM tables t JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class i ON i.oid = x.indexrelid
UNION ALL
SELECT 'trigger', t.name, g.tgname::text, pg_get_triggerdef(g.oid, true)
    || CASE WHEN g.tgenabled IN ('O', 'A') THEN '' ELSE ', disabled' END
FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
UNION ALL
SELECT 'trigger', t.name, g.tgname || ' of each partition',
    string_agg(DISTINCT replace(pg_get_triggerdef(g.oid, true), ' ON ' || h.inhrelid::regclass || ' ', ' ON ' || t.name || ' ')
        || CASE WHEN g.tgenabled IN ('O', 'A') THEN '' ELSE ', disabled' END, '; ')
    || CASE WHEN count(*) < (SELECT count(*) FROM pg_inherits p WHERE p.inhparent = t.oid)
       THEN '; missing on others' ELSE '' END
FROM tables t JOIN pg_inherits h ON h.inhparent = t.oid
JOIN pg_trigger g ON g.tgrelid = h.inhrelid AND g.tgconstraint = 0 AND (NOT g.tgisinternal OR g.tgparentid <> 0)
GROUP BY t.oid, t.name, g.tgname
UNION ALL
SELECT 'rule', t.name, r.rulename::text, pg_get_ruledef(r.oid, true)
FROM tables t JOIN pg_rewrite r ON r.ev_class = t.oid
UNION ALL
SELECT 'view', '', v.relname::text,
    regexp_replace(pg_get_viewdef(v.oid, true), '\m[a-z_]+\.', '', 'g')
FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace
WHERE v.relkind = 'v' AND pg_table_is_visible(v.oid)
    AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
UNION ALL
SELECT 'function', '', p.proname::text,
    pg_get_function_arguments(p.oid) || ' RETURNS ' || pg_get_function_result(p.oid) || ' LANGUAGE ' || l.lanname
    || CASE p.provolatile WHEN 'i' THEN ' IMMUTABLE' WHEN 's' THEN ' STABLE' ELSE '' END
    || CASE p.proparallel WHEN 's' THEN ' PARALLEL SAFE' ELSE '' END
    || ' AS ' || p.prosrc
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE p.prokind = 'f' AND pg_function_is_visible(p.oid)
    AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
) parts
ORDER BY kind COLLATE "C", "of" COLLATE "C", name COLLATE "C"
