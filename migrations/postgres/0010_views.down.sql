DROP VIEW joc_audit_log_details;
DROP VIEW joc_audit_log;
DROP INDEX audit_log_details_folder;
DROP INDEX audit_logs_denied;
DROP INDEX audit_logs_request;
-- The comments of tables and views that stay.
DO $$
DECLARE
    said record;
BEGIN
    FOR said IN
        SELECT CASE WHEN a.attname IS NOT NULL THEN format('COLUMN %s.%I', c.oid::regclass, a.attname)
               WHEN c.relkind = 'v' THEN format('VIEW %s', c.oid::regclass)
               ELSE format('TABLE %s', c.oid::regclass) END AS subject
        FROM pg_description d
        JOIN pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
        WHERE c.oid = ANY (ARRAY['controllers', 'workflows', 'orders', 'orders_effective', 'audit_logs',
            'audit_log_details', 'audit_seals', 'accounts', 'roles', 'role_permissions', 'role_folders',
            'account_roles', 'sessions']::regclass[])
    LOOP
        EXECUTE format('COMMENT ON %s IS NULL', said.subject);
    END LOOP;
END $$;
