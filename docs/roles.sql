-- Four roles on PostgreSQL, each with exactly the rights that it needs. Run this in the service's
-- database as a superuser, once after `joc-orders migrate` has made the tables and again after each
-- later `joc-orders migrate`. docs/security.md#roles-on-postgresql explains it.
--
-- The roles are groups that cannot log in. Programs and people get logins of their own:
--   CREATE ROLE orders LOGIN PASSWORD '…' IN ROLE joc_service;

BEGIN;

DO $$
DECLARE
    missing text;
BEGIN
    FOR missing IN
        SELECT name FROM unnest(ARRAY['joc_owner', 'joc_service', 'joc_executor', 'joc_auditor']) n (name)
        WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name)
    LOOP
        EXECUTE format('CREATE ROLE %I NOLOGIN', missing);
    END LOOP;
END $$;

-- What an earlier version of this file, or somebody else, has granted.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM joc_service, joc_executor, joc_auditor;

GRANT USAGE ON SCHEMA public TO joc_service, joc_executor, joc_auditor;

-- The owner: `migrate`, `copy --to`, `capture`, `audit archive`, `orders archive`, `VACUUM` and
-- `ANALYZE`. It can disable the triggers of the audit trail, so nothing that runs every day logs in
-- as the owner.
GRANT USAGE, CREATE ON SCHEMA public TO joc_owner;
ALTER TABLE _sqlx_migrations OWNER TO joc_owner;
ALTER TABLE controllers OWNER TO joc_owner;
ALTER TABLE workflows OWNER TO joc_owner;
ALTER TABLE orders OWNER TO joc_owner;
ALTER TABLE order_runs OWNER TO joc_owner;
ALTER VIEW orders_effective OWNER TO joc_owner;
ALTER TABLE audit_logs OWNER TO joc_owner;
ALTER TABLE audit_log_details OWNER TO joc_owner;
ALTER TABLE audit_seals OWNER TO joc_owner;
ALTER TABLE audit_cuts OWNER TO joc_owner;
ALTER TABLE idempotency_keys OWNER TO joc_owner;
ALTER VIEW joc_audit_log OWNER TO joc_owner;
ALTER VIEW joc_audit_log_details OWNER TO joc_owner;
ALTER TABLE orders_changes OWNER TO joc_owner;
ALTER TABLE accounts OWNER TO joc_owner;
ALTER TABLE roles OWNER TO joc_owner;
ALTER TABLE role_permissions OWNER TO joc_owner;
ALTER TABLE role_folders OWNER TO joc_owner;
ALTER TABLE account_roles OWNER TO joc_owner;
ALTER TABLE sessions OWNER TO joc_owner;
ALTER FUNCTION refuse_change() OWNER TO joc_owner;
ALTER FUNCTION refuse_row() OWNER TO joc_owner;
ALTER FUNCTION effective_state(text, boolean, timestamptz, timestamptz) OWNER TO joc_owner;
ALTER FUNCTION expect_drawn_id() OWNER TO joc_owner;
ALTER FUNCTION last_drawn_id() OWNER TO joc_owner;
ALTER FUNCTION expect_own_entry() OWNER TO joc_owner;
ALTER FUNCTION expect_next_seal() OWNER TO joc_owner;
ALTER FUNCTION make_audit_partition(bigint) OWNER TO joc_owner;
ALTER FUNCTION make_audit_partitions() OWNER TO joc_owner;
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN
        SELECT inhrelid FROM pg_inherits WHERE inhparent IN ('audit_logs'::regclass, 'audit_log_details'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO joc_owner', part);
    END LOOP;
END $$;
-- The function of `joc-orders capture`, which is there while that is on.
DO $$ BEGIN
    IF to_regprocedure('capture_orders()') IS NOT NULL THEN
        ALTER FUNCTION capture_orders() OWNER TO joc_owner;
    END IF;
END $$;

-- The service: `serve`, `import`, `account`, `role`, and what auditors may. It adds to the audit
-- trail and changes nothing in it, and it deletes no order.
GRANT SELECT ON _sqlx_migrations, orders_effective, order_runs, joc_audit_log, joc_audit_log_details,
    orders_changes TO joc_service;
GRANT SELECT, INSERT, UPDATE (last_order_number) ON controllers TO joc_service;
GRANT SELECT, INSERT, UPDATE (created) ON workflows TO joc_service;
GRANT SELECT, INSERT, UPDATE ON orders TO joc_service;
GRANT SELECT, INSERT ON audit_logs, audit_log_details, audit_seals TO joc_service;
GRANT SELECT ON audit_cuts TO joc_service;
GRANT SELECT, INSERT, UPDATE (audit_log_id, affected, response), DELETE
    ON idempotency_keys TO joc_service;
-- Makes partitions of the audit trail as its owner, but drops none.
GRANT EXECUTE ON FUNCTION make_audit_partitions() TO joc_service;
GRANT SELECT, INSERT, UPDATE (password_hash, disabled), DELETE ON accounts TO joc_service;
-- Whoever changes a role locks its row, which takes the right to update one of its columns.
GRANT SELECT, INSERT, UPDATE (created), DELETE ON roles TO joc_service;
GRANT SELECT, INSERT, DELETE ON role_permissions, role_folders, account_roles TO joc_service;
GRANT SELECT, INSERT, UPDATE (created, expires), DELETE ON sessions TO joc_service;

-- Executors: the statements of docs/executors.md.
GRANT SELECT, INSERT (controller_id, order_id, workflow_path, workflow_version_id, scheduled_for,
                      priority, arguments),
    UPDATE (state, suspended, mark, kill_requested, sigkill_at, reason, position, started,
            state_since, modified)
    ON orders TO joc_executor;
-- And those of `joc-orders agent`.
GRANT SELECT ON _sqlx_migrations, controllers, workflows TO joc_executor;
GRANT SELECT, INSERT, UPDATE (lease_until, ended, exit_status, signal, failure)
    ON order_runs TO joc_executor;

-- Auditors: every query of docs/schema.md, `audit verify`, `audit seals` and `check`, but no
-- password hash and no session's token.
GRANT SELECT ON _sqlx_migrations, controllers, workflows, orders, orders_effective, order_runs, audit_logs,
    audit_log_details, audit_seals, audit_cuts, idempotency_keys, joc_audit_log, joc_audit_log_details,
    orders_changes, roles, role_permissions, role_folders, account_roles
    TO joc_auditor;
GRANT SELECT (account, disabled, created) ON accounts TO joc_auditor;
GRANT SELECT (account, created, expires) ON sessions TO joc_auditor;

COMMIT;
